"""The registered study at its size, from FCS files to adjusted ratios; minutes."""

from __future__ import annotations

import csv

import pytest
from click.testing import CliRunner

from treg_gating.cli.main import cli
from treg_gating.simulate import PRESETS


@pytest.mark.slow
def test_thirty_subjects_from_events_to_ratios(tmp_path):
    study, out, stats = tmp_path / "study", tmp_path / "results", tmp_path / "stats"
    made = ["simulate", "nct05605665", "-o", str(study), "--events", "12000", "--seed", "3"]
    ran = ["run", str(study / "samples.csv"), "-o", str(out), "--workers", "0", "-q"]
    clinical = str(study / "clinical.csv")
    asked = ["endpoint", str(out), "--arms", str(study / "arms.csv"), "--clinical", clinical, "-o", str(stats)]
    for words in (made, ran, asked):
        done = CliRunner().invoke(cli, words)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    true = dict(zip(PRESETS["nct05605665"].treatment.arms, PRESETS["nct05605665"].treatment.ratios, strict=True))
    for table, kept in (("primary.csv", "measure"), ("mmrm.csv", "visit")):
        with (stats / table).open(newline="") as handle:
            rows = [row for row in csv.DictReader(handle) if row["scale"] == "ratio"]
        rows = [row for row in rows if row[kept] != "Week 4" and row[kept] != "Week 8"]
        assert len(rows) == 3
        for row in rows:
            above, below = row["comparison"].split(" / ")
            assert float(row["low_95"]) < true[above] / true[below] < float(row["high_95"]), row
            assert int(row["n"]) >= 24
