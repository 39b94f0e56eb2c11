"""What a Dask worker does: pass tubes on to child processes that stay warm. Imports little, so workers start fast."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from treg_gating.run.child import Child, Limits
from treg_gating.run.job import Job, Outcome

__all__ = ["SharedPlugin", "begin_run", "do_in_child", "end_run", "run_batch", "token_of"]


T = TypeVar("T")


class _Children:
    """Child processes of this process; each has one tube at most, and a free one takes the next."""

    def __init__(self) -> None:
        self._all: list[Child] = []
        self._free: list[Child] = []
        self._beside = 1
        self._ended = False
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[Child]:
        """A child that nobody else uses."""
        with self._lock:
            child = self._free.pop() if self._free else self._another()
        try:
            yield child
        finally:
            with self._lock:
                self._free.append(child)

    def start(self, number: int, pipeline: str) -> None:
        """Start some ahead of their first tube, so that their imports pass beside other work."""
        with self._lock:
            self._beside = number
            for _ in range(number - len(self._free)):
                child = self._another(pipeline)
                child.start()
                self._free.append(child)

    def end(self) -> None:
        """End all, whatever they are at, for good."""
        with self._lock:
            self._ended = True
            for child in self._all:
                child.close() if child in self._free else child.stop()  # who waits for a busy one takes it away

    def _another(self, pipeline: str = "") -> Child:
        child = Child(pipeline, max(self._beside, len(self._all) + 1))
        self._all.append(child)
        if self._ended:
            child.stop()
        return child


_CHILDREN = _Children()
_SHARED: dict[str, tuple[str, bytes]] = {}  # by run: name and bytes of what the tubes of its stage share


def token_of(shared: bytes) -> str:
    """Name of a pickled :class:`treg_gating.run.job.Shared`."""
    return hashlib.sha256(shared).hexdigest()


class SharedPlugin:
    """Brings what every tube needs to each worker once, also to workers that join or come back later."""

    def __init__(self, run: str, shared: bytes) -> None:
        self.run = run
        self.name = f"treg-gating-{run}"
        self.token = token_of(shared)
        self.shared = shared

    def setup(self, worker: Any) -> None:
        """Keep the bytes; those of the stage before are no longer needed."""
        _SHARED[self.run] = (self.token, self.shared)

    def teardown(self, worker: Any) -> None:
        """Nothing: the plugin of the next stage takes its place, and the child processes stay warm for it."""


def begin_run(run: str, children: int, pipeline: str) -> None:
    """Start child processes in this process, ahead of their first tube; they import `pipeline` at once."""
    _SHARED[run] = ("", b"")
    _CHILDREN.start(children, pipeline)


def end_run(run: str) -> None:
    """Forget a run in this process; end the child processes, unless another run needs them."""
    global _CHILDREN
    _SHARED.pop(run, None)
    if not _SHARED:
        _CHILDREN.end()
        _CHILDREN = _Children()


def do_in_child(work: Callable[[], T]) -> T:
    """Let a child process of this process call something that is no tube; errors as of :meth:`Child.do`."""
    with _CHILDREN.one() as child:
        return child.do(work)


def run_batch(jobs: list[Job], run: str, token: str, limits: Limits) -> list[Outcome]:
    """Work on some tubes, one after the other; the loss of one costs no other.

    Raises
    ------
    KeyError : this worker has not met the run's plugin, or no longer holds this stage.
    """
    held, shared = _SHARED[run]
    if held != token:
        raise KeyError(token)
    with _CHILDREN.one() as child:
        return [child.run(job, token, shared, limits) for job in jobs]
