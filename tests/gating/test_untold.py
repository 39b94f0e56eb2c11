"""A tube that a method cannot learn from: the cohort does without it, and the tube says why it has no gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import numpy as np
import pytest

from treg_gating.errors import GateFitError
from treg_gating.gating.consensus import Member, learn_cohort
from treg_gating.gating.hierarchy import EventView, apply_sample, fit_sample
from treg_gating.gating.methods.aligned_mixture import AlignedMixture
from treg_gating.gating.results import FittedGate, GateStatus
from treg_gating.gating.template import GatingTemplate

LINE = "line,clean,A;B,+,aligned_mixture,high=A; low=B; components=2; starts=2; context=C,cohort,"
FAR = 1e12  # on linear scales: bins of 0.02 as far as there on two dimensions have no numbers


def tube(seed: int) -> dict[str, np.ndarray]:
    """Tregs are high on A and low on B; C tells nothing."""
    rng = np.random.default_rng(seed)
    treg = rng.random(4_000) < 0.2
    centre = np.where(treg[:, None], (0.7, 0.2, 0.5), (0.2, 0.7, 0.5))
    return dict(zip("ABC", rng.normal(centre, 0.06).T, strict=True))


def test_a_tube_that_cannot_teach_is_left_out_and_says_why(
    make_template: Callable[..., GatingTemplate], make_view: Callable[..., EventView]
) -> None:
    template = make_template(LINE, "below,line,C,+,fixed,low=0,own,")
    tubes = {name: tube(seed) for seed, name in enumerate(("t1", "t2", "far"))}
    tubes["far"]["A"][7], tubes["far"]["B"][8] = FAR, FAR
    views = {name: make_view(**columns) for name, columns in tubes.items()}
    fits = {name: fit_sample(template, view, batch="1") for name, view in views.items()}

    pending = fits["far"].gates["line"]
    assert pending.status is GateStatus.CONSENSUS
    assert "told the cohort nothing: events lie so far apart" in pending.reason

    members = [Member(name, "1", "sample", "", True, fit.gates, fit.summaries) for name, fit in fits.items()]
    cohort = learn_cohort(template, members)
    assert cohort.models["line/aligned_mixture"]["tubes"] == 2
    (note,) = [note for note in cohort.notes if "without" in note and "learnt" in note]
    assert note.startswith("line/aligned_mixture was learnt without far (events lie so far apart")

    def own(_: object, gate: FittedGate) -> FittedGate:
        return gate

    walks = {
        name: apply_sample(template, views[name], fits[name].gates, own, cohort.models, batch="1") for name in tubes
    }
    assert walks["t1"].gates["line"].status is GateStatus.FITTED
    gate = walks["far"].gates["line"]
    assert gate.status is GateStatus.FAILED
    assert "aligned_mixture: events lie so far apart" in gate.reason
    assert walks["far"].rows["below"] is None
    assert "line" in walks["far"].why_not["below"]


def test_a_tube_that_could_not_teach_is_gated_by_the_cohorts_model(
    make_template: Callable[..., GatingTemplate], make_view: Callable[..., EventView], monkeypatch: pytest.MonkeyPatch
) -> None:
    template = make_template(LINE)
    views = {name: make_view(**tube(seed)) for seed, name in enumerate(("t1", "t2", "mute"))}
    fits = {name: fit_sample(template, view, batch="1") for name, view in views.items() if name != "mute"}

    def refuse(*_: object) -> NoReturn:
        raise GateFitError("it cannot say")

    with monkeypatch.context() as patched:
        patched.setattr(AlignedMixture, "summarise", refuse)
        fits["mute"] = fit_sample(template, views["mute"], batch="1")
    members = [Member(name, "1", "sample", "", True, fit.gates, fit.summaries) for name, fit in fits.items()]
    cohort = learn_cohort(template, members)
    assert "line/aligned_mixture was learnt without mute (it cannot say)" in cohort.notes
    walk = apply_sample(
        template, views["mute"], fits["mute"].gates, lambda _, own: own, cohort.models, batch="1"
    )  # fmt: skip
    assert walk.gates["line"].status is GateStatus.FITTED
    assert "learnt on 2 tube(s)" in walk.gates["line"].reason
    assert walk.rows.count("line") == pytest.approx(800, rel=0.05)
