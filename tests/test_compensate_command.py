"""`treg-gating compensate`: matrix, page, refusals."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from treg_gating.cli.compensate import command
from treg_gating.compensation import read_spillover_csv
from treg_gating.simulate import PRESETS, simulate_single_stains, write_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    preset = PRESETS["sample"]
    controls = replace(preset.controls, single_stains=True, stain_events=3_000, fmo="none", donor=False)
    settings = replace(preset, subjects=1, visits=preset.visits[:2], batches=2, controls=controls)
    return settings, write_cohort(settings, folder).sheet


def _run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments], standalone_mode=False)


def test_each_batch_gets_its_matrix_and_its_page(cohort, tmp_path):
    settings, sheet = cohort
    result = _run(sheet, "-o", tmp_path / "matrix.csv", "--report")
    assert result.return_value == 0, result.output
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["matrix_B1.csv", "matrix_B1.html", "matrix_B2.csv", "matrix_B2.html"]
    for batch in ("B1", "B2"):
        truth = next(iter(simulate_single_stains(settings, batch, n_events=100))).true_spillover
        found = read_spillover_csv(tmp_path / f"matrix_{batch}.csv")
        order = [found.channels.index(name) for name in truth.channels]
        assert np.abs(found.matrix[np.ix_(order, order)] - truth.matrix).max() < 0.01
        page = (tmp_path / f"matrix_{batch}.html").read_text()
        assert page.count("<tr>") == 2 + 8 + 8  # two heads, a row a stain, a row a detector
        assert "data:image/png;base64," in page
        assert "http" not in page


def test_one_batch_is_written_under_the_name_given(cohort, tmp_path):
    result = _run(cohort[1], "--batch", "B2", "-o", tmp_path / "mine.csv")
    assert result.return_value == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]
    assert "8 stains" in result.output


def test_a_refused_batch_writes_nothing_and_says_why(cohort, tmp_path):
    with cohort[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    swap = {"CD3": "CD4", "CD4": "CD3"}
    for row in rows:
        if row["role"] == "single_stain" and row["batch"] == "B1":
            row["control_for"] = swap.get(row["control_for"], row["control_for"])
    wrong = cohort[1].with_name("wrong.csv")
    with wrong.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    result = _run(wrong, "-o", tmp_path / "matrix.csv")
    assert result.return_value == 2
    assert [path.name for path in tmp_path.iterdir()] == ["matrix_B2.csv"]
    assert "Batch B1: no matrix. single stain CD" in result.output
    assert str(cohort[1].parent) not in result.output.split("Batch B2")[0]


def test_a_sheet_without_single_stains_is_wrong_usage(cohort, tmp_path):
    result = _run(cohort[1], "--batch", "B9", "-o", tmp_path / "matrix.csv")
    assert "lists no tube of batch B9 with role single_stain" in str(result.exception)
    assert not list(tmp_path.iterdir())
