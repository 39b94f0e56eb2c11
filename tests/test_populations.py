"""Counts, percentages, gate intervals and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from treg_gating import pictures as pictures_module
from treg_gating.gate_interval import gate_interval
from treg_gating.gating.gates import Ellipse, HalfPlane, Interval
from treg_gating.gating.hierarchy import EventView, Walk, apply_gates
from treg_gating.gating.results import FittedGate, GateStatus, PopulationCount
from treg_gating.gating.rows import PopulationRows
from treg_gating.gating.template import GateStep, GatingTemplate, load_template
from treg_gating.intensities import Medians
from treg_gating.pictures import control_densities, picture_gates
from treg_gating.populations import count_populations, percentage
from treg_gating.showing import Showing

ROWS = (
    "low,clean,A,+,fixed,low=0,own,",
    "top,low,B,+,fixed,low=0,own,",
    "rest,low,,,combine,low & !top,,",
    "plane,low,A;B,+,singlet_band,,own,",
)
Make = Callable[..., GatingTemplate]


@pytest.fixture
def template(tmp_path: Path) -> Make:
    def make(*rows: str, numerator: str = "top", optional: Sequence[str] = ()) -> GatingTemplate:
        panel = "".join(f"{name},,linear,,{'no' if name in optional else 'yes'},\n" for name in "AB")
        texts = {
            "template.toml": 'name = "t"\nversion = "1"\n',
            "panel.csv": "marker,synonyms,transform,args,required,channel\n" + panel,
            "gates.csv": "population,parent,dims,sign,method,args,share,fallback\n" + "\n".join(rows or ROWS) + "\n",
            "endpoints.csv": f"endpoint,numerator,denominator,unit,primary\nx,{numerator},low,%,yes\n",
        }
        for name, text in texts.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return load_template(tmp_path)

    return make


def view_of(a: np.ndarray, b: np.ndarray, clean: np.ndarray | None = None) -> EventView:
    columns = {"A": np.asarray(a, float), "B": np.asarray(b, float)}
    kept = np.ones(len(columns["A"]), bool) if clean is None else clean
    return EventView(len(columns["A"]), kept, lambda name, rows: columns[name][rows], list(columns))


def walk_of(template: GatingTemplate, view: EventView, **gates: FittedGate) -> Walk:
    return apply_gates(template, gates, view)


def gate(name: str, parent: str, shape: object, error: tuple[float, ...] = ()) -> FittedGate:
    return FittedGate(name, parent, "+", shape, GateStatus.FITTED, "by hand", "", error)  # type: ignore[arg-type]


LOW = gate("low", "clean", Interval(("A",), 0.0))
PLANE = gate("plane", "low", HalfPlane(("A", "B"), (1.0, 0.0), 2.0))


def top(cut: float, error: float = 0.0) -> FittedGate:
    return gate("top", "low", Interval(("B",), cut), (error,))


def medians_of(template: GatingTemplate, walk: Walk, linear: dict[str, Callable]) -> dict[str, dict[str, float]]:
    medians = Medians(template, walk.rows, list(walk.rows), linear)
    for part in medians.parts():
        part()
    return medians.found


def counted(template: GatingTemplate, walk: Walk, linear: dict[str, Callable[[np.ndarray], np.ndarray]]) -> tuple:
    return count_populations(template, walk, medians_of(template, walk, linear))


def test_counts_and_medians_by_hand(template: Make) -> None:
    a, b = np.array([-1.0, 1, 2, 3, 4]), np.array([9.0, 1, 2, 3, 4])
    view = view_of(a, b, np.array([True, True, True, True, False]))
    checked = template()
    walk = walk_of(checked, view, low=LOW, top=top(2.0), plane=PLANE)
    counts = {count.population: count for count in counted(checked, walk, {"B": b.__getitem__})}
    assert {name: (count.n, count.n_parent, count.status) for name, count in counts.items()} == {
        "root": (5, None, "ok"),
        "clean": (4, 5, "ok"),
        "low": (3, 4, "ok"),
        "top": (2, 3, "ok"),
        "rest": (1, 3, "ok"),
        "plane": (2, 3, "ok"),
    }
    assert counts["top"].mfi == {"B": 2.5}
    assert counts["root"].mfi == {"B": 3.0}


def test_medians_are_those_of_each_population(template: Make) -> None:
    """Of nested populations, which lie together, and of those that share events."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 30, (2, 999))
    b[:5] = np.nan
    view = view_of(a, b, rng.random(999) < 0.9)
    checked = template()
    walk = walk_of(checked, view, low=LOW, top=top(2.0), plane=PLANE)
    columns = {"A": a.__getitem__, "B": b.__getitem__}
    counts = {count.population: count for count in counted(checked, walk, columns)}
    assert len(np.intersect1d(walk.rows["top"], walk.rows["plane"]))  # type: ignore[arg-type]
    for name, rows in walk.rows.items():
        assert counts[name].n == len(rows)  # type: ignore[arg-type]
        expected = {marker: np.median(values(rows)) for marker, values in columns.items()}  # type: ignore[arg-type]
        assert counts[name].mfi == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("seed", range(12))
def test_medians_of_populations_deep_in_each_other(template: Make, seed: int, kind: str) -> None:
    """With ties, with numbers below zero and infinite ones, and where some are none."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(300, 900))
    a, b = rng.normal(rng.choice([-20, 0, 20]), 30, (2, n)).astype(kind)
    if seed % 3 == 0:
        a, b = np.round(a / 20), np.round(b / 20)  # with minus zero
    if seed > 8:
        a[:9] = [-np.inf, np.inf, *[0.0] * 7]
        b[: seed - 9] = [np.nan, -np.nan][: seed - 9]
    names = ["low", "mid", "deep", "deeper", "top"]
    parents = ["clean", *names]
    checked = template(*(f"{name},{parent},A,+,fixed,low=0,own," for name, parent in zip(names, parents, strict=False)))
    inside = np.ones(n, bool)
    masks = {"root": inside, "clean": inside}
    for name in names:
        inside = inside & ((rng.random(n) < 0.5) | (a > -30) if seed % 2 else rng.random(n) < rng.uniform(0.6, 1))
        masks[name] = inside
    walk = Walk({}, PopulationRows(n, masks))
    columns = {"A": a.__getitem__, "B": b.__getitem__}
    found = medians_of(checked, walk, columns)
    for name, mask in masks.items():
        for marker, values in (("A", a), ("B", b)):
            expected = np.nan if np.isnan(values[mask]).any() else np.median(values[mask])
            np.testing.assert_array_equal(found[marker][name], expected, str((marker, name)))


def test_an_empty_population_is_zero_and_below_it_nothing_can_be_said(template: Make) -> None:
    view = view_of(np.ones(4), np.ones(4))
    checked = template(
        "low,clean,A,+,fixed,low=0,own,", "top,low,B,+,fixed,low=0,own,", "deep,top,B,+,fixed,low=0,own,"
    )
    walk = walk_of(checked, view, low=LOW, top=top(5.0), deep=gate("deep", "top", Interval(("B",), 0.0)))
    counts = {count.population: count for count in counted(checked, walk, {"B": np.ones(4).__getitem__})}
    assert (counts["top"].n, counts["top"].status, counts["top"].mfi) == (0, "ok", {})
    assert (counts["deep"].n, counts["deep"].status) == (None, "not_estimable")
    assert counts["deep"].reason == "top holds no events"


def test_a_failed_gate_is_not_zero(template: Make) -> None:
    checked = template()
    view = view_of(np.ones(4), np.ones(4))
    failed = FittedGate("low", "clean", "+", None, GateStatus.FAILED, "none", "no valley")
    walk = walk_of(checked, view, low=failed, top=top(0.5), plane=PLANE)
    counts = {count.population: count for count in counted(checked, walk, {})}
    for name in ("low", "top", "rest", "plane"):
        assert (counts[name].n, counts[name].status, counts[name].reason) == (None, "not_estimable", "low: no valley")
    assert gate_interval(checked, walk, view, "top", "low") is None


def test_not_stained_has_no_count_and_lets_pass(template: Make) -> None:
    checked = template("low,clean,A,-,fixed,low=0,own,", "top,low,B,+,fixed,low=0,own,", optional="A")
    view = EventView(3, np.ones(3, bool), lambda _, rows: np.array([-1.0, 1, 2])[rows], ["B"])
    walk = walk_of(checked, view, top=top(0.0))
    counts = {count.population: count for count in counted(checked, walk, {})}
    assert (counts["low"].n, counts["low"].status, counts["low"].reason) == (None, "not_stained", "A not stained")
    assert (counts["top"].n, counts["top"].n_parent) == (2, 3)


def test_percentage_of_nothing_is_not_a_number() -> None:
    def count(n: int | None) -> PopulationCount:
        return PopulationCount("p", "q", n, 10)

    assert percentage(count(3), count(12)) == 25.0
    assert percentage(count(0), count(12)) == 0.0
    for pair in ((count(0), count(0)), (count(None), count(5)), (count(5), count(None)), (None, count(5))):
        assert np.isnan(percentage(*pair))


def test_interval_by_hand(template: Make) -> None:
    """100 events at 0.5 … 99.5; the cut at 90 moved by 2 takes 12 or 8 of 100."""
    b = np.arange(100) + 0.5
    checked, view = template(), view_of(np.ones(100), b)
    walk = walk_of(checked, view, low=LOW, top=top(90.0, 2.0), plane=PLANE)
    assert gate_interval(checked, walk, view, "top", "low") == pytest.approx((8.0, 12.0))


def test_interval_of_two_gates_adds_in_quadrature(template: Make) -> None:
    checked = template("low,clean,A,+,fixed,low=0,own,", "mid,low,A,+,fixed,low=1,own,", "top,mid,B,+,fixed,low=0,own,")
    at = np.arange(100) + 0.5
    a, b = (grid.ravel() for grid in np.meshgrid(at, at))
    view = view_of(a, b)
    gates = {
        "low": LOW,
        "mid": gate("mid", "low", Interval(("A",), 50.0), (3.0,)),
        "top": gate("top", "mid", Interval(("B",), 80.0), (4.0,)),
    }
    walk = walk_of(checked, view, **gates)
    # 50 % × 20 % = 10 %; the first moves it by 0.6, the second by 2.
    half = np.hypot(0.6, 2.0)
    assert gate_interval(checked, walk, view, "top", "low") == pytest.approx((10 - half, 10 + half))


def test_gates_above_the_denominator_act_on_both(template: Make) -> None:
    a = np.repeat(np.arange(-50, 50) + 0.5, 100)
    b = np.tile(np.arange(100) + 0.5, 100)
    checked, view = template(), view_of(a, b)
    low = gate("low", "clean", Interval(("A",), 0.0), (5.0,))
    walk = walk_of(checked, view, low=low, top=top(90.0), plane=PLANE)
    assert gate_interval(checked, walk, view, "top", "low") == pytest.approx((10.0, 10.0))


def test_events_that_a_moved_gate_lets_in_are_asked_by_the_gates_below(template: Make) -> None:
    """As a whole walk with the moved gate counts them; the events are correlated, and some are no number."""
    checked = template(
        "low,clean,A,+,fixed,low=0,own,", "mid,low,B,-,fixed,low=0,own,", "top,mid,A;B,+,singlet_band,,own,"
    )
    rng = np.random.default_rng(1)
    a = rng.normal(0, 20, 5_000)
    b = a + rng.normal(0, 30, 5_000)
    b[::50] = np.nan
    shapes = {
        "low": Interval(("A",), 0.0),
        "mid": Interval(("B",), 40.0),
        "top": HalfPlane(("A", "B"), (0.6, 0.8), 9.0),
    }
    signs = {"low": "+", "mid": "-", "top": "+"}

    def walk(low: float, error: float) -> Walk:
        moved = {**shapes, "low": Interval(("A",), low)}
        parents = {"low": "clean", "mid": "low", "top": "mid"}
        gates = {
            name: FittedGate(name, parents[name], signs[name], shape, GateStatus.FITTED, "fixed", "", (error,))
            if name == "low"
            else FittedGate(name, parents[name], signs[name], shape, GateStatus.FITTED, "fixed")
            for name, shape in moved.items()
        }
        return walk_of(checked, view_of(a, b), **gates)

    def share(walked: Walk) -> float:
        top, low = walked.rows["top"], walked.rows["low"]
        assert top is not None
        assert low is not None
        return 100 * len(top) / len(low)

    middle = walk(0.0, 6.0)
    moved = sorted([share(walk(-6.0, 0.0)), share(walk(6.0, 0.0))])
    assert moved[0] < share(middle) < moved[1]
    assert gate_interval(checked, middle, view_of(a, b), "top", "low") == pytest.approx(tuple(moved))


def test_interval_of_a_combined_population(template: Make) -> None:
    """Not top: the complement moves with the cut, 90 ± 2 of 100."""
    checked = template(numerator="rest")
    view = view_of(np.ones(100), np.arange(100) + 0.5)
    walk = walk_of(checked, view, low=LOW, top=top(90.0, 2.0), plane=PLANE)
    assert gate_interval(checked, walk, view, "rest", "low") == pytest.approx((88.0, 92.0))


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        (HalfPlane(("A", "B"), (0.0, 1.0), 90.0), 2.0),
        (Ellipse(("A", "B"), (1.0, 50.0), ((1.0, 0.0), (0.0, 400.0)), 1.0), 0.1),
        (Ellipse(("A", "B"), (1.0, 50.0), ((1.0, 0.0), (0.0, 400.0)), 1.0), 5.0),
    ],
)
def test_lines_and_ellipses_move_too(shape: object, error: float, template: Make) -> None:
    checked = template("low,clean,A,+,fixed,low=0,own,", "plane,low,A;B,+,singlet_band,,own,", numerator="plane")
    view = view_of(np.ones(100), np.arange(100) + 0.5)
    walk = walk_of(checked, view, low=LOW, plane=gate("plane", "low", shape, (error,)))
    value = 100 * len(walk.rows["plane"]) / 100  # type: ignore[arg-type]
    interval = gate_interval(checked, walk, view, "plane", "low")
    assert interval is not None
    assert 0 <= interval[0] < value < interval[1] <= 100


def test_pictures_hold_every_event_of_the_parent(template: Make) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 30, 1_000), rng.normal(0, 300, 1_000)
    b[:7] = np.nan
    checked, view = template(), view_of(a, b)
    walk = walk_of(checked, view, low=LOW, top=top(0.0), plane=PLANE)
    pictures = {
        picture.population: picture for picture in picture_gates(checked, walk, view, {"A": (-50, 50), "B": (0, 9)})
    }
    assert pictures["low"].counts.shape == (160,)
    assert pictures["low"].counts.sum() == 1_000, "events beyond the axis stand in its ends"
    assert (a < -50).sum() <= pictures["low"].counts[0] <= (a < -49).sum()
    parent = walk.rows["low"]
    assert pictures["plane"].counts.shape == (72, 72)
    assert pictures["plane"].counts.sum() == np.isfinite(b[parent]).sum()
    assert set(pictures) == {"low", "top", "plane"}
    assert (pictures["plane"].low, pictures["plane"].high) == ((-50, 0), (50, 9))


def test_picture_bins_are_where_the_events_are(template: Make) -> None:
    checked, view = template(), view_of(np.array([0.0, 0.99, 1.0]), np.zeros(3))
    walk = walk_of(checked, view, low=LOW, top=top(0.0), plane=PLANE)
    picture = picture_gates(checked, walk, view, {"A": (0.0, 160.0), "B": (0.0, 1.0)})[0]
    assert picture.counts[:3].tolist() == [2, 1, 0]


def test_of_a_large_population_a_part_is_drawn_that_looks_the_same(
    template: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(8)
    a, b = rng.normal(0, 10, (2, 90_000))
    checked, view = template(), view_of(a, b)
    walk = walk_of(checked, view, low=LOW, top=top(0.0), plane=PLANE)
    limits = {"A": (-50.0, 50.0), "B": (-50.0, 50.0)}
    every = {one.population: one.counts.astype(float) for one in picture_gates(checked, walk, view, limits)}
    monkeypatch.setattr(pictures_module, "ENOUGH", 20_000)
    for one in picture_gates(checked, walk, view, limits):
        n = every[one.population].sum()
        step = n // 20_000
        assert one.counts.sum() == pytest.approx(n / step, rel=0.02)
        expected = every[one.population] / step
        off = (one.counts - expected)[expected > 5] / np.sqrt(expected[expected > 5])
        assert np.abs(off).max() < 5, "no more than chance"


def test_a_control_shows_the_marker_it_leaves_out_on_the_events_of_the_fit(template: Make) -> None:
    rows = ("low,clean,A,+,fixed,low=0,own,", "top,low,B,+,fixed,fit_on=clean; low=0,own,")
    checked, view = template(*rows), view_of(np.array([-1.0, 1, 1]), np.array([0.0, 79.9, 200]))
    walk = walk_of(checked, view, low=LOW, top=top(0.0))
    limits = {"A": (0.0, 160.0), "B": (0.0, 160.0)}
    densities = control_densities(checked, walk, view, limits, "b")
    assert set(densities) == {"top"}
    assert np.flatnonzero(densities["top"]).tolist() == [0, 79, 159]
    assert control_densities(checked, walk, view, limits, "FOXP3") == {}
    pictures = {one.population: one for one in picture_gates(checked, walk, view, limits, densities)}
    assert pictures["low"].control is None
    np.testing.assert_array_equal(pictures["top"].control, densities["top"])


def test_what_is_shown_may_be_begun_while_gates_are_still_placed(template: Make) -> None:
    """The same in one go and in two; in two, nothing is made twice."""
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 30, (2, 2_000))
    view = view_of(a, b, rng.random(2_000) < 0.9)
    checked = template()
    low = gate("low", "clean", Interval(("A",), 0.0), (3.0,))
    walk = walk_of(checked, view, low=low, top=top(2.0, 1.0), plane=PLANE)
    early = Walk({"low": low}, PopulationRows(2_000, {name: walk.rows.mask(name) for name in ("root", "clean", "low")}))

    def shown(*walks: Walk) -> tuple[Showing, list[int]]:
        limits = {"A": (-50.0, 50.0), "B": (-50.0, 50.0)}
        showing = Showing(checked, view, {"A": a.__getitem__, "B": b.__getitem__}, limits)
        made = []
        for one in walks:
            parts = showing.parts(one, last=one is walk)
            made.append(len(parts))
            for part in parts:
                part()
        return showing, made

    (two, in_two), (one, in_one) = shown(early, walk), shown(walk)
    again = Showing(checked, view, {"A": a.__getitem__}, {"A": (-50.0, 50.0), "B": (-50.0, 50.0)})
    assert [len(again.parts(one)) for one in (early, walk)] == [1 + 3 + 1, 1 + 1], "large ones wait for the last"
    assert in_one == [2 + 3 + 2 + 1], "markers, pictures, gates that move, the gate interval"
    assert in_two == [2 + 3 + 1, 2 + 0 + 1 + 1], "all gates stand on populations that were there early"
    assert two.medians() == one.medians()
    assert set(two.medians()["B"]) == {"low", "top", "rest", "plane"}, "not of all events, which hold debris"
    fresh = Showing(checked, view, {"A": a.__getitem__, "B": b.__getitem__}, {"A": (-50.0, 50.0), "B": (-50.0, 50.0)})
    expected = gate_interval(checked, walk, view, "top", "low")
    fresh.complete(walk)
    assert [shows.interval for shows in (two, one, fresh)] == [expected] * 3
    assert fresh.medians() == one.medians()
    waits = Showing(checked, view, {"A": a.__getitem__}, {"A": (-50.0, 50.0), "B": (-50.0, 50.0)})
    *moved, early_interval = (parts := waits.parts(walk, last=True))[:3]
    for part in (early_interval, *moved, *parts[3:]):
        part()
    assert waits.interval is None, "gates that the other thread moves are not moved again"
    waits.complete(walk)
    assert waits.interval == expected
    for first, second in zip(two.pictures(), one.pictures(), strict=True):
        assert first.population == second.population
        np.testing.assert_array_equal(first.counts, second.counts)


def test_nothing_to_draw_for_an_empty_parent(template: Make) -> None:
    checked, view = template(), view_of(np.zeros(0), np.zeros(0))
    walk = walk_of(checked, view, low=LOW, top=top(0.0), plane=PLANE)
    assert picture_gates(checked, walk, view, {"A": (0, 1), "B": (0, 1)}) == ()
    step = checked.step("low")
    assert isinstance(step, GateStep)
