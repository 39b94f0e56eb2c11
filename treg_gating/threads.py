"""Two threads for work on the events of one tube; one where other processes have the other cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["side_by_side"]

# What is done there is bound by memory; a third gains little. The engine tells its children how many each may use.
THREADS = min(2, int(os.environ.get("TREG_GATING_THREADS") or os.cpu_count() or 1))
T = TypeVar("T")
S = TypeVar("S")


def side_by_side(work: Callable[[S], T], parts: Sequence[S]) -> list[T]:
    """What `work` gives for each part, in their order, in two threads: numpy lets go of Python's lock."""
    if len(parts) < 2 or THREADS < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(THREADS, "events") as threads:
        return list(threads.map(work, parts))
