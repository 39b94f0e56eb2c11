"""The side of the bulk that is turned away from the population: made normal, and what a mixture gains by it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import Binned, bin_events
from treg_gating.gating.far_side import FarSide, evened, moved
from treg_gating.gating.mixture import Mixture, expectation
from treg_gating.gating.mixture_fit import fit_mixture


def skewed(rng: np.random.Generator, n: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A peak at 0.30 whose bright side has an SD of 0.05, and whose dark side is three times as wide."""
    half = np.abs(rng.normal(0, 0.05, n))
    return 0.30 + np.where(rng.random(n) < 0.25, half, -3 * half)


def test_by_hand() -> None:
    # The peak is at 0.50 with 400 of 1,000 on either side; its bright side is a step wide.
    places = np.array([0.10, 0.30, 0.40, 0.50, 0.60])
    side = FarSide.of(places, np.array([100.0, 100.0, 200.0, 1000.0, 400.0]), 1.0)
    assert side.knots == pytest.approx([0.10, 0.30, 0.40, 0.50])
    width = (0.50 - side.values[0]) / -norm.ppf(50 / 900 / 2)  # ranks: the middle of 100 of 900 in the dark half
    assert side.values[1] == pytest.approx(0.50 + width * norm.ppf(150 / 900 / 2))
    assert side.values[2] == pytest.approx(0.50 + width * norm.ppf(300 / 900 / 2))
    assert 0.0099 <= width <= 0.03
    assert side(np.array([0.50, 0.55, 9.0])).tolist() == [0.50, 0.55, 9.0]  # towards the population nothing moves
    assert side(np.array([-1.0]))[0] == pytest.approx(side.values[0])  # beyond the last event


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_skewed_bulk_becomes_normal_as_wide_as_its_near_side(sign: float) -> None:
    values = sign * skewed(np.random.default_rng(1), 40_000)
    side = FarSide.of(values, np.ones(len(values)), sign)
    after = side(values)
    assert (np.diff(after[np.argsort(values)]) >= 0).all()  # monotone
    along = sign * after
    far = along[along < side.values[-1]]
    assert side.values[-1] == pytest.approx(0.30, abs=0.02)
    assert np.sqrt(np.mean((far - side.values[-1]) ** 2)) == pytest.approx(0.06, abs=0.01)  # it was 0.15


def test_one_event_and_equal_events() -> None:
    for values in (np.array([0.4]), np.full(50, 0.4)):
        assert FarSide.of(values, np.ones(len(values)), 1.0)(values) == pytest.approx(values, abs=0.011)


def test_a_tube_without_a_finite_event_is_refused_with_a_reason() -> None:
    for events in (np.full((300, 2), np.nan), np.empty((0, 2))):
        with pytest.raises(GateFitError, match="no event has a number on every marker"):
            evened(bin_events(events, 0.02), np.array([1.0, -1.0]))


def test_context_stays_and_counts_stay() -> None:
    rng = np.random.default_rng(2)
    events = np.column_stack([skewed(rng, 5000), -skewed(rng, 5000), rng.normal(0.5, 0.2, 5000)])
    data = Binned(events, np.ones(5000))
    even, sides = evened(data, np.array([1.0, -1.0]))
    assert even.counts is data.counts
    assert even.points[:, 2].tolist() == events[:, 2].tolist()
    assert moved(events, sides).tolist() == even.points.tolist()
    assert np.std(even.points[:, 0]) < np.std(events[:, 0])


def test_a_dim_population_beside_a_skewed_bulk_is_counted() -> None:
    """Simulated truth: 5 % of the events lie three and a half SDs from a bulk that is wider on its dark side."""
    rng = np.random.default_rng(4)
    bulk = np.column_stack([skewed(rng, 19_000), skewed(rng, 19_000)])
    population = rng.normal([0.475, 0.475], 0.06, (1_000, 2))
    data = bin_events(np.concatenate([bulk, population]), 0.02)
    start = Mixture(
        np.array([[0.3, 0.3], [0.48, 0.48]]), np.repeat(0.06**2 * np.eye(2)[None], 2, 0), np.ones(2) / 2, 30
    )

    def share(events: Binned) -> float:
        found = fit_mixture(events, start, floor=0.01, tie=0.3)
        return float(events.counts @ expectation(found, events.points)[0][:, 1]) / events.total

    raw, even = share(data), share(evened(data, np.array([1.0, 1.0]))[0])
    assert even == pytest.approx(0.05, rel=0.10)
    assert abs(raw - 0.05) > 2 * abs(even - 0.05)
