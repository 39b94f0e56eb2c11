"""What the files' own matrices show reaches screen, summary, page and workbook, through the command line."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import openpyxl

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_DATA = ROOT / "sample_data"
BATCH = ("S01_Baseline", "S01_Week12", "S02_Week4", "S03_Baseline")
USUAL, ODD = b",0.174947,", b",0.374947,"  # FITC-A into PE-A


def write_study(folder: Path) -> Path:
    """Four tubes of one batch, the last with a matrix of its own."""
    folder.joinpath("fcs").mkdir(parents=True)
    shutil.copy(SAMPLE_DATA / "study.toml", folder)
    with (SAMPLE_DATA / "samples.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if Path(row["file"]).stem in BATCH]
    assert {row["batch"] for row in rows} == {"B1"}
    for row in rows:
        content = (SAMPLE_DATA / row["file"]).read_bytes()
        assert content.count(USUAL) == 1
        odd = Path(row["file"]).stem == BATCH[-1]
        (folder / row["file"]).write_bytes(content.replace(USUAL, ODD) if odd else content)
    with (folder / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "samples.csv"


def run(sheet: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "treg_gating", "run", str(sheet), "-o", str(out), "--workers", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=180)


def test_a_matrix_unlike_its_batchs_is_said_wherever_a_person_looks(tmp_path):
    out = tmp_path / "out"
    sheet = write_study(tmp_path / "study")
    done = run(sheet, out)
    assert done.returncode == 4, done.stderr  # such a tube asks for a look
    said = "fcs/S03_Baseline.fcs: the file's $SPILLOVER has 0.375 for FITC-A into PE-A"
    assert f"Note: {said}" in done.stderr
    assert [said in note for note in json.loads((out / "summary.json").read_text())["notes"]].count(True) == 1
    assert said.replace("'", "&#39;") in (out / "report.html").read_text(encoding="utf-8")
    lines = openpyxl.load_workbook(out / "results.xlsx")["Summary"].iter_rows(values_only=True)
    assert any(str(line[0]).startswith(said) for line in lines)
    with (out / "endpoint.csv").open(newline="") as file:
        flags = {row["file"]: row["flags"] for row in csv.DictReader(file) if row["file"]}
    assert {file for file, codes in flags.items() if "SPILLOVER_DIFFERS" in codes} == {"fcs/S03_Baseline.fcs"}
    again = run(sheet, out)  # nothing to do: the outputs, with the note, stand
    assert again.returncode == 4
    assert said in (out / "summary.json").read_text()
