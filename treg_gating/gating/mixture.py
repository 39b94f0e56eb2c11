"""Student-t mixtures: their density, and the E step under every fit.

A t distribution with few degrees of freedom carries the heavy tails of real stains that would otherwise claim a
component of their own (Peel & McLachlan, Stat Comput 2000; Lo et al., Cytometry A 2008, for flow cytometry).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from math import lgamma
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "TAILS",
    "EStep",
    "Mixture",
    "Posterior",
    "expectation",
    "joined",
    "marginal",
    "precisions",
    "probability",
    "triangle",
]

Array = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
BLOCK = 60_000  # densities, of all components, that fit the processor's cache with what is made of them
TAILS = 0.5, 1e4  # degrees of freedom that a fit can work with; behind them nothing more changes
SWAPPED = np.array([[1.0, -1.0], [-1.0, 1.0]])  # signs in the inverse of a 2 × 2 matrix
PAGE = 4096  # bytes
LARGEST_POWER = 64.0  # of a few products; beyond it numpy's own power is as quick
FAINTEST = 40.0  # logarithm of how much lower than the highest a component's root may be; below, it is nowhere


@dataclass(frozen=True, eq=False)
class Mixture:
    """Components of a multivariate t mixture.

    Parameters
    ----------
    means : shape (k, d). scales : shape (k, d, d), scale matrices. weights : shape (k,), sum 1.
    nu : degrees of freedom, common to all components.
    """

    means: Array
    scales: Array
    weights: Array
    nu: float

    @property
    def size(self) -> int:
        """Number of components."""
        return len(self.weights)

    @property
    def spreads(self) -> Array:
        """Square roots of the diagonals of the scale matrices, shape (k, d)."""
        spreads: Array = np.sqrt(np.einsum("kii->ki", self.scales))
        return spreads


def joined(mixtures: Sequence[Mixture]) -> Mixture:
    """Mixtures of one size, one behind the other."""
    means, scales, weights = (
        np.concatenate([getattr(one, name) for one in mixtures]) for name in ("means", "scales", "weights")
    )
    return Mixture(means, scales, weights, mixtures[0].nu)


def marginal(mixture: Mixture, columns: list[int]) -> Mixture:
    """The mixture on some of its axes."""
    return replace(mixture, means=mixture.means[:, columns], scales=mixture.scales[:, columns][:, :, columns])


def expectation(mixture: Mixture, points: Array) -> tuple[Array, Array, Array]:
    """E step at `points`, shape (n, d).

    Returns
    -------
    Posterior probabilities (n, k); the latent precisions of the t distribution (n, k); log density (n,).
    """
    density = _Density.of(mixture, np.float64)
    features = _features(points)
    parts = [density.at(block) for block in _blocks(features, mixture.size)]
    chances, inverses, totals = (np.concatenate(part, axis=-1) for part in zip(*parts, strict=True))
    return (chances / totals).T, (inverses * density.precision).T, density.top + np.log(totals)


def probability(mixture: Mixture, wanted: NDArray[np.bool_], points: Array) -> Array:
    """Probability that an event at `points`, shape (n, d), is of the components `wanted`, shape (k,); shape (n,)."""
    return np.asarray(Posterior([(mixture, wanted)])(points)[0])


class Posterior:
    """:func:`probability` by several mixtures of as many components, each with those that are wanted.

    What is the same for all points is made once; points may be asked for more than once.

    Parameters
    ----------
    shapes : the :func:`precisions` of all mixtures, one behind the other, where they are known.
    """

    def __init__(
        self, mixtures: Sequence[tuple[Mixture, NDArray[np.bool_]]], shapes: tuple[Array, Array] | None = None
    ) -> None:
        each, self._size = [mixture for mixture, _ in mixtures], mixtures[0][0].size
        density = _Density.of(joined(each), np.float32, shapes)
        parts = [slice(first, first + self._size) for first in range(0, len(each) * self._size, self._size)]
        self._asked = [
            (replace(density, coefficients=density.coefficients[part]), wanted.astype(np.float32))
            for part, (_, wanted) in zip(parts, mixtures, strict=True)
        ]

    def some(self, those: Sequence[int]) -> Posterior:
        """By those of the mixtures, in this order."""
        few = copy(self)
        few._asked = [self._asked[at] for at in those]
        return few

    def __call__(self, points: Array) -> Array:
        """At `points`, shape (n, d); shape (mixtures, n)."""
        result = np.empty((len(self._asked), len(points)))
        blocks = _blocks(points.T.astype(np.float32), self._size)
        room, first = _room(blocks[0].shape[1] * self._size, np.float32), 0
        for block in blocks:
            features, part = _features(block.T), slice(first, first + block.shape[1])
            first = part.stop
            for row, (density, chosen) in zip(result, self._asked, strict=True):
                chance, _, total = density.at(features, room=room)
                row[part] = chosen @ chance / total
        return result


class EStep:
    """E steps on the same points with the sums that an M step needs, of mixtures of so many components.

    It goes block by block, in memory that is used again: what is made of all points would leave the processor's cache,
    and to ask the system for memory each time takes longer than the arithmetic.

    Parameters
    ----------
    points : shape (n, d), in the precision that is wanted. counts : events at each, shape (n,).
    size : components. groups : mixtures of equal size that lie one behind the other; fewer of them may be asked for.
    """

    def __init__(self, points: Floats, counts: Array, size: int, groups: int = 1) -> None:
        features, self._each = _features(points), size // groups
        self._total = float(counts.sum())
        self._parts = list(zip(_blocks(features, size), _blocks(counts.astype(features.dtype), size), strict=True))
        self._room = _room(size * len(self._parts[0][1]), features.dtype)

    def __call__(
        self, mixture: Mixture, rows: int | None = None, shapes: tuple[Array, Array] | None = None
    ) -> tuple[Array, Array, Array]:
        """One E step.

        Parameters
        ----------
        rows : of the monomials of :func:`_features`, how many are wanted; all by default.
        shapes : the mixture's :func:`precisions` where they are known.

        Returns
        -------
        Events of each component (k,); sums of the monomials, weighted by posterior and precision (k, rows);
        log likelihood per event, of each group of components (groups,).
        """
        density = _Density.of(mixture, self._room.dtype, shapes)
        rows = density.coefficients.shape[1] if rows is None else rows
        each = groups, _ = mixture.size // self._each, self._each
        masses, sums, likelihood = np.zeros(each), np.zeros((*each, rows)), np.zeros(groups)
        for block, weight in self._parts:
            chance, inverse, total = density.at(block, groups, self._room)
            # What is of a point alone is laid upon its few monomials rather than upon all of its components.
            share = (weight / total).reshape(groups, 1, -1)
            chance = chance.reshape(*each, -1)
            masses += (chance @ share.swapaxes(1, 2))[:, :, 0]
            chance *= inverse.reshape(chance.shape)
            sums += chance @ (block[:rows] * share).swapaxes(1, 2)
            likelihood += np.log(total) @ weight
        sums = sums.reshape(mixture.size, rows) * density.precision
        return masses.ravel(), sums, density.top + likelihood / self._total


@dataclass(frozen=True, eq=False)
class _Density:
    """What is the same for all points of an E step.

    Parameters
    ----------
    coefficients : on :func:`_features`, shape (k, features), of (1 + distance² / ν) against that root of the density
        in the middle of the component whose power it is taken to.
    top : log of the highest density in the middle of a component. exponent : (ν + d) / 2.
    precision : latent precision, (ν + d) / ν in the middle of a component, over the inverse of what the coefficients
        give, shape (k, 1).
    """

    coefficients: Array
    top: float
    exponent: float
    precision: Array

    @classmethod
    def of(cls, mixture: Mixture, kind: DTypeLike, shapes: tuple[Array, Array] | None = None) -> _Density:
        """Of a mixture; `shapes` are its :func:`precisions` where they are known."""
        d = mixture.means.shape[1]
        half = (mixture.nu + d) / 2
        constant = _middle_height(mixture.nu, d)
        inverses, half_log_determinants = shapes or precisions(mixture.scales)
        heights = np.log(np.maximum(mixture.weights, 1e-300)) + constant + half_log_determinants
        top = float(heights.max())
        roots = np.exp(np.minimum((top - heights) / half, FAINTEST))[:, None]
        coefficients = _quadratic_forms(mixture.means, inverses) / mixture.nu
        coefficients[:, 0] += 1.0
        return cls((coefficients * roots).astype(kind), top, half, 2 * half / mixture.nu * roots)

    def at(self, features: Floats, groups: int = 1, room: Floats | None = None) -> tuple[Floats, Floats, Floats]:
        """Density of each component (k, n) against `top`, its root (k, n), and sum of the densities (n,).

        In these shapes numpy reduces fastest. With several `groups` of components the sum is that of each, (groups, n).
        They lie in `room` (:func:`_room`), where there is one, until it is used again.
        """
        shape = len(self.coefficients), features.shape[-1]
        room = _room(shape[0] * shape[1], features.dtype) if room is None else room
        inverse, chance, square = room[:, : shape[0] * shape[1]].reshape(3, *shape)
        np.matmul(self.coefficients, features, out=inverse)
        np.divide(1.0, inverse, out=inverse)
        _power(inverse, self.exponent, chance, square)
        total = chance.sum(axis=0) if groups == 1 else chance.reshape(groups, -1, chance.shape[-1]).sum(axis=1)
        np.maximum(total, np.finfo(total.dtype).tiny, out=total)
        return chance, inverse, total


def _blocks(values: Floats, size: int) -> list[Floats]:
    """Pieces along the last axis, about as long, that fit the cache with what is made of them for `size` components."""
    points = values.shape[-1]
    length = -(-points // max(1, -(-points * size // BLOCK))) or 1
    return [values[..., first : first + length] for first in range(0, max(points, 1), length)]


def _room(size: int, kind: DTypeLike) -> Floats:
    """Three rows of `size` numbers each that begin at whole pages.

    A processor that reads where it has just written, but for whole pages between, waits for what it wrote: products of
    rows that begin at odd places take up to three times as long.
    """
    kind = np.dtype(kind)
    pitch = -(-size * kind.itemsize // PAGE) * PAGE // kind.itemsize
    room = np.empty(3 * pitch + PAGE // kind.itemsize, kind)
    first = -room.ctypes.data % PAGE // kind.itemsize
    return room[first : first + 3 * pitch].reshape(3, pitch)


def _power(values: Floats, exponent: float, result: Floats, square: Floats) -> None:
    """`values` to a power, written to `result`; `square` is written over.

    A whole power or a half one, where the degrees of freedom are whole, is made by products.
    """
    whole = int(exponent)
    if 2 * exponent != round(2 * exponent) or exponent > LARGEST_POWER:
        np.power(values, exponent, out=result)
        return
    begun, factor = whole != exponent, values
    if begun:
        np.sqrt(values, out=result)
    while whole:
        if whole & 1:
            np.multiply(result, factor, out=result) if begun else np.copyto(result, factor)
            begun = True
        whole >>= 1
        if whole:
            factor = np.multiply(factor, factor, out=square)


@lru_cache
def _middle_height(nu: float, d: int) -> float:
    """Log density of the t distribution in its middle, for the unit matrix."""
    return lgamma((nu + d) / 2) - lgamma(nu / 2) - d / 2 * float(np.log(nu * np.pi))


@lru_cache
def _times(d: int) -> NDArray[np.float64]:
    """How often each entry of :func:`triangle` is in a symmetric matrix."""
    rows, columns = triangle(d)
    return np.where(rows == columns, 1.0, 2.0)


@lru_cache
def triangle(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns i ≤ j of a d × d matrix."""
    return np.triu_indices(d)


def _features(points: Floats) -> Floats:
    """The monomials 1, x_i and x_i x_j (i ≤ j) of points (n, d), shape ((d + 1)(d + 2)/2, n).

    All distances of an E step, and all sums of an M step, are one matrix product with them.
    """
    n, d = points.shape
    features, last = np.empty((1 + d + d * (d + 1) // 2, n), points.dtype), 1 + d
    features[0], features[1:last] = 1.0, points.T
    for at, axis in enumerate(points.T):
        first, last = last, last + d - at
        np.multiply(axis, points.T[at:], out=features[first:last])
    return features


def precisions(scales: Array) -> tuple[Array, Array]:
    """Inverses of scale matrices, and minus half the logarithms of their determinants."""
    if scales.shape[1] == 2:  # written out: numpy's own takes longer to begin than this to end
        determinants = scales[:, 0, 0] * scales[:, 1, 1] - scales[:, 0, 1] * scales[:, 1, 0]
        inverses = scales[:, ::-1, ::-1].swapaxes(1, 2) * SWAPPED / determinants[:, None, None]
        return inverses, -0.5 * np.log(determinants)
    roots = np.linalg.inv(np.linalg.cholesky(scales))
    return np.swapaxes(roots, 1, 2) @ roots, np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)


def _quadratic_forms(means: Array, precisions: Array) -> Array:
    """Mahalanobis distances as linear functions of :func:`_features`, shape (k, features)."""
    d = means.shape[1]
    rows, columns = triangle(d)
    pulled = (precisions @ means[:, :, None])[:, :, 0]
    coefficients = np.empty((len(means), 1 + d + len(rows)))
    coefficients[:, 0] = (pulled * means).sum(axis=1)
    coefficients[:, 1 : 1 + d] = -2 * pulled
    np.multiply(precisions[:, rows, columns], _times(d), out=coefficients[:, 1 + d :])
    return coefficients
