"""Boolean expressions over populations: ``treg & !naive_treg | other``. Read by a parser, never evaluated as code."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Expression", "parse_expression"]

_TOKEN = re.compile(r"\s*([&|!]|[A-Za-z_][A-Za-z0-9_.+-]*)")


@dataclass(frozen=True)
class Expression:
    """A disjunction of conjunctions.

    Parameters
    ----------
    text : as written.
    terms : alternatives; each is a tuple of (population, wanted) where wanted is False after ``!``.
    """

    text: str
    terms: tuple[tuple[tuple[str, bool], ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Populations it mentions, each once, in order."""
        return tuple(dict.fromkeys(name for term in self.terms for name, _ in term))

    def evaluate(self, mask_of: Callable[[str], NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """Mask of the events for which it holds; `mask_of` gives each population's mask."""
        alternatives = [
            np.logical_and.reduce([mask_of(name) if wanted else ~mask_of(name) for name, wanted in term])
            for term in self.terms
        ]
        result: NDArray[np.bool_] = np.logical_or.reduce(alternatives)
        return result


def parse_expression(text: str) -> Expression:
    """Parse populations joined by ``&`` (binds tighter) and ``|``, each possibly negated by ``!``.

    Raises
    ------
    ValueError : anything else, with the place where it stopped.

    Examples
    --------
    >>> parse_expression("treg & !naive_treg").terms
    ((('treg', True), ('naive_treg', False)),)
    """
    words: list[str] = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            msg = f"cannot be read from {text[at:].strip()!r}"
            raise ValueError(msg)
        words.append(match.group(1))
        at = match.end()
    terms: list[list[tuple[str, bool]]] = [[]]
    wanted, expect_name = True, True
    for word in words:
        if word == "!" and expect_name:
            wanted = not wanted
        elif word in "&|" and not expect_name:
            expect_name = True
            if word == "|":
                terms.append([])
        elif word not in "&|!" and expect_name:
            terms[-1].append((word, wanted))
            wanted, expect_name = True, False
        else:
            msg = f"{word!r} stands where {'a population' if expect_name else '& or |'} is expected"
            raise ValueError(msg)
    if expect_name:
        msg = "ends where a population is expected" if words else "is empty"
        raise ValueError(msg)
    return Expression(text, tuple(tuple(term) for term in terms))
