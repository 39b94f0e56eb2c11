"""Markers are found by their names, or the file is refused."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treg_gating.errors import PanelError
from treg_gating.marker_names import MARKER_SYNONYMS, Lexicon
from treg_gating.panel import MarkerSpec, canonical_marker, match_panel
from treg_gating.sample import Channel

LEXICON = Lexicon()
DYES = (
    "PE",
    "PE-Cy7",
    "PE-Cy5",
    "BV421",
    "AF488",
    "Alexa Fluor 488",
    "APC-H7",
    "PerCP-Cy5-5",
    "FITC",
    "APC-R700",
    "V450",
)


def specs(*markers: str, required: bool = True) -> list[MarkerSpec]:
    return [MarkerSpec(marker, required=required) for marker in markers]


def channels(*pairs: tuple[str, str]) -> list[Channel]:
    return [Channel(name, marker) for name, marker in pairs]


@pytest.mark.parametrize(
    ("label", "marker"),
    [
        ("CD25", "CD25"),
        ("cd25", "CD25"),
        ("CD 25", "CD25"),
        ("IL2RA", "CD25"),
        ("IL-2RA", "CD25"),
        ("IL-2Rα", "CD25"),
        ("CD25 PE-Cy7-A", "CD25"),
        ("CD25-PE", "CD25"),
        ("PE-CD25", "CD25"),
        ("CD25_PE", "CD25"),
        ("CD25PE", "CD25"),
        ("CD25 (IL-2Ra)", "CD25"),
        ("CD127 (IL-7Ra)", "CD127"),
        ("CD127", "CD127"),
        ("IL7R", "CD127"),
        ("IL-7R-A", "CD127"),
        ("CD3e", "CD3"),
        ("CD3ε", "CD3"),
        ("CD8a", "CD8"),
        ("CD8-A", "CD8"),
        ("CD4 BV421", "CD4"),
        ("CD4BV421-A", "CD4"),
        ("CD4;BV510;525/50@405", "CD4"),
        ("CD45 RA", "CD45RA"),
        ("CD45-RA", "CD45RA"),
        ("FoxP3", "FOXP3"),
        ("Fox-P3 AF488", "FOXP3"),
        ("HLA DR", "HLA-DR"),
        ("Ki-67", "Ki67"),
        ("CD152", "CTLA-4"),
        ("CD197", "CCR7"),
        ("LIVE DEAD", "Viability"),
        ("Live/Dead", "Viability"),
        ("LIVE/DEAD™ Fixable Aqua", "Viability"),
        ("L/D", "Viability"),
        ("L_D Aqua", "Viability"),
        ("7-AAD", "Viability"),
        ("7AAD", "Viability"),
        ("7-AAD-A", "Viability"),
        ("Zombie NIR", "Viability"),
        ("ZombieNIR", "Viability"),
        ("FVS780", "Viability"),
        ("FVS 780", "Viability"),
        ("FVD eFluor 506", "Viability"),
        ("Fixable Viability Dye", "Viability"),
        ("Viability", "Viability"),
        ("DAPI", "Viability"),
        ("PI", "Viability"),
        ("viability;7-AAD;695/40@488/A", "Viability"),
    ],
)
def test_a_label_names_exactly_one_marker(label: str, marker: str) -> None:
    assert LEXICON.markers_in(label) == {marker}


@pytest.mark.parametrize("label", [*DYES, "CD40", "CD40L", "CD33", "CD38", "CD25L", "CD14b", "T4", "Time"])
def test_a_label_of_something_else_names_no_common_marker(label: str) -> None:
    assert not LEXICON.markers_in(label) & set(MARKER_SYNONYMS)


@pytest.mark.parametrize(
    ("label", "not_marker"),
    [
        ("CD45", "CD4"),
        ("CD45RA", "CD4"),
        ("CD45RA", "CD45"),
        ("CD45 RO", "CD45"),
        ("CD45R-A", "CD45RA"),
        ("CD8 B PE", "CD8"),
        ("CD38", "CD3"),
        ("CD33", "CD3"),
        ("CD25L", "CD25"),
        ("CD4 5", "CD45"),
    ],
)
def test_a_longer_name_is_not_its_beginning(label: str, not_marker: str) -> None:
    assert not_marker not in LEXICON.markers_in(label)


def test_labels_of_two_markers() -> None:
    assert LEXICON.markers_in("Foxp3-IgM") == {"FOXP3", "IgM"}
    assert LEXICON.markers_in("CD3-IgD") == {"CD3", "IgD"}
    assert LEXICON.markers_in("CD14/CD19") == {"CD14", "CD19"}
    assert LEXICON.markers_in("VIVID / CD14") == {"Viability", "CD14"}


@given(
    marker=st.sampled_from(sorted(MARKER_SYNONYMS)),
    dye=st.sampled_from(DYES),
    separator=st.sampled_from([" ", "-", "_", " - ", "/", ";"]),
    suffix=st.sampled_from(["", "-A", "-H"]),
    turned=st.booleans(),
    upper=st.booleans(),
)
def test_a_dye_beside_the_marker_changes_nothing(
    marker: str, dye: str, separator: str, suffix: str, turned: bool, upper: bool
) -> None:
    label = separator.join([dye, marker] if turned else [marker, dye]) + suffix
    assert LEXICON.markers_in(label.upper() if upper else label) == {marker}


@given(st.text(max_size=40))
def test_any_text_is_read_without_failing(label: str) -> None:
    assert LEXICON.markers_in(label) == {LEXICON.canonical(found) for found in LEXICON.markers_in(label)}


def test_the_stain_is_found_before_the_detector() -> None:
    panel = match_panel(specs("CD25", "CD4"), channels(("PE-A", "IL2RA"), ("CD4 FITC-A", ""), ("APC-A", "CD3")))
    assert panel.channel_of["CD25"].name == "PE-A"
    assert panel.channel_of["CD4"].name == "CD4 FITC-A"
    assert dict(panel.how) == {"CD25": "$PnS", "CD4": "$PnN"}


def test_a_detector_named_for_a_dye_does_not_overrule_its_label() -> None:
    panel = match_panel(specs("CD3", "Viability", required=False), channels(("7-AAD-A", "CD3"), ("DAPI-A", "Bcl-2")))
    assert panel.missing == ("Viability",)
    assert panel.channel_of["CD3"].name == "7-AAD-A"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_area_stands_for_its_detector(order: Sequence[int]) -> None:
    three = channels(("PE-A", "CD25 PE-A"), ("PE-H", "CD25 PE-H"), ("PE-W", "CD25 PE-W"))
    panel = match_panel(specs("CD25"), [three[i] for i in order])
    assert panel.channel_of["CD25"].name == "PE-A"
    unlabelled = channels(("CD25 PE-H", ""), ("CD25 PE-A", ""))
    assert match_panel(specs("CD25"), unlabelled).channel_of["CD25"].name == "CD25 PE-A"
    by_label = channels(("P7", "CD25 PE-H"), ("P8", "CD25 PE-A"))
    assert match_panel(specs("CD25"), by_label).channel_of["CD25"].name == "P8"


def test_a_width_carries_no_marker() -> None:
    with pytest.raises(PanelError, match="CD25: no channel"):
        match_panel(specs("CD25"), channels(("PE-W", "CD25")))


def test_two_detectors_are_refused_with_all_that_was_found() -> None:
    two = channels(("PE-A", "CD25"), ("APC-A", "CD25 APC"), ("FITC-A", "CD4"))
    with pytest.raises(PanelError) as caught:
        match_panel(specs("CD25", "CD4", "CD127"), two, file="t1.fcs")
    text = str(caught.value)
    assert text.startswith("t1.fcs")
    assert "CD25: 2 channels carry it by $PnS: 'PE-A' ('CD25') and 'APC-A' ('CD25 APC')" in text
    assert "CD127: no channel carries it" in text
    assert "'FITC-A' ('CD4')" in text
    assert "detector=marker" in text
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


def test_ambiguity_refuses_an_optional_marker_too() -> None:
    with pytest.raises(PanelError, match="2 channels"):
        match_panel(specs("CD25", required=False), channels(("PE-A", "CD25"), ("APC-A", "CD25")))


def test_compensated_and_raw_copies_of_a_detector_are_two_candidates() -> None:
    with pytest.raises(PanelError, match="2 channels"):
        match_panel(specs("CD25"), channels(("PE-A", "CD25"), ("Comp-PE-A", "CD25")))


def test_scale_copies_of_a_detector_are_two_candidates() -> None:
    with pytest.raises(PanelError, match="2 channels"):
        match_panel(specs("CD4"), channels(("FL1 INT LOG", "CD4-FITC"), ("FL1 INT LIN", "CD4-FITC")))


def test_the_mapping_wins_and_is_said() -> None:
    three = channels(("PE-A", "CD127"), ("APC-A", "CD25"), ("FITC-A", ""))
    panel = match_panel(specs("CD25", "CD127", required=False), three, {"PE-A": "IL2RA"})
    assert panel.channel_of["CD25"].name == "PE-A"
    assert panel.how["CD25"] == "mapping"
    assert panel.missing == ("CD127",), "a detector the mapping describes is described by it alone"
    assert any("'CD127'" in note for note in panel.notes)
    assert any("'APC-A'" in note for note in panel.notes)


def test_mapping_faults() -> None:
    files = channels(("PE-A", ""), ("APC-A", ""))
    with pytest.raises(PanelError, match=r"CD25: the mapping puts it on detector 'PE-B'.*did you mean 'PE-A'"):
        match_panel(specs("CD25"), files, {"PE-B": "CD25"})
    with pytest.raises(PanelError, match="2 channels carry it by mapping"):
        match_panel(specs("CD25"), files, {"PE-A": "CD25", "APC-A": "CD25"})
    with pytest.raises(PanelError, match="calls detector 'PE-A' 'CD25' and 'CD4'"):
        match_panel(specs("CD25"), files, {"PE-A": "CD25", "pe-a": "CD4"})
    optional = match_panel(specs("CD25", required=False), files, {"PE-B": "CD25"})
    assert optional.missing == ("CD25",)
    assert "PE-B" in optional.notes[0]
    unneeded = match_panel(specs("CD4", required=False), files, {"PE-B": "CD25"})
    assert unneeded.missing == ("CD4",)


def test_the_template_may_fix_the_detector() -> None:
    fixed = [MarkerSpec("CD25", channel="APC-A")]
    panel = match_panel(fixed, channels(("PE-A", "CD25"), ("APC-A", "")))
    assert (panel.channel_of["CD25"].name, panel.how["CD25"]) == ("APC-A", "template")
    with pytest.raises(PanelError, match="the template puts it on detector 'APC-A'"):
        match_panel(fixed, channels(("PE-A", "CD25")))


def test_a_template_brings_its_own_names() -> None:
    panel = match_panel([MarkerSpec("ICOS", ("CD278",))], channels(("PE-A", "CD278 PE")))
    assert panel.channel_of["ICOS"].name == "PE-A"
    renamed = match_panel([MarkerSpec("IL2RA")], channels(("PE-A", "CD25")))
    assert renamed.channel_of["IL2RA"].name == "PE-A"
    with pytest.raises(PanelError, match="asks twice for CD25"):
        match_panel(specs("CD25", "IL2RA"), channels(("PE-A", "CD25")))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("FSC-A", "FSC-H", "FSC-W", "SSC-A", "SSC-H", "Time"), ("FSC-A", "FSC-H", "SSC-A", "Time")),
        (("FSC_A", "FSC_H", "SSC_A", "TIME"), ("FSC_A", "FSC_H", "SSC_A", "TIME")),
        (("FSC.A", "FSC.H", "SSC.A", "HDR-T"), ("FSC.A", "FSC.H", "SSC.A", "HDR-T")),
        (("FS INT LIN", "FS PEAK LIN", "SS INT LIN", "TIME"), ("FS INT LIN", "FS PEAK LIN", "SS INT LIN", "TIME")),
        (("FS-A", "FS-H", "SS-A", "HDR-T"), ("FS-A", "FS-H", "SS-A", "HDR-T")),
        (("FSC LinA", "FSC LinH", "SSC LinA", "Time"), ("FSC LinA", "FSC LinH", "SSC LinA", "Time")),
        (("FSC-A", "FSC", "FSC-H", "SSC-A", "SSC-B-A", "Time"), ("FSC-A", "FSC-H", "SSC-A", "Time")),
    ],
)
def test_scatter_and_time_by_their_makers_names(names: Sequence[str], expected: Sequence[str]) -> None:
    wanted = ("FSC-A", "FSC-H", "SSC-A", "Time")
    panel = match_panel(specs(*wanted), [Channel(name) for name in names])
    assert tuple(panel.channel_of[name].name for name in wanted) == tuple(expected)


def test_bare_scatter_serves_where_no_pulse_part_is_named() -> None:
    panel = match_panel(specs("FSC-A", "SSC-A", "Time"), channels(("FS Lin", "FS"), ("SS Lin", "SS"), ("TIME", "")))
    assert panel.channel_of["FSC-A"].name == "FS Lin"
    with pytest.raises(PanelError, match="FSC-H: no channel"):
        match_panel(specs("FSC-H"), channels(("FS Lin", "FS")))


def test_scatter_and_time_named_in_the_label() -> None:
    panel = match_panel(specs("FSC-H", "Time"), channels(("P1", "FSC-H"), ("P2", "Time (102.40 sec.)")))
    assert panel.channel_of["FSC-H"].name == "P1"
    assert panel.channel_of["Time"].name == "P2"


def test_a_lone_width_of_scatter_is_found() -> None:
    assert match_panel(specs("FSC-W"), channels(("FSC-W", ""))).channel_of["FSC-W"].name == "FSC-W"


def test_a_shared_detector_is_noted_and_the_panel_travels() -> None:
    panel = match_panel(
        specs("FOXP3", "IgM"),
        channels(
            ("PE-A", "Foxp3-IgM"),
        ),
    )
    assert panel.channel_of["FOXP3"] == panel.channel_of["IgM"]
    assert panel.notes == ("FOXP3 and IgM share detector 'PE-A'",)
    again = pickle.loads(pickle.dumps(panel))
    assert again == panel
    assert "FOXP3" in again
    assert panel.as_mapping() == {"PE-A": "FOXP3 / IgM"}
    assert canonical_marker("FoxP3 ") == "FOXP3"


def fcs_channels(path: Path) -> list[Channel]:
    """Names and labels, read straight from the TEXT segment (these files have a simple delimiter)."""
    raw = path.read_bytes()
    first, last = int(raw[10:18]), int(raw[18:26])
    parts = raw[first + 1 : last].decode("latin-1").split(chr(raw[first]))
    keys = dict(zip(parts[::2], parts[1::2], strict=False))
    count = int(keys["$PAR"])
    return [Channel(keys[f"$P{i}N"], keys.get(f"$P{i}S", "")) for i in range(1, count + 1)]


def test_labelled_files_of_the_same_instrument_serve_as_mapping(shared: Path) -> None:
    folder = shared / "data" / "flowatlas"
    wanted = specs("CD3", "CD4", "CD8", "CD25", "CD127", "FOXP3", "CD19", "CD45RA", "Helios", "CCR7", "HLA-DR")
    labelled = match_panel(wanted, fcs_channels(folder / "423C" / "423_Donor_Liver_022.fcs"))
    assert set(labelled.how.values()) == {"$PnS"}
    bare = fcs_channels(folder / "412C" / "412C_Blood_025.fcs")
    with pytest.raises(PanelError, match="FOXP3: no channel"):
        match_panel(wanted, bare)
    mapped = match_panel(wanted, bare, labelled.as_mapping())
    assert {m: c.name for m, c in mapped.channel_of.items()} == {m: c.name for m, c in labelled.channel_of.items()}
    assert set(mapped.how.values()) == {"mapping"}
    # The raw tube spells the same detectors "640 670/30-A".
    raw = match_panel(wanted, fcs_channels(folder / "412C" / "412C_unstained_raw.fcs"), labelled.as_mapping())
    assert raw.channel_of["CD25"].name == "640 670/30-A"


def test_real_labels(shared: Path) -> None:
    data = shared / "data"
    wanted = specs(
        "CD3", "CD4", "CD8", "CD25", "CD127", "FOXP3", "CD45RA", "Viability", "FSC-A", "FSC-H", "SSC-A", "Time"
    )
    panel = match_panel(wanted, fcs_channels(next((data / "independent_cohort" / "fcs").glob("*.fcs"))))
    assert panel.channel_of["Viability"].name == "APC-Cy7-A"
    assert not panel.missing
    zoo = match_panel(specs("CD3", "CD4", "CD8"), fcs_channels(data / "gating_ml" / "data1.fcs"))
    assert {m: c.name for m, c in zoo.channel_of.items()} == {"CD4": "FL1-H", "CD3": "FL3-H", "CD8": "FL4-H"}
