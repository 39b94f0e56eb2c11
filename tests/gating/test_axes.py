"""The quick answers of gates are those of the exact ones, event by event."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.compensation import compensate
from treg_gating.errors import CompensationError, GateFitError
from treg_gating.gating import axes as quick
from treg_gating.gating import grids
from treg_gating.gating.axes import Axis, mask_of
from treg_gating.gating.bins import bin_events
from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Polygon, Rectangle
from treg_gating.gating.view import EventView
from treg_gating.linear_columns import LinearColumns
from treg_gating.sample import Channel, EventState, Sample, Spillover
from treg_gating.transforms import Asinh, Linear, Logicle, Transform, least_float32

N = 60_000
TRANSFORMS = [Linear(), Asinh(), Logicle(w=0.6), Logicle(w=0.0), Logicle(w=1.0, a=0.5)]


@pytest.fixture
def values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    made = {
        name: np.where(rng.random(N) < 0.5, rng.normal(0, 300, N), rng.lognormal(8, 2, N)).astype("f4") for name in "AB"
    }
    for column in made.values():
        column[:6] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38]
    return made


def both(gate: Gate, values: dict[str, np.ndarray], transform: Transform) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(0, N)
    axes = {name: Axis(column.__getitem__, transform) for name, column in values.items()}
    exact = gate.contains(np.column_stack([transform.apply(values[name]) for name in gate.dims]))
    return mask_of(gate, axes, rows), exact


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_a_bound_on_the_linear_axis_flips_no_event(values: dict[str, np.ndarray], transform: Transform) -> None:
    rng = np.random.default_rng(6)
    cuts = transform.apply(rng.choice(values["A"][6:], 40))  # cuts that are values: the hardest case
    for low, high in zip(cuts[:20], cuts[20:], strict=True):
        for gate in (
            Interval(("A",), min(low, high), max(low, high) + 1e-9),
            Interval(("B",), low),
            Interval(("A",), high=high),
            Rectangle(("A", "B"), (low, -np.inf), (np.inf, high)),
        ):
            mask, exact = both(gate, values, transform)
            np.testing.assert_array_equal(mask, exact)


def test_the_least_float32_is_the_least() -> None:
    logicle = Logicle(w=0.6)
    for cut in (0.1, 0.2, 0.5, 0.9):
        bound = least_float32(logicle, cut)
        assert bound is not None
        below = np.nextafter(np.float32(bound), np.float32(-np.inf))
        assert logicle.apply(np.float32(bound)) >= cut > logicle.apply(below)
    assert least_float32(logicle, -np.inf) == -np.inf
    assert least_float32(logicle, 1e9) is None


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_a_polygon_screened_flips_no_event(values: dict[str, np.ndarray], transform: Transform) -> None:
    rng = np.random.default_rng(7)
    for corners in (3, 4, 7, 12):
        chosen = rng.choice(N - 6, corners) + 6
        vertices = np.column_stack([transform.apply(values[name][chosen]) for name in "AB"])
        mask, exact = both(Polygon(("A", "B"), tuple(map(tuple, vertices.tolist()))), values, transform)
        np.testing.assert_array_equal(mask, exact)


def test_a_screen_asks_few_events_exactly(values: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Polygon(("A", "B"), ((0.2, 0.2), (0.8, 0.3), (0.7, 0.9), (0.1, 0.6)))
    asked = []
    contains = Polygon.contains
    monkeypatch.setattr(
        Polygon, "contains", lambda self, events: (asked.append(len(events)), contains(self, events))[1]
    )
    quick._screen.cache_clear()
    axes = {name: Axis(column.__getitem__, Logicle(w=0.6)) for name, column in values.items()}
    mask_of(gate, axes, np.arange(N))
    assert max(asked) < N / 10


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_other_gates_and_types_flip_no_event(values: dict[str, np.ndarray], transform: Transform, kind: str) -> None:
    typed = {name: np.where(np.isinf(column), 0, column).astype(kind) for name, column in values.items()}
    middle = {name: float(np.median(transform.apply(column[6:]))) for name, column in values.items()}
    spread = float(transform.apply(1e4) - transform.apply(0.0))
    ellipse = Ellipse(("A", "B"), (middle["A"], middle["B"]), ((spread**2, 0.0), (0.0, spread**2)), 0.1)
    corners = [(middle["A"] + spread * x, middle["B"] + spread * y) for x, y in ((-1, -1), (1, -0.8), (0.2, 1))]
    for gate in (ellipse, Interval(("A",), middle["A"]), Polygon(("A", "B"), tuple(corners))):
        mask, exact = both(gate, typed, transform)
        np.testing.assert_array_equal(mask, exact)
        assert 0 < mask.sum() < N


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_a_line_through_events_flips_no_event(values: dict[str, np.ndarray], transform: Transform) -> None:
    for column in values.values():
        column[np.isinf(column)] = 0
    x, y = (transform.apply(values[name]) for name in "AB")
    for at, angle in enumerate(np.linspace(0.1, 3.0, 20)):
        normal = (float(np.cos(angle)), float(np.sin(angle)))
        gate = HalfPlane(("A", "B"), normal, float(normal[0] * x[10 + at] + normal[1] * y[10 + at]))
        mask, exact = both(gate, values, transform)
        np.testing.assert_array_equal(mask, exact)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_values_for_fits_are_near(values: dict[str, np.ndarray], transform: Transform) -> None:
    axis = Axis(values["A"].__getitem__, transform)
    exact, near = axis.values(np.arange(N)), axis.near(np.arange(N))
    np.testing.assert_array_equal(np.isfinite(near), np.isfinite(exact))
    usual = np.abs(values["A"]) < 1e6
    np.testing.assert_allclose(near[usual], exact[usual], rtol=0, atol=quick.DOUBT / 5)


@pytest.mark.parametrize("order", ["C", "F"])
def test_columns_compensated_when_asked_are_those_of_the_whole(order: str) -> None:
    rng = np.random.default_rng(8)
    channels = tuple(Channel(name) for name in ("FSC-A", "D1", "D2", "D3", "Time"))
    sample = Sample(np.array(rng.lognormal(6, 1, (40_000, 5)), "f4", order=order), channels)
    matrix = Spillover(("D2", "D1", "D3"), np.array([[1, 0.2, 0.1], [0.05, 1, 0.3], [0.0, 0.1, 1]]))
    whole = compensate(sample, matrix)
    lazy = LinearColumns(sample, matrix, ["D1", "D3"])
    some, more = np.arange(100, 30_000, 3), np.arange(0, 40_000, 2)
    for rows in (some, more, some):
        for name in ("D1", "D3"):
            np.testing.assert_allclose(lazy.values(name, rows), whole.column(name)[rows], rtol=2e-7, atol=1e-4)
        np.testing.assert_array_equal(lazy.values("FSC-A", rows), sample.column("FSC-A")[rows])
    assert lazy.values("D1", some).dtype == np.float32
    with pytest.raises(CompensationError, match="not in the matrix"):
        LinearColumns(sample, matrix, ["FSC-A"])
    with pytest.raises(CompensationError, match="already"):
        LinearColumns(sample.with_events(sample.events, EventState.COMPENSATED), matrix, ["D1"])


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_values_are_counted_where_they_are(values: dict[str, np.ndarray], transform: Transform) -> None:
    """Every finite event, in order, and no farther from its place than a key is wide."""
    exact = np.sort(transform.apply(values["A"][np.isfinite(values["A"])]))
    for rows in (values["A"], values["A"][: grids.FEW - 1]):
        points, counts = grids.counted(transform, rows.__getitem__, np.arange(len(rows)))
        assert (np.diff(points) >= 0).all()
        assert counts.sum() == np.isfinite(rows).sum()
    points, counts = grids.counted(transform, values["A"].__getitem__, np.arange(N))
    found = np.repeat(points, counts)
    usual = np.abs(found) < float(transform.apply(1e6))
    limit = 1e-3 * np.abs(exact) + 1e-30 if isinstance(transform, Linear) else 3e-4
    assert (np.abs(found - exact) <= limit)[usual].all()


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_bins_told_by_a_table_are_those_of_the_values(values: dict[str, np.ndarray], transform: Transform) -> None:
    axes = {name: Axis(column.__getitem__, transform) for name, column in values.items()}
    view = EventView.of_axes(N, np.ones(N, bool), axes)
    usual = np.flatnonzero((abs(values["A"]) < 1e5) & (abs(values["B"]) < 1e5))
    whole = [] if isinstance(transform, Linear) else [(np.arange(N)[6:], 0.02), (np.arange(N), 5.0)]
    for rows, width in ((usual, 0.02), (usual, 0.07), *whole):
        found, expected = view.binned("AB", rows, width), bin_events(view.values("AB", rows), width)
        np.testing.assert_array_equal(found.points, expected.points)
        np.testing.assert_array_equal(found.counts, expected.counts)
        assert view.highest("B") == transform.apply(values["B"][np.isfinite(values["B"])].max())
    with pytest.raises(GateFitError, match="not measured"):
        view.binned("AC", usual, 0.02)


@pytest.mark.parametrize("transform", TRANSFORMS[1:], ids=str)
def test_most_cells_are_told_by_a_table(values: dict[str, np.ndarray], transform: Transform) -> None:
    usual = values["A"][abs(values["A"]) < 1e5]
    cells = grids._widths_below(transform, 0.02).take(grids.keys_of(usual))
    assert np.mean(cells == grids.ASK) < 0.05
    found = grids.widths_below(transform, usual, 0.02)
    np.testing.assert_array_equal(found, np.floor(grids.from_table(transform, usual, np.float32) / 0.02))
    assert grids.widths_below(transform, values["A"], 0.02) is None  # some are no number


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_cells_of_a_picture(values: dict[str, np.ndarray], transform: Transform) -> None:
    """As the transformed values say, but for events within a key of an edge."""
    finite = values["A"][np.isfinite(values["A"])]
    low, high = (float(transform.apply(value)) for value in (-2000.0, 262144.0))
    exact = np.clip(np.floor((transform.apply(finite) - low) * 160 / (high - low)), 0, 159)
    found = grids.placed(transform, finite, low, high, 160, 1, 160).astype(int)
    assert np.abs(found - exact).max() <= 1
    assert (found != exact).mean() < 0.02


def test_who_asks_for_a_stretch_finds_the_columns_while_others_ask_for_them_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(8)
    sample = Sample(rng.lognormal(6, 1, (100, 2)).astype("f4"), (Channel("D1"), Channel("D2")))
    columns = LinearColumns(sample, Spillover(("D1", "D2"), np.array([[1, 0.2], [0.05, 1]])), ["D1", "D2"])
    columns.values("D1", np.arange(100))  # makes those of all dyes

    class Asked(dict[str, np.ndarray]):
        def pop(self, *name: object) -> np.ndarray:  # type: ignore[override]
            found = super().pop(*name)  # type: ignore[call-overload]
            columns.stretch("D1", 0, 10)  # as a thread does that takes its turn here
            return found

    monkeypatch.setattr(columns, "_whole", Asked(columns._whole))
    rows = np.arange(10)
    whole = columns.values("D1", rows)
    np.testing.assert_array_equal(columns.stretch("D1", 0, 10)(rows), whole)
    assert list(columns._whole) == ["D2", "D1"]


@pytest.mark.parametrize(("rows", "whole"), [([N - 1, N], False), ([N - 1, N], True), ([-1, 0], True)])
def test_an_event_that_is_not_there_has_no_value(values, rows, whole):
    channels = tuple(Channel(name, "") for name in "AB")
    sample = Sample(np.column_stack(list(values.values())), channels, EventState.RAW)
    columns = LinearColumns(sample, None)
    if whole:
        columns.values("A", np.arange(N))
    with pytest.raises(IndexError):
        columns.values("A", np.array(rows))
