"""The process a tube is worked on in, and the one who watches it.

:class:`Child` is the watcher's side: it sends jobs through a pipe, ends the process at its limits of time and
memory, and says what became of it. The other side is :mod:`treg_gating.run.child_main`.
"""

from __future__ import annotations

import math
import os
import pickle
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from treg_gating.errors import RunStateError
from treg_gating.run.job import (
    E_MEMORY,
    E_TIMEOUT,
    Errand,
    Job,
    Outcome,
    TubeError,
    failed_outcome,
    load_pipeline,
)
from treg_gating.run.processes import HEADER, end_process, start_process

__all__ = ["Child", "Limits"]

_LOOK = 0.05  # seconds between two looks at the clock and the memory
_START_SECONDS = 300.0
_LAST_WORDS = 4000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one tube may use.

    Parameters
    ----------
    seconds : wall time of one pass of one tube.
    memory_mb : resident memory of the process that works on it; 0 for no limit.
    """

    seconds: float = 600.0
    memory_mb: float = 0.0


class _LostError(Exception):
    """The process died; the text says how."""


class Child:
    """A process for one tube at a time; started when first needed, and again after a loss.

    One thread works with it; :meth:`start` and :meth:`stop` may come from another.

    Parameters
    ----------
    pipeline : module with the science, for the process to import ahead of its first tube; empty for none.
    beside : how many children share the cores.
    """

    def __init__(self, pipeline: str = "", beside: int = 1) -> None:
        self._pipeline, self._beside = pipeline, beside
        self._process: subprocess.Popen[bytes] | None = None
        self._words: Any = None
        self._token = ""
        self._stopped = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Process id while it lives."""
        return self._process.pid if self._process else None

    def run(self, job: Job, token: str, shared: bytes, limits: Limits) -> Outcome:
        """Work on one tube; never raises for what the tube does to the process.

        Parameters
        ----------
        token, shared : name of a pickled :class:`Shared`, and its bytes; sent once as long as the name stays.
        """
        try:
            self._begin(token, shared)
            self._send(job)
            outcome: Outcome = pickle.loads(self._receive(limits.seconds, limits))  # noqa: S301 (our own process)
        except _LostError as error:
            words = self._end()
            return Outcome(job.tube.tube_id, job.stage, "lost", code="E_CRASH", reason=str(error), trace=words)
        except TubeError as error:
            self._end()
            return failed_outcome(load_pipeline(pickle.loads(shared).pipeline), job, error)  # noqa: S301
        return outcome

    def do(self, work: Callable[[], T]) -> T:
        """Let the process call something that is no tube, without limits; it can be pickled, and so can its answer.

        Raises
        ------
        RunStateError : the process was lost. Else whatever `work` raises.
        """
        try:
            self._running()
            self._send(Errand(pickle.dumps(work)))
            value, error = pickle.loads(self._receive(math.inf, Limits(math.inf)))  # noqa: S301 (our own process)
        except _LostError as lost:
            words = self._end().strip()
            msg = f"{lost}, in the midst of the run's outputs{f' ({words})' if words else ''}. Run the same again"
            raise RunStateError(msg) from None
        except BaseException:
            self._end()  # it must not go on writing
            raise
        if error is not None:
            raise error
        answer: T = value
        return answer

    def start(self) -> None:
        """Start the process ahead of its first tube, so that its imports pass beside other work."""
        with self._lock:
            if self._process is None and not self._stopped:
                self._start()

    def stop(self) -> None:
        """End the process, whatever it is at, and start none again: the thread that waits for it gets "lost"."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the process and wait for its end."""
        self.stop()
        self._end()

    def _running(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._end()
            with self._lock:
                if self._stopped:
                    stopped = "the run was ended"
                    raise _LostError(stopped)
                self._start()

    def _begin(self, token: str, shared: bytes) -> None:
        self._running()
        if token != self._token:
            self._send(shared)
            self._receive(_START_SECONDS, Limits(_START_SECONDS))
            self._token = token

    def _start(self) -> None:
        self._process, self._words = start_process(self._pipeline, self._beside)

    def _end(self) -> str:
        """Kill what is left of the process; its last words on stderr."""
        process, self._process, self._token = self._process, None, ""
        if process is None:
            return ""
        end_process(process)
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, size - _LAST_WORDS))
        words: bytes = self._words.read()
        self._words.close()
        return words.decode("utf-8", "replace")

    def _send(self, value: object) -> None:
        assert self._process is not None  # noqa: S101 (for the type checker)
        assert self._process.stdin is not None  # noqa: S101
        body = pickle.dumps(value)
        try:
            self._process.stdin.write(HEADER.pack(len(body)) + body)
            self._process.stdin.flush()
        except OSError:
            raise _LostError(self._how_it_ended()) from None

    def _receive(self, seconds: float, limits: Limits) -> bytes:
        assert self._process is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        source, deadline, got = self._process.stdout.fileno(), time.monotonic() + seconds, bytearray()
        memory = _Memory(self._process.pid, limits.memory_mb)
        while len(got) < HEADER.size or len(got) < HEADER.size + HEADER.unpack_from(got)[0]:
            if select.select([source], [], [], _LOOK)[0]:
                block = os.read(source, 1 << 20)
                if not block:
                    raise _LostError(self._how_it_ended())
                got += block
            elif time.monotonic() > deadline:
                raise TubeError(E_TIMEOUT, f"not finished after {seconds:g} s, the limit for one tube")
            else:
                memory.check()
        return bytes(got[HEADER.size :])

    def _how_it_ended(self) -> str:
        assert self._process is not None  # noqa: S101
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "the process that worked on this tube stopped answering"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            return f"the process that worked on this tube was ended by {name}"
        return f"the process that worked on this tube ended with exit code {code}"


class _Memory:
    """Resident memory of a process against its limit."""

    def __init__(self, pid: int, limit_mb: float) -> None:
        self.pid, self.limit_mb = pid, limit_mb

    def check(self) -> None:
        if not self.limit_mb:
            return
        import psutil

        try:
            used = psutil.Process(self.pid).memory_info().rss / 1e6
        except psutil.Error:
            return  # it has just ended; the pipe tells how
        if used > self.limit_mb:
            text = f"used {used:.0f} MB of memory; the limit for one tube is {self.limit_mb:.0f} MB"
            raise TubeError(E_MEMORY, text)
