"""What goes wrong while a tube runs: clogs, bursts, drift, bubbles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "Acquisition", "Disturbance", "acquire"]

KINDS = ("clog", "burst", "drift", "bubble")
GRID = 4_000  # steps of the time axis on which the flow rate is set
DRIFT_TOLERANCE = 0.04  # decades; below it a drifting event counts as undisturbed


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One disturbed stretch of a tube's acquisition.

    Parameters
    ----------
    kind : ``clog`` (rate falls to a fifth, signals fall and wobble), ``burst`` (rate rises threefold, signals
        blur), ``drift`` (signals slide until the end of the tube), ``bubble`` (a gap, then an unstable stream
        that recovers).
    share : share of the acquisition time, 0 to 1.
    start : where it starts, as a share of the time; None draws it (a drift always ends with the tube).
    strength : factor on the size of all its effects.
    """

    kind: str
    share: float = 0.08
    start: float | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            msg = f"no disturbance {self.kind!r}; there are {', '.join(KINDS)}"
            raise ValueError(msg)
        if not 0 < self.share < 1:
            msg = f"share of a disturbance is {self.share:g}; expected between 0 and 1"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Acquisition:
    """When each event came and how the stream stood then; arrays of shape (n,).

    Parameters
    ----------
    seconds : time since the start, ascending.
    fluorescence : shift of all fluorescence, decades.
    scatter : shift of scatter, decades.
    blur : SD of a further error of every signal, decades.
    disturbed : whether the event lies in a disturbed stretch (for a drift: beyond 0.04 decades).
    """

    seconds: NDArray[np.float64]
    fluorescence: NDArray[np.float64]
    scatter: NDArray[np.float64]
    blur: NDArray[np.float64]
    disturbed: NDArray[np.bool_]


def acquire(rng: np.random.Generator, n: int, rate: float, disturbances: Sequence[Disturbance]) -> Acquisition:
    """Arrival times of `n` events and the state of the stream at each.

    Parameters
    ----------
    rng : source of randomness.
    n : number of events.
    rate : events per second where nothing is wrong.
    disturbances : stretches that go wrong; where they overlap their shifts add up.
    """
    grid = (np.arange(GRID) + 0.5) / GRID
    flow, state, disturbed = np.ones(GRID), np.zeros((3, GRID)), np.zeros(GRID, dtype=bool)
    for disturbance in disturbances:
        inside, progress = _stretch(rng, grid, disturbance)
        flow[inside] *= _flow(disturbance.kind, progress)
        effect = disturbance.strength * _effect(rng, disturbance.kind, progress)
        state[:, inside] += effect
        far = np.abs(effect[0]) > DRIFT_TOLERANCE
        disturbed[inside] |= far if disturbance.kind == "drift" else True
    cumulative = np.concatenate([[0.0], np.cumsum(flow) / flow.sum()])
    share = np.interp(np.sort(rng.random(n)), cumulative, np.linspace(0.0, 1.0, GRID + 1))
    step = np.minimum((share * GRID).astype(np.intp), GRID - 1)
    duration = n / rate / flow.mean()
    return Acquisition(share * duration, state[0, step], state[1, step], state[2, step], disturbed[step])


def _stretch(
    rng: np.random.Generator, grid: NDArray[np.float64], disturbance: Disturbance
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which steps lie inside, and how far through the stretch each of them is (0 to 1)."""
    drawn = rng.uniform(0.05, max(0.05, 0.95 - disturbance.share))
    start = drawn if disturbance.start is None else disturbance.start
    if disturbance.kind == "drift":
        start = 1.0 - disturbance.share
    inside = (grid >= start) & (grid < start + disturbance.share)
    return inside, (grid[inside] - start) / disturbance.share


def _flow(kind: str, progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor on the flow rate."""
    if kind == "bubble":
        return np.where(progress < 0.25, 0.02, 0.8)
    return np.full(progress.shape, {"clog": 0.2, "burst": 3.0, "drift": 1.0}[kind])


def _effect(rng: np.random.Generator, kind: str, progress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift of fluorescence, shift of scatter, and blur, in decades, shape (3, steps)."""
    wobble = 0.05 * np.sin(2 * np.pi * (progress * rng.uniform(1.5, 4.0) + rng.random()))
    flat = np.ones(progress.shape)
    if kind == "clog":
        return np.stack([-0.25 * flat + wobble, -0.12 * flat + wobble / 2, 0.05 * flat])
    if kind == "burst":
        return np.stack([-0.12 * flat, -0.06 * flat, 0.12 * flat])
    if kind == "drift":
        return np.stack([-0.30 * progress, -0.05 * progress, 0.0 * flat])
    recovery = np.exp(-2.0 * progress)
    return np.stack([-0.40 * recovery, -0.25 * recovery, 0.20 * recovery])
