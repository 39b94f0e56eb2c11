"""Binned densities as small palette images.

A plot of 64 to 100 bins a side needs no more pixels than bins: the browser scales it. One byte a bin, few
levels, and PNG's own compression keep a gate at two or three kilobytes.
"""

from __future__ import annotations

import base64
import io
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "MAX_BINS", "density_levels", "density_uri", "display_histogram", "palette"]

LEVELS = 28
MAX_BINS = 96  # finer histograms are summed down to at most this many bins a side
# Viridis (van der Walt and Smith, 2015, CC0) at LEVELS places from its dark end to 0.94 of its length: the brightest
# yellow is hardly darker than paper. Written down, because importing matplotlib for it takes a fifth of a second.
_COLOURS = (
    "440154 470d60 481a6c 482576 46307e 443b84 404688 3c508b 375a8c 33638d 2f6c8e 2b748e 287c8e 25848e "
    "228d8d 1f958b 1f9e89 21a685 28ae80 34b679 42be71 54c568 67cc5c 7ad151 90d743 a8db34 c0df25 d8e219"
)


@cache
def palette() -> NDArray[np.uint8]:
    """Colours of the levels, shape (LEVELS + 1, 3); level 0, no event, is white (and transparent in images)."""
    return np.frombuffer(bytes.fromhex("ffffff" + _COLOURS), dtype=np.uint8).reshape(LEVELS + 1, 3)


def density_levels(counts: NDArray[Any]) -> NDArray[np.uint8]:
    """Counts to levels 0 to LEVELS on a logarithmic scale; 0 only where there is no event.

    Parameters
    ----------
    counts : shape (bins_x, bins_y).

    Returns
    -------
    Levels of shape (bins_x, bins_y), after summing neighbouring bins where there are more than MAX_BINS.
    """
    table = np.asarray(counts, dtype=np.float64)
    for axis in (0, 1):
        table = _coarser(table, axis)
    top = np.log(max(table.max(initial=1.0), 2.0))
    scaled = np.log(np.maximum(table, 1.0)) / top
    levels: NDArray[np.uint8] = np.where(table > 0, 1 + np.round(scaled * (LEVELS - 1)), 0).astype(np.uint8)
    return levels


def _coarser(table: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    bins = table.shape[axis]
    step = -(-bins // MAX_BINS)
    if step == 1:
        return table
    return np.add.reduceat(table, np.arange(0, bins, step), axis=axis)


def density_uri(counts: NDArray[Any]) -> str:
    """A density as a ``data:`` address of a PNG; x runs to the right, y upwards."""
    from PIL import Image

    levels = density_levels(counts).T[::-1]
    image = Image.fromarray(np.ascontiguousarray(levels))
    image.putpalette(palette().tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True, transparency=0)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def display_histogram(counts: NDArray[Any], sigma: float = 1.0) -> NDArray[np.float64]:
    """A one-dimensional histogram for display: coarser, smoothed with a Gaussian of `sigma` bins, peak 1.

    Parameters
    ----------
    counts : shape (bins,).

    Returns
    -------
    Heights of shape (at most MAX_BINS,); all zero where there is no event. The ends are mirrored, so that
    smoothing loses no event.
    """
    coarse = _coarser(np.asarray(counts, dtype=np.float64), 0)
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    heights: NDArray[np.float64] = np.convolve(np.pad(coarse, reach, mode="symmetric"), kernel / kernel.sum(), "valid")
    return heights / heights.max() if heights.max() > 0 else heights
