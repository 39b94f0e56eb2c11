"""A cell of a table, whatever kind of file it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Cell", "CellReader"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Parameters
    ----------
    text : as a person sees it in the file, without blanks around it.
    number : what Excel stores, where the cell is a number.
    problem : why `text` may not be what a person sees; empty where it is.
    is_date : Excel holds a date; `text` is its ISO form.
    """

    text: str
    number: float | None = None
    problem: str = ""
    is_date: bool = False


CellReader = Callable[[], Cell]
"""Reads one cell when it is called, so that a cell nobody asks for stays unread."""
