"""Cells as they are drawn from populations, before any instrument has seen them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.simulate.populations import CellType, Stain

__all__ = ["Cells", "draw_cells"]


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells; one row a cell.

    Parameters
    ----------
    kind : index into the list of populations, shape (n,).
    dye : amount of every marker's dye, a.u. of its own detector, shape (n, n_markers).
    size : factor on autofluorescence, shape (n,).
    fsc, ssc : scatter areas, a.u., shape (n,).
    """

    kind: NDArray[np.int16]
    dye: NDArray[np.float64]
    size: NDArray[np.float64]
    fsc: NDArray[np.float64]
    ssc: NDArray[np.float64]

    def take(self, rows: NDArray[np.intp] | slice) -> Cells:
        """The cells of the given rows."""
        return Cells(self.kind[rows], self.dye[rows], self.size[rows], self.fsc[rows], self.ssc[rows])


def draw_cells(
    rng: np.random.Generator,
    types: Sequence[CellType],
    counts: Sequence[int] | NDArray[np.int64],
    markers: Sequence[str],
) -> Cells:
    """Draw cells population by population, in the order of `types`.

    Parameters
    ----------
    rng : source of randomness.
    types, counts : the populations and how many cells of each.
    markers : the markers stained, one column of dye each.
    """
    n = int(np.sum(counts))
    cells = Cells(
        np.repeat(np.arange(len(types), dtype=np.int16), counts),
        np.empty((n, len(markers))),
        np.empty(n),
        np.empty(n),
        np.empty(n),
    )
    first = 0
    for cell_type, count in zip(types, counts, strict=True):
        rows = slice(first, first + int(count))
        first += int(count)
        activation = rng.standard_normal(int(count))
        for column, marker in enumerate(markers):
            cells.dye[rows, column] = cell_type.stains.get(marker, Stain()).draw(rng, activation)
        cells.size[rows] = cell_type.autofluorescence * _lognormal(rng, 0.20, int(count))
        cells.fsc[rows] = cell_type.fsc * _lognormal(rng, cell_type.fsc_cv, int(count))
        cells.ssc[rows] = cell_type.ssc * _lognormal(rng, cell_type.ssc_cv, int(count))
    return cells


def _lognormal(rng: np.random.Generator, cv: float, n: int) -> NDArray[np.float64]:
    """Factors with median 1 and coefficient of variation `cv`."""
    return np.asarray(rng.lognormal(0.0, np.sqrt(np.log1p(cv**2)), n))
