"""Place a cohort's Student-t mixtures on one tube."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.acceleration import Acceleration
from treg_gating.gating.bins import Binned
from treg_gating.gating.mixture import EStep, Mixture, precisions

__all__ = ["Placement", "place_mixture", "place_mixtures"]

Array = NDArray[np.float64]
FAINTEST = -60.0  # logarithm of the least weight, of the largest, that is gone to


@dataclass(frozen=True, eq=False)
class Placement:
    """A cohort's mixture placed on one tube.

    Parameters
    ----------
    shift : shape (d,), the tube's displacement of all components. moves : shape (k, d), of each on top of it, what
        the components of one population move together included.
    weights : shape (k,). information : shape (d, d), inverse covariance of the shift.
    log_likelihood : per event, before the last step.
    """

    shift: Array
    moves: Array
    weights: Array
    information: Array
    log_likelihood: float


def place_mixture(
    mixture: Mixture,
    data: Binned,
    *,
    loose: float,
    stiffness: float,
    iterations: int = 80,
    tolerance: float = 1e-4,
    start: Placement | None = None,
    together: NDArray[np.bool_] | None = None,
    firmness: float = 0.0,
) -> Placement:
    """:func:`place_mixtures` for one of them."""
    return place_mixtures(
        [mixture], data, loose=loose, stiffness=stiffness, iterations=iterations, tolerance=tolerance,
        starts=None if start is None else [start], together=None if together is None else [together],
        firmness=firmness,
    )[0]  # fmt: skip


def place_mixtures(
    mixtures: Sequence[Mixture],
    data: Binned,
    *,
    loose: float,
    stiffness: float,
    iterations: int = 80,
    tolerance: float = 1e-4,
    starts: Sequence[Placement] | None = None,
    together: Sequence[NDArray[np.bool_]] | None = None,
    firmness: float = 0.0,
) -> list[Placement]:
    """Place a cohort's mixtures on one tube by MAP-EM: shapes stay, everything shifts, each part moves a little.

    The mixtures, of as many components each, are placed side by side and know nothing of one another.

    Parameters
    ----------
    loose : prior standard deviation of the tube's shift along each axis, in gate units.
    stiffness : pseudo-events that hold each component where the shift puts it.
    together : for each mixture the components of one population, shape (k,): its stain may be brighter or dimmer
        against the others than in the cohort, so they have a displacement of their own in common, which `firmness`
        pseudo-events hold at none.
    tolerance : a mixture stops when in two steps on end neither its shift, in gate units, nor its population, in its
        own size, has changed by more.
    """
    model = _Model.of(mixtures, together, loose=loose, stiffness=stiffness, firmness=firmness)
    step = EStep(data.points.astype(np.float32), data.counts, len(mixtures) * mixtures[0].size, len(mixtures))
    further = Acceleration(model.metric)
    place = _Place.at_rest(model) if starts is None else _Place.of(starts)
    going, known, still = np.arange(len(mixtures)), model.told(place), np.zeros(len(mixtures))
    ends: dict[int, Placement] = {}
    for left in reversed(range(iterations)):
        image, information, likelihood = model.step(place, step, data.total)
        ahead = further(place.joined(), image.joined(), likelihood + model.prior(place) / data.total)
        told = model.told(image)
        still = np.where(np.abs(told - known).max(axis=1) < tolerance, still + 1, 0)
        goes = (still < 2) & (left > 0)
        if not goes.all():
            end = _Place.apart(further.reached, model)
            found = zip(end.shift, model.moved(end), end.weights, information, likelihood, strict=True)
            ends |= {
                int(at): Placement(*each) for at, each, goes_on in zip(going, found, goes, strict=True) if not goes_on
            }
            if not goes.any():
                break
            going, told, still, ahead = going[goes], told[goes], still[goes], ahead[goes]
            model, further = model.some(goes), further.some(goes)
        known, place = told, _Place.apart(ahead, model)
    return [ends[at] for at in range(len(mixtures))]


class _Place(NamedTuple):
    """Where g mixtures lie: displacements of all (g, d), of populations (g, d), of each (g, k, d); weights (g, k)."""

    shift: Array
    common: Array
    moves: Array
    weights: Array

    @classmethod
    def at_rest(cls, model: _Model) -> _Place:
        """Where the cohort has them."""
        g, _, d = model.means.shape
        return cls(np.zeros((g, d)), np.zeros((g, d)), np.zeros_like(model.means), np.maximum(model.weights, 1e-300))

    @classmethod
    def of(cls, places: Sequence[Placement]) -> _Place:
        """Where they were before; what a population moved together is a move of each."""
        shift, moves, weights = (
            np.array([getattr(one, name) for one in places]) for name in ("shift", "moves", "weights")
        )
        return cls(shift, np.zeros_like(shift), moves, weights)

    @classmethod
    def apart(cls, numbers: Array, model: _Model) -> _Place:
        """From one row of numbers each, :meth:`joined`."""
        g, k, d = model.means.shape
        logarithms = numbers[:, 2 * d + k * d :]
        weights = np.exp(np.maximum(logarithms - logarithms.max(axis=1, keepdims=True), FAINTEST))
        weights /= weights.sum(axis=1, keepdims=True)
        return cls(numbers[:, :d], numbers[:, d : 2 * d], numbers[:, 2 * d : 2 * d + k * d].reshape(g, k, d), weights)

    def joined(self) -> Array:
        """All as one row of numbers each, (g, 2 d + k d + k): weights by their logarithms."""
        moves = self.moves.reshape(len(self.shift), -1)
        return np.concatenate([self.shift, self.common, moves, np.log(self.weights)], axis=1)


@dataclass(frozen=True, eq=False)
class _Model:
    """The mixtures in the cohort, and what holds them there on a tube.

    Parameters
    ----------
    means : shape (g, k, d). scales : shape (g k, d, d). weights : shape (g, k). nu : degrees of freedom.
    shapes : of the scales, :func:`treg_gating.gating.mixture.precisions`; the first also as `inverse`, (g, k, d, d).
    one : 1.0 for the components of the population, shape (g, k).
    across : the inverses side by side, and again those of the population alone, (g, 2 d, k d): one product with the
        vectors of all components is the sum over them.
    loose : prior precision of the shift (d, d). held : of what the population moves together (g, d, d).
    stiffness : pseudo-events.
    """

    means: Array
    scales: Array
    weights: Array
    nu: float
    shapes: tuple[Array, Array]
    inverse: Array
    one: Array
    across: Array
    loose: Array
    held: Array
    stiffness: float

    @classmethod
    def of(
        cls, mixtures: Sequence[Mixture], together: Sequence[NDArray[np.bool_]] | None, *, loose: float,
        stiffness: float, firmness: float,
    ) -> _Model:  # fmt: skip
        """Of what :func:`place_mixtures` is asked."""
        means, weights = (np.array([getattr(one, name) for one in mixtures]) for name in ("means", "weights"))
        scales = np.concatenate([one.scales for one in mixtures])
        shapes, d = precisions(scales), means.shape[2]
        inverse = shapes[0].reshape(*means.shape, d)
        one = np.zeros_like(weights) if together is None else np.array(together, dtype=np.float64)
        side_by_side = [
            by.transpose(0, 2, 1, 3).reshape(len(by), d, -1) for by in (inverse, inverse * one[..., None, None])
        ]
        across = np.concatenate(side_by_side, axis=1)
        part = weights * one
        held = firmness * _weighed(part / np.maximum(part.sum(axis=1, keepdims=True), 1e-300), inverse)
        held[part.sum(axis=1) <= 0] = np.eye(d)  # there is no population: nothing moves
        return cls(
            means, scales, weights, mixtures[0].nu, shapes, inverse, one, across, np.eye(d) / loose**2, held, stiffness
        )

    def some(self, those: NDArray[np.bool_]) -> _Model:
        """Of g mixtures `those`, shape (g,)."""
        inverses, half_log_determinants = self.shapes
        each = np.repeat(those, self.means.shape[1])
        return _Model(
            self.means[those], self.scales[each], self.weights[those], self.nu,
            (inverses[each], half_log_determinants[each]), self.inverse[those], self.one[those], self.across[those],
            self.loose,
            self.held[those], self.stiffness,
        )  # fmt: skip

    @property
    def metric(self) -> Array:
        """What a difference in each number of :meth:`_Place.joined` counts: in spreads, by the share of the events."""
        spreads = np.sqrt(np.einsum("gkii->gki", np.linalg.inv(self.inverse)))
        moves = np.sqrt(self.weights)[:, :, None] / spreads
        together = [np.sqrt((by[:, :, None] * moves**2).sum(axis=1)) for by in (np.ones_like(self.one), self.one)]
        return np.concatenate([*together, moves.reshape(len(moves), -1), np.sqrt(self.weights)], axis=1)

    def moved(self, place: _Place) -> Array:
        """Displacement of each component on top of the shift, (g, k, d)."""
        return np.asarray(self.one[:, :, None] * place.common[:, None] + place.moves)

    def told(self, place: _Place) -> Array:
        """What the answer hangs on: the shift, and the logarithm of the population's share; (g, d + 1)."""
        share = np.log(np.maximum((self.one * place.weights).sum(axis=1, keepdims=True), 1e-300))
        return np.concatenate([place.shift, share], axis=1)

    def prior(self, place: _Place) -> Array:
        """Log density of a place before the tube is seen, but for a constant; (g,)."""
        pull = _squares(place.shift, self.loose) + _squares(place.common, self.held)
        if np.isfinite(self.stiffness):
            pull = pull + self.stiffness * _squares(place.moves, self.inverse).sum(axis=1)
        return np.asarray(np.log(place.weights).sum(axis=1) - pull / 2)

    def step(self, place: _Place, tube: EStep, total: float) -> tuple[_Place, Array, Array]:
        """One step of EM on a tube of `total` events.

        Given what the E step tells, shift, common displacement and moves are the best there are, all at once: a move
        that is best for each shift leaves, of a component's events, the share stiffness / (events + stiffness) to it.

        Returns
        -------
        The better place, the information on its shift (g, d, d), and the log likelihood per event of the former (g,).
        """
        g, k, d = self.means.shape
        means = self.means + place.shift[:, None] + self.moved(place)
        mixture = Mixture(means.reshape(g * k, d), self.scales, place.weights.ravel(), self.nu)
        events, sums, likelihood = tube(mixture, 1 + d, self.shapes)
        masses, gaps = sums[:, 0].reshape(g, k), sums[:, 1:].reshape(g, k, d)
        gaps = gaps - masses[:, :, None] * self.means
        left = 1 / (1 + masses / self.stiffness)
        pulled = (left[:, :, None] * gaps).reshape(g, k * d, 1)
        population = _weighed(self.one * left * masses, self.inverse)
        matrix = np.empty((g, 2 * d, 2 * d))
        matrix[:, :d, :d] = self.loose + _weighed(left * masses, self.inverse)
        matrix[:, :d, d:] = matrix[:, d:, :d] = population
        matrix[:, d:, d:] = self.held + population
        found = np.asarray(np.linalg.solve(matrix, self.across @ pulled)[:, :, 0], dtype=np.float64)
        shift, common = found[:, :d], found[:, d:]
        base = shift[:, None] + self.one[:, :, None] * common[:, None]
        moves = (gaps - masses[:, :, None] * base) / (masses + self.stiffness)[:, :, None]
        weights = (events.reshape(g, k) + 1.0) / (total + k)
        return _Place(shift, common, moves, weights), self.loose + _weighed(masses, self.inverse), likelihood


def _weighed(weights: Array, matrices: Array) -> Array:
    """Sums of matrices (g, k, d, d) over k by weights (g, k), shape (g, d, d)."""
    g, k, d, _ = matrices.shape
    return np.asarray((weights[:, None] @ matrices.reshape(g, k, d * d)).reshape(g, d, d))


def _squares(vectors: Array, matrices: Array) -> Array:
    """Squared lengths of vectors (…, d) by matrices (…, d, d) or one of them."""
    crossed = vectors[..., :, None] * vectors[..., None, :]  # sooner than many products of small matrices
    return np.asarray((crossed * matrices).sum(axis=(-2, -1)))
