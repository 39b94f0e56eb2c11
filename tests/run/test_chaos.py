"""Runs that are killed, again and again, and what they must come to all the same."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

DRIVE = Path(__file__).with_name("drive.py")
TABLES = ("endpoint.csv", "gates.csv", "populations.parquet")


def drive(sheet: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(DRIVE), str(sheet), str(out), str(workers)])


def kill_at_random(sheet: Path, out: Path, kills: int, workers: int, spread: float) -> int:
    """Start and kill the run `kills` times; how many of the kills met it alive."""
    moments = random.Random(20260101)
    met = 0
    for _ in range(kills):
        process = drive(sheet, out, workers)
        time.sleep(1.0 + moments.random() * spread)
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        met += process.poll() is None
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(family, timeout=30)
        # Where no one reaps orphans (a container without an init) the dead stay in the list as zombies.
        assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    return met


@pytest.mark.parametrize(
    ("tubes", "kills", "workers", "pause"),
    [
        pytest.param(40, 5, 1, 0.04, id="5 kills"),
        pytest.param(200, 100, 2, 0.5, id="100 kills", marks=pytest.mark.slow),
    ],
)
def test_killed_runs_end_as_an_undisturbed_one(small_study, tmp_path, tubes, kills, workers, pause):
    bad = {3: "PNG", 17: "value 9\nsecond bug"}
    texts = {
        f"S{i:03}_{'BW'[i % 2]}": bad.get(i, f"value {30 + i}\nfirst sleep {pause}\nsecond sleep {pause}")
        for i in range(tubes)
    }
    study = small_study(**texts)
    sheet, out = study.write(), tmp_path / "out"
    met = kill_at_random(sheet, out, kills, workers, spread=1.2 if workers == 1 else 4.0)
    assert drive(sheet, out, workers).wait() == 5
    assert met >= 1
    worked = Counter(study.diary())
    database = sqlite3.connect(out / "ledger.sqlite")
    states = database.execute(
        "SELECT tube_id, state FROM samples WHERE run = (SELECT run FROM runs WHERE state = 'ended')"
    ).fetchall()
    fits = database.execute("SELECT count(*) FROM fits").fetchone()[0]
    database.close()
    # Exactly once done or failed; only the two bad ones failed; what was committed was not done again.
    assert Counter(state for _, state in states) == {"done": tubes - 2, "failed": 2}
    assert len(states) == len(dict(states)) == tubes
    assert fits == tubes - 1
    assert sum(worked.values()) - len(worked) <= met * workers
    study.run("undisturbed", workers=workers)
    for name in TABLES:
        assert (out / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


def test_second_run_in_the_folder_is_refused_at_once(small_study, tmp_path):
    study = small_study(A_B="60\nfirst sleep 20")
    sheet, out = study.write(), tmp_path / "out"
    first = drive(sheet, out, 0)
    try:
        deadline = time.monotonic() + 30
        while not (out / "ledger.sqlite").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        second = subprocess.run(
            [sys.executable, "-m", "treg_gating", "report", str(out)], capture_output=True, text=True, timeout=60
        )
    finally:
        first.kill()
        first.wait()
    assert second.returncode == 75
    assert f"process {first.pid}" in second.stderr


def test_full_disk_leaves_the_old_outputs_and_the_next_run_completes(small_study, tmp_path):
    study = small_study(A_B="60", A_W="70")
    study.run()
    before = {name: (tmp_path / "out" / name).read_bytes() for name in TABLES}
    study.files["B_B"] = "value 50"
    sheet = study.write()
    command = [sys.executable, str(DRIVE), str(sheet), str(tmp_path / "out"), "0"]
    # A limit on file size is a disk that is full at that byte.
    script = "import resource, signal, sys, runpy; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    script += "size = int(sys.argv.pop(1)); resource.setrlimit(resource.RLIMIT_FSIZE, (size, size));"
    script += "sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv[0].rpartition('/')[0]);"
    script += "runpy.run_path(sys.argv[0], run_name='__main__')"
    seen = set()
    for size in (500, 1000, 2000, 5000, 20_000):
        limited = subprocess.run(
            [sys.executable, "-c", script, str(size), *command[1:]], capture_output=True, text=True, timeout=60
        )
        seen.add(limited.returncode)
        assert {name: (tmp_path / "out" / name).read_bytes() for name in TABLES} == before
        assert "DiskError" in limited.stderr
    assert seen == {1}  # the driver shows the traceback; the command line turns DiskError into 74
    assert drive(sheet, tmp_path / "out", 0).wait() == 0
    assert (tmp_path / "out" / "endpoint.csv").read_bytes() != before["endpoint.csv"]
