"""Gaussian smoothing of histograms, without scipy, whose import takes longer than a tube."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["kernel_reach", "smooth"]

TRUNCATE = 5.0  # standard deviations


def kernel_reach(bandwidth: float) -> int:
    """Bins behind which the kernel of :func:`smooth` is zero."""
    return int(TRUNCATE * bandwidth + 0.5)


def smooth(counts: NDArray[Any], bandwidth: float) -> NDArray[np.float64]:
    """Convolve counts (…, bins) with a Gaussian of `bandwidth` bins; zero beyond the ends.

    The kernel is that of ``scipy.ndimage.gaussian_filter1d``: sampled at whole bins up to five standard deviations.

    >>> smooth(np.array([0.0, 0.0, 4.0, 0.0, 0.0]), 0.5).round(3).tolist()
    [0.001, 0.426, 3.146, 0.426, 0.001]
    """
    reach = kernel_reach(bandwidth)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / bandwidth) ** 2)
    kernel /= kernel.sum()
    rows = np.asarray(counts, dtype=np.float64).reshape(-1, counts.shape[-1])
    inside = slice(reach, reach + rows.shape[1])
    return np.stack([np.convolve(row, kernel)[inside] for row in rows]).reshape(counts.shape)
