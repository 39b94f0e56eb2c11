"""What a Dask worker does: pass tubes on to its child process. Imports little, so workers start fast."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from treg_gating.run.child import Child, Limits
from treg_gating.run.job import Job, Outcome

__all__ = ["SharedPlugin", "close_child", "run_batch", "token_of"]

_LOCAL = threading.local()
_SHARED: dict[str, bytes] = {}


def token_of(shared: bytes) -> str:
    """Name of a pickled :class:`treg_gating.run.job.Shared`."""
    return hashlib.sha256(shared).hexdigest()


class SharedPlugin:
    """Brings what every tube needs to each worker once, also to workers that join or come back later."""

    def __init__(self, run: str, shared: bytes) -> None:
        self.name = f"treg-gating-{run}"
        self.token = token_of(shared)
        self.shared = shared

    def setup(self, worker: Any) -> None:
        """Keep the bytes; those of the stage before are no longer needed."""
        _SHARED.clear()
        _SHARED[self.token] = self.shared

    def teardown(self, worker: Any) -> None:
        """Forget the bytes and end the child process."""
        _SHARED.pop(self.token, None)


def run_batch(jobs: list[Job], token: str, limits: Limits) -> list[Outcome]:
    """Work on some tubes, one after the other; the loss of one costs no other."""
    child = _child()
    return [child.run(job, token, _SHARED[token], limits) for job in jobs]


def close_child() -> None:
    """End this thread's child process."""
    _child().close()


def _child() -> Child:
    child: Child | None = getattr(_LOCAL, "child", None)
    if child is None:
        child = _LOCAL.child = Child()
    return child
