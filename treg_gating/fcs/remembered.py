"""What a short text means, found out once: the files of a cohort say the same things, each of them many times."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

__all__ = ["remembered"]

LONGEST = 40  # characters; no file shall fill the memory with what it says once
KEPT = 4096  # texts

T = TypeVar("T")


def remembered(meaning: Callable[[str], T]) -> Callable[[str], T]:
    """`meaning`, with its answers to short texts kept; several threads may ask."""
    known = lru_cache(KEPT)(meaning)

    @wraps(meaning)
    def ask(text: str) -> T:
        return known(text) if len(text) <= LONGEST else meaning(text)

    return ask
