"""Gates on hand-sized arrays: which side of a bound an event lies on."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treg_gating.gating.gates import (
    Ellipse,
    Gate,
    HalfPlane,
    Interval,
    Polygon,
    Rectangle,
    gate_from_dict,
    gate_to_dict,
)

SQUARE = Polygon(("x", "y"), ((0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)))
GATES: list[Gate] = [
    Interval(("x",), 0.25),
    Interval(("x",), -1.0, 0.5),
    Rectangle(("x", "y"), (-np.inf, 0.1), (0.5, np.inf)),
    SQUARE,
    Ellipse(("x", "y"), (0.5, -0.5), ((2.0, 0.6), (0.6, 1.0)), 5.99),
    HalfPlane(("x", "y"), (0.6, -0.8), 0.1),
]


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_interval_holds_its_lower_bound_and_not_its_upper() -> None:
    inside = Interval(("x",), 1.0, 2.0).contains(column(0.999, 1.0, 1.5, 2.0, np.nan, np.inf, -np.inf))
    assert inside.tolist() == [False, True, True, False, False, False, False]


def test_interval_open_to_one_side() -> None:
    values = column(-np.inf, -1e300, 0.0, 1e300, np.inf, np.nan)
    assert Interval(("x",), low=0.0).contains(values).tolist() == [False, False, True, True, False, False]
    assert Interval(("x",), high=0.0).contains(values).tolist() == [True, True, False, False, False, False]


def test_bounds_are_compared_in_double_precision() -> None:
    # 0.7 in single precision is 0.699999988: outside [0.7, 1), also when the array is float32.
    single = np.array([[0.7, 0.7]], dtype=np.float32)
    double = single.astype(np.float64)
    gates = [
        Interval(("x",), 0.7, 1.0),
        Rectangle(("x", "y"), (0.7, 0.0), (1.0, 1.0)),
        HalfPlane(("x", "y"), (1.0, 0.0), 0.7),
        Polygon(("x", "y"), ((0.7, 0.0), (1.0, 0.0), (1.0, 1.0), (0.7, 1.0))),
    ]
    for gate in gates:
        n = len(gate.dims)
        assert gate.contains(single[:, :n]).tolist() == [False], gate
        assert gate.contains(double[:, :n]).tolist() == [False], gate


def test_rectangle_bounds() -> None:
    events = np.array([[0, 0], [1, 1], [0, 1], [0.5, 0.999], [np.nan, 0.5], [0.5, np.nan]])
    inside = Rectangle(("x", "y"), (0.0, 0.0), (1.0, 1.0)).contains(events)
    assert inside.tolist() == [True, False, False, True, False, False]


def test_rectangle_of_three_dimensions() -> None:
    gate = Rectangle(("x", "y", "z"), (0, 0, 0), (1, 1, 1))
    assert gate.contains(np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 1.5]])).tolist() == [True, False]


def test_polygon_inside_outside_and_missing() -> None:
    events = np.array([[1, 1], [3, 1], [-1, 1], [1, 3], [1, -1], [np.nan, 1], [1, np.nan], [np.inf, 1], [1, -np.inf]])
    assert SQUARE.contains(events).tolist() == [True] + [False] * 8


def test_polygon_vertices_and_edges_belong_to_one_of_two_neighbours() -> None:
    # Tiles of a plane: every point, corners and edges included, lies in exactly one of them.
    tiles = [
        Polygon(("x", "y"), ((a, b), (a + 1, b), (a + 1, b + 1), (a, b + 1)))
        for a in range(-1, 3)
        for b in range(-1, 3)
    ]
    grid = np.array([(x, y) for x in (0.0, 0.5, 1.0, 1.5) for y in (0.0, 0.5, 1.0, 1.5)])
    counts = sum(tile.contains(grid).astype(int) for tile in tiles)
    assert np.asarray(counts).tolist() == [1] * len(grid)


def test_polygon_crossing_itself_is_even_odd() -> None:
    # A five-pointed star drawn in one stroke: its middle is crossed twice and lies outside.
    angles = np.deg2rad(90 + 144 * np.arange(5))
    star = Polygon(("x", "y"), tuple((float(np.cos(a)), float(np.sin(a))) for a in angles))
    events = np.array([[0.0, 0.0], [0.0, 0.8], [0.0, -0.9]])
    assert star.contains(events).tolist() == [False, True, False]


def test_polygon_does_not_depend_on_where_it_starts_or_which_way_it_turns() -> None:
    corners = ((0.0, 0.0), (4.0, 1.0), (3.0, 5.0), (2.0, 2.0), (-1.0, 3.0))
    events = np.random.default_rng(1).uniform(-2, 6, (2000, 2))
    expected = Polygon(("x", "y"), corners).contains(events)
    assert 0 < expected.sum() < len(events)
    for turned in (corners[2:] + corners[:2], corners[::-1]):
        np.testing.assert_array_equal(Polygon(("x", "y"), turned).contains(events), expected)


def test_polygon_area_by_counting_a_grid() -> None:
    triangle = Polygon(("x", "y"), ((0.0, 0.0), (10.0, 0.0), (0.0, 10.0)))
    at = np.arange(0.05, 10, 0.1)
    grid = np.array([(x, y) for x in at for y in at])
    assert triangle.contains(grid).sum() == pytest.approx(5000, abs=60)


def test_ellipse_edge_belongs_to_it() -> None:
    circle = Ellipse(("x", "y"), (1.0, 0.0), ((1.0, 0.0), (0.0, 1.0)), 4.0)
    events = np.array([[1, 0], [3, 0], [1, 2], [3.0001, 0], [np.nan, 0], [1, np.inf]])
    with np.errstate(invalid="ignore"):
        assert circle.contains(events).tolist() == [True, True, True, False, False, False]


def test_ellipse_against_the_quadratic_form_written_out() -> None:
    gate = Ellipse(("x", "y"), (0.5, -0.5), ((2.0, 0.6), (0.6, 1.0)), 3.0)
    events = np.random.default_rng(2).normal(size=(500, 2)) * 2
    dx, dy = events[:, 0] - 0.5, events[:, 1] + 0.5
    determinant = 2.0 * 1.0 - 0.6**2
    distance = (1.0 * dx**2 - 2 * 0.6 * dx * dy + 2.0 * dy**2) / determinant
    np.testing.assert_array_equal(gate.contains(events), distance <= 3.0)


def test_half_plane_edge_belongs_to_it() -> None:
    gate = HalfPlane(("x", "y"), (0.0, -1.0), -1.0)  # y ≤ 1
    events = np.array([[5, 1], [5, 1.1], [-5, 0], [np.nan, 0], [0, np.nan]])
    assert gate.contains(events).tolist() == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Interval(("x",), 1.0, 1.0), "not below"),
        (lambda: Interval(("x",), np.nan, 1.0), "not below"),
        (lambda: Interval(("x", "y"), 0.0, 1.0), "takes 1 dimension"),
        (lambda: Rectangle(("x", "y"), (0.0, 2.0), (1.0, 1.0)), "not below"),
        (lambda: Rectangle(("x", "y"), (0.0,), (1.0, 1.0)), "do not fit"),
        (lambda: Rectangle(("x",), (0.0,), (1.0,)), "do not fit"),
        (lambda: Polygon(("x", "y"), ((0, 0), (1, 1))), "at least 3"),
        (lambda: Polygon(("x", "y"), ((0, 0), (1, 1), (np.inf, 0))), "finite"),
        (lambda: Ellipse(("x", "y"), (0, 0), ((1.0, 2.0), (2.0, 1.0)), 1.0), "positive definite"),
        (lambda: Ellipse(("x", "y"), (0, 0), ((1.0, 0.5), (0.0, 1.0)), 1.0), "symmetric"),
        (lambda: Ellipse(("x", "y"), (0, np.nan), ((1.0, 0.0), (0.0, 1.0)), 1.0), "finite"),
        (lambda: Ellipse(("x", "y"), (0, 0), ((1.0, np.nan), (np.nan, 1.0)), 1.0), "finite"),
        (lambda: Ellipse(("x", "y"), (0, 0), ((1.0, 0.0), (0.0, 1.0)), 0.0), "positive"),
        (lambda: Ellipse(("x", "y"), (0,), ((1.0, 0.0), (0.0, 1.0)), 1.0), "do not fit"),
        (lambda: HalfPlane(("x", "y"), (1.0, 1.0), 0.0), "unit vector"),
        (lambda: HalfPlane(("x", "y"), (1.0, 0.0), np.nan), "not finite"),
    ],
)
def test_numbers_that_make_no_gate_are_refused(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: type(gate).__name__)
def test_every_gate_comes_back_from_json_and_pickle(gate: Gate) -> None:
    assert gate_from_dict(gate_to_dict(gate)) == gate
    assert gate_from_dict(json.loads(json.dumps(gate_to_dict(gate)))) == gate
    assert pickle.loads(pickle.dumps(gate)) == gate


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: type(gate).__name__)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 60))
def test_order_is_irrelevant_and_input_is_not_written_to(gate: Gate, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    events = rng.normal(size=(n, len(gate.dims)))
    events[rng.random(n) < 0.1] = np.nan
    events.setflags(write=False)
    before, order = events.copy(), rng.permutation(n)
    inside = gate.contains(events)
    assert inside.shape == (n,)
    assert inside.dtype == bool
    np.testing.assert_array_equal(gate.contains(events[order]), inside[order])
    np.testing.assert_array_equal(events, before)
    assert not inside[np.isnan(events).any(axis=1)].any()
