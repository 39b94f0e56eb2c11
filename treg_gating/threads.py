"""Two threads for work on the events of one tube; one where other processes have the other cores.

The second thread is begun once and kept: to begin one takes as long as many a part that it is there for. What it has
not begun when its answer is wanted, the thread that wants it does itself, so that neither waits while there is work.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

__all__ = ["beside", "side_by_side"]

# What is done there is bound by memory; a third gains little. The engine tells its children how many each may use.
THREADS = min(2, int(os.environ.get("TREG_GATING_THREADS") or os.cpu_count() or 1))
T = TypeVar("T")
S = TypeVar("S")


@cache
def _second() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS - 1, "events")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_second.cache_clear)  # threads do not come along


def side_by_side(work: Callable[[S], T], parts: Sequence[S]) -> list[T]:
    """What `work` gives for each part, in their order, in two threads: numpy lets go of Python's lock.

    Where parts fail, the error of the first of them is raised.
    """
    if len(parts) < 2 or THREADS < 2:
        return [work(part) for part in parts]
    made: list[T | None] = [None] * len(parts)
    failed: dict[int, BaseException] = {}
    numbers = iter(range(len(parts)))  # each goes to one thread

    def take() -> None:
        for i in numbers:
            try:
                made[i] = work(parts[i])
            except BaseException as error:  # noqa: BLE001 (raised below)
                failed[i] = error
                deque(numbers, maxlen=0)  # there is nothing more to do for either

    with beside(take):
        take()
    if failed:
        raise failed[min(failed)]
    return made  # type: ignore[return-value]


@contextmanager
def beside(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Let the second thread do `work` while this one does what stands in the ``with`` block.

    Yields what gives the answer: it waits for the second thread, or does the work where that has not begun it. Behind
    the block nothing of it is going on.
    """
    if THREADS < 2:
        yield work
        return
    future: Future[T] = _second().submit(work)

    def answer() -> T:
        return work() if future.cancel() else future.result()

    try:
        yield answer
    finally:
        if not future.cancel():
            future.exception()
