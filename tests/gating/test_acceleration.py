"""Fixed points in fewer steps, on maps whose fixed points are known."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.gating.acceleration import Acceleration

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
HALVES = np.array([[0.9, 0.3], [0.0, 0.5]])


def linear(x: Array) -> Array:
    """Two iterations that share nothing: one about (1, 2), the other about (−3, 5)."""
    fixed = np.array([[1.0, 2.0], [-3.0, 5.0]])
    return fixed + (x - fixed) @ HALVES.T


def test_of_a_linear_map_of_two_numbers_the_fourth_place_is_the_fixed_point() -> None:
    """By hand: two differences between steps span the plane, so that the step without length is found exactly."""
    further, x = Acceleration(np.ones((2, 2))), np.array([[10.0, -4.0], [7.0, 7.0]])
    for _ in range(3):
        x = further(x, linear(x), np.zeros(2))
    assert x == pytest.approx(np.array([[1.0, 2.0], [-3.0, 5.0]]), abs=2e-3)  # but for the ridge


def test_the_first_place_is_where_the_first_step_ends() -> None:
    further, x = Acceleration(np.ones((2, 2))), np.zeros((2, 2))
    with pytest.raises(ValueError, match="no step"):
        _ = further.reached
    np.testing.assert_array_equal(further(x, linear(x), np.zeros(2)), linear(x))


def test_an_iteration_whose_value_falls_goes_back_alone_and_forgets() -> None:
    further, x = Acceleration(np.ones((2, 2))), np.array([[10.0, -4.0], [7.0, 7.0]])
    for value in (0.0, 1.0):
        before = linear(x)
        x = further(x, before, np.full(2, value))
    after = further(x, linear(x), np.array([2.0, 0.5]))
    np.testing.assert_array_equal(after[1], before[1])
    np.testing.assert_array_equal(further.reached[1], before[1])
    assert after[0] == pytest.approx([1.0, 2.0], abs=2e-3)
    for value in (3.0, 4.0, 5.0):
        after = further(after, linear(after), np.full(2, value))
    assert after[1] == pytest.approx([-3.0, 5.0], abs=2e-3)  # learnt anew


def test_on_a_map_that_has_moved_what_was_learnt_still_counts() -> None:
    """By hand: the slope is known from three steps on the map before, so that one step more finds the new place."""
    further, x = Acceleration(np.ones((2, 2))), np.array([[10.0, -4.0], [7.0, 7.0]])
    for _ in range(3):
        x = further(x, linear(x), np.zeros(2))
    further.again()
    x = further(x, linear(x) + 1.0, np.full(2, -9.0))  # a lower value on another map is no step back
    assert x == pytest.approx(linear(x) + 1.0, abs=1e-2)


def test_steps_that_no_longer_differ_end_quietly() -> None:
    further, x = Acceleration(np.ones((1, 2))), np.array([[1.0, 2.0]])
    for _ in range(4):
        x = further(x, x.copy(), np.zeros(1))
    np.testing.assert_array_equal(x, [[1.0, 2.0]])
