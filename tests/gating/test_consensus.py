"""Consensus and shrinkage, by hand and against statsmodels' numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from treg_gating.errors import GateFitError
from treg_gating.gating.consensus import (
    CONTROL_DENSITIES,
    MOST_TEACHERS,
    CohortGates,
    Consensus,
    Member,
    learn_cohort,
)
from treg_gating.gating.gate_numbers import from_vector, to_vector
from treg_gating.gating.gates import Ellipse, Gate, Interval, Polygon, Rectangle
from treg_gating.gating.method import Learner
from treg_gating.gating.methods.aligned_mixture import AlignedMixture
from treg_gating.gating.results import FittedGate, GateStatus
from treg_gating.gating.settling import settle
from treg_gating.gating.template import GateStep, GatingTemplate, load_template

Template = Callable[..., GatingTemplate]


def fitted(low: float, error: float = 0.0, status: GateStatus = GateStatus.FITTED) -> FittedGate:
    return FittedGate("a", "clean", "+", Interval(("A",), low), status, "valley", "as seen", (error,))


def members(cuts: Sequence[float], errors: Sequence[float] | float = 0.0, batches: str = "") -> list[Member]:
    errors = [errors] * len(cuts) if isinstance(errors, float) else errors
    return [
        Member(f"t{i}", batches[i] if batches else "1", "sample", "", True, {"a": fitted(cut, error)})
        for i, (cut, error) in enumerate(zip(cuts, errors, strict=True))
    ]


@pytest.fixture
def shrink(make_template: Template) -> GatingTemplate:
    return make_template("a,clean,A,+,valley,,shrink,consensus")


def step_of(template: GatingTemplate) -> GateStep:
    step = template.step("a")
    assert isinstance(step, GateStep)
    return step


def low(gate: Gate | None) -> float:
    assert isinstance(gate, Interval)
    return gate.low


def test_median_spread_and_batches(shrink: GatingTemplate) -> None:
    cohort = learn_cohort(shrink, members([0.1, 0.2, 0.3, 0.6, 0.7], batches="11122"))
    consensus = cohort.consensus["a"]
    assert low(consensus.gate) == pytest.approx(0.3)
    assert consensus.spread == pytest.approx([1.4826 * 0.2])
    assert {batch: low(gate) for batch, gate in consensus.by_batch.items()} == {
        "1": pytest.approx(0.2),
        "2": pytest.approx(0.65),
    }
    assert consensus.tubes == 5
    assert cohort.notes == ()


def test_order_of_the_tubes_is_irrelevant(shrink: GatingTemplate) -> None:
    tubes = members([0.1, 0.25, 0.3, 0.6], [0.01, 0.02, 0.03, 0.04], "1212")
    one, other = (learn_cohort(shrink, list(some)).consensus["a"] for some in (tubes, tubes[::-1]))
    assert one.gate == other.gate
    assert one.by_batch == other.by_batch
    np.testing.assert_array_equal(one.tau2, other.tau2)


def test_variance_between_tubes_by_hand(shrink: GatingTemplate) -> None:
    """DerSimonian-Laird of 1, 2, 4 with errors 0.5, 0.5, 1, worked out on paper.

    Weights 4, 4, 1; mean (4 + 8 + 4) / 9 = 16/9; Q = 4 (7/9)² + 4 (2/9)² + (20/9)² = 612/81;
    scale = 9 − 33/9 = 48/9; τ² = (612/81 − 2) / (48/9) = 450/432.
    """
    consensus = learn_cohort(shrink, members([1.0, 2.0, 4.0], [0.5, 0.5, 1.0])).consensus["a"]
    assert consensus.tau2 == pytest.approx([450 / 432])


def test_variance_between_tubes_against_statsmodels(shrink: GatingTemplate) -> None:
    """From statsmodels 0.15.0: combine_effects(effects, errors**2, method_re="dl").tau2 on these numbers."""
    effects = [0.51, 0.47, 0.55, 0.49, 0.62, 0.50, 0.46]
    errors = [0.020, 0.015, 0.030, 0.010, 0.025, 0.012, 0.018]
    consensus = learn_cohort(shrink, members(effects, errors)).consensus["a"]
    assert consensus.tau2 == pytest.approx([0.0012737965722984948], rel=1e-9)


def test_no_variance_beyond_the_errors_is_zero(shrink: GatingTemplate) -> None:
    consensus = learn_cohort(shrink, members([0.50, 0.51, 0.49], 0.1)).consensus["a"]
    assert consensus.tau2 == pytest.approx([0.0])
    final = settle(step_of(shrink), fitted(0.51, 0.1), consensus, "1")
    assert low(final.gate) == pytest.approx(0.50)


@pytest.mark.parametrize(("error", "weight"), [(0.0, 1.0), (0.02, 0.5), (0.04, 0.2), (0.2, 0.02 / 2.02)])
def test_weight_of_the_own_estimate(error: float, weight: float, shrink: GatingTemplate) -> None:
    """w = τ² / (τ² + SE²) with τ = 0.02, and the error that remains, √w · SE."""
    consensus = Consensus(Interval(("A",), 0.5), {}, np.array([0.5]), np.array([0.02]), np.array([0.0004]), 4)
    final = settle(step_of(shrink), fitted(0.6, error), consensus, "1")
    assert low(final.gate) == pytest.approx(weight * 0.6 + (1 - weight) * 0.5, rel=1e-3)
    assert final.standard_error == pytest.approx((np.sqrt(weight) * error,), rel=1e-3)
    assert (final.own is None) == (weight == 1.0)
    assert ("own weight" in final.reason) == (weight < 1.0)
    assert final.status is GateStatus.FITTED


def test_an_outlier_takes_the_consensus_and_says_so(shrink: GatingTemplate) -> None:
    cuts = [0.48, 0.49, 0.50, 0.51, 0.52]
    consensus = learn_cohort(shrink, members(cuts, 0.001)).consensus["a"]
    limit = 3 * max(float(consensus.spread[0]), float(np.sqrt(consensus.tau2[0])))
    step = step_of(shrink)
    inside, outside = (settle(step, fitted(0.5 + limit * k, 0.001), consensus, "1") for k in (0.99, 1.01))
    assert inside.rule == "valley"
    assert (outside.rule, outside.status) == ("consensus_outlier", GateStatus.CONSENSUS)
    assert low(outside.gate) == pytest.approx(0.5)
    assert low(outside.own) == pytest.approx(0.5 + limit * 1.01)
    assert "outlier: own estimate is 3.0 robust SD" in outside.reason
    assert "of 5 tubes" in outside.reason


def test_four_tubes_are_too_few_to_call_one_an_outlier(shrink: GatingTemplate) -> None:
    consensus = learn_cohort(shrink, members([0.49, 0.50, 0.50, 0.51], 0.001)).consensus["a"]
    assert settle(step_of(shrink), fitted(0.9, 0.001), consensus, "1").rule == "valley"


def test_tubes_that_agree_do_not_make_outliers_of_hairs(shrink: GatingTemplate) -> None:
    consensus = learn_cohort(shrink, members([0.5] * 6, 0.001)).consensus["a"]
    assert settle(step_of(shrink), fitted(0.529, 0.001), consensus, "1").rule == "valley"
    assert settle(step_of(shrink), fitted(0.531, 0.001), consensus, "1").rule == "consensus_outlier"


def displaced(shrink: GatingTemplate, *control: float) -> CohortGates:
    """Twenty baseline tubes of batch 1 about 0.50, and batch 2 with control donors alone."""
    baseline = 4 * [0.48, 0.49, 0.50, 0.51, 0.52]
    return learn_cohort(shrink, members([*baseline, *control], 0.001, "1" * 20 + "2" * len(control)))


def test_a_tube_that_lies_off_the_cohort_with_its_batch_keeps_its_own_gate(shrink: GatingTemplate) -> None:
    cohort = displaced(shrink, 0.80)
    consensus, step = cohort.consensus["a"], step_of(shrink)
    near, far = (settle(step, fitted(cut, 0.001), consensus, "2") for cut in (0.82, 1.20))
    assert near.rule == "valley"
    assert low(near.gate) == pytest.approx(0.82, abs=0.001)
    assert far.rule == "consensus_outlier"
    assert low(far.gate) == pytest.approx(0.80)
    assert "from the tubes of its batch, which lie off the consensus of 21 tubes" in far.reason
    assert settle(step, fitted(0.82, 0.001), consensus, "1").rule == "consensus_outlier"
    assert settle(step, fitted(0.82, 0.001), consensus, "3").rule == "consensus_outlier"


def test_a_tube_is_no_witness_for_itself(shrink: GatingTemplate) -> None:
    step = step_of(shrink)
    alone, with_another = (displaced(shrink, *control).consensus["a"] for control in ((0.80,), (0.80, 0.50)))
    for consensus in (alone, with_another):
        found = settle(step, fitted(0.80, 0.001), consensus, "2")
        assert found.rule == "consensus_outlier"
        assert low(found.gate) == pytest.approx(float(consensus.vector[0]))


def test_a_batch_that_lies_off_the_cohort_is_noted(shrink: GatingTemplate) -> None:
    (note,) = displaced(shrink, 0.80).notes
    assert note.startswith("a: the gates of batch 2 lie ")
    assert "held against their own batch" in note
    assert displaced(shrink, 0.51).notes == ()
    assert learn_cohort(shrink, members([0.50, 0.50, 0.80], 0.001, "112")).notes == ()


def test_learnt_on_baseline_and_control_donors_only(shrink: GatingTemplate) -> None:
    tubes = [
        Member("b", "1", "sample", "", True, {"a": fitted(0.4)}),
        Member("c", "1", "control", "", True, {"a": fitted(0.5)}),
        Member("later", "1", "sample", "", False, {"a": fitted(5.0)}),
        Member("fmo", "1", "fmo", "FOXP3", False, {"a": fitted(9.0)}),
    ]
    cohort = learn_cohort(shrink, tubes)
    assert low(cohort.consensus["a"].gate) == pytest.approx(0.45)
    assert cohort.consensus["a"].tubes == 2
    assert cohort.notes == ()


def test_own_estimates_only_count_when_the_first_rule_held(shrink: GatingTemplate) -> None:
    tubes = members([0.4, 0.5])
    for i, status in enumerate((GateStatus.FALLBACK, GateStatus.FIXED, GateStatus.NOT_STAINED)):
        tubes.append(Member(f"x{i}", "1", "sample", "", True, {"a": fitted(7.0, status=status)}))
    assert learn_cohort(shrink, tubes).consensus["a"].tubes == 2
    assert "a" not in learn_cohort(shrink, tubes[2:]).consensus


def test_no_baseline_is_said_and_controls_of_stains_still_do_not_count(shrink: GatingTemplate) -> None:
    tubes = [
        Member("w12", "1", "sample", "", False, {"a": fitted(0.4)}),
        Member("w24", "1", "sample", "", False, {"a": fitted(0.6)}),
        Member("fmo", "1", "fmo", "FOXP3", False, {"a": fitted(9.0)}),
    ]
    cohort = learn_cohort(shrink, tubes)
    assert low(cohort.consensus["a"].gate) == pytest.approx(0.5)
    assert cohort.notes == (
        "no baseline sample and no control donor: gates were learnt on all 2 tube(s), treatment included",
    )


def test_one_tube_keeps_its_own_gate_and_it_is_said(shrink: GatingTemplate) -> None:
    cohort = learn_cohort(shrink, members([0.42], 0.05))
    assert cohort.notes == ("one tube to learn from: its own gates are the consensus",)
    final = settle(step_of(shrink), fitted(0.42, 0.05), cohort.consensus["a"], "1")
    assert low(final.gate) == 0.42
    assert final.standard_error == (0.05,)


def test_nobody_to_learn_from(shrink: GatingTemplate) -> None:
    cohort = learn_cohort(shrink, [])
    assert cohort.consensus == {}
    assert settle(step_of(shrink), fitted(0.4), None, "1") == fitted(0.4)


@pytest.mark.parametrize(
    ("share", "batch", "expected", "said"),
    [
        ("study", "2", 0.3, "the study's gate"),
        ("batch", "2", 0.65, "the gate of batch 2"),
        ("batch", "3", 0.3, "nothing was learnt from batch 3"),
        ("own", "2", 0.9, "as seen"),
    ],
)
def test_shares(share: str, batch: str, expected: float, said: str, make_template: Template) -> None:
    template = make_template(f"a,clean,A,+,valley,,{share},")
    consensus = Consensus(
        Interval(("A",), 0.3), {"2": Interval(("A",), 0.65)}, np.array([0.3]), np.array([0.1]), np.array([0.01]), 5
    )
    final = settle(step_of(template), fitted(0.9, 0.01), consensus, batch)
    assert low(final.gate) == pytest.approx(expected)
    assert said in final.reason


@pytest.mark.parametrize("status", [GateStatus.FAILED, GateStatus.NOT_STAINED, GateStatus.OVERRIDDEN, GateStatus.FIXED])
def test_what_the_cohort_must_not_touch(status: GateStatus, shrink: GatingTemplate) -> None:
    consensus = learn_cohort(shrink, members([0.1, 0.2])).consensus["a"]
    own = fitted(0.9, status=status)
    assert settle(step_of(shrink), own, consensus, "1") == own


def test_each_marker_learns_from_its_own_controls(make_template: Template) -> None:
    template = make_template(
        "a,clean,A,+,control_quantile,control=A; minimum=1,control,",
        "b,clean,B,+,control_quantile,control=B; minimum=1,control,",
    )
    tubes = [
        Member("fa", "1", "fmo", "A", False, {}, {"a/control_quantile": {"n": 5, "cut": 1.0, "error": 0.1}}),
        Member("fb", "1", "fmo", "B", False, {}, {"b/control_quantile": {"n": 5, "cut": 2.0, "error": 0.1}}),
    ]
    models = learn_cohort(template, tubes).models
    assert {name: model["overall"][0] for name, model in models.items()} == {
        "a/control_quantile": 1.0,
        "b/control_quantile": 2.0,
    }


def test_controls_that_teach_nothing_are_noted(make_template: Template) -> None:
    template = make_template("a,clean,A,+,control_quantile,control=A,control,")
    few = Member("f", "1", "fmo", "A", False, {}, {"a/control_quantile": {"n": 10}})
    cohort = learn_cohort(template, [few, *members([0.5, 0.6])])
    assert cohort.models == {}
    assert cohort.notes == ("a: control_quantile learnt nothing: no FMO tube without A has 2000 events in the parent",)


def test_controls_of_a_batch_are_added_up(shrink: GatingTemplate) -> None:
    counts = np.array([3, 1], dtype=np.uint32)
    tubes = [
        Member(f"f{i}", batch, "fmo", "A", False, {}, {CONTROL_DENSITIES: {"a": counts}})
        for i, batch in enumerate("112")
    ]
    controls = learn_cohort(shrink, tubes).controls
    assert {batch: array.tolist() for batch, array in controls["a"].items()} == {"1": [6, 2], "2": [3, 1]}


@pytest.mark.parametrize(
    "gate",
    [
        Interval(("A",), 0.3),
        Interval(("A",), high=0.3),
        Interval(("A",), 0.1, 0.3),
        Rectangle(("A", "B"), (0.3, -np.inf), (np.inf, 0.2)),
        Rectangle(("A", "B"), (0.1, 0.2), (0.5, 0.4)),
        Ellipse(("A", "B"), (1.0, 2.0), ((4.0, 1.2), (1.2, 1.0)), 6.0),
    ],
)
def test_numbers_of_a_gate_and_back(gate: Gate) -> None:
    again = from_vector(gate, to_vector(gate))
    assert type(again) is type(gate)
    np.testing.assert_allclose(to_vector(again), to_vector(gate))
    if isinstance(gate, Ellipse) and isinstance(again, Ellipse):
        np.testing.assert_allclose(again.covariance, gate.covariance)
        assert again.distance_square == gate.distance_square


def test_a_polygon_has_no_consensus() -> None:
    triangle = Polygon(("A", "B"), ((0, 0), (1, 0), (0, 1)))
    with pytest.raises(GateFitError, match="Polygon gates have no consensus"):
        to_vector(triangle)


def test_mixtures_of_a_large_cohort_are_learnt_on_a_spread_of_its_tubes_and_gates_on_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []

    def pool(self: AlignedMixture, learners: Sequence[Learner]) -> dict[str, object]:
        asked.append([learner.tube_id for learner in learners])
        return {"notes": []}

    monkeypatch.setattr(AlignedMixture, "pool", pool)
    template = load_template("treg_foxp3")
    summaries = {f"{name}/aligned_mixture": {"columns": [], "counts": []} for name in ("cd25_cd127low", "treg")}
    tubes = [
        Member(f"t{i:04}", str(i % 4), "sample", "", True, {"t_cells": fitted(0.4)}, summaries)
        for i in range(3 * MOST_TEACHERS + 1)
    ]
    cohort = learn_cohort(template, tubes)
    assert cohort.consensus["t_cells"].tubes == len(tubes)
    assert {len(names) for names in asked} == {MOST_TEACHERS}
    for batch in range(4):  # also where the number of the tube tells its batch
        assert 15 <= sum(int(name[1:]) % 4 == batch for name in asked[0]) <= 45
    assert f"mixtures were learnt on {MOST_TEACHERS} of 361 tubes, chosen by lot" in cohort.notes
    asked.clear()
    learn_cohort(template, tubes[:MOST_TEACHERS])
    assert {len(names) for names in asked} == {MOST_TEACHERS}
