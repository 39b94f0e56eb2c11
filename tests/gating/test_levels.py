"""Levels in single precision decide over most events, and never against the gate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from treg_gating.gating.axes import Axis, mask_and_undecided, mask_of, undecided
from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Polygon
from treg_gating.gating.levels import levels_of
from treg_gating.transforms import Asinh, Linear, Logicle, Transform

N = 50_000
HARD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, -3e38, 1e-40]


def columns(seed: int) -> dict[str, np.ndarray]:
    """Scatter of cells, with every pair of the values that are hard among them."""
    rng = np.random.default_rng(seed)
    made = {"A": rng.normal(90_000, 25_000, N), "B": rng.normal(70_000, 20_000, N)}
    made["B"] += 0.4 * made["A"]
    for column, hard in zip(made.values(), np.meshgrid(HARD, HARD), strict=True):
        column[: hard.size] = hard.ravel()
    return {name: column.astype("f4") for name, column in made.items()}


def axes_of(values: dict[str, np.ndarray], transform: Transform) -> dict[str, Axis]:
    return {name: Axis(column.__getitem__, transform) for name, column in values.items()}


def exact(gate: Gate, values: dict[str, np.ndarray], transform: Transform) -> np.ndarray:
    points = np.column_stack([transform.apply(values[name]) for name in gate.dims])
    with np.errstate(invalid="ignore"):
        return gate.contains(points)


def ellipse_through(event: int, values: dict[str, np.ndarray], transform: Transform, rng: np.random.Generator) -> Gate:
    """One whose edge is an event."""
    points = np.column_stack([transform.apply(values[name]) for name in "AB"])
    spread = np.ptp(points[100:], axis=0) / 8
    correlation = rng.uniform(-0.9, 0.9)
    covariance = np.outer(spread, spread) * np.array([[1, correlation], [correlation, 1]])
    mean = np.median(points[100:], axis=0) + rng.normal(0, 0.3, 2) * spread
    apart = points[event] - mean
    square = float(apart @ np.linalg.inv(covariance) @ apart)
    return Ellipse(("A", "B"), tuple(mean.tolist()), tuple(map(tuple, covariance.tolist())), square)


def triangle_through(event: int, values: dict[str, np.ndarray], transform: Transform, rng: np.random.Generator) -> Gate:
    """A wedge with its corners on three events, one of them twice, as the gate of singlets may have."""
    points = np.column_stack([transform.apply(values[name]) for name in "AB"])
    chosen = [points[event], *points[rng.integers(100, N, 2)]]
    return Polygon(("A", "B"), tuple(tuple(corner.tolist()) for corner in (*chosen, chosen[0])))


@pytest.mark.parametrize("transform", [Linear(), Logicle(w=0.6), Asinh()], ids=str)
@pytest.mark.parametrize("make", [ellipse_through, triangle_through])
def test_gates_through_events_flip_none(make: Callable[..., Gate], transform: Transform) -> None:
    values, rng = columns(1), np.random.default_rng(2)
    axes = axes_of(values, transform)
    told = 0
    for event in range(200, 230):
        gate = make(event, values, transform, rng)
        told += levels_of(gate, (transform, transform)) is not None
        np.testing.assert_array_equal(mask_of(gate, axes, np.arange(N)), exact(gate, values, transform))
    assert told >= 25, "single precision takes part"


def test_few_events_are_asked_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    values = columns(3)
    gate = ellipse_through(300, values, Linear(), np.random.default_rng(4))
    asked: list[int] = []
    contains = Ellipse.contains
    monkeypatch.setattr(
        Ellipse, "contains", lambda self, events: (asked.append(len(events)), contains(self, events))[1]
    )
    mask_of(gate, axes_of(values, Linear()), np.arange(N))
    assert sum(asked) < N / 50


@pytest.mark.parametrize(
    "vertices",
    [
        ((0, 0), (2, 0), (1, 0.5), (0, 2)),  # a corner points inwards
        ((0, 0), (2, 2), (2, 0), (0, 2)),  # edges cross
        ((0, 0), (1, 1), (2, 2)),  # holds nothing
        ((0, 0), (2, 0), (2, 2), (0, 2), (0, 0), (2, 0), (2, 2), (0, 2)),  # turns round twice, and so holds nothing
        ((0, 0), (100_000, 1), (100_000, 2)),  # too flat
    ],
)
def test_other_polygons_are_asked_themselves(vertices: tuple[tuple[float, float], ...]) -> None:
    assert levels_of(Polygon(("A", "B"), vertices), (Linear(), Linear())) is None


def test_an_ellipse_that_is_small_for_where_it_lies_is_asked_itself() -> None:
    gate = Ellipse(("A", "B"), (1e8, 1e8), ((1.0, 0.0), (0.0, 1.0)), 1.0)
    assert levels_of(gate, (Linear(), Linear())) is None


@pytest.mark.parametrize("transform", [Linear(), Logicle(w=0.6)], ids=str)
def test_gates_that_move_disagree_on_none_but_the_undecided(transform: Transform) -> None:
    values, rng = columns(5), np.random.default_rng(6)
    axes = axes_of(values, transform)
    middle = ellipse_through(400, values, transform, rng)
    assert isinstance(middle, Ellipse)
    cut = float(np.median(transform.apply(values["A"][100:])))
    width = 0.02 * float(np.ptp(transform.apply(values["A"][100:])))
    wider = Ellipse(middle.dims, middle.mean, middle.covariance, middle.distance_square * 1.1)
    families: list[list[Gate]] = [
        [middle, wider],
        [Interval(("A",), cut, np.inf), Interval(("A",), cut - width, np.inf)],
        [Interval(("A",), cut, cut + 5 * width), Interval(("A",), cut + width, cut + 6 * width)],
    ]
    if not isinstance(transform, Linear):
        families.append([HalfPlane(("A", "B"), (0.6, -0.8), at) for at in (-0.2 * cut, -0.2 * cut + width)])
    for gates in families:
        may = undecided(gates, axes, np.arange(N))
        assert may is not None
        one, other = (exact(gate, values, transform) for gate in gates)
        assert (one != other).any()
        assert not ((one != other) & ~may).any()
        assert may.mean() < 0.5
        for first, second in (gates, gates[::-1]):
            inside, close = mask_and_undecided(first, [second], axes, np.arange(N))
            np.testing.assert_array_equal(inside, exact(first, values, transform))
            assert close is not None
            assert not ((one != other) & ~close).any()
            assert close.mean() < 0.5
