"""Covariance of one subject's visits: unstructured, heterogeneous compound symmetry, compound symmetry.

Each structure gives Σ(θ) with its first and second derivatives, which is all that REML asks of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["STRUCTURES", "CompoundSymmetry", "HeterogeneousSymmetry", "Structure", "Unstructured"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Structure:
    """A covariance of `visits` visits."""

    visits: int
    name = ""
    label = ""

    def start(self, variances: Floats) -> Floats:
        """θ to begin with, from a variance for each visit and a correlation of 0.3."""
        raise NotImplementedError

    def sigma(self, theta: Floats) -> Floats:
        """Σ, shape (v, v)."""
        raise NotImplementedError

    def first(self, theta: Floats) -> Floats:
        """∂Σ/∂θ, shape (k, v, v)."""
        raise NotImplementedError

    def second(self, theta: Floats) -> Floats:
        """∂²Σ/∂θ∂θ, shape (k, k, v, v)."""
        raise NotImplementedError


class Unstructured(Structure):
    """Every variance and covariance is a parameter."""

    name, label = "UN", "unstructured"

    def start(self, variances: Floats) -> Floats:
        """As the base class says."""
        scale = np.sqrt(np.outer(variances, variances))
        sigma = scale * (0.3 + 0.7 * np.eye(self.visits))
        found: Floats = sigma[np.tril_indices(self.visits)]
        return found

    def sigma(self, theta: Floats) -> Floats:
        """As the base class says."""
        return np.tensordot(theta, self.first(theta), axes=1)

    def first(self, theta: Floats) -> Floats:
        """As the base class says."""
        rows, columns = np.tril_indices(self.visits)
        basis = np.zeros((len(rows), self.visits, self.visits))
        at = np.arange(len(rows))
        basis[at, rows, columns] = basis[at, columns, rows] = 1.0
        return basis

    def second(self, theta: Floats) -> Floats:
        """Zero: Σ is linear in its elements."""
        return np.zeros((len(theta), len(theta), self.visits, self.visits))


class HeterogeneousSymmetry(Structure):
    """A standard deviation for each visit and one correlation: θ = (s₁ … s_v, ρ)."""

    name, label = "CSH", "heterogeneous compound symmetry"

    def start(self, variances: Floats) -> Floats:
        """As the base class says."""
        return np.append(np.sqrt(variances), 0.3)

    def _correlation(self, theta: Floats) -> Floats:
        return np.where(np.eye(self.visits) > 0, 1.0, theta[-1])

    def sigma(self, theta: Floats) -> Floats:
        """As the base class says."""
        return self._correlation(theta) * np.outer(theta[:-1], theta[:-1])

    def first(self, theta: Floats) -> Floats:
        """As the base class says."""
        s, v = theta[:-1], self.visits
        out = np.zeros((v + 1, v, v))
        correlation = self._correlation(theta)
        for a in range(v):
            out[a, a, :] += correlation[a] * s
            out[a, :, a] += correlation[a] * s
        out[v] = np.outer(s, s) * (1.0 - np.eye(v))
        return out

    def second(self, theta: Floats) -> Floats:
        """As the base class says."""
        s, v = theta[:-1], self.visits
        out = np.zeros((v + 1, v + 1, v, v))
        correlation, off = self._correlation(theta), 1.0 - np.eye(v)
        for a in range(v):
            for b in range(v):
                out[a, b, a, b] += correlation[a, b]
                out[a, b, b, a] += correlation[a, b]
            mixed = np.zeros((v, v))
            mixed[a, :] += off[a] * s
            mixed[:, a] += off[a] * s
            out[a, v] = out[v, a] = mixed
        return out


class CompoundSymmetry(Structure):
    """One variance and one covariance: θ = (variance, covariance)."""

    name, label = "CS", "compound symmetry"

    def start(self, variances: Floats) -> Floats:
        """As the base class says."""
        mean = float(np.mean(variances))
        return np.array([mean, 0.3 * mean])

    def sigma(self, theta: Floats) -> Floats:
        """As the base class says."""
        return np.tensordot(theta, self.first(theta), axes=1)

    def first(self, theta: Floats) -> Floats:
        """As the base class says."""
        return np.stack([np.eye(self.visits), 1.0 - np.eye(self.visits)])

    def second(self, theta: Floats) -> Floats:
        """Zero: Σ is linear in θ."""
        return np.zeros((2, 2, self.visits, self.visits))


STRUCTURES: tuple[type[Structure], ...] = (Unstructured, HeterogeneousSymmetry, CompoundSymmetry)
"""In the order in which the model falls back."""
