"""A tube that misbehaves ends within two seconds of its limit, and what it does decides the run's exit code."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time

import pytest

from treg_gating.run import processes, worker
from treg_gating.run.child import Child, Limits
from treg_gating.run.job import Job, Shared
from treg_gating.samplesheet import Tube


@pytest.fixture
def child():
    """A child process that is warm: its start is no part of a tube's time."""
    made = Child()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("act", "limits", "code"),
    [
        ("hang", Limits(seconds=1), "E_TIMEOUT"),
        ("eat", Limits(seconds=60, memory_mb=300), "E_MEMORY"),
        ("crash", Limits(seconds=60), "E_CRASH"),
        ("bug", Limits(seconds=60), "E_BUG"),
    ],
)
def test_it_ends_within_two_seconds_of_its_limit(small_study, tmp_path, child, act, limits, code):
    small_study()  # puts the faulty pipeline on the path of every process
    shared = pickle.dumps(Shared("faulty_pipeline", None))

    def job(name: str, text: str) -> Job:
        path = tmp_path / f"{name}.fcs"
        path.write_text(text)
        return Job(Tube(name, path.name, path, "S", "Baseline", "1"), "first")

    assert child.run(job("A", "value 1"), "token", shared, Limits(60)).kind == "done"
    begun = time.monotonic()
    outcome = child.run(job("B", f"value 2\nfirst {act}"), "token", shared, limits)
    ended = time.monotonic() - begun
    assert outcome.code == code
    # A limit of memory, a crash or a bug ends the tube when it is met: allow for the time until then.
    assert ended < (limits.seconds if act == "hang" else 4) + 2
    assert child.run(job("C", "value 3"), "token", shared, Limits(60)).kind == "done"


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ({"A_B": "60", "A_W": "70"}, 0),
        ({"A_B": "60", "A_W": "99"}, 4),  # this value is flagged for review
        ({"A_B": "60", "A_W": "PNG"}, 5),
        ({"A_B": "99", "A_W": "PNG"}, 5),
    ],
)
def test_the_exit_code_of_a_run_says_the_worst(small_study, tmp_path, texts, code):
    study = small_study(**texts)
    assert study.run(workers=0).exit_code == code
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["exit_code"] == code
    assert study.run(workers=0).exit_code == code  # and still does, where nothing is left to do


def test_where_each_core_has_a_child_none_uses_a_second_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def popen(command: list[str], *, env: dict[str, str], **more: object) -> object:
        asked.append(env["TREG_GATING_THREADS"])
        return object()

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setattr(processes, "cores", lambda: 4)
    for beside in (1, 2, 3, 4, 9):
        processes.start_process("", beside)[1].close()
    assert asked == ["4", "2", "1", "1", "1"]
    made = worker._Children()
    made.start(3, "")
    with made.one(), made.one(), made.one(), made.one() as fourth:
        fourth.start()
    for child in made._all:
        child._words.close()
    assert asked[5:] == ["1", "1", "1", "1"]


@pytest.mark.parametrize(("told", "used"), [("1", 1), ("2", 2), ("16", 2)])
def test_a_child_uses_as_many_threads_as_it_is_told_and_two_at_most(told: str, used: int) -> None:
    command = [sys.executable, "-c", "from treg_gating.threads import THREADS; print(THREADS)"]
    environment = {**os.environ, "TREG_GATING_THREADS": told}
    assert int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout) == used
