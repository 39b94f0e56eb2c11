"""`watch` and the options for scheduled runs, as a server would use them: real processes, real files."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_DATA = ROOT / "sample_data"
TREG = [sys.executable, "-m", "treg_gating"]
FILES = ("S01_Baseline", "S01_Week4", "S02_Baseline")


@pytest.fixture
def arrivals(tmp_path) -> Path:
    """A folder for files, a study and a sheet of three tubes beside it."""
    (tmp_path / "in").mkdir()
    shutil.copy(SAMPLE_DATA / "study.toml", tmp_path)
    with (SAMPLE_DATA / "samples.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if Path(row["file"]).stem in FILES]
    with (tmp_path / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "file": Path(row["file"]).name} for row in rows)
    return tmp_path


def arrive(folder: Path, *names: str) -> None:
    for name in names:
        shutil.copy(SAMPLE_DATA / "fcs" / f"{name}.fcs", folder / "in")


def once(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*TREG, "watch", "in", "-o", "out", "--once", "--interval", "0.2", "--workers", "0", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)


def endpoint(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (folder / "out" / "endpoint.csv").open(newline="") as file:
        return {(row["subject"], row["visit"]): row for row in csv.DictReader(file)}


def test_a_sheet_that_waits_for_its_files(arrivals):
    assert once(arrivals, "--sheet", "samples.csv").returncode == 0  # nothing there, nothing to run
    assert not (arrivals / "out" / "endpoint.csv").exists()
    arrive(arrivals, "S01_Baseline", "S02_Week12")
    done = once(arrivals, "--sheet", "samples.csv")
    assert done.returncode in {0, 4}, done.stderr
    assert "2 files of the sheet have not arrived" in done.stderr
    status = json.loads((arrivals / "out" / "intake" / "status.json").read_text())
    assert status["left_out"] == {"S02_Week12.fcs": "no row in the sheet names it"}
    assert status["absent"] == ["S01_Week4.fcs", "S02_Baseline.fcs"]
    rows = endpoint(arrivals)
    assert rows["S01", "Baseline"]["treg_pct_of_cd4"]
    assert rows["S01", "Week 4"]["status"] == "missing"
    # the original goes, its row stays; another file comes
    (arrivals / "in" / "S01_Baseline.fcs").unlink()
    arrive(arrivals, "S01_Week4")
    assert once(arrivals, "--sheet", "samples.csv").returncode in {0, 4}
    rows = endpoint(arrivals)
    assert rows["S01", "Baseline"]["treg_pct_of_cd4"]
    assert rows["S01", "Week 4"]["treg_pct_of_cd4"]
    checked = subprocess.run([*TREG, "verify", "out"], cwd=arrivals, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout


def test_names_that_tell_the_tube_and_names_that_do_not(arrivals):
    arrive(arrivals, "S01_Baseline")
    for old, new in (("S02_Baseline", "S02_Week99"), ("S02_Week4", "S02-Week4"), ("S02_Week12", "S02_Week_12")):
        shutil.copy(SAMPLE_DATA / "fcs" / f"{old}.fcs", arrivals / "in" / f"{new}.fcs")
    done = once(arrivals, "--names", "{subject}_{visit}", "--study", "study.toml")
    assert done.returncode in {0, 4}, done.stderr
    left = json.loads((arrivals / "out" / "intake" / "status.json").read_text())["left_out"]
    assert sorted(left) == ["S02-Week4.fcs", "S02_Week99.fcs", "S02_Week_12.fcs"]
    assert "Week99" in left["S02_Week99.fcs"]
    assert "two ways" in left["S02_Week_12.fcs"]
    assert [key for key, row in endpoint(arrivals).items() if row["treg_pct_of_cd4"]] == [("S01", "Baseline")]
    assert "was read from its name by {subject}_{visit}" in done.stderr


def test_it_goes_on_until_it_is_ended(arrivals):
    command = [*TREG, "watch", "in", "--sheet", "samples.csv", "-o", "out", "--interval", "0.3", "--workers", "1"]
    watch = subprocess.Popen(command, cwd=arrivals, stderr=subprocess.PIPE, text=True)
    try:
        assert watch.stderr is not None
        assert "Watching in" in watch.stderr.readline()
        second = once(arrivals, "--sheet", "samples.csv")
        assert second.returncode == 75  # one watch an output folder
        arrive(arrivals, "S01_Baseline")
        summary = arrivals / "out" / "summary.json"
        deadline = time.monotonic() + 120
        while not summary.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert summary.exists()
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(timeout=30) == 143
    finally:
        watch.kill()
        watch.wait()
        watch.stderr.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("watch", "in"), "--sheet FILE or by --names PATTERN"),
        (("watch", "in", "--names", "{subject}"), "not a pattern of file names"),
        (("run", "samples.csv", "--scheduler", "tcp://127.0.0.1:9"), "not encrypted"),
        (("run", "samples.csv", "--mail", "absent.toml"), "absent.toml"),
        (("verify", "in"), "holds no run"),
        (("compare", "in", "in"), "holds no run"),
    ],
)
def test_wrong_use_says_what_to_do(arrivals, words, said):
    arrive(arrivals, *FILES)
    (arrivals / "samples.csv").write_text("file,subject,visit\nin/S01_Baseline.fcs,S01,Baseline\n")
    done = subprocess.run([*TREG, *words], cwd=arrivals, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["watch", "verify", "compare"])
def test_help_has_examples(command):
    done = subprocess.run(
        [*TREG, command, "--help"], capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"}
    )
    assert done.returncode == 0
    assert f"treg-gating {command}" in done.stdout
    assert "Example" in done.stdout
