"""One single-stain tube: its cells, its positives and its negatives, without hand gates.

Beads or cells: what is used lies in the densest part of forward and side scatter, and below the top of every
detector. Positives lie above nearly all of the unstained tube on the stain's own detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import CompensationError
from treg_gating.sample import Sample

__all__ = ["MIN_POSITIVES", "SingleStain", "StainEvents", "densest", "fluorescence_detectors", "stain_events"]

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

MIN_POSITIVES = 200
MOST_POSITIVES, MOST_NEGATIVES = 20_000, 8_000  # more events make no better medians, only slower ones
DENSEST = 0.70  # share of the events, those in the densest cells of the scatter plane
_BINS = 64
_EDGE = 0.995  # quantile of the unstained tube that a positive lies above
_FAR = 3.0  # and as many times that far from the unstained median


@dataclass(frozen=True, eq=False)
class SingleStain:
    """A tube with one dye.

    Parameters
    ----------
    sample : raw events.
    detector : $PnN of the detector the dye is meant for.
    label : what the sheet calls it.
    """

    sample: Sample
    detector: str
    label: str = ""

    @property
    def name(self) -> str:
        """For messages."""
        return f"single stain {self.label or self.detector} ({self.sample.path or 'memory'})"


@dataclass(frozen=True, eq=False)
class StainEvents:
    """What of a single stain is used.

    Parameters
    ----------
    detector : of the dye. channels : columns of the arrays.
    positive, negative : raw events, shapes (n, n_channels) and (m, n_channels).
    own_negatives : whether the negatives are of the same tube (else of the unstained one).
    threshold : raw value on the own detector above which an event counts as positive.
    """

    detector: str
    channels: tuple[str, ...]
    positive: Values
    negative: Values
    own_negatives: bool
    threshold: float


def fluorescence_detectors(sample: Sample) -> tuple[str, ...]:
    """Detectors a matrix can be made for: area (or only) signals that are neither scatter nor time."""
    light = [channel.name for channel in sample.channels if not channel.is_scatter and not channel.is_time]
    areas = tuple(name for name in light if name.upper().endswith("-A"))
    return areas or tuple(name for name in light if not name.upper().endswith(("-H", "-W")))


def densest(sample: Sample, channels: Sequence[str]) -> Mask:
    """Events below the top of the given detectors and in the densest part of the scatter plane, shape (n_events,)."""
    kept = np.ones(sample.n_events, dtype=bool)
    for channel in sample.channels:
        if channel.range is not None and (channel.name in channels or channel.is_scatter):
            kept &= sample.column(channel.name) < 0.995 * (channel.range - 1)
    scatter = [channel.name for channel in sample.channels if channel.is_scatter]
    plane = [next((name for name in scatter if name.upper().startswith(kind)), "") for kind in ("FS", "SS")]
    if not all(plane) or kept.sum() < MIN_POSITIVES:
        return kept
    return kept & _in_densest_cells(np.stack([sample.column(name) for name in plane], axis=1), kept)


def _in_densest_cells(values: NDArray[np.floating[Any]], usable: Mask) -> Mask:
    from scipy.ndimage import gaussian_filter

    low, high = np.quantile(values[usable], [0.005, 0.995], axis=0)
    cell = np.floor((values - low) / np.maximum(high - low, 1e-9) * _BINS)
    inside = usable & (cell >= 0).all(axis=1) & (cell < _BINS).all(axis=1)
    flat = np.clip(cell, 0, _BINS - 1).astype(np.intp) @ np.array([_BINS, 1])
    counts = np.bincount(flat[inside], minlength=_BINS * _BINS).astype(np.float64)
    density = gaussian_filter(counts.reshape(_BINS, _BINS), 1.5).ravel()
    order = np.argsort(-density, kind="stable")
    enough = int(np.searchsorted(np.cumsum(counts[order]), DENSEST * counts.sum())) + 1
    chosen = np.zeros(_BINS * _BINS, dtype=bool)
    chosen[order[:enough]] = True
    result: Mask = inside & chosen[flat]
    return result


def stain_events(stain: SingleStain, channels: Sequence[str], unstained: Sample | None) -> StainEvents:
    """Positives and negatives of one single stain.

    Raises
    ------
    CompensationError : too few positives on the stain's own detector, or no negatives.
    """
    everything = _columns(stain.sample, channels)
    used = densest(stain.sample, channels)
    own = list(channels).index(stain.detector)
    background = None if unstained is None else _columns(unstained, channels)[densest(unstained, channels)]
    threshold, low = _threshold(everything[used, own], None if background is None else background[:, own])
    # Cells that the dye marks may scatter otherwise (dead cells, say): positives may come from the whole plane.
    above = everything[:, own] > threshold
    in_range = _below_top(stain.sample, channels)
    positive = everything[used & above]
    if len(positive) < MIN_POSITIVES:
        positive = everything[in_range & above]
    if len(positive) < MIN_POSITIVES:
        raise CompensationError(_too_few(stain, channels, everything[in_range], background, len(positive), threshold))
    negative = everything[used & (everything[:, own] < low)]
    own_negatives = len(negative) >= MIN_POSITIVES
    if not own_negatives and background is not None:
        negative = background
    if len(negative) < MIN_POSITIVES:
        msg = f"{stain.name}: {len(negative)} negative events (limit {MIN_POSITIVES}); add an unstained tube"
        raise CompensationError(msg)
    kept = (_thinned(positive, MOST_POSITIVES), _thinned(negative, MOST_NEGATIVES))
    return StainEvents(stain.detector, tuple(channels), *kept, own_negatives, threshold)


def _thinned(events: Values, most: int) -> Values:
    """Every second, third, ... event where there are more than `most`."""
    return events[:: -(-len(events) // most)]


def _columns(sample: Sample, channels: Sequence[str]) -> Values:
    return np.stack([sample.column(name).astype(np.float64) for name in channels], axis=1)


def _below_top(sample: Sample, channels: Sequence[str]) -> Mask:
    kept = np.ones(sample.n_events, dtype=bool)
    for channel in sample.channels:
        if channel.range is not None and channel.name in channels:
            kept &= sample.column(channel.name) < 0.995 * (channel.range - 1)
    return kept


def _threshold(values: Values, background: Values | None) -> tuple[float, float]:
    """Raw value above which an event is positive, and below which it is negative.

    Without an unstained tube the background is the lowest part of the tube itself, mirrored about its mode.
    """
    if background is not None and len(background) >= MIN_POSITIVES:
        middle, edge = (float(q) for q in np.quantile(background, [0.5, _EDGE]))
        return middle + _FAR * (edge - middle), edge
    low = np.sort(values)[: max(len(values) // 2, 2)]
    scale = max(float(np.median(np.abs(low - np.median(low)))), 1e-9)
    grid = np.arcsinh(np.sort(values) / scale)
    counts, edges = np.histogram(grid, bins=128)
    from scipy.ndimage import gaussian_filter1d

    smooth = gaussian_filter1d(counts.astype(np.float64), 2.0)
    # The negatives are the leftmost peak that is worth a fifth of the highest.
    rising = np.flatnonzero((smooth[1:-1] >= smooth[:-2]) & (smooth[1:-1] > smooth[2:])) + 1
    peaks = [int(i) for i in rising if smooth[i] > 0.2 * smooth.max()] or [int(np.argmax(smooth))]
    mode = float(np.sinh((edges[peaks[0]] + edges[peaks[0] + 1]) / 2) * scale)
    below = values[values <= mode]
    spread = float(np.quantile(mode - below, 0.99)) if below.size else scale
    return mode + 2 * _FAR * spread, mode + 1.5 * spread


def _too_few(
    stain: SingleStain, channels: Sequence[str], events: Values, background: Values | None, found: int, threshold: float
) -> str:
    """The refusal; it names another detector where the tube is bright there instead."""
    reference = events if background is None else background
    gain = np.quantile(events, 0.95, axis=0) - np.quantile(reference, 0.5 if background is None else 0.95, axis=0)
    brightest = channels[int(np.argmax(gain))]
    said = (
        f"{stain.name}: {found} events above {threshold:.4g} on {stain.detector} (limit {MIN_POSITIVES} positives). "
        "Acquire more, or use another control"
    )
    if brightest != stain.detector and gain.max() > 3 * abs(threshold):
        said += f". It is bright on {brightest}: is it labelled right?"
    return said
