"""Axes people can read: ticks in linear intensities on a transformed scale, scatter in thousands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from treg_gating.transforms import Linear, Transform, transform_from_dict

__all__ = ["Axis", "Tick", "close_axis", "intensity_axis", "log_axis"]

_MIN_LABEL_GAP = 0.125  # of the axis: two labels of the size "−10³" side by side, with air between
_MIN_TICK_GAP = 0.011


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick at `fraction` of the axis, 0 to 1; minor ticks have no label and are not `major`.

    `power` is printed as a superscript after the label: "10" and "4".
    """

    fraction: float
    label: str = ""
    power: str = ""
    major: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a plot.

    Parameters
    ----------
    title : what is drawn, with its unit where it has one.
    low, high : limits in gate units (or log10 of the unit for :func:`log_axis`).
    ticks : where, as fractions of the axis.
    """

    title: str
    low: float
    high: float
    ticks: tuple[Tick, ...]

    def fraction(self, values: Any) -> Any:
        """Gate units to fractions of the axis; not clipped."""
        return (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)


def intensity_axis(dim: str, low: float, high: float, transform: Mapping[str, Any] | None, channel: str = "") -> Axis:
    """Axis of one dimension of a gate plot.

    Parameters
    ----------
    dim : marker or scatter channel.
    low, high : limits in gate units.
    transform : as :func:`treg_gating.transforms.transform_to_dict` gives it; None for values that were
        never transformed.
    channel : the detector behind a marker, for the title.
    """
    name = f"{dim} · {channel}" if channel and channel != dim else dim
    scale = transform_from_dict(dict(transform)) if transform else Linear()
    if isinstance(scale, Linear):
        return _linear_axis(name, low, high)
    return Axis(name, low, high, _decade_ticks(scale, low, high))


def _linear_axis(name: str, low: float, high: float) -> Axis:
    unit, suffix = (1000.0, " (×10³)") if max(abs(low), abs(high)) >= 2000 else (1.0, "")
    step = _nice((high - low) / unit / 5)
    first, last = int(np.ceil(low / unit / step - 1e-9)), int(np.floor(high / unit / step + 1e-9))
    ticks = tuple(
        Tick((i * step * unit - low) / (high - low), f"{i * step:g}".replace("-", "−")) for i in range(first, last + 1)
    )
    return Axis(name + suffix, low, high, ticks)


def _nice(step: float) -> float:
    power = 10.0 ** np.floor(np.log10(step))
    return float(next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= step * 0.999))


def _decade_ticks(scale: Transform, low: float, high: float) -> tuple[Tick, ...]:
    bottom, top = (float(x) for x in scale.inverse([low, high]))
    decades = [10.0**k for k in range(2, 8)]
    # The order is the order of claims to a label: zero, the high decades, then the first negative one.
    major = [0.0, *reversed(decades), *(-d for d in decades)]
    minor = [sign * n * d for d in decades for n in range(2, 10) for sign in (1, -1)]
    ticks: list[Tick] = []
    for values, is_major in ((major, True), (minor, False)):
        inside = [v for v in values if bottom <= v <= top]
        for value, at in zip(inside, scale.apply(np.array(inside)), strict=True):
            fraction = (float(at) - low) / (high - low)
            if all(abs(fraction - other.fraction) >= _MIN_TICK_GAP for other in ticks):
                label = _label(value, fraction, ticks) if is_major else ("", "")
                ticks.append(Tick(fraction, *label, major=is_major))
    return tuple(sorted(ticks, key=lambda tick: tick.fraction))


def _label(value: float, fraction: float, placed: list[Tick]) -> tuple[str, str]:
    if any(tick.label and abs(tick.fraction - fraction) < _MIN_LABEL_GAP for tick in placed):
        return "", ""
    if value == 0:
        return "0", ""
    return ("−" if value < 0 else "") + "10", str(round(np.log10(abs(value))))


def close_axis(dim: str, low: float, high: float, transform: Mapping[str, Any] | None) -> Axis:
    """Axis over a stretch too short for decades: about four round linear intensities, on the gate's scale."""
    scale = transform_from_dict(dict(transform)) if transform else Linear()
    bottom, top = (float(x) for x in scale.inverse([low, high]))
    step = _nice((top - bottom) / 4)
    values = np.arange(np.ceil(bottom / step), np.floor(top / step) + 1) * step
    fractions = (scale.apply(values) - low) / (high - low)
    ticks: list[Tick] = []
    for fraction, value in zip(fractions[::-1], values[::-1], strict=True):
        # From the top down: on these scales round numbers crowd at the upper end or not at all.
        if not ticks or ticks[-1].fraction - fraction >= 0.1:
            ticks.append(Tick(float(fraction), f"{value:,.6g}".replace("-", "−")))
    return Axis(dim, low, high, tuple(reversed(ticks)))


def log_axis(title: str, low: float, high: float, most: int = 7) -> Axis:
    """A logarithmic axis over positive values `low` to `high`, widened to leave air at both ends.

    `low` and `high` of the result are log10 of the unit, so `fraction` takes log10 of the values. Labels
    stand at as many round numbers a decade as give no more than `most` of them.
    """
    bottom, top = np.log10(low), np.log10(high)
    air = max(0.06 * (top - bottom), 0.06)
    bottom, top = float(bottom - air), float(top + air)
    powers = range(int(np.floor(bottom)), int(np.ceil(top)) + 1)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        values = [n * 10.0**k for k in powers for n in steps if bottom <= np.log10(n * 10.0**k) <= top]
        if len(values) <= most:
            break
    ticks = tuple(Tick(float((np.log10(v) - bottom) / (top - bottom)), f"{v:g}") for v in values)
    return Axis(title, bottom, top, ticks)
