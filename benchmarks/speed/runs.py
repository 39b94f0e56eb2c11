"""A whole run, timed from inside a fresh process: stages, Dask, ledger, memory of the coordinator."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import psutil

from speed import replay
from speed.measure import in_fresh_process
from treg_gating.gating.template import load_template
from treg_gating.pipeline import RunSettings
from treg_gating.run import batches
from treg_gating.run.cohort import RunOrder, run_cohort
from treg_gating.run.ledger import Ledger
from treg_gating.run.processes import cores
from treg_gating.run.progress import QuietProgress
from treg_gating.samplesheet import read_samplesheet
from treg_gating.study import read_study

__all__ = ["timed_run", "whole_run"]

_LOOK = 0.02
_SELDOM = 10  # looks between two at the children, which cost more


def whole_run(folder: Path, out: Path, **options: Any) -> dict[str, Any]:
    """Run the cohort of a folder in a fresh process.

    Parameters
    ----------
    out : removed first, and afterwards.
    options : workers, cores (that the run may use; all by default), scheduler, most_in_batch, store and seconds
        (answers from a store, :mod:`speed.replay`), report.
    """
    return in_fresh_process("run", str(folder), str(out), json.dumps(options))


class _Stages(QuietProgress):
    """When each stage began."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}

    def stage(self, name: str, total: int, taken_over: int) -> None:
        self.began[name] = time.time()

    def say(self, text: str) -> None:
        if text.startswith("Comparing"):
            self.began["learning"] = time.time()


def timed_run(folder: str, out: str, options_text: str) -> dict[str, Any]:
    """What :func:`whole_run` does inside."""
    options = json.loads(options_text)
    target = Path(out)
    shutil.rmtree(target, ignore_errors=True)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    if options.get("cores"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options["cores"]])  # children inherit it
    batches.MOST = options.get("most_in_batch", batches.MOST)
    study = read_study(Path(folder) / "study.toml")
    order = _order(Path(folder), target, study, options)
    reports = _reports(target) if options.get("report", True) else {}
    stages, ledger = _Stages(), _timed_ledger()
    with _Memory() as memory:
        begun = time.time()
        run_cohort(order, stages, reports)
        wall = time.time() - begun
    found = _story(target, stages.began, begun, wall, options.get("workers") or cores())
    found |= {"ledger": ledger["seconds"], "growth_mb": memory.growth_mb, "tubes": len(order.sheet.tubes)}
    found["child_mb"] = memory.child_mb
    found["ledger_mb"] = (target / "ledger.sqlite").stat().st_size / 1e6
    shutil.rmtree(target, ignore_errors=True)
    return found


def _order(folder: Path, out: Path, study: Any, options: dict[str, Any]) -> RunOrder:
    template = load_template("treg_foxp3")
    sheet = read_samplesheet(folder / "samples.csv", study=study)
    common: dict[str, Any] = {
        "sheet": sheet,
        "out": out,
        "workers": options.get("workers"),
        "scheduler": options.get("scheduler", ""),
    }
    if options.get("store"):
        settings = replay.ReplaySettings(template, study, store=options["store"], seconds=options.get("seconds", 0.0))
        return RunOrder(settings=settings, pipeline="speed.replay", **common)
    return RunOrder(settings=RunSettings(template, study), **common)


def _reports(out: Path) -> Mapping[str, Callable[..., Any]]:
    """All that `treg-gating run` leaves."""
    from treg_gating.report import reports

    return reports(out)


def _timed_ledger() -> dict[str, float]:
    """Seconds that commits of fits and results take."""
    spent = {"seconds": 0.0}

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                spent["seconds"] += time.perf_counter() - begun

        return wrapped

    for name in ("commit_fit", "commit_result"):
        setattr(Ledger, name, timed(getattr(Ledger, name)))
    return spent


class _Memory:
    """Growth of this process's resident memory, and the most that a child process held."""

    def __enter__(self) -> Self:
        self._process, self._stop = psutil.Process(), threading.Event()
        self._before = self._peak = self._process.memory_info().rss
        self._child = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def growth_mb(self) -> float:
        return (self._peak - self._before) / 1e6

    @property
    def child_mb(self) -> float:
        return self._child / 1e6

    def _watch(self) -> None:
        looks = 0
        while not self._stop.wait(_LOOK):
            self._peak = max(self._peak, self._process.memory_info().rss)
            if looks % _SELDOM == 0:
                self._child = max([self._child, *map(_resident, self._process.children())])
            looks += 1


def _resident(process: psutil.Process) -> int:
    try:
        found: int = process.memory_info().rss
    except psutil.Error:
        return 0
    return found


def _story(out: Path, began: dict[str, float], begun: float, wall: float, workers: int) -> dict[str, Any]:
    """Seconds by part; the share of the stages' wall time in which workers did not work on tubes."""
    from datetime import datetime

    first, second, learning = began["Fitting gates"], began["Gating and counting"], began["learning"]
    ends: dict[str, list[tuple[float, float]]] = {"first": [], "second": []}
    for line in (out / "run.log.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry.get("stage") in ends:
            ends[entry["stage"]].append((datetime.fromisoformat(entry["utc"]).timestamp(), entry["seconds"]))
    if not all(ends.values()):
        log = (out / "run.log.jsonl").read_text(encoding="utf-8")
        msg = f"no tube came through both passes:\n{log[-2000:]}"
        raise RuntimeError(msg)
    start_up = max(0.0, min(end - seconds for end, seconds in ends["first"]) - begun)
    busy = {stage: sum(seconds for _, seconds in rows) for stage, rows in ends.items()}
    last = {stage: max(end for end, _ in rows) for stage, rows in ends.items()}
    stages = {"first": last["first"] - begun - start_up, "second": last["second"] - second}
    whole = sum(stages.values())
    return {
        "wall": wall,
        "start_up": start_up,
        "first": stages["first"],
        "learning": second - learning,
        "second": stages["second"],
        "outputs": begun + wall - last["second"],
        "busy": sum(busy.values()),
        "overhead_pct": 100 * (1 - sum(busy.values()) / (workers * whole)) if whole > 0 else float("nan"),
        "before_engine": first - begun,
    }


def loopback_cluster(workers: int) -> Any:
    """Scheduler and workers as processes of their own, on loopback; a context manager that gives the address."""
    import socket
    import subprocess
    from contextlib import contextmanager

    @contextmanager
    def running() -> Any:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        address = f"tcp://127.0.0.1:{port}"
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        quiet: dict[str, Any] = {
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            "env": {**os.environ, "PYTHONPATH": path},
        }
        dask = [sys.executable, "-m", "dask"]
        started = [subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
                                    **quiet)]  # fmt: skip
        worker = [*dask, "worker", address, "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard"]
        started += [subprocess.Popen(worker, **quiet) for _ in range(workers)]
        try:
            yield address
        finally:
            for process in reversed(started):
                process.terminate()
            for process in started:
                process.wait(30)

    return running()
