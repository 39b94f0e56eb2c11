"""Memory for events that serves one file after the other: the kernel clears fresh pages, which costs more than reading.

Nobody has to give anything back. An array and every view of it hold a lease, and when the last of them is gone, so is
the lease, and the block is free for the next file. An array that lives keeps its block.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["give_back", "leased_empty"]

SMALLEST = 1 << 20  # bytes; the allocator of the system reuses less itself
LARGEST = 1 << 28  # bytes that a process keeps between two files, at most

_free: deque[NDArray[np.uint8]] = deque(maxlen=1)  # its methods are atomic: files are read in several threads


class _Lease:
    """What arrays in a block have as their base."""

    def __init__(self, block: NDArray[np.uint8]) -> None:
        self._block = block
        self._free, self._most = _free, LARGEST  # globals may be gone when the interpreter ends
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        if self._block.nbytes <= self._most:
            self._free.append(self._block)


def leased_empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """As ``numpy.empty``, in a block that an array which is gone has left, where there is one that is large enough."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if size < SMALLEST:
        return np.empty(shape, kind)
    try:
        block = _free.pop()
    except IndexError:
        block = np.empty(0, np.uint8)
    if block.nbytes < size:
        del block  # before a larger one is asked for
        block = np.empty(size, np.uint8)
    return np.asarray(_Lease(block))[:size].view(kind).reshape(shape)


def give_back(largest: int) -> None:
    """Give memory that is free to the system where it is more than so many bytes: what comes now needs it more."""
    try:
        block = _free.pop()
    except IndexError:
        return
    if block.nbytes <= largest:
        _free.append(block)
