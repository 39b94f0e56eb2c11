"""Place a cohort's Student-t mixtures on one tube."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from treg_gating.gating.acceleration import Acceleration
from treg_gating.gating.bins import Binned
from treg_gating.gating.mixture import EStep, Mixture, precisions

__all__ = ["Placement", "Placing", "place_mixture"]

Array = NDArray[np.float64]
STILL = 2  # steps on end
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
    """Place one mixture on one tube, from where the cohort has it or from `start`: see :class:`Placing`."""
    placing = Placing(
        [mixture], loose=loose, stiffness=stiffness, together=None if together is None else [together],
        starts=None if start is None else [start],
    )  # fmt: skip
    return placing.on(data, iterations=iterations, tolerance=tolerance, firmness=firmness)[0]


class Placing:
    """A cohort's mixtures on the way to where they lie on one tube, by MAP-EM: everything shifts, parts move a little.

    The mixtures, of as many components each, go side by side and know nothing of one another. Their shapes stay.

    Parameters
    ----------
    loose : prior standard deviation of the tube's shift along each axis, in gate units.
    stiffness : pseudo-events that hold each component where the shift puts it.
    together : for each mixture the components of one population, shape (k,): its stain may be brighter or dimmer
        against the others than in the cohort, so they have a displacement of their own in common.
    starts : where they set out from, instead of where the cohort has them.
    """

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        *,
        loose: float,
        stiffness: float,
        together: Sequence[NDArray[np.bool_]] | None = None,
        starts: Sequence[Placement] | None = None,
    ) -> None:
        self._model = _Model.of(mixtures, together, loose=loose, stiffness=stiffness)
        self.shapes = self._model.shapes  # of the mixtures, one behind the other: see `precisions`
        self._place = _Place.at_rest(self._model) if starts is None else _Place.of(starts)
        self._further = Acceleration(self._model.metric)

    def on(self, data: Binned, *, iterations: int, tolerance: float = 0.0, firmness: float = 0.0) -> list[Placement]:
        """Where they lie after so many steps on a tube's events, one of each.

        A second time the steps before still tell how steps become shorter: the events should be nearly the same.

        Parameters
        ----------
        tolerance : they stop when in two steps on end no shift, in gate units, and no population, in its own size, has
            changed by more.
        firmness : pseudo-events that hold at none what a population moves together.
        """
        model, further, place, still = self._model.held_by(firmness), self._further, self._place, 0
        step = EStep(data.points.astype(np.float32), data.counts, model.weights.size, len(model.weights))
        further.again()
        known = model.told(place)
        for left in reversed(range(iterations)):
            image, masses, likelihood = model.step(place, step, data.total)
            ahead = further(place.joined(), image.joined(), likelihood + model.prior(place) / data.total)
            told = model.told(image)
            still = still + 1 if np.abs(told - known).max() < tolerance else 0
            if still == STILL or not left:
                break
            known, place = told, _Place.apart(ahead, model)
        self._place = end = _Place.apart(further.reached, model)
        information = model.loose + _weighed(masses, model.inverse)
        found = zip(end.shift, model.moved(end), end.weights, information, likelihood, strict=True)
        return [Placement(*each) for each in found]

    def carry(self, there: Callable[[Array], Array]) -> None:
        """Set out anew with the populations carried along to where `there` puts their means, shape (mixtures, d)."""
        model, place = self._model, self._place
        part = (model.weights * model.one)[:, :, None]
        stands = model.means + place.shift[:, None] + model.moved(place)
        middles = (part * stands).sum(axis=1) / np.maximum(part.sum(axis=1), 1e-300)
        by = np.where(part.any(axis=1), there(middles) - middles, 0.0)  # none where there is no population
        self._place = place._replace(common=place.common + by)


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
    loose : prior precision of the shift (d, d). held : of what the population moves together, by one
        pseudo-event (g, d, d).
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
        stiffness: float,
    ) -> _Model:  # fmt: skip
        """Of what :class:`Placing` is asked."""
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
        held = _weighed(part / np.maximum(part.sum(axis=1, keepdims=True), 1e-300), inverse)
        held[part.sum(axis=1) <= 0] = np.eye(d)  # there is no population: nothing moves
        return cls(
            means, scales, weights, mixtures[0].nu, shapes, inverse, one, across, np.eye(d) / loose**2, held, stiffness
        )

    def held_by(self, firmness: float) -> _Model:
        """With so many pseudo-events that hold what a population moves together."""
        there = np.asarray((self.weights * self.one).any(axis=1))  # where there is no population, nothing of it moves
        return replace(self, held=np.where(there[:, None, None], firmness * self.held, self.held))

    @property
    def metric(self) -> Array:
        """What a difference in each number of :meth:`_Place.joined` counts: in spreads, by the share of the events."""
        spreads = np.sqrt(np.einsum("kii->ki", self.scales)).reshape(self.means.shape)
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
        The better place, what each component weighs (g, k), and the log likelihood per event of the former (g,).
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
        return _Place(shift, common, moves, weights), masses, likelihood


def _weighed(weights: Array, matrices: Array) -> Array:
    """Sums of matrices (g, k, d, d) over k by weights (g, k), shape (g, d, d)."""
    g, k, d, _ = matrices.shape
    return np.asarray((weights[:, None] @ matrices.reshape(g, k, d * d)).reshape(g, d, d))


def _squares(vectors: Array, matrices: Array) -> Array:
    """Squared lengths of vectors (…, d) by matrices (…, d, d) or one of them."""
    return np.asarray(((vectors[..., None, :] @ matrices)[..., 0, :] * vectors).sum(axis=-1))
