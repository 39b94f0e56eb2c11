"""The Dask engine with real processes: workers killed, schedulers lost, children that outlive nobody."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from treg_gating.errors import RunStateError
from treg_gating.run.batches import Batches
from treg_gating.run.child import Limits
from treg_gating.run.codec import Payload
from treg_gating.run.engine import Engine, open_engine, run_stage
from treg_gating.run.files import DiskError
from treg_gating.run.job import Job, Outcome, Shared
from treg_gating.samplesheet import Tube

LIMITS = Limits(30)


def jobs(folder: Path, texts: dict[str, str]) -> list[Job]:
    made = []
    for name, text in texts.items():
        path = folder / f"{name}.fcs"
        path.write_text(text)
        made.append(Job(Tube(name, path.name, path, "S", "Baseline", "1"), "first"))
    return made


def staged(engine: Engine, todo: list[Job], shared: Shared) -> list[Outcome]:
    return [outcome for outcomes in run_stage(engine, todo, shared, LIMITS) for outcome in outcomes]


@pytest.fixture
def shared(small_study):  # small_study puts the faulty pipeline on the path of every process
    small_study()
    return Shared("faulty_pipeline", None)


def test_killed_workers_and_children_lose_nothing(tmp_path, shared):
    todo = jobs(tmp_path, {f"T{i:02}": f"value {i}\nfirst sleep 0.15" for i in range(16)})
    stop = threading.Event()
    killed: list[int] = []

    def kill_now_and_then() -> None:
        while not stop.wait(0.7) and len(killed) < 3:
            ours = psutil.Process().children(recursive=True)
            workers = [p for p in ours if any(word in " ".join(p.cmdline()) for word in ("spawn_main", "run.child"))]
            if workers:
                victim = workers[len(killed) % len(workers)]
                killed.append(victim.pid)
                victim.kill()

    with open_engine("test", 24, workers=2, scheduler="") as engine:
        killer = threading.Thread(target=kill_now_and_then)
        killer.start()
        outcomes = staged(engine, todo, shared)
        stop.set()
        killer.join()
    assert len(killed) >= 2
    assert sorted(outcome.tube_id for outcome in outcomes) == [job.tube.tube_id for job in todo]
    assert {outcome.kind for outcome in outcomes} == {"done"}


def test_cluster_keeps_to_loopback_and_its_processes_end_with_it(tmp_path, shared):
    todo = jobs(tmp_path, {f"T{i}": f"value {i}" for i in range(4)})
    with open_engine("test", 4, workers=2, scheduler="") as engine:
        assert {outcome.kind for outcome in staged(engine, todo, shared)} == {"done"}
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        connections = [c for process in family for c in process.net_connections(kind="inet")]
        assert connections
        assert {c.laddr.ip for c in connections} <= {"127.0.0.1", "::1"}
        below = family[1:]
        assert sum("treg_gating.run.child" in " ".join(process.cmdline()) for process in below) == 2
    gone, alive = psutil.wait_procs([p for p in below if "resource_tracker" not in " ".join(_words(p))], timeout=5)
    assert not alive, [_words(process) for process in alive]
    assert len(gone) == 2


def test_children_are_warm_for_the_next_tubes_and_stage(tmp_path, shared):
    todo = jobs(tmp_path, {f"T{i}": f"value {i}" for i in range(6)})
    with open_engine("test", 6, workers=2, scheduler="") as engine:
        seen = set()
        for _ in range(3):
            assert {outcome.kind for outcome in staged(engine, todo, shared)} == {"done"}
            seen |= {process.pid for process in psutil.Process().children() if "run.child" in " ".join(_words(process))}
        assert len(seen) == 2


def test_what_was_sent_for_a_tube_is_not_kept(tmp_path, shared):
    """Dask keeps its last messages: a thousand by default, each with the fits of its tubes."""
    at, megabyte = jobs(tmp_path, {"T": "value 1"})[0].tube, 1 << 20
    todo = [Job(at, "first", Payload("", b"x" * megabyte)) for _ in range(60)]
    with open_engine("test", 60, workers=2, scheduler="") as engine:
        held = []
        for _ in range(3):  # the first time asks the system for room that is used again
            assert len(staged(engine, todo, shared)) == 60
            gc.collect()
            held.append(psutil.Process().memory_info().rss)
    assert held[-1] - held[0] < 60 * megabyte


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_outputs_are_made_in_the_processes_of_the_tubes(tmp_path, shared, workers):
    todo = jobs(tmp_path, {f"T{i}": f"value {i}" for i in range(3)})
    with open_engine("test", 3, workers=workers, scheduler="") as engine:
        assert {outcome.kind for outcome in staged(engine, todo, shared)} == {"done"}
        pids = engine.do([os.getpid, os.getpid, partial(pow, 2, 10)])
        assert pids.pop() == 1024
        assert len(set(pids)) <= max(1, engine.hands)
        assert (os.getpid() in pids) == (workers == 0)
        assert {outcome.kind for outcome in staged(engine, todo, shared)} == {"done"}  # and they go on with tubes


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_what_goes_wrong_with_outputs_is_raised_here(workers):
    with open_engine("test", 2, workers=workers, scheduler="") as engine, pytest.raises(DiskError, match="is full"):
        engine.do([os.getpid, partial(no_room, "the disk is full")])


def no_room(why: str) -> None:
    raise DiskError(why)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_dies_over_outputs_is_told_and_ends_the_others(workers):
    begun = time.monotonic()
    told = pytest.raises(RunStateError, match=r"SIGKILL.*Run the same again")
    with open_engine("test", 2, workers=workers, scheduler="") as engine, told:
        engine.do([kill_this_process, partial(time.sleep, 60)])
    assert time.monotonic() - begun < 30


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_leaving_the_engine_in_the_midst_of_a_tube_ends_its_process_at_once(tmp_path, shared):
    todo = jobs(tmp_path, {"A": "value 1", "B": "value 2\nfirst sleep 60", "C": "value 3\nfirst sleep 60"})
    begun = time.monotonic()
    with open_engine("test", 3, workers=2, scheduler="") as engine:
        assert [outcome.tube_id for outcome in next(iter(run_stage(engine, todo, shared, LIMITS)))] == ["A"]
        time.sleep(1.0)
        children = psutil.Process().children()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not [p for p in alive if "run.child" in " ".join(_words(p))]
    assert time.monotonic() - begun < 30


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_scheduler_that_is_there_already(tmp_path, shared):
    todo = jobs(tmp_path, {"A": "value 1", "B": "PNG"})
    port = 18786 + os.getpid() % 1000
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], **quiet
    )
    worker = subprocess.Popen([*dask, "worker", address, "--nthreads", "1", "--no-dashboard"], cwd=tmp_path, **quiet)
    try:
        with open_engine("test", 2, workers=None, scheduler=address) as engine:
            outcomes = {outcome.tube_id: outcome for outcome in staged(engine, todo, shared)}
            assert {name: outcome.kind for name, outcome in outcomes.items()} == {"A": "done", "B": "failed"}
            assert outcomes["B"].code == "E_NOT_FCS"
            lost = jobs(tmp_path, {"D": "value 1\nfirst sleep 30"})
            threading.Timer(2.0, scheduler.kill).start()
            with pytest.raises(RunStateError, match="scheduler was lost"):
                list(run_stage(engine, lost, shared, LIMITS))
    finally:
        for process in (worker, scheduler):
            process.terminate()
            process.wait()


def test_no_scheduler_there(shared, monkeypatch):
    monkeypatch.setattr("treg_gating.run.engine._CONNECT_SECONDS", 1)
    with (
        pytest.raises(RunStateError, match="no Dask scheduler answers at tcp://127"),
        open_engine("test", 1, workers=None, scheduler="tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.parametrize(
    ("seconds", "n", "threads", "expected"),
    [
        (0.0102, 2000, 2, [1, 25, 25, 25]),  # short tubes share a task of a quarter of a second
        (0.001, 2000, 2, [1, 50, 50, 50]),
        (0.5, 200, 2, [1, 1, 1, 1]),  # long ones do not
        (0.01, 10, 2, [1, 1, 1, 1]),  # every thread gets some
        (0.01, 2, 2, [1, 1]),
        (0.01, 0, 2, []),
    ],
)
def test_tubes_share_a_task_only_when_short_and_many(tmp_path, seconds, n, threads, expected):
    made = [Job(Tube(f"T{i}", "t.fcs", tmp_path, "S", "V", "1"), "first") for i in range(n)]
    batches = Batches(made, threads)
    sizes, seen = [], []
    for batch in batches:
        sizes.append(len(batch))
        seen += batch
        batches.took([Outcome(job.tube.tube_id, "first", "done", seconds=seconds) for job in batch])
    assert sizes[:4] == expected
    assert seen == made


def test_child_process_ends_with_its_watcher(tmp_path, small_study):
    study = small_study(A_B="60\nfirst sleep 60")
    sheet = study.write()
    script = tmp_path / "watch.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom treg_gating.run.child import Child, Limits\n"
        "from treg_gating.run.job import Job, Shared\nfrom treg_gating.samplesheet import Tube\nimport pickle\n"
        "if __name__ == '__main__':\n"
        "    tube = Tube('A', 'a', Path(sys.argv[1]), 'S', 'V', '1')\n"
        "    Child().run(Job(tube, 'first'), 'x', pickle.dumps(Shared('faulty_pipeline', None)), Limits(60))\n"
    )
    watcher = subprocess.Popen([sys.executable, str(script), str(sheet.with_name("A_B.fcs"))])
    try:
        children = _wait_for_children(watcher.pid)
        watcher.send_signal(signal.SIGKILL)
        watcher.wait()
        _, alive = psutil.wait_procs(children, timeout=5)
    finally:
        watcher.kill()
    assert children
    assert not alive


def _wait_for_children(pid: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = psutil.Process(pid).children()
        if children:
            time.sleep(1.0)  # let it get to its tube
            return children
        time.sleep(0.05)
    return []


def test_who_listens_and_says_nothing_is_no_scheduler(monkeypatch):
    monkeypatch.setattr("treg_gating.run.engine._CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with (
            pytest.raises(RunStateError, match=r"says nothing for 0\.5 s"),
            open_engine("test", 1, workers=None, scheduler=address),
        ):
            pass
