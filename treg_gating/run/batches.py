"""How many tubes a Dask task holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from treg_gating.run.job import Job, Outcome

__all__ = ["Batches"]

TASK_SECONDS = 0.25  # a Dask task costs some 5 ms; this much work makes that small, and is all that a kill can cost
MOST = 50


class Batches:
    """Tubes in tasks of at least `TASK_SECONDS`, by the time that tubes have taken so far; one a task until then."""

    def __init__(self, jobs: Sequence[Job], threads: int) -> None:
        self._jobs = jobs  # not copied: a job may be made only when its turn comes
        self._threads = threads
        self._next = 0
        self._seconds, self._tubes = 0.0, 0

    def took(self, outcomes: Sequence[Outcome]) -> None:
        """Learn from what came back."""
        self._seconds += sum(outcome.seconds for outcome in outcomes)
        self._tubes += len(outcomes)

    def __iter__(self) -> Iterator[list[Job]]:
        return self

    def __next__(self) -> list[Job]:
        if self._next >= len(self._jobs):
            raise StopIteration
        left = len(self._jobs) - self._next
        size = min(self._fitting(), max(1, left // (4 * self._threads)))  # at the end every thread shall have some
        batch = list(self._jobs[self._next : self._next + size])
        self._next += size
        return batch

    def _fitting(self) -> int:
        if not self._tubes or not self._seconds:
            return 1
        return max(1, min(MOST, math.ceil(TASK_SECONDS * self._tubes / self._seconds)))
