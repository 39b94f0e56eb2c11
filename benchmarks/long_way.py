"""The pipeline without the shortcuts whose result is not exactly that of the long way: what they cost in accuracy.

Shortcuts that give the same answer (thresholds instead of transforms, screens of polygons, sums block by block) stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from treg_gating.gating import grids, members, method, placed_members
from treg_gating.gating.axes import Axis
from treg_gating.gating.bins import Binned
from treg_gating.gating.methods import aligned_mixture, mixture_ellipse, singlets
from treg_gating.gating.mixture import Mixture, expectation

__all__ = ["go_the_long_way"]

Array = np.ndarray[Any, np.dtype[np.float64]]


def go_the_long_way() -> None:
    """For this process from now on: what is fitted sees every event, every bin and the exact scale."""
    _replace(Axis, near=Axis.values)  # the scale itself, not a table
    _replace(aligned_mixture, merged=_as_it_is)  # all bins
    _replace(placed_members, merged_where_few=_each_bin, SETTLED=1e-5, STEPS=200, LAST_STEPS=200, BARELY=-1.0)
    _replace(members, Posterior=_Posterior)  # in double precision
    _replace(mixture_ellipse, COARSE=1)  # all starts on the cells that the last steps see
    _replace(method, ENOUGH=1 << 62)  # every event of a large tube
    _replace(singlets, _cells=lambda area, ratio: (1 / area, ratio, np.ones(len(area))))  # every event
    _replace(grids, FEW=1 << 62, nearly=lambda transform, values: transform.apply(values))  # and its own value


def _replace(owner: Any, **others: Any) -> None:
    for name, other in others.items():
        getattr(owner, name)  # what is not there any more must not pass for replaced
        setattr(owner, name, other)


def _as_it_is(data: Binned, width: float) -> Binned:
    return data


def _each_bin(data: Binned, width: float, few: float) -> tuple[Binned, np.ndarray[Any, np.dtype[np.intp]]]:
    return data, np.arange(len(data.counts))


def _probability(mixture: Mixture, wanted: np.ndarray[Any, np.dtype[np.bool_]], points: Array) -> Array:
    return np.asarray(expectation(mixture, points)[0][:, wanted].sum(axis=1))


class _Posterior:
    def __init__(
        self, mixtures: Sequence[tuple[Mixture, np.ndarray[Any, np.dtype[np.bool_]]]], shapes: object = None
    ) -> None:
        self._mixtures = mixtures

    def some(self, those: Sequence[int]) -> _Posterior:
        return _Posterior([self._mixtures[at] for at in those])

    def __call__(self, points: Array) -> Array:
        return np.array([_probability(mixture, wanted, points) for mixture, wanted in self._mixtures])
