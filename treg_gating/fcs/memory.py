"""Memory for events and columns that serves one file after the other: to clear fresh pages takes longer than reading.

Nobody has to give anything back. An array and every view of it hold a lease, and when the last of them is gone, so is
the lease, and the block is free for the next file. An array that lives keeps its block.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["give_back", "leased_empty"]

SMALLEST = 1 << 20  # bytes; the allocator of the system reuses less itself
LARGEST = 1 << 28  # bytes that a process keeps between two files, at most

# Events and the columns made of them. Its methods are atomic: files are read in several threads.
_free: deque[NDArray[np.uint8]] = deque(maxlen=2)


class _Lease:
    """What arrays in a block have as their base."""

    def __init__(self, block: NDArray[np.uint8]) -> None:
        self._block = block
        self._free, self._most = _free, LARGEST  # globals may be gone when the interpreter ends
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        if self._block.nbytes + sum(block.nbytes for block in self._free.copy()) <= self._most:
            self._free.append(self._block)


def leased_empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """As ``numpy.empty``, in a block that an array which is gone has left, where there is one that is large enough."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if size < SMALLEST:
        return np.empty(shape, kind)
    block = _large_enough(size)
    if block is None:
        block = np.empty(size, np.uint8)
    return np.asarray(_Lease(block))[:size].view(kind).reshape(shape)


def give_back(largest: int) -> None:
    """Give blocks that are free to the system where they are of more than so many bytes: what comes now needs them."""
    _free.extend(block for block in _all_free() if block.nbytes <= largest)


def _large_enough(size: int) -> NDArray[np.uint8] | None:
    """The smallest free block of so many bytes or more; those that are too small are let go."""
    fitting = [block for block in _all_free() if block.nbytes >= size]
    block = min(fitting, key=lambda one: one.nbytes, default=None)
    _free.extend(other for other in fitting if other is not block)
    return block


def _all_free() -> list[NDArray[np.uint8]]:
    """The free blocks, which nobody else can take any more."""
    blocks: list[NDArray[np.uint8]] = []
    with suppress(IndexError):
        while True:
            blocks.append(_free.pop())
    return blocks
