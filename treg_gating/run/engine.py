"""Where tubes are worked on: in this process, in one child process, or on a Dask cluster.

An engine takes jobs and yields outcomes in whatever order they come. It holds no result longer than it takes to hand
it over, so that the caller can commit each as it arrives.
"""

from __future__ import annotations

import logging
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from itertools import islice
from typing import Any, Protocol, TypeVar

from treg_gating.errors import RunStateError
from treg_gating.run.batches import Batches
from treg_gating.run.child import Child, Limits
from treg_gating.run.job import E_CRASH, Job, Outcome, Shared, TubeError, execute, failed_outcome, load_pipeline
from treg_gating.run.processes import cores
from treg_gating.run.worker import SharedPlugin, begin_run, do_in_child, end_run, run_batch, token_of

__all__ = ["Engine", "open_engine", "run_stage"]

log = logging.getLogger(__name__)
T = TypeVar("T")

_CONNECT_SECONDS = 15
_TRIES_ALONE = 3


class Engine(Protocol):
    """Something that works on tubes."""

    @property
    def description(self) -> str:
        """What it is, for the log."""

    def outcomes(self, jobs: Sequence[Job], shared: Shared, limits: Limits) -> Iterator[list[Outcome]]:
        """Outcomes as they come, one a job; those of one task together."""

    @property
    def hands(self) -> int:
        """Processes of this computer that can do something beside each other."""

    def do(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """What some functions give that are no tubes, in processes of this computer; all can be pickled.

        Raises
        ------
        RunStateError : a process was lost. Else whatever one of them raises; the others are then stopped.
        """


def open_engine(
    run: str, n_tubes: int, *, workers: int | None, scheduler: str, pipeline: str = ""
) -> AbstractContextManager[Engine]:
    """The engine that suits.

    Parameters
    ----------
    run : name of the run, to keep apart what several send to one cluster.
    n_tubes : tubes to be worked on.
    workers : processes; None for one a core; 0 for none, everything in this process and without limits.
    scheduler : address of a Dask scheduler that is there already; empty for a cluster of our own.
    pipeline : module with the science, for processes of our own to import ahead of their first tube.
    """
    if scheduler:
        return _existing_cluster(run, scheduler)
    if workers == 0:
        return nullcontext(InThisProcess())
    wanted = min(workers or cores(), max(n_tubes, 1))
    return _one_child(pipeline) if wanted == 1 else _local_cluster(run, wanted, pipeline)


def run_stage(engine: Engine, jobs: Sequence[Job], shared: Shared, limits: Limits) -> Iterator[list[Outcome]]:
    """Outcomes of all jobs, those that came together in a list; a tube whose process was lost is tried last and alone.

    Nothing else runs beside such a tube, so when its process is lost again, it is the tube's doing (or a stranger's
    at each of three tries).
    """
    suspects: set[str] = set()
    for outcomes in engine.outcomes(jobs, shared, limits):
        for outcome in outcomes:
            if outcome.kind == "lost":
                log.warning("%s: %s; it is tried again later, alone", outcome.tube_id, outcome.reason)
                suspects.add(outcome.tube_id)
        yield [outcome for outcome in outcomes if outcome.kind != "lost"]
    for job in jobs if suspects else ():
        if job.tube.tube_id in suspects:
            yield [_alone(engine, job, shared, limits)]


def _alone(engine: Engine, job: Job, shared: Shared, limits: Limits) -> Outcome:
    for _ in range(_TRIES_ALONE):
        outcome = next(iter(list(engine.outcomes([job], shared, limits))))[0]
        if outcome.kind != "lost":
            return outcome
    error = TubeError(E_CRASH, f"{outcome.reason}, {_TRIES_ALONE} times in a row with nothing else running")
    failed = failed_outcome(load_pipeline(shared.pipeline), job, error)
    return replace(failed, trace=outcome.trace)


class InThisProcess:
    """No other process: for debugging, and where none may be started. Limits are not enforced."""

    description = "in this process, without limits"
    hands = 1

    def outcomes(self, jobs: Sequence[Job], shared: Shared, limits: Limits) -> Iterator[list[Outcome]]:
        """One after the other."""
        for job in jobs:
            yield [execute(job, shared)]

    def do(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Here, one after the other."""
        return [work() for work in works]


class OneChild:
    """One child process: no cluster is worth its start for a single tube."""

    description = "one process"
    hands = 1

    def __init__(self, child: Child) -> None:
        self._child = child

    def outcomes(self, jobs: Sequence[Job], shared: Shared, limits: Limits) -> Iterator[list[Outcome]]:
        """One after the other."""
        pickled = pickle.dumps(shared)
        token = token_of(pickled)
        for job in jobs:
            yield [self._child.run(job, token, pickled, limits)]

    def do(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """In the child, one after the other."""
        return [self._child.do(work) for work in works]


@contextmanager
def _one_child(pipeline: str) -> Iterator[Engine]:
    child = Child(pipeline)
    child.start()
    try:
        yield OneChild(child)
    finally:
        child.close()


class DaskCluster:
    """A Dask cluster, ours or another's.

    Parameters
    ----------
    hands : child processes of this computer; they are there where the cluster is ours.
    """

    def __init__(self, client: Any, run: str, description: str, hands: int = 1) -> None:
        self._client = client
        self._run = run
        self.description = description
        self.hands = hands

    def outcomes(self, jobs: Sequence[Job], shared: Shared, limits: Limits) -> Iterator[list[Outcome]]:
        """As they complete; at most two tasks a thread are under way at any time."""
        pickled = pickle.dumps(shared)
        plugin = _worker_plugin(self._run, pickled)
        self._client.register_plugin(plugin)
        yield from self._as_completed(Batches(jobs, self._threads()), plugin.token, limits)

    def do(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Beside each other, in the child processes of this computer; another's workers do not reach the folder."""
        with ThreadPoolExecutor(self.hands) as threads:
            try:
                return list(threads.map(do_in_child, works))
            except BaseException:
                end_run(self._run)  # nobody waits for what the others are at
                raise

    def _as_completed(self, batches: Batches, token: str, limits: Limits) -> Iterator[list[Outcome]]:
        from dask.distributed import as_completed

        underway: dict[str, list[Job]] = {}

        def submit(batch: list[Job]) -> Any:
            future = self._client.submit(run_batch, batch, self._run, token, limits, pure=False, retries=0)
            underway[future.key] = batch
            return future

        first = [submit(batch) for batch in islice(batches, 2 * self._threads())]
        queue = as_completed(first, loop=self._client.loop)
        for future in queue:
            batch = underway.pop(future.key)
            outcomes = self._collect(future, batch)
            future.release()
            batches.took(outcomes)
            for more in islice(batches, 1):
                queue.add(submit(more))
            yield outcomes

    def _threads(self) -> int:
        threads: int = sum(self._client.nthreads().values())
        return max(1, threads)

    def _collect(self, future: Any, batch: list[Job]) -> list[Outcome]:
        from distributed import KilledWorker

        if future.status == "finished":
            found: list[Outcome] = future.result()
            return found
        error = future.exception() if future.status == "error" else None
        if future.status != "error" or self._client.status != "running":
            msg = f"the Dask scheduler was lost ({future.status}). What was finished is kept; run the same again"
            raise RunStateError(msg)
        if isinstance(error, KilledWorker | KeyError):  # KeyError: a worker came back and has not met the plugin yet
            reason = "the Dask worker that held this tube was lost"
            return [Outcome(job.tube.tube_id, job.stage, "lost", code=E_CRASH, reason=reason) for job in batch]
        raise error  # type: ignore[misc]  # run_batch itself has a bug


def _worker_plugin(run: str, shared: bytes) -> Any:
    from distributed.diagnostics.plugin import WorkerPlugin

    # Dask asks for its own base class; made here so that the worker's module need not import distributed.
    kind = type("SharedWithWorkers", (SharedPlugin, WorkerPlugin), {})
    return kind(run, shared)


# Dask keeps the last thousand messages, and with them the fits of as many tubes.
_FORGETFUL: dict[str, Any] = {"distributed.admin.low-level-log-length": 10}
# What LocalCluster would set up for a person at a notebook, and nobody looks at here: the dashboard (whose plotting
# library alone takes a second to import), a profiler that looks at every thread a hundred times a second, monitors.
_FRUGAL: dict[str, Any] = {
    **_FORGETFUL,
    "distributed.scheduler.allowed-failures": 0,  # a lost worker is told at once; run_stage decides
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.work-stealing": False,  # there is one worker
    "distributed.scheduler.http.routes": ["distributed.http.health"],
    "distributed.worker.http.routes": ["distributed.http.health"],
    "distributed.worker.profile.enabled": False,
    "distributed.client.scheduler-info-interval": "1m",
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "1m",
    "distributed.admin.tick.cycle": "10s",
    "distributed.admin.system-monitor.interval": "1m",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.log-format": "%(name)s - %(levelname)s - %(message)s",
    "distributed.diagnostics.nvml": False,
}
# Dask serves its health page anyway: on any free port of this computer.
_ON_LOOPBACK: dict[str, Any] = {"protocol": "inproc://", "dashboard": False, "dashboard_address": "127.0.0.1:0"}


@contextmanager
def _local_cluster(run: str, workers: int, pipeline: str) -> Iterator[Engine]:
    """Dask's scheduler and one thread a core in this process; each thread watches a child process of its own.

    The children are what can crash, hang or eat memory, so worker processes between them and us would only cost
    their start and a second pickling; and without them nothing listens on the network.
    """
    with _holding_back_sigint():
        begin_run(run, workers, pipeline)  # they import while Dask does
        import dask
        from dask.distributed import Client, Scheduler, SpecCluster, Worker

        with dask.config.set(_FRUGAL):
            scheduler = {"cls": Scheduler, "options": _ON_LOOPBACK}
            worker = {"cls": Worker, "options": {**_ON_LOOPBACK, "nthreads": workers, "memory_limit": 0}}
            cluster = SpecCluster(workers={0: worker}, scheduler=scheduler, silence_logs=logging.CRITICAL)
    with cluster, dask.config.set(_FRUGAL), Client(cluster, set_as_default=False) as client:
        try:
            yield DaskCluster(client, run, f"{workers} processes on this computer, by Dask", workers)
        finally:
            end_run(run)  # also in the midst of their tubes: an orderly close would wait for those


@contextmanager
def _existing_cluster(run: str, address: str) -> Iterator[Engine]:
    import dask
    from dask.distributed import Client
    from distributed.comm import CommClosedError

    from treg_gating.run.address import check_address

    check_address(address, _CONNECT_SECONDS)
    try:
        with dask.config.set(_FORGETFUL):
            client = Client(address, set_as_default=False, timeout=_CONNECT_SECONDS, name=f"treg-gating-{run}")
    except (OSError, TimeoutError) as error:
        msg = f"no Dask scheduler answers at {address} ({error}). Check the address, and the TLS settings of Dask"
        raise RunStateError(msg) from error
    with client:
        n = len(client.nthreads())
        try:
            yield DaskCluster(client, run, f"the Dask cluster at {address}, {n} workers at the start")
        finally:
            end_run(run)  # here, where only outputs are made
            if client.status == "running":
                with suppress(OSError, TimeoutError, CommClosedError):
                    client.run(end_run, run, on_error="ignore")


@contextmanager
def _holding_back_sigint() -> Iterator[None]:
    """Processes and threads started inside never see Ctrl-C; the coordinator sees it when this ends.

    A terminal sends it to every process; only the coordinator may act on it, which ends the others in order.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
