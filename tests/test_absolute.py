"""Cells per microlitre: by hand, by simulated truth, and everything that contradicts itself."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treg_gating.absolute import absolute_count
from treg_gating.endpoint import endpoint_table
from treg_gating.errors import SampleSheetError
from treg_gating.fcs import read_fcs, write_fcs
from treg_gating.gating.results import PopulationCount, SampleResult
from treg_gating.gating.template import load_template
from treg_gating.pipeline import RunSettings, between_passes, first_pass, second_pass
from treg_gating.run.record import TemplateSummary
from treg_gating.samplesheet import Tube, read_samplesheet
from treg_gating.study import Limits, Study, Visit, read_study

ROOT = Path(__file__).resolve().parents[1]
STUDY = Study(visits=(Visit("Baseline", 0, baseline=True),))
PLAN = TemplateSummary("treg_foxp3", "1.0", "", "f" * 64, "treg", "cd4_t", "Treg of CD4 T, %")
BEADS = {"beads_counted": 10000.0, "beads_added": 50000.0, "blood_ul": 100.0}


def tube(**more: Any) -> Tube:
    return Tube("A", "A.fcs", Path("/data/A.fcs"), "001", "Baseline", "B1", **more)


def result(
    treg: int = 400, beads: int | None = None, parent: str = "root", removed: float = 0.0, singlets: int = 85500
) -> SampleResult:
    counts = [
        PopulationCount("singlets", "clean", singlets, 90000),
        PopulationCount("live", "singlets", 40000, 60000),
        PopulationCount("cd4_t", "live", 8000, 40000),
        PopulationCount("treg", "cd4_t", treg, 8000),
    ]
    if beads is not None:
        counts.append(PopulationCount("beads", parent, beads, 100000))
    return SampleResult(
        "A", "A.fcs", "001", "Baseline", "B1", "sample", "done", counts=tuple(counts), n_events=100000,
        quality={"margin_pct": 0.0, "time_removed_pct": removed},
    )  # fmt: skip


def test_beads_by_hand() -> None:
    """400 Treg beside 10,000 of 50,000 beads in 100 µL: a fifth was acquired, 2000 in 100 µL."""
    count = absolute_count(result(), tube(**BEADS), "treg", "cd4_t")
    assert count.per_ul == 20.0
    # √(1/400 + 1/10000) = .05099; exp(1.95996 × .05099) = 1.10511
    assert count.low == pytest.approx(20 / 1.10511, rel=1e-5)
    assert count.high == pytest.approx(20 * 1.10511, rel=1e-5)
    assert count.source == "beads_counted"
    # 100,000 events less 10,000 beads are 90,000 cells; 14,500 events are no singlets, 10,000 of them may be beads.
    assert "leave out up to 16.1 % of cells" in count.note


def test_time_taken_out_is_taken_from_the_beads_too() -> None:
    """Half the acquisition is gone for the cells, so half of the beads do not count either."""
    count = absolute_count(result(removed=50.0, singlets=45000), tube(**BEADS), "treg", "cd4_t")
    assert count.per_ul == 40.0


def test_a_gate_counts_the_beads() -> None:
    of_gate = absolute_count(result(beads=10000), tube(beads_added=50000.0, blood_ul=100.0), "treg", "cd4_t")
    assert (of_gate.per_ul, of_gate.source) == (20.0, "beads gate")
    both = absolute_count(result(beads=10100), tube(**BEADS), "treg", "cd4_t")
    assert (both.per_ul, both.source) == (20.0, "beads_counted")


@pytest.mark.parametrize(
    ("sample", "sheet", "note"),
    [
        (result(beads=8000), BEADS, "beads_counted is 10000, the beads gate holds 8000"),
        (result(beads=10000, parent="clean"), BEADS, "beads are counted from root"),
        (result(), {**BEADS, "beads_counted": 100001.0, "beads_added": 200000.0}, "the file holds 100000 events"),
        (result(), {**BEADS, "beads_counted": 900.0}, "900 bead events, no count below 1000"),
        (result(removed=95.0), BEADS, "500 bead events, no count below 1000"),
        (result(), {**BEADS, "beads_counted": None}, "no population beads in the template"),
    ],
)
def test_beads_that_contradict_give_no_count(sample: SampleResult, sheet: dict[str, Any], note: str) -> None:
    count = absolute_count(sample, tube(**sheet), "treg", "cd4_t")
    assert (count.per_ul, count.low, count.high) == (None, None, None)
    assert note in count.note
    row = endpoint_table({"A": sample}, [tube(**sheet)], STUDY, PLAN)[0]
    assert (row["treg_per_ul"], row["treg_pct_of_cd4"]) == (None, 5.0)
    assert note in str(row["absolute_note"])


def test_dual_platform_interval_is_the_share_s() -> None:
    count = absolute_count(result(), tube(cd4_per_ul=800.0), "treg", "cd4_t")
    assert (count.per_ul, count.source) == (40.0, "cd4_per_ul")
    assert (count.low, count.high) == (36.3491, 43.9964)  # 800 × scipy.stats.binomtest(400, 8000), Wilson


def test_the_limit_is_the_study_s() -> None:
    study = Study(visits=STUDY.visits, limits=Limits(beads_min=20000))
    row = endpoint_table({"A": result()}, [tube(**BEADS)], study, PLAN)[0]
    assert row["treg_per_ul"] is None
    assert "no count below 20000" in str(row["absolute_note"])


def test_intervals_hold_what_they_promise() -> None:
    """Simulated acquisition: 20 Treg/µL, 100 µL, 50,000 beads, a fifth of the tube acquired."""
    rng = np.random.default_rng(11)
    hits, values = 0, []
    for _ in range(400):
        cells, beads = int(rng.binomial(2000, 0.2)), float(rng.binomial(50000, 0.2))
        count = absolute_count(result(treg=cells), tube(**{**BEADS, "beads_counted": beads}), "treg", "cd4_t")
        assert count.per_ul is not None
        assert count.low is not None
        assert count.high is not None
        values.append(count.per_ul)
        hits += count.low <= 20.0 <= count.high
    assert np.mean(values) == pytest.approx(20.0, rel=0.01)
    assert hits / 400 >= 0.94  # wider than binomial sampling of a fixed tube needs, never narrower


HEAD = "file,subject,visit,beads gated,beads_added,beads per µl,bead volume (µl),blood (µl),cd4_per_ul\n"


def read(folder: Path, cells: str) -> Tube:
    (folder / "a.fcs").write_bytes(b"FCS3.1")
    (folder / "samples.csv").write_text(f"{HEAD}a.fcs,S1,Baseline,{cells}\n")
    return read_samplesheet(folder / "samples.csv").tubes[0]


@pytest.mark.parametrize("cells", ["10000,50000,,,100,", "10000,,1000,50,100,", "10000,50000,1000,50,100,"])
def test_the_sheet_gives_beads_in_two_ways(tmp_path: Path, cells: str) -> None:
    found = read(tmp_path, cells)
    assert (found.beads_counted, found.beads_added, found.blood_ul) == (10000, 50000, 100)


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ("10000,,,,100,", "row 2, beads_added: empty, but other bead columns are filled"),
        ("10000,50000,,,,", "row 2, blood_ul: empty"),
        ("10000,,1000,,100,", "row 2, bead_volume_ul: empty"),
        ("10000,50000,1000,60,100,", "row 2, beads_added: contradicts concentration × volume"),
        ("60000,50000,,,100,", "row 2, beads_counted: more beads counted than added"),
        ("10000,,1000,5,100,", "row 2, beads_counted: more beads counted than added"),
        ("10000.5,50000,,,100,", "row 2, beads_counted: beads are whole"),
        ("10000,50000,,,-100,", "row 2, blood_ul: not usable"),
        ("10000,50000,,,100,800", "row 2, cd4_per_ul: a count from another instrument and counting beads"),
        ("x,50000,,,100,", "row 2, beads_counted: not a number"),
    ],
)
def test_contradictions_in_the_sheet_are_refused(tmp_path: Path, cells: str, fault: str) -> None:
    with pytest.raises(SampleSheetError) as caught:
        read(tmp_path, cells)
    assert any(fault in str(one) for one in caught.value.faults), caught.value.faults


def test_beads_in_a_file_are_found_by_a_gate_of_the_template(tmp_path: Path) -> None:
    """2,000 beads among the events of a tube: the row of docs/statistics.md counts them, from all events."""
    documented = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").splitlines()
    row = next(line.strip() for line in documented if "beads,root" in line)
    folder = tmp_path / "with_beads"
    folder.mkdir()
    shutil.copy(ROOT / "gating_templates" / "treg_foxp3" / "template.toml", folder)
    (folder / "panel.csv").write_text(
        "marker,synonyms,transform,args,required,channel\nSSC-A,,linear,,yes,\nTime,,linear,,no,\n"
        "CD3,,logicle,w=0.6,yes,\n"
    )
    (folder / "gates.csv").write_text(
        "population,parent,dims,sign,method,args,share,fallback\ncells,clean,SSC-A,+,fixed,low=0,own,\nt_cells,cells,CD3,+,fixed,low=0.5,own,\n"
        + row
        + "\n"
    )
    (folder / "endpoints.csv").write_text("endpoint,numerator,denominator,unit,primary\nt_pct,t_cells,cells,%,yes\n")
    study = read_study(ROOT / "sample_data" / "study.toml")
    plain = read_samplesheet(ROOT / "sample_data" / "samples.csv", study=study).tubes[0]
    sample = read_fcs(plain.path)
    names = [channel.name for channel in sample.channels]
    beads = np.full((2000, len(names)), -50.0)
    beads[:, names.index("SSC-A")] = 230_000
    time = next(i for i, channel in enumerate(sample.channels) if channel.is_time)
    beads[:, time] = np.linspace(*np.quantile(sample.events[:, time], [0, 1]), 2000)
    events = np.vstack([sample.events, beads])
    events = events[np.argsort(events[:, time], kind="stable")]
    write_fcs(tmp_path / "beads.fcs", events, sample.channels, spillover=sample.spillover, timestep=0.01)
    spiked = replace(plain, path=tmp_path / "beads.fcs", beads_added=20_000.0, blood_ul=50.0)

    settings = RunSettings(load_template(folder), study)
    results = []
    for tube in (spiked, plain):
        fit = first_pass(tube, settings)
        results.append(second_pass(tube, settings, between_passes([tube], {tube.tube_id: fit}, settings), fit))
    found, without = results
    counted, cells = found.count("beads"), found.count("t_cells")
    assert counted is not None
    assert cells is not None
    assert cells.n
    bright = int(np.sum(sample.events[:, names.index("SSC-A")] >= 200_000))  # cells that the gate takes for beads
    assert bright < 20
    assert (counted.n, counted.parent) == (2000 + bright, "root")
    assert cells.n == without.count("t_cells").n  # type: ignore[union-attr]
    count = absolute_count(found, spiked, "t_cells", "cells")
    kept = 1 - found.quality["time_removed_pct"] / 100
    assert count.per_ul == pytest.approx(cells.n * 20_000 / ((2000 + bright) * kept * 50), rel=1e-5)
    assert count.source == "beads gate"
