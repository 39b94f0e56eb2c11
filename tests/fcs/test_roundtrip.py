"""What is written reads back equal: by this reader and by FlowIO."""

from __future__ import annotations

from pathlib import Path

import flowio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from treg_gating import FCSError, read_fcs, write_fcs
from treg_gating.fcs import read_header
from treg_gating.sample import Channel, Spillover

# Values instruments write: what lies outside is refused or warned of by design.
value = st.one_of(st.just(0.0), st.floats(2.0**-20, 2.0**30, width=32), st.floats(-(2.0**18), -(2.0**-18), width=32))
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
label = text.map(str.strip).filter(lambda s: s and "," not in s and not s.startswith("$"))
key = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12).map(str.upper)
vendor_key = key.filter(lambda k: not k.startswith("$") and k not in {"SPILL", "SPILLOVER"})
free_text = text.filter(lambda s: not s.strip().startswith("$"))


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[np.ndarray, list[Channel], dict[str, str]]:
    names = draw(st.lists(label, min_size=1, max_size=5, unique=True))
    markers = [draw(st.one_of(st.just(""), label)) for _ in names]
    events = draw(hnp.arrays("f4", (draw(st.integers(0, 12)), len(names)), elements=value))
    clocks = [i for i, name in enumerate(names) if Channel(name).is_time]
    events[:, clocks] = np.sort(events[:, clocks], axis=0)
    channels = [Channel(name, marker, 262144.0) for name, marker in zip(names, markers, strict=True)]
    return events, channels, draw(st.dictionaries(vendor_key, free_text, max_size=4))


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=data_sets())
def test_any_array_and_any_text(tmp_path: Path, data: tuple[np.ndarray, list[Channel], dict[str, str]]) -> None:
    events, channels, keywords = data
    path = tmp_path / "round.fcs"
    write_fcs(path, events, channels, keywords=keywords)
    sample = read_fcs(path)
    np.testing.assert_array_equal(sample.events, events)
    assert sample.channels == tuple(channels)
    assert {name: sample.keywords[name] for name in keywords} == keywords
    header = read_header(path)
    assert (header.n_events, header.channels) == (len(events), tuple(channels))


@pytest.fixture
def written(tmp_path: Path, floats: np.ndarray) -> Path:
    channels = [Channel("FSC-A"), Channel("SSC-A"), Channel("B1-A", "CD4 µ"), Channel("B2-A", "FOXP3"), Channel("Time")]
    matrix = Spillover(("B1-A", "B2-A"), np.array([[1, 0.1234567890123], [0.01, 1]]))
    path = tmp_path / "w.fcs"
    write_fcs(path, floats, channels, spillover=matrix, keywords={"$CYT": "a/b|c", "note": "αβ"})
    return path


def test_flowio_reads_what_is_written(written: Path, floats: np.ndarray) -> None:
    foreign = flowio.FlowData(str(written))
    np.testing.assert_array_equal(foreign.as_array().astype("f4"), floats)
    assert foreign.pns_labels == ["", "", "CD4 µ", "FOXP3", ""]
    assert foreign.text["spillover"] == "2,B1-A,B2-A,1,0.1234567890123,0.01,1"
    assert foreign.text["cyt"] == "a/b|c"


def test_same_arguments_same_bytes(written: Path, tmp_path: Path, floats: np.ndarray) -> None:
    sample = read_fcs(written)
    again = tmp_path / "again.fcs"
    write_fcs(again, floats, sample.channels, spillover=sample.spillover, keywords={"$CYT": "a/b|c", "note": "αβ"})
    assert again.read_bytes() == written.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_time_is_stored_in_steps(tmp_path: Path, floats: np.ndarray) -> None:
    path = tmp_path / "t.fcs"
    write_fcs(path, floats, [Channel(n) for n in ("a", "b", "c", "d", "Time")], timestep=0.01)
    assert flowio.FlowData(str(path)).text["timestep"] == "0.01"
    np.testing.assert_allclose(read_fcs(path).column("Time"), floats[:, 4], rtol=2e-7)


def test_no_events(tmp_path: Path) -> None:
    path = tmp_path / "none.fcs"
    write_fcs(path, np.empty((0, 2)), [Channel("a"), Channel("Time")])
    assert read_fcs(path).events.shape == (0, 2)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"keywords": {"$TOT": "3"}}, "$TOT"),
        ({"keywords": {"SPILL": "3"}}, "SPILL"),
        ({"keywords": {"A": ""}}, "A"),
        ({"keywords": {"A": "x\0y"}}, "A"),
        ({"keywords": {"é": "x"}}, "É"),
        ({"keywords": {"A": "\ud800"}}, "A"),
        ({"channels": [Channel("a"), Channel("a")]}, "$PnN"),
        ({"channels": [Channel("a,b"), Channel("c")]}, "$PnN"),
        ({"channels": [Channel("a"), Channel("c", " x")]}, "$P2S"),
        ({"channels": [Channel("a")]}, ""),
        ({"events": np.full((3, 2), 1e300)}, ""),
        ({"events": np.array([["a", "b"]])}, ""),
        ({"timestep": 0.0}, "$TIMESTEP"),
        ({"spillover": Spillover(("a", "q"), np.eye(2))}, ""),
    ],
)
def test_what_would_not_read_back_is_refused(tmp_path: Path, change: dict[str, object], where: str) -> None:
    arguments = {"events": np.ones((3, 2)), "channels": [Channel("a"), Channel("b")]} | change
    with pytest.raises(FCSError) as caught:
        write_fcs(tmp_path / "no.fcs", **arguments)
    assert caught.value.code == "E_WRITE"
    assert where in caught.value.where
    assert list(tmp_path.iterdir()) == []


def test_every_delimiter_taken(tmp_path: Path) -> None:
    everything = "x" + "".join(map(chr, range(1, 127))) + "x"
    write_fcs(tmp_path / "d.fcs", np.ones((3, 1)), [Channel("a")], keywords={"ALL": everything})
    assert read_fcs(tmp_path / "d.fcs").keywords["ALL"] == everything
