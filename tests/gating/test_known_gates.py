"""Gates that are known before the events are looked at: a tube goes through them stretch by stretch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from treg_gating.gating import selection
from treg_gating.gating.axes import axis_of
from treg_gating.gating.expression import parse_expression
from treg_gating.gating.gates import Ellipse, Gate, Interval, Polygon, Rectangle
from treg_gating.gating.hierarchy import EventView, fit_sample
from treg_gating.gating.results import GateStatus
from treg_gating.gating.rows import PopulationRows
from treg_gating.gating.template import CombineStep, GateStep, GatingTemplate, Rule, load_template
from treg_gating.interchange.imported import ImportedGate
from treg_gating.linear_columns import LinearColumns
from treg_gating.sample import Channel, Sample, Spillover, absent_events
from treg_gating.transforms import Asinh, Linear, Logicle
from treg_gating.unmixing import Unmixing, WholeColumns

N = 50_000
CHANNELS = ("FSC-A", "D1", "SSC-A", "D2", "D3", "D4", "Time")
DYES = ("D1", "D2", "D3")
TRANSFORMS = {"FSC-A": Linear(), "SSC-A": Linear(), "D1": Logicle(w=0.6), "D2": Asinh(150.0), "D3": Logicle()}


def step(population: str, parent: str, gate: Gate, sign: str = "+") -> GateStep:
    return GateStep(population, parent, gate.dims, sign, (Rule("imported", "", ImportedGate(gate)),), "own", parent, 1)


STEPS = (
    step("cells", "root", Polygon(("FSC-A", "SSC-A"), ((20.0, 10.0), (900.0, 40.0), (700.0, 900.0), (50.0, 600.0)))),
    step("other", "clean", Polygon(("FSC-A", "SSC-A"), ((20.0, 10.0), (900.0, 40.0), (700.0, 900.0))), "-"),
    step("bright", "cells", Interval(("D1",), 0.4)),
    step("dim", "cells", Interval(("D1",), 0.4), "-"),
    step("odd", "bright", Polygon(("D1", "D2"), ((-2.0, -3.0), (0.9, 0.1), (0.3, 2.0), (3.0, 4.0), (1.0, 9.0)))),
    step("box", "odd", Rectangle(("D1", "D3"), (0.3, 0.2), (0.6, 9.0))),
    CombineStep("both", "cells", parse_expression("bright | dim"), 1),
    step("below", "both", Interval(("D3",), 0.3)),
    step("unstained", "cells", Interval(("D9",), 0.3)),
    step("last", "unstained", Interval(("D2",), 0.3)),
)


OTHERS = (Interval(("D1",), 0.37), Interval(("D1",), 0.41))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def template() -> GatingTemplate:
    return replace(load_template("treg_pregated"), steps=STEPS)


def tube(rng: np.random.Generator, by_column: bool) -> Sample:
    events = rng.lognormal(5, 1.2, (N, len(CHANNELS))).astype("f4") - 40
    events[rng.integers(0, N, 40), rng.integers(0, 6, 40)] = np.nan
    events[rng.integers(0, N, 40), rng.integers(0, 6, 40)] = rng.choice([np.inf, -np.inf], 40)
    return Sample(np.asfortranarray(events) if by_column else events, tuple(Channel(name) for name in CHANNELS))


def matrix() -> Spillover:
    return Spillover(("D1", "D2", "D3", "D4"), np.eye(4) + 0.05 * (1 - np.eye(4)))


def views(sample: Sample, clean: np.ndarray) -> tuple[EventView, EventView]:
    """The same tube in stretches, and as a whole."""
    columns = LinearColumns(sample, matrix(), DYES)
    axes = {name: axis_of(columns, name, transform) for name, transform in TRANSFORMS.items()}
    whole = {name: replace(axis, stretch=None) for name, axis in axes.items()}
    return EventView.of_axes(N, clean, axes), EventView.of_axes(N, clean, whole)


@pytest.mark.parametrize("by_column", [False, True])
@pytest.mark.parametrize("stretch", [1 << 16, 1 << 12, 999])
def test_stretch_by_stretch_is_step_by_step(
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    template: GatingTemplate,
    stretch: int,
    by_column: bool,
) -> None:
    monkeypatch.setattr(selection, "STRETCH", stretch)
    quick, slow = views(tube(rng, by_column), rng.random(N) < 0.9)
    found, expected = fit_sample(template, quick, batch=""), fit_sample(template, slow, batch="")
    assert 0 < len(found.rows["box"]) < len(found.rows["odd"]) < len(found.rows["bright"]) < N
    for name, rows in expected.rows.items():
        np.testing.assert_array_equal(found.rows[name], rows, err_msg=name)
    assert found.gates == expected.gates
    assert found.gates["unstained"].status is GateStatus.NOT_STAINED
    assert found.gates["box"].n_events == len(found.rows["odd"])


def test_only_what_leads_to_known_gates_goes_through_in_stretches(
    rng: np.random.Generator, template: GatingTemplate
) -> None:
    gates = {s.population: s.method.gate for s in STEPS if isinstance(s, GateStep)}
    quick, slow = views(tube(rng, False), np.ones(N, bool))
    known = selection.known_masks(template, gates, quick)
    assert set(known.masks) == {"cells", "other", "bright", "dim", "odd", "box"}
    assert selection.known_masks(template, gates, slow) == ({}, {})
    assert selection.known_masks(template, {}, quick) == ({}, {})


@pytest.mark.parametrize("stretch", [1 << 16, 999])
def test_gates_are_held_against_others_on_the_way(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, template: GatingTemplate, stretch: int
) -> None:
    """The same events lie between them as when they are asked afterwards, and the populations stay as they are."""
    monkeypatch.setattr(selection, "STRETCH", stretch)
    near = Ellipse(("D2", "D3"), (2.0, 0.4), ((0.8, 0.01), (0.01, 0.02)), 3.0)
    steps = (
        *STEPS,
        step("near", "bright", near),
        step("rest", "bright", near, "-"),
        step("few", "odd", STEPS[3].method.gate),
    )
    template = replace(template, steps=steps)
    gates = {s.population: s.method.gate for s in steps if isinstance(s, GateStep)}
    wider = [replace(near, distance_square=square) for square in (2.7, 3.2)]
    others = {"bright": OTHERS, "dim": OTHERS, "few": OTHERS, "near": wider, "rest": wider, "box": (gates["box"],)}
    view, _ = views(tube(rng, False), rng.random(N) < 0.9)
    expected, known = (selection.known_masks(template, gates, view, some) for some in (None, others))
    assert expected.close == {}
    assert set(known.close) == set(others) - {"box"}, "any event may lie between rectangles"
    rows = PopulationRows(N, {"root": np.ones(N, bool), "clean": view.kept, **known.masks})
    for name, mask in expected.masks.items():
        np.testing.assert_array_equal(known.masks[name], mask, err_msg=name)
    for name, found in known.close.items():
        parent = next(s.parent for s in steps if s.population == name)
        between = selection.between([gates[name], *others[name]], rows, parent, view)
        np.testing.assert_array_equal(found, between, err_msg=name)
        assert 0 < len(found) < 0.2 * N


def test_many_events_are_asked_in_two_halves(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    view, _ = views(tube(rng, False), np.ones(N, bool))
    gate, some = Interval(("D1",), 0.4), np.sort(rng.choice(N, 9_001, replace=False))
    for sign in "+-":
        expected = some[selection.selected(gate, sign, some, view)]
        for many in (1, len(some), len(some) + 1):
            monkeypatch.setattr(selection, "MANY", many)
            found, close = selection.chosen(gate, (), sign, some, view)
            np.testing.assert_array_equal(found, expected)
            assert close is None
            found, close = selection.chosen(gate, OTHERS, sign, some, view)
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(close, some[view.undecided([gate, *OTHERS], some)])
        assert selection.chosen(gate, (), sign, some[:0], view)[0].tolist() == []


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 40, 41, 100, 161])
def test_both_threads_have_as_many_stretches_and_as_long(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setattr(selection, "MANY", 4)
    monkeypatch.setattr(selection, "STRETCH", 20)
    found = selection._stretches(n)
    assert [row for part in found for row in range(part.start, part.stop)] == list(range(n))
    assert len(found) == (min(n, 1) if n < 8 else 2 * int(np.ceil(n / 40)))
    sizes = [part.stop - part.start for part in found]
    assert max(sizes, default=0) <= 20
    assert max(sizes, default=0) - min(sizes, default=0) <= len(sizes)


def test_no_events(template: GatingTemplate) -> None:
    sample = Sample(np.empty((0, len(CHANNELS)), "f4"), tuple(Channel(name) for name in CHANNELS))
    columns = LinearColumns(sample, matrix(), DYES)
    axes = {name: axis_of(columns, name, transform) for name, transform in TRANSFORMS.items()}
    walk = fit_sample(template, EventView.of_axes(0, np.ones(0, bool), axes), batch="")
    assert all(len(rows) == 0 for rows in walk.rows.values() if rows is not None)


@pytest.mark.parametrize("few_first", [False, True])
def test_a_stretch_gives_what_the_tube_gives(rng: np.random.Generator, few_first: bool) -> None:
    """Whether dyes are compensated for some events and then for others, or for all of them at once."""
    columns = LinearColumns(tube(rng, False), matrix(), DYES)
    first, last = 12_000, 29_000  # more than one chunk
    few, many = np.arange(0, 17_000, 9), np.arange(17_000)
    ways = {name: columns.stretch(name, first, last) for name in CHANNELS}
    for rows in (few, few[::2], many, few) if few_first else (many, few):
        for name, way in ways.items():
            np.testing.assert_array_equal(way(rows), columns.values(name, rows + first), err_msg=name)


def without_events(sample: Sample) -> Sample:
    return sample.with_events(absent_events(sample.events.shape), sample.state)


def whole(sample: Sample, raw: Sequence[str]) -> WholeColumns:
    """Made from pieces that come in any order, some shorter than others."""
    made = WholeColumns(without_events(sample), Unmixing(sample, matrix(), DYES), raw)
    edges = [0, 1, 3000, 3001, 20_000, 41_000, N]
    for first, last in reversed(list(pairwise(edges))):
        made.take(first, sample.events[first:last])
    return made


@pytest.mark.parametrize("by_column", [False, True])
def test_columns_made_together_are_those_made_one_by_one_and_are_kept(
    rng: np.random.Generator, by_column: bool
) -> None:
    sample, everything = tube(rng, by_column), np.arange(N)
    raw = [name for name in CHANNELS if name not in DYES]
    together = LinearColumns(sample, matrix(), DYES, whole(sample, raw))
    alone = LinearColumns(sample, matrix(), DYES)
    kept = {name: together.values(name, everything) for name in CHANNELS}
    for name in CHANNELS:
        np.testing.assert_array_equal(together.values(name, everything), alone.values(name, everything), err_msg=name)
    assert all(together.values(name, everything) is column for name, column in kept.items())


def test_each_column_needs_its_detectors_alone(rng: np.random.Generator) -> None:
    sample = tube(rng, False)
    made = whole(sample, ["FSC-A"])
    assert made.channels == {"FSC-A", "D1", "D2", "D3", "D4"}
    assert list(made.columns) == [*DYES, "FSC-A"]
    other = np.array(sample.events)
    other[:, [CHANNELS.index("SSC-A"), CHANNELS.index("Time")]] = np.nan
    again = whole(sample.with_events(other, sample.state), ["FSC-A"])
    for name, column in made.columns.items():
        np.testing.assert_array_equal(again.columns[name], column, err_msg=name)


def test_columns_of_a_tube_without_events() -> None:
    sample = Sample(np.empty((0, len(CHANNELS)), "f4"), tuple(Channel(name) for name in CHANNELS))
    made = WholeColumns(sample, Unmixing(sample, matrix(), DYES), ["FSC-A"])
    assert {name: len(column) for name, column in made.columns.items()} == dict.fromkeys([*DYES, "FSC-A"], 0)


def test_behind_the_last_columns_the_events_are_let_go(rng: np.random.Generator) -> None:
    """What was made is there; anything else is an error of who asks, and no number."""
    sample, everything = tube(rng, False), np.arange(N)
    columns = LinearColumns(sample, matrix(), DYES, whole(sample, ["FSC-A"]))
    np.testing.assert_array_equal(columns.values("FSC-A", everything), sample.column("FSC-A"))
    np.testing.assert_array_equal(columns.stretch("D1", 5, 9)(np.arange(4)), columns.values("D1", everything)[5:9])
    with pytest.raises(AssertionError, match="after the last"):
        columns.values("SSC-A", everything)
    emptied = without_events(sample)
    assert (emptied.n_events, emptied.channel_names) == (sample.n_events, sample.channel_names)
    assert np.isnan(emptied.events).all()
    assert emptied.events.strides == (0, 0), "it takes no memory"
