"""Two threads for work on the events of one tube; one where other processes have the other cores.

The second thread is begun once and kept: to begin one takes as long as many a part that it is there for. What it has
not begun when answers are wanted, the thread that wants them does itself, so that neither waits while there is work.
The hash of a file is its affair too, and comes first: three threads on two processors would stand in each other's way.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

__all__ = ["Aside", "aside", "beside", "hand_over", "side_by_side"]

# What is done there is bound by memory; a third gains little. The engine tells its children how many each may use.
THREADS = min(2, int(os.environ.get("TREG_GATING_THREADS") or os.cpu_count() or 1))
T = TypeVar("T")
S = TypeVar("S")


@cache
def _second() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "events")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_second.cache_clear)  # threads do not come along


def hand_over(work: Callable[..., T], *arguments: object) -> Future[T]:
    """Let the second thread do this behind what it has; it is there for this even where there is but one for events.

    It must not wait for anything else that is handed over later, nor be waited for by what was handed over before.
    """
    return _second().submit(work, *arguments)


def side_by_side(work: Callable[[S], T], parts: Sequence[S]) -> list[T]:
    """What `work` gives for each part, in their order, in two threads: numpy lets go of Python's lock.

    Where parts fail, the error of the first of them is raised.
    """
    with beside(work, parts) as answers:
        return answers()


@contextmanager
def beside(work: Callable[[S], T], parts: Sequence[S]) -> Iterator[Callable[[], list[T]]]:
    """Let the second thread begin with `parts` while this one does what stands in the ``with`` block.

    Yields what helps it with those that are left, and gives the answers in the order of the parts, or raises the error
    of the first part that failed. Behind the block nothing of it is going on.
    """
    made: dict[int, T] = {}
    failed: dict[int, BaseException] = {}
    numbers = iter(range(len(parts)))  # each goes to one thread

    def take() -> None:
        for i in numbers:
            try:
                made[i] = work(parts[i])
            except BaseException as error:  # noqa: BLE001 (raised below)
                failed[i] = error
                deque(numbers, maxlen=0)  # there is nothing more to do for either

    def answers() -> list[T]:
        take()
        if second is not None and not second.cancel():
            second.result()
        if failed:
            raise failed[min(failed)]
        return [made[i] for i in range(len(parts))]

    second: Future[None] | None = _second().submit(take) if THREADS > 1 and len(parts) else None
    try:
        yield answers
    finally:
        deque(numbers, maxlen=0)
        if second is not None and not second.cancel():
            second.result()


class Aside:
    """Work for the second thread, part after part, to which more may be added while it goes on.

    It takes a turn for each part, so that what another asks of it meanwhile waits for one part and not for all.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._turns: list[Future[None]] = []  # its methods are atomic, as the deque's are
        self._failed: list[BaseException] = []

    def add(self, parts: Iterable[Callable[[], None]]) -> None:
        """Let it do these, in their order, before those that wait: what comes later may have more to wait for it."""
        self._waiting.extendleft(reversed(list(parts)))
        self._ask_for_a_turn()

    def finish(self) -> None:
        """Help with what is left; the first error that there was is raised."""
        while self._waiting:
            self._take_one()
        self.stop()
        if self._failed:
            raise self._failed[0]

    def stop(self) -> None:
        """Let go of what is not begun, and wait for what is."""
        self._waiting.clear()
        while self._turns:  # one that is going on may have asked for another
            turn = self._turns.pop()
            if not turn.cancel():
                turn.result()

    def _ask_for_a_turn(self) -> None:
        if THREADS > 1 and self._waiting:
            self._turns.append(_second().submit(self._turn))

    def _turn(self) -> None:
        self._take_one()
        self._ask_for_a_turn()

    def _take_one(self) -> None:
        try:
            part = self._waiting.popleft()
        except IndexError:
            return  # another thread has taken the last
        try:
            part()
        except BaseException as error:  # noqa: BLE001 (raised by who wants it finished)
            self._failed.append(error)
            self._waiting.clear()


@contextmanager
def aside() -> Iterator[Aside]:
    """Work that goes on beside the ``with`` block, and never behind it."""
    work = Aside()
    try:
        yield work
    finally:
        work.stop()
