"""Walking a template down a tube: which rule fired, what is below a gate that failed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treg_gating.gating import hierarchy
from treg_gating.gating.consensus import Consensus, Member, learn_cohort
from treg_gating.gating.gates import Interval
from treg_gating.gating.hierarchy import EventView, Walk, apply_sample, fit_sample
from treg_gating.gating.method import FitContext, MethodFit
from treg_gating.gating.methods.tail import Tail
from treg_gating.gating.results import FittedGate, GateStatus
from treg_gating.gating.selection import selected
from treg_gating.gating.settling import settle
from treg_gating.gating.template import GateStep, GatingTemplate

Template = Callable[..., GatingTemplate]
View = Callable[..., EventView]

ONE_PEAK = np.random.default_rng(0).normal(0.3, 0.05, 3_000)
TWO_PEAKS = np.random.default_rng(1).permutation(
    np.concatenate(
        [np.random.default_rng(2).normal(0.2, 0.04, 2_000), np.random.default_rng(3).normal(0.8, 0.04, 1_000)]
    )
)


def alone(template: GatingTemplate, view: EventView, batch: str = "1", cohort_of: int = 1) -> Walk:
    """Both passes of one tube that is its own cohort."""
    first = fit_sample(template, view, batch=batch)
    member = Member("t", batch, "sample", "", True, first.gates, first.summaries)
    cohort = learn_cohort(template, [member])

    def final(step: GateStep, own: FittedGate) -> FittedGate:
        return settle(step, own, cohort.consensus.get(step.population), batch)

    return apply_sample(template, view, first.gates, final, cohort.models, batch=batch)


def counts(walk: Walk) -> dict[str, int | None]:
    return {name: None if rows is None else len(rows) for name, rows in walk.rows.items()}


@pytest.mark.parametrize("b", [TWO_PEAKS, ONE_PEAK], ids=["found early", "asks for its parent"])
def test_a_gate_fitted_beside_an_earlier_one_is_the_gate_fitted_in_its_turn(
    make_template: Template, make_view: View, monkeypatch: pytest.MonkeyPatch, b: np.ndarray
) -> None:
    """Also where a fallback asks for the events of a parent that is not known yet."""
    rows = "a,wide,A,+,valley,,own,", "b,a,B,+,valley,fit_on=wide,own,tail", "c,a,C,+,valley,fit_on=wide,shrink,"
    template = make_template("wide,clean,A,+,fixed,low=-9,own,", *rows)
    view = make_view(A=TWO_PEAKS, B=b, C=TWO_PEAKS[::-1])
    asked: list[int] = []
    fit = Tail.fit

    def of_the_parent(tail: Tail, here: FitContext) -> MethodFit:
        asked.append(len(here.fetch_inside(("B",))))
        return fit(tail, here)

    monkeypatch.setattr(Tail, "fit", of_the_parent)
    monkeypatch.setattr("treg_gating.threads.THREADS", 2)
    beside = fit_sample(template, view, batch="1")
    order: list[str] = []
    monkeypatch.setattr(hierarchy, "_may_be_early", lambda step, *_: order.append(step.population))  # None of them may
    in_turn = fit_sample(template, view, batch="1")
    assert order
    assert beside.gates == in_turn.gates
    assert list(beside.gates) == list(in_turn.gates)
    assert counts(beside) == counts(in_turn)
    assert asked == ([] if b is TWO_PEAKS else [1_000, 1_000])


def test_signs_share_the_events_and_missing_values_belong_to_neither(make_template: Template, make_view: View) -> None:
    template = make_template("in,clean,A,+,fixed,low=1; high=2,own,", "out,clean,A,-,fixed,low=1; high=2,own,")
    view = make_view(A=np.array([0.5, 1.0, 1.5, 2.0, np.nan, np.inf]), clean=np.array([True] * 5 + [False]))
    walk = alone(template, view)
    assert counts(walk) == {"root": 6, "clean": 5, "in": 2, "out": 2}
    assert walk.rows["in"].tolist() == [1, 2]  # type: ignore[union-attr]
    assert walk.rows["out"].tolist() == [0, 3]  # type: ignore[union-attr]


def test_combined_populations_by_hand(make_template: Template, make_view: View) -> None:
    template = make_template(
        "a,clean,A,+,fixed,low=1,own,", "b,clean,B,+,fixed,low=1,own,", "both,a,,,combine,a & b,,",
        "one,clean,,,combine,a & !b | b & !a,,", "neither,clean,,,combine,!a & !b,,", "none,a,,,combine,!a,,",
    )  # fmt: skip
    view = make_view(A=np.array([0, 0, 2, 2, 2.0]), B=np.array([0, 2, 0, 2, 2.0]))
    assert counts(alone(template, view)) == {
        "root": 5, "clean": 5, "a": 3, "b": 3, "both": 2, "one": 2, "neither": 1, "none": 0,
    }  # fmt: skip


def test_combined_populations_of_few_events_are_those_of_many(make_template: Template, make_view: View) -> None:
    """A combination is asked of its parent's events alone where these are few."""
    template = make_template(
        "a,clean,A,+,fixed,low=9,own,", "b,clean,B,+,fixed,low=1,own,", "rare,a,B,-,fixed,low=2,own,",
        "one,a,,,combine,b & !rare | rare & !b,,", "same,clean,,,combine,a & b & !rare | a & rare & !b,,",
    )  # fmt: skip
    a, b = np.random.default_rng(5).integers(0, (10, 4), (2_000, 2)).T.astype(float)
    walk = alone(template, make_view(A=a, B=b))
    assert walk.rows.few("a") is not None
    expected = np.flatnonzero((a == 9) & ((b >= 1) != (b < 2)))
    assert 0 < len(expected) < len(walk.rows["a"])  # type: ignore[arg-type]
    for name in ("one", "same"):
        np.testing.assert_array_equal(walk.rows[name], expected)


@pytest.mark.parametrize(
    ("values", "rule", "status", "said"),
    [
        (TWO_PEAKS, "valley", GateStatus.FITTED, "valley at"),
        (ONE_PEAK, "tail", GateStatus.FALLBACK, "valley: 1 peak(s)"),
        (np.linspace(0, 1, 30), "fixed", GateStatus.FIXED, "tail: 30 events; at least 50"),
    ],
)
def test_the_chain_stops_at_the_first_rule_that_holds(
    values: np.ndarray, rule: str, status: GateStatus, said: str, make_template: Template, make_view: View
) -> None:
    template = make_template("a,clean,A,+,valley,,own,tail > fixed(low=0.5)")
    gate = alone(template, make_view(A=values)).gates["a"]
    assert (gate.rule, gate.status) == (rule, status)
    assert said in gate.reason
    assert gate.n_events == len(values)


def test_a_gate_that_fails_takes_all_below_with_it(make_template: Template, make_view: View) -> None:
    template = make_template(
        "a,clean,A,+,valley,,own,tail", "b,a,B,+,fixed,low=0,own,", "c,b,C,+,fixed,low=0,own,",
        "d,c,,,combine,c & !b,,", "e,clean,B,+,fixed,low=0,own,",
    )  # fmt: skip
    few = np.arange(20.0)
    walk = alone(template, make_view(A=few, B=few, C=few))
    assert counts(walk) == {"root": 20, "clean": 20, "a": None, "b": None, "c": None, "d": None, "e": 20}
    assert walk.gates["a"].status is GateStatus.FAILED
    for name in "abcd":
        assert walk.why_not[name] == "a: valley: 20 events; at least 50 are needed for a density; " + (
            "tail: 20 events; at least 50 are needed for a density"
        )
    assert walk.gates["c"].gate is None


def test_an_unstained_marker_lets_everything_pass_and_says_so(make_template: Template, make_view: View) -> None:
    template = make_template(
        "a,clean,A,-,fixed,low=1,own,", "b,a,B,+,fixed,low=1,own,", "mix,clean,,,combine,b & !a,,",
        "deep,clean,,,combine,mix & b,,", optional=("A",),
    )  # fmt: skip
    walk = alone(template, make_view(B=np.array([0.0, 2, 2]), C=np.zeros(3)))
    assert counts(walk)["b"] == 2
    assert walk.gates["a"].status is GateStatus.NOT_STAINED
    assert walk.gates["a"].reason == "A not stained"
    for name in ("mix", "deep"):
        assert walk.gates[name].status is GateStatus.NOT_STAINED
        assert "A not stained" in walk.gates[name].reason


def test_an_empty_tube_has_no_gate_by_a_method_and_no_crash(make_template: Template, make_view: View) -> None:
    template = make_template(
        "a,clean,A;B,+,singlet_band,,own,", "b,a,A,+,valley,,shrink,tail > consensus", "c,b,B,+,fixed,low=1,own,"
    )
    walk = alone(template, make_view(A=np.zeros(0), B=np.zeros(0)))
    assert counts(walk) == {"root": 0, "clean": 0, "a": None, "b": None, "c": None}
    assert "0 events with positive area" in walk.why_not["c"]


def test_pending_becomes_the_consensus_of_others(make_template: Template, make_view: View) -> None:
    template = make_template("a,clean,A,+,valley,,shrink,consensus > fixed(low=9)")
    others = [fit_sample(template, make_view(A=TWO_PEAKS + by), batch="1") for by in (0.0, 0.02, 0.04)]
    own = fit_sample(template, make_view(A=ONE_PEAK), batch="2")
    assert own.gates["a"].status is GateStatus.CONSENSUS
    assert own.gates["a"].gate is None
    assert own.rows["a"] is None
    members = [Member(f"t{i}", "1", "sample", "", True, walk.gates) for i, walk in enumerate(others)]
    cohort = learn_cohort(template, members)

    def final(step: GateStep, gate: FittedGate) -> FittedGate:
        return settle(step, gate, cohort.consensus.get(step.population), "2")

    walk = apply_sample(template, make_view(A=ONE_PEAK), own.gates, final, {}, batch="2")
    gate = walk.gates["a"]
    assert (gate.status, gate.rule) == (GateStatus.CONSENSUS, "consensus")
    assert gate.gate == others[1].gates["a"].gate
    assert "valley: 1 peak(s)" in gate.reason
    assert "consensus of 3 tube(s)" in gate.reason


def test_without_a_consensus_the_chain_goes_on_behind_it(make_template: Template, make_view: View) -> None:
    template = make_template("a,clean,A,+,valley,,shrink,consensus > fixed(low=0.3)")
    gate = alone(template, make_view(A=ONE_PEAK)).gates["a"]
    assert (gate.status, gate.gate) == (GateStatus.FIXED, Interval(("A",), 0.3))
    assert "valley: 1 peak(s)" in gate.reason
    assert "there is no consensus" in gate.reason
    bare = make_template("a,clean,A,+,valley,,shrink,consensus")
    walk = alone(bare, make_view(A=ONE_PEAK))
    assert walk.gates["a"].status is GateStatus.FAILED
    assert "there is no consensus" in walk.why_not["a"]


def test_a_control_among_the_fall_backs_is_asked_in_its_turn(make_template: Template, make_view: View) -> None:
    """Pass 1 knows no control yet; what held behind it there must not stand in its way in pass 2."""
    template = make_template("a,clean,A,+,valley,,own,control_quantile(control=A) > negative_peak(k=3)")
    fmo = fit_sample(template, make_view(A=ONE_PEAK), batch="1")
    own = fit_sample(template, make_view(A=ONE_PEAK), batch="1", control=False)
    assert (list(fmo.summaries), list(own.summaries)) == (["a/control_quantile"], [])  # controls alone teach it
    assert own.gates["a"].rule == "negative_peak"
    cohort = learn_cohort(template, [Member("f", "1", "fmo", "A", False, fmo.gates, fmo.summaries)])
    walk = apply_sample(template, make_view(A=ONE_PEAK), own.gates, lambda _, gate: gate, cohort.models, batch="1")
    gate = walk.gates["a"]
    assert (gate.rule, gate.status) == ("control_quantile", GateStatus.FALLBACK)
    assert gate.gate.low == pytest.approx(np.quantile(ONE_PEAK, 0.995))  # type: ignore[union-attr]


def test_fitted_on_another_population_than_the_parent(make_template: Template, make_view: View) -> None:
    template = make_template(
        "wide,clean,B,+,fixed,low=0,own,", "narrow,wide,B,+,fixed,low=0.99,own,",
        "a,narrow,A,+,valley,fit_on=wide,own,",
    )  # fmt: skip
    rng = np.random.default_rng(0)
    walk = alone(template, make_view(A=TWO_PEAKS, B=rng.random(len(TWO_PEAKS))))
    assert walk.gates["a"].n_events == len(TWO_PEAKS)
    assert len(walk.rows["narrow"]) < 60  # type: ignore[arg-type]
    assert set(walk.rows["a"]) <= set(walk.rows["narrow"])  # type: ignore[arg-type]


@given(seed=st.integers(0, 2**32 - 1))
def test_a_child_is_part_of_its_parent_and_order_is_irrelevant(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 200))
    values = rng.normal(size=(n, 2))
    values[rng.random((n, 2)) < 0.05] = np.nan
    values.setflags(write=False)
    order = rng.permutation(n)

    def view(array: np.ndarray) -> EventView:
        columns = dict(zip("AB", array.T, strict=True))
        return EventView(n, np.ones(n, bool), lambda name, rows: columns[name][rows], "AB")

    gate = Interval(("A",), float(rng.normal()))
    parent = np.flatnonzero(rng.random(n) < 0.7)
    plus, minus = (parent[selected(gate, sign, parent, view(values))] for sign in "+-")
    assert set(plus) | set(minus) <= set(parent)
    assert not set(plus) & set(minus)
    assert len(plus) + len(minus) == np.isfinite(values[parent, 0]).sum()
    where = np.argsort(order)
    there = np.sort(where[parent])
    moved = there[selected(gate, "+", there, view(values[order]))]
    assert set(order[moved]) == set(plus)


def test_consensus_type_is_plain() -> None:
    assert Consensus(Interval(("A",), 0.5), {}, np.zeros(1), np.zeros(1), np.zeros(1), 3).tubes == 3


def test_while_gates_are_placed_the_populations_that_are_settled_can_be_looked_at(
    make_template: Template, make_view: View
) -> None:
    """Before the walk ends, with their events; what is made of them is there when it has ended."""
    template = make_template("a,clean,A,+,fixed,low=1,own,", "b,a,B,+,fixed,low=1,own,")
    view = make_view(A=np.array([0, 2, 2, 2.0]), B=np.array([2, 0, 2, np.nan]))
    first = fit_sample(template, view, batch="1")
    seen: dict[str, int | None] = {}
    told: list[set[str]] = []

    def meanwhile(settled: Walk) -> list[Callable[[], None]]:
        told.append(set(settled.rows))
        assert set(settled.gates) == set(settled.rows) - {"root", "clean"}
        return [lambda: seen.update({name: settled.rows.count(name) for name in settled.rows})]

    walk = apply_sample(template, view, first.gates, lambda _, own: own, {}, batch="1", meanwhile=meanwhile)
    assert seen.items() <= counts(walk).items()
    assert {"root", "clean"} <= set(seen)
    assert told[0] == {"root", "clean"}, "before gates are settled"
    assert told[-1] == {"root", "clean", "a", "b"}
