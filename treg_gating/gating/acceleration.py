"""Fixed points in fewer steps: what is still missing is told by how the last steps became shorter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Acceleration"]

Array = NDArray[np.float64]
RIDGE = 1e-8  # of the squares of the differences; keeps differences that are nearly alike from being told apart
ALLOWED = 1e-5  # by which the value may fall, because it is itself a sum of rounded numbers


class Acceleration:
    """Anderson acceleration of several iterations x ← g(x) that run side by side and share nothing.

    The next place is that where, were g linear over the last few of them, a step would have no length. An
    iteration that ends up where its value has fallen goes back to the step it would have taken, and forgets.

    Source: Anderson (J ACM 1965), as put by Walker & Ni (SIAM J Numer Anal 2011); for EM with such a guard, Henderson &
    Varadhan (J Comput Graph Stat 2019).

    Parameters
    ----------
    metric : what a difference in each number of x counts, shape (iterations, numbers).
    memory : earlier steps that are looked at.
    """

    def __init__(self, metric: Array, memory: int = 5) -> None:
        self._metric, self._known = metric, 0
        # Differences between the lengths of steps, in the metric, and between the places where they ended.
        self._steps, self._images = np.zeros((2, len(metric), memory, metric.shape[1]))
        self._last: tuple[Array, Array] | None = None
        self._best = np.full(len(metric), -np.inf)

    @property
    def reached(self) -> Array:
        """Where the last steps ended that were made from a place that was not worse than those before."""
        if self._last is None:
            msg = "no step was made"
            raise ValueError(msg)
        return self._last[1]

    def again(self) -> None:
        """Set out anew, on a map that is nearly the same: how steps became shorter is still known."""
        self._last = None
        self._best = np.full(len(self._metric), -np.inf)

    def __call__(self, places: Array, images: Array, values: Array) -> Array:
        """Where to go from `images`, what a step makes of `places`, both (iterations, numbers).

        `values`, shape (iterations,), are those of the places; a step never makes them less.
        """
        steps = self._metric * (images - places)
        fallen = values < self._best - ALLOWED
        self._best = np.maximum(values, self._best)
        if self._last is not None:
            before, back = self._last
            self._learn(steps - before, images - back)
            if fallen.any():
                self._steps[fallen] = self._images[fallen] = 0.0
                steps, images = np.where(fallen[:, None], before, steps), np.where(fallen[:, None], back, images)
        self._last = steps, images
        if not self._known:
            return images
        differences = self._steps[:, : self._known]
        squares = differences @ differences.swapaxes(1, 2)
        ridge = RIDGE * np.einsum("gii->g", squares) + np.finfo(float).tiny
        squares += ridge[:, None, None] * np.eye(self._known)
        parts = np.linalg.solve(squares, differences @ steps[:, :, None])
        # Where all is forgotten the differences are nought, and nothing is added.
        return np.asarray(images - (parts.swapaxes(1, 2) @ self._images[:, : self._known])[:, 0])

    def _learn(self, step: Array, image: Array) -> None:
        """How the length of a step, and where it ended, differ from the one before; instead of the oldest known."""
        if self._known == self._steps.shape[1]:
            for known in (self._steps, self._images):
                known[:, :-1] = known[:, 1:]
        else:
            self._known += 1
        self._steps[:, self._known - 1], self._images[:, self._known - 1] = step, image
