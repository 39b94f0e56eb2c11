"""Landmark shift: the gate follows the batch's peaks, the data stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treg_gating.errors import InputError
from treg_gating.gating.consensus import CohortGates, Member, learn_cohort
from treg_gating.gating.gates import Interval
from treg_gating.gating.hierarchy import EventView, Walk, apply_sample, fit_sample
from treg_gating.gating.landmarks import Landmarks, find_landmarks, gate_of_batch, move_by_batch
from treg_gating.gating.results import GateStatus
from treg_gating.gating.settling import settle
from treg_gating.gating.template import GatingTemplate, load_template

Template = Callable[..., GatingTemplate]
SHIFT = {"B1": 0.0, "B2": 0.08, "B3": -0.06}


def test_peaks_of_two_clouds_one_cloud_and_hardly_any_events() -> None:
    rng = np.random.default_rng(4)
    both = np.concatenate([rng.normal(0.2, 0.04, 3_000), rng.normal(0.7, 0.04, 1_000)])

    def peaks(values: np.ndarray) -> tuple[float, ...]:
        return find_landmarks(np.sort(values), np.ones(len(values)))

    assert peaks(both) == pytest.approx((0.2, 0.7), abs=0.02)
    assert peaks(both[:3_000]) == pytest.approx((0.2,), abs=0.02)
    assert peaks(both[:10]) == ()


def test_a_bound_moves_by_what_lies_on_either_side_of_it() -> None:
    study = [Landmarks("B1", True, (0.2, 0.6)) for _ in range(3)]
    moved = move_by_batch(Interval(("A",), 0.3), [*study, Landmarks("B2", True, (0.24, 0.60))])
    assert moved["B1"] == Interval(("A",), 0.3)
    assert moved["B2"].low == pytest.approx(0.3 + 0.75 * 0.04)  # a quarter of the way from the peak that moved
    beyond = move_by_batch(Interval(("A",), 0.1, 0.9), [*study, Landmarks("B2", True, (0.24, 0.57))])
    assert (beyond["B2"].low, beyond["B2"].high) == pytest.approx((0.14, 0.87))


def test_a_batch_without_such_peaks_keeps_the_gate_and_says_so() -> None:
    gate = Interval(("A",), 0.3)
    moved = move_by_batch(gate, [Landmarks("B1", True, (0.2, 0.6)), Landmarks("B2", True, (0.3,))][:1])
    assert gate_of_batch(gate, moved, "B2") == (
        gate,
        "landmark shift: the study's gate, for batch B2 shows no peaks to move it by",
    )
    assert move_by_batch(gate, []) == {}
    assert move_by_batch(gate, [Landmarks("B1", False, (0.2, 0.6))]) == {}  # nobody to learn from


def test_a_treated_tube_does_not_drag_its_batch() -> None:
    tubes = [Landmarks("B1", True, (0.2,)), Landmarks("B2", True, (0.25,)), Landmarks("B2", False, (0.5,))]
    gate = move_by_batch(Interval(("A",), 0.3), tubes)["B2"]
    assert gate.low == pytest.approx(0.3 + 0.025)  # half way between the two that teach, which the study's median is


def cohort(template: GatingTemplate, make_view: Callable[..., EventView]) -> Mapping[str, tuple[EventView, Walk]]:
    """Two tubes a batch; 30 % of the events are positive, and the whole batch is shifted."""
    made = {}
    for i, (batch, shift) in enumerate(item for item in SHIFT.items() for _ in range(2)):
        rng = np.random.default_rng(i)
        values = np.concatenate([rng.normal(0.3, 0.06, 7_000), rng.normal(0.6, 0.07, 3_000)]) + shift
        view = make_view(A=values)
        made[f"{batch} {i}"] = (view, fit_sample(template, view, batch=batch))
    return made


def second(template: GatingTemplate, made: Mapping[str, tuple[EventView, Walk]]) -> tuple[CohortGates, dict[str, Walk]]:
    tubes = [
        Member(name, name.split()[0], "sample", "", True, walk.gates, walk.summaries)
        for name, (_, walk) in made.items()
    ]
    learnt = learn_cohort(template, tubes)

    def walk(name: str) -> Walk:
        view, first = made[name]
        batch = name.split()[0]

        def final(step: Any, own: Any) -> Any:
            return settle(step, own, learnt.consensus.get(step.population), batch)

        return apply_sample(template, view, first.gates, final, learnt.models, batch=batch)

    return learnt, {name: walk(name) for name in made}


def test_the_gate_moves_with_the_batch_and_the_share_stays(make_template: Template, make_view: Any) -> None:
    template = make_template("a,clean,A,+,valley,,landmark,consensus")
    made = cohort(template, make_view)
    learnt, walks = second(template, made)
    gate = learnt.consensus["a"].gate
    assert isinstance(gate, Interval)
    for name, walk in walks.items():
        batch, found = name.split()[0], walk.gates["a"]
        assert isinstance(found.gate, Interval)
        assert found.gate.low - gate.low == pytest.approx(SHIFT[batch], abs=0.015)
        assert (found.status, found.rule) == (GateStatus.CONSENSUS, "landmark_shift")
        assert found.reason.startswith("landmark shift: the study's gate moved by ")
        assert found.reason.endswith(f"with the peaks of batch {batch}")
        assert found.own is not None
        assert walk.rows["a"] is not None
        assert len(walk.rows["a"]) == pytest.approx(3_000, rel=0.03)


def test_the_studys_gate_alone_is_biased_by_such_shifts(make_template: Template, make_view: Any) -> None:
    template = make_template("a,clean,A,+,valley,,study,")
    _, walks = second(template, cohort(template, make_view))
    counts = {name.split()[0]: len(walk.rows["a"]) for name, walk in walks.items()}  # type: ignore[arg-type]
    assert counts["B2"] > 1.1 * 3_000


def test_no_shipped_template_moves_its_gates() -> None:
    for name in ("treg_foxp3", "treg_surface", "treg_pregated"):
        assert all(getattr(step, "share", "") != "landmark" for step in load_template(name).steps)


def test_a_gate_on_two_dimensions_cannot_be_moved_so(folder: Path) -> None:
    path = folder / "gates.csv"
    rows = path.read_text(encoding="utf-8").splitlines()
    row = "both,cd4_t,CD3;CD4,+,mixture_ellipse,,landmark,"
    path.write_text("\n".join([*rows, row]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="only a gate on one dimension moves with the peaks"):
        load_template(folder)
