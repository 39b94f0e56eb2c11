"""A laboratory's own template on the command line, and the smallest runs there are."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_DATA = ROOT / "sample_data"


def treg(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    command = [sys.executable, "-m", "treg_gating", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=180)


def sheet(folder: Path, *rows: str) -> Path:
    path = folder / "samples.csv"
    path.write_text("\n".join(["file,subject,visit", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """treg_foxp3, copied by the command a laboratory would use, beside one tube."""
    assert treg("templates", "copy", "treg_foxp3", "mine", cwd=tmp_path).returncode == 0
    shutil.copy(SAMPLE_DATA / "fcs" / "S01_Baseline.fcs", tmp_path)
    sheet(tmp_path, "S01_Baseline.fcs,S01,Baseline")
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("gates.csv", "t_cells,live,CD3,+,valley", "t_cells,live,CD3,+,vally", "did you mean"),
        ("gates.csv", "t_cells,live,", "t_cells,alive,", "alive"),
        ("gates.csv", "level=0.995", "level=2", "level"),
        ("panel.csv", "CD25,,logicle,w=0.6", "CD25,,logicle,w=six", "w"),
        ("endpoints.csv", "Treg of CD4 T,treg,cd4_t", "Treg of CD4 T,tregs,cd4_t", "tregs"),
    ],
)
def test_check_names_file_and_line_of_an_edited_template(
    copied: Path, file: str, old: str, new: str, words: str
) -> None:
    path = copied / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    line = next(i for i, row in enumerate(text.splitlines(), start=1) if old in row)
    path.write_text(text.replace(old, new), encoding="utf-8")
    done = treg("check", "samples.csv", "-t", "mine", cwd=copied.parent)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert f"{file}" in said
    assert f"{line}" in next(row for row in said.splitlines() if file in row)
    assert words in said


def test_check_takes_a_template_that_was_edited_rightly(copied: Path) -> None:
    path = copied / "gates.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("level=0.995", "level=0.99"), encoding="utf-8")
    done = treg("check", "samples.csv", "-t", "mine", cwd=copied.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing found" in done.stdout


def test_one_tube_without_a_plan_is_gated_and_the_run_says_what_it_lacked(copied: Path) -> None:
    """One sample, no study.toml: its visit is no baseline that anybody named."""
    done = treg("run", "samples.csv", "-o", "results", "--workers", 1, cwd=copied.parent)
    assert done.returncode in {0, 4}, done.stdout + done.stderr
    with (copied.parent / "results" / "endpoint.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["status"] in {"ok", "review"}
    assert 1 < float(row["treg_pct_of_cd4"]) < 20
    summary = json.loads((copied.parent / "results" / "summary.json").read_text(encoding="utf-8"))
    notes = " ".join(summary["notes"])
    assert "one tube to learn from: its own gates are the consensus" in notes


def test_without_a_baseline_all_tubes_teach_and_the_run_says_so(copied: Path) -> None:
    folder = copied.parent
    for name in ("S01_Week4", "S02_Week4"):
        shutil.copy(SAMPLE_DATA / "fcs" / f"{name}.fcs", folder)
    sheet(folder, "S01_Week4.fcs,S01,Week 4", "S02_Week4.fcs,S02,Week 4")
    shutil.copy(SAMPLE_DATA / "study.toml", folder)
    done = treg("run", "samples.csv", "-o", "results", "--workers", 1, cwd=folder)
    assert done.returncode in {0, 4}, done.stdout + done.stderr
    with (folder / "results" / "endpoint.csv").open(newline="", encoding="utf-8") as file:
        rows = {(row["subject"], row["visit"]): row for row in csv.DictReader(file)}
    assert float(rows["S01", "Week 4"]["treg_pct_of_cd4"]) > 1
    assert rows["S01", "Baseline"]["status"] == "missing"
    notes = " ".join(json.loads((folder / "results" / "summary.json").read_text(encoding="utf-8"))["notes"])
    assert "no baseline sample and no control donor: gates were learnt on all 2 tube(s)" in notes
