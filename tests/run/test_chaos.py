"""Runs that are killed, again and again, and what they must come to all the same."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from treg_gating.cli.exits import exit_code_of
from treg_gating.errors import TregGatingError
from treg_gating.run.files import DiskError
from treg_gating.run.finish import Finished
from treg_gating.run.integrity import verify_folder

DRIVE = Path(__file__).with_name("drive.py")
TABLES = ("endpoint.csv", "gates.csv", "populations.parquet")


def drive(sheet: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(DRIVE), str(sheet), str(out), str(workers)],
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )


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
        pytest.param(60, 15, 1, 0.1, id="15 kills"),
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


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB with nothing on it."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a file system")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, text=True, timeout=30
    )
    if mounted.returncode:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, timeout=30)


def fill(disk: Path, left: int) -> None:
    """Leave so many bytes of the disk free."""
    free = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        file.write(bytes(max(0, free.f_bavail * free.f_frsize - left)))


def exit_and_words(run: Callable[[], Finished]) -> tuple[int, str]:
    """How the command line would end."""
    try:
        return run().exit_code, ""
    except TregGatingError as error:
        return exit_code_of(error), str(error)


def test_full_disk_at_many_points_leaves_the_old_outputs_and_the_next_run_completes(small_study, tmp_path, small_disk):
    study = small_study(A_B="60", A_W="70", B_W="20")
    study.run(workers=0)
    names = (*TABLES, "summary.json")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in names}
    study.files |= {f"{subject}_B": f"value {50 + i}" for i, subject in enumerate("BCDEFG")}
    study.run("undisturbed", workers=0)
    points = 0
    for left in range(0, 2_000_000, 24_576):
        out = small_disk / str(left)
        shutil.copytree(tmp_path / "out", out)
        fill(small_disk, left)
        ended = exit_and_words(lambda to=out: study.run(to, workers=0))
        (small_disk / "filler").unlink()
        if ended == (0, ""):
            break
        assert ended[0] == 74
        assert "run the same again" in ended[1]
        points += 1
        assert {name: (out / name).read_bytes() for name in names} == before, left
        assert [path.name for path in out.iterdir() if "partial" in path.name] == [], left
        study.run(out, workers=0)
        for name in TABLES:
            assert (out / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), (left, name)
        assert list(verify_folder(out))
        shutil.rmtree(out)
    else:
        pytest.fail("the disk was never large enough")
    assert points >= 10


def test_a_disk_that_is_full_from_the_start(small_study, small_disk):
    study = small_study(A_B="60")
    fill(small_disk, 0)
    with pytest.raises(DiskError, match=r"No space left|disk"):
        study.run(small_disk / "out", workers=0)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_child_lives_on_and_no_socket_leaves_this_computer(small_study, tmp_path, ending):
    begun = [tmp_path / f"begun{i}" for i in range(4)]
    study = small_study(**{f"S{i}_B": f"{60 + i}\nfirst touch {path}\nfirst sleep 60" for i, path in enumerate(begun)})
    process = drive(study.write(), tmp_path / "out", 2)
    try:
        family = family_at_work(process, begun)
        addresses = {c.laddr.ip for one in family for c in one.net_connections(kind="inet")}
        assert addresses <= {"127.0.0.1", "::1"}
        process.send_signal(ending)
        asked = time.monotonic()
        code = process.wait(timeout=30)
    finally:
        process.kill()
        process.wait()
    below = [one for one in family if one.pid != process.pid]
    _, alive = psutil.wait_procs(below, timeout=max(0.0, 5 - (time.monotonic() - asked)))
    # Where no one reaps orphans (a container without an init) the dead stay in the list as zombies.
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[ending]


def family_at_work(process: subprocess.Popen[bytes], begun: list[Path]) -> list[psutil.Process]:
    """The run and all below it, once two tubes have begun."""
    deadline = time.monotonic() + 120
    while sum(path.exists() for path in begun) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
