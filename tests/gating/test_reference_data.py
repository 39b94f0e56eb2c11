"""Shipped templates on data that the project did not make: another simulator's cohort, and real Treg files."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from treg_gating.fcs import read_fcs
from treg_gating.gating.results import SampleResult
from treg_gating.gating.template import load_template
from treg_gating.pipeline import RunSettings, between_passes, first_pass, second_pass
from treg_gating.run.codec import encode
from treg_gating.samplesheet import Tube, read_samplesheet
from treg_gating.study import default_study

FLOWJO = {  # CD4 T cells and Tregs by the FlowJo author; from the data's README
    "412C_Blood": (20114, 1355),
    "412C_BM": (3467, 118),
    "412C_mLN": (5534, 1186),
    "423_Donor_Liver": (1114, 54),
    "423_Donor_Lung": (1049, 109),
}


def gated(tubes: list[Tube], template: str) -> dict[str, SampleResult]:
    visits = list(dict.fromkeys(tube.visit for tube in tubes))
    settings = RunSettings(load_template(template), default_study(visits))
    fits = {tube.tube_id: first_pass(tube, settings) for tube in tubes}
    cohort = between_passes(tubes, fits, settings)
    return {tube.tube_id: second_pass(tube, settings, cohort, fits[tube.tube_id]) for tube in tubes}


def counts(result: SampleResult) -> tuple[int, int]:
    cd4, treg = result.count("cd4_t"), result.count("treg")
    assert cd4 is not None
    assert treg is not None
    assert cd4.n is not None
    assert treg.n is not None, treg.reason
    return cd4.n, treg.n


@pytest.fixture(scope="session")
def independent(shared: Path) -> tuple[list[Tube], dict[str, SampleResult]]:
    tubes = list(read_samplesheet(shared / "data" / "independent_cohort" / "samples.csv").tubes)
    return tubes, gated(tubes, "treg_foxp3")


@pytest.mark.slow
def test_another_simulators_cohort_agrees_with_its_truth(
    independent: tuple[list[Tube], dict[str, SampleResult]], shared: Path
) -> None:
    with (shared / "data" / "independent_cohort" / "truth.csv").open(encoding="utf-8") as handle:
        truth = {row["file"]: float(row["treg_pct_of_cd4"]) for row in csv.DictReader(handle)}
    tubes, results = independent
    assert len(tubes) == len(truth) == 12
    pairs = []
    for tube in tubes:
        cd4, treg = counts(results[tube.tube_id])
        pairs.append((truth[tube.path.name], 100 * treg / cd4))
    true, found = np.array(pairs).T
    slope = np.polyfit(np.log(true), np.log(found), 1)[0]
    covariance = np.cov(true, found, ddof=0)
    ccc = 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (true.mean() - found.mean()) ** 2)
    assert 0.95 <= slope <= 1.05
    assert ccc >= 0.98


@pytest.mark.slow
def test_the_order_of_tubes_changes_no_byte(independent: tuple[list[Tube], dict[str, SampleResult]]) -> None:
    tubes, results = independent
    again = gated(tubes[::-1], "treg_foxp3")
    assert len(again) == 12
    for tube_id, result in again.items():
        assert encode(result) == encode(results[tube_id])


@pytest.fixture(scope="session")
def flowatlas(shared: Path) -> dict[str, SampleResult]:
    """Every stained file of both donors; 412C has no marker names, and 423C's belong to the same detectors."""
    folder = shared / "data" / "flowatlas"
    lung = read_fcs(folder / "423C" / "423_Donor_Lung_032.fcs")
    markers = {channel.name: channel.marker for channel in lung.channels if channel.marker}
    tubes = [
        Tube(path.stem, path.name, path, path.stem, "once", "", markers=markers if "412C" in path.name else {})
        for path in sorted(folder.glob("4*/*.fcs"))
        if "unstained" not in path.name
    ]
    return gated([replace(tube, batch=tube.file[:4]) for tube in tubes], "treg_pregated")


@pytest.mark.parametrize("name", FLOWJO)
def test_real_files_agree_with_manual_gates(name: str, flowatlas: dict[str, SampleResult]) -> None:
    result = next(result for tube_id, result in flowatlas.items() if tube_id.startswith(name))
    cd4, treg = counts(result)
    manual_cd4, manual_treg = FLOWJO[name]
    assert cd4 == pytest.approx(manual_cd4, rel=0.10)
    ratio = (treg / cd4) / (manual_treg / manual_cd4)
    assert 1 / 1.35 < ratio < 1.35


def test_real_files_with_few_cells_are_flagged_or_empty(flowatlas: dict[str, SampleResult]) -> None:
    few = [result for result in flowatlas.values() if not (cd4 := result.count("cd4_t")) or (cd4.n or 0) < 500]
    assert few
    for result in few:
        treg = result.count("treg")
        assert treg is not None
        assert (treg.n is None and treg.reason) or any(flag.code in {"FEW_CD4", "FEW_TREG"} for flag in result.flags)
