"""Cuts that hold what the mixture expects, on arrays checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import Binned
from treg_gating.gating.boundary import balanced_line, balanced_threshold, best_boundary

VALUES = np.arange(10, dtype=float)  # 0 to 9
TOP_THREE = (VALUES >= 7).astype(float)


def test_threshold_holds_the_expected_number() -> None:
    cut, error = balanced_threshold(VALUES, TOP_THREE, 3.0)
    assert cut == 6.5
    assert (cut <= VALUES).sum() == 3
    assert error > 0


def test_threshold_makes_up_for_what_the_parent_lost() -> None:
    # Five are expected in all, three of them in the parent: the cut lets two others in.
    cut, _ = balanced_threshold(VALUES, TOP_THREE, 5.0)
    assert (cut <= VALUES).sum() == 5


def test_a_parent_a_little_short_is_taken_whole_and_one_far_short_is_refused() -> None:
    cut, _ = balanced_threshold(VALUES, np.ones(10), 10.9)
    assert (cut <= VALUES).all()
    with pytest.raises(GateFitError, match=r"expects 12\.0 events of the population; the parent holds 10"):
        balanced_threshold(VALUES, np.ones(10), 12.0)
    with pytest.raises(GateFitError, match=r"expects 0\.5 events"):
        balanced_threshold(VALUES, TOP_THREE, 0.5)


def test_line_holds_the_expected_number() -> None:
    data = Binned(np.column_stack([VALUES, 9 - VALUES]), np.ones(10))
    normal = np.array([1.0, -1.0]) / np.sqrt(2)
    offset, _ = balanced_line(data, TOP_THREE, normal)
    assert ((data.points @ normal) >= offset).sum() == 3


def test_best_line_separates_what_can_be_separated() -> None:
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.normal([0.3, 0.6], 0.05, (900, 2)), rng.normal([0.6, 0.3], 0.05, (100, 2))])
    wanted = np.repeat([0.0, 1.0], [900, 100])
    best = best_boundary(Binned(points, np.ones(1000)), wanted, np.array([1.0, -1.0]))
    inside = points @ np.array(best.normal) >= best.offset
    assert best.f1 > 0.99
    assert inside[900:].mean() > 0.98
    assert best.normal[0] > 0 > best.normal[1]
