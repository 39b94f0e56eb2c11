"""Cuts that hold what the mixture expects, on arrays checked by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import Binned
from treg_gating.gating.boundary import (
    Boundary,
    _by_trend,
    balanced_line,
    balanced_threshold,
    best_boundary,
    cut_deviation,
    generous_line,
)

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
VALUES = np.arange(10, dtype=float)  # 0 to 9
TOP_THREE = (VALUES >= 7).astype(float)


def deviation(values: Array, posterior: Array) -> Callable[[float], float]:
    return partial(cut_deviation, values, np.ones(len(values)), posterior)


def test_threshold_holds_the_expected_number() -> None:
    cut, error = balanced_threshold(VALUES, 3.0, deviation(VALUES, TOP_THREE))
    assert cut == 6.5
    assert (cut <= VALUES).sum() == 3
    assert error > 0


def test_threshold_makes_up_for_what_the_parent_lost() -> None:
    # Five are expected in all, three of them in the parent: the cut lets two others in.
    cut, _ = balanced_threshold(VALUES, 5.0, deviation(VALUES, TOP_THREE))
    assert (cut <= VALUES).sum() == 5


def test_a_parent_a_little_short_is_taken_whole_and_one_far_short_is_refused() -> None:
    cut, _ = balanced_threshold(VALUES, 10.9, deviation(VALUES, np.ones(10)))
    assert (cut <= VALUES).all()
    with pytest.raises(GateFitError, match=r"expects 12\.0 events of the population; the parent holds 10"):
        balanced_threshold(VALUES, 12.0, deviation(VALUES, np.ones(10)))
    with pytest.raises(GateFitError, match=r"expects 0\.5 events"):
        balanced_threshold(VALUES, 0.5, deviation(VALUES, TOP_THREE))


def test_the_sampling_error_of_a_cut_by_hand() -> None:
    """Of 200 events that are of the population one time in two, one a gate unit: ±√(200 / 4) events, as many units."""
    values = np.arange(1000.0)
    posterior = np.select([values >= 600, values >= 400], [1.0, 0.5], 0.0)
    cut, error = balanced_threshold(values, 500.0, deviation(values, posterior))
    assert cut == 499.5
    assert error == pytest.approx(np.sqrt(50), abs=0.6)
    on_line = balanced_line(Binned(np.column_stack([values, values]), np.ones(1000)), posterior, np.array([1.0, 0.0]))
    assert on_line == pytest.approx((499.5, np.sqrt(50)), abs=0.6)
    drawn = np.random.default_rng(1).poisson(1.0, (400, 1000))
    cuts = [values[::-1][np.searchsorted(np.cumsum(draw[::-1]), draw @ posterior)] for draw in drawn]
    assert error == pytest.approx(np.std(cuts), rel=0.15)


def test_events_that_are_alike_on_the_marker_and_differ_beside_it_are_unsure_each_by_itself() -> None:
    """By hand: 0, ½ and 1 above a cut are off by 1, ½ and 0, and below it by 0, ½ and 1, whatever their mean is."""
    places, counts, posterior = np.repeat([1.0, 3.0], 3), np.full(6, 4.0), np.tile([0.0, 0.5, 1.0], 2)
    assert cut_deviation(places, counts, posterior, 2.0) == pytest.approx(np.sqrt(2 * 4 * 1.25))
    # A quarter of a bin that is 2 wide lies above a cut at its middle and half a unit more.
    assert cut_deviation(np.array([3.0]), np.array([8.0]), np.array([0.9]), 3.5, 2.0) == (
        pytest.approx(np.sqrt(2 * 0.1**2 + 6 * 0.9**2))
    )


def test_line_holds_the_expected_number() -> None:
    data = Binned(np.column_stack([VALUES, 9 - VALUES]), np.ones(10))
    normal = np.array([1.0, -1.0]) / np.sqrt(2)
    offset, _ = balanced_line(data, TOP_THREE, normal)
    assert ((data.points @ normal) >= offset).sum() == 3


def test_a_line_whose_number_is_unsure_is_unsure_by_where_those_events_lie() -> None:
    places = np.arange(0, 1, 0.01) + 0.005  # 500 events a gate unit
    data = Binned(np.column_stack([places, np.zeros(100)]), np.full(100, 5.0))
    wanted, normal = (places > 0.7).astype(float), np.array([1.0, 0.0])
    offset, sampling = balanced_line(data, wanted, normal)
    same, error = balanced_line(data, wanted, normal, unsure=50)
    assert same == offset == pytest.approx(0.7)
    assert error == pytest.approx(np.hypot(sampling, 0.1))


def test_best_line_separates_what_can_be_separated() -> None:
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal([0.3, 0.6], 0.05, (900, 2)), rng.normal([0.6, 0.3], 0.05, (100, 2))])
    wanted = np.repeat([0.0, 1.0], [900, 100])
    best = best_boundary(Binned(points, np.ones(1000)), wanted, np.array([1.0, -1.0]))
    inside = points @ np.array(best.normal) >= best.offset
    assert best.f1 > 0.99
    assert inside[900:].mean() > 0.98
    assert best.normal[0] > 0 > best.normal[1]


def test_generous_line_keeps_the_share_asked_for() -> None:
    """For 90 % of a normal population the cut lies 1.2816 SD below its middle, give or take √(p q / n) / density."""
    rng = np.random.default_rng(5)
    points = np.concatenate([rng.normal([0.2, 0.5], 0.05, (5000, 2)), rng.normal([0.6, 0.5], 0.05, (1000, 2))])
    wanted = np.repeat([0.0, 1.0], [5000, 1000])
    normal = np.array([1.0, 0.0])
    offset, error = generous_line(Binned(points, np.ones(6000)), wanted, normal, 0.9)
    assert ((points[:, 0] >= offset) & (wanted > 0)).sum() == pytest.approx(900, abs=2)
    assert error == pytest.approx(np.sqrt(0.9 * 0.1 / 1000) * 0.05 / 0.17550, rel=0.2)
    assert abs(offset - (0.6 - 1.2816 * 0.05)) < 4 * error
    with pytest.raises(GateFitError, match="no event of the population"):
        generous_line(Binned(points, np.ones(6000)), np.zeros(6000), normal, 0.9)


def test_of_lines_as_good_the_least_generous_is_taken() -> None:
    def lines(*f1: float) -> list[Boundary]:
        return [Boundary((1.0, 0.0), 0.0, recall, value) for recall, value in zip((0.9, 0.95, 0.99), f1, strict=True)]

    assert _by_trend([lines(0.80, 0.849, 0.850)] * 5).recall == 0.95
    assert _by_trend([lines(0.80, 0.840, 0.850)] * 5).recall == 0.99
    # One angle that stands out by chance does not decide against its neighbours.
    rows = [lines(0.80, value, 0.70) for value in (0.80, 0.82, 0.85, 0.86, 0.85, 0.83, 0.80)]
    rows.insert(0, lines(0.80, 0.861, 0.70))
    assert _by_trend(rows) is rows[4][1]
