"""The sample data that ship: whole, usable, and what the simulator makes today."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from treg_gating.fcs import read_fcs
from treg_gating.samplesheet import read_samplesheet
from treg_gating.simulate import read_truth, simulate_to_folder
from treg_gating.study import read_study

FOLDER = Path(__file__).resolve().parents[2] / "sample_data"
SEED = 20260101


def test_sheet_and_study_fit_each_other() -> None:
    sheet = read_samplesheet(FOLDER / "samples.csv", study=read_study(FOLDER / "study.toml"))
    assert len(sheet.tubes) == len(list(FOLDER.glob("fcs/*.fcs"))) == 22
    assert sheet.set_aside == ()


def test_every_tube_has_enough_cd4_t_cells() -> None:
    with (FOLDER / "truth.csv").open(encoding="utf-8", newline="") as handle:
        table = list(csv.DictReader(handle))
    assert len(table) == 18
    for row in table:
        assert int(row["cd4"]) >= 2_500
        assert int(row["treg"]) >= 50
        truth = read_truth(FOLDER / "truth" / f"{Path(row['file']).stem}.npz")
        assert truth.is_cd4.sum() == int(row["cd4"])


def test_it_stays_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 6_000_000


def test_the_simulator_still_makes_it(tmp_path: Path) -> None:
    simulate_to_folder("sample", tmp_path, seed=SEED)
    for name in ("samples.csv", "arms.csv", "clinical.csv", "study.toml", "truth.csv", "truth_controls.csv"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (FOLDER / name).read_text(encoding="utf-8")
    first, again = (read_fcs(folder / "fcs" / "S01_Baseline.fcs") for folder in (FOLDER, tmp_path))
    # Another processor may round the last bit of a logarithm otherwise: one digitiser step.
    np.testing.assert_allclose(first.events, again.events, atol=1.01, rtol=1e-6)
    assert first.spillover is not None
    assert again.spillover is not None
    assert first.spillover.matrix == pytest.approx(again.spillover.matrix)
