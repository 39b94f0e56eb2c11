"""Walk a template down one tube: fit its gates (pass 1), or apply the final ones (pass 2).

The only place where a GateFitError becomes a status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from treg_gating.errors import GateFitError
from treg_gating.gating.gates import Gate
from treg_gating.gating.landmarks import LANDMARKS, find_landmarks
from treg_gating.gating.looks import PopulationLooks, TooEarlyError
from treg_gating.gating.method import UNTOLD, FitContext
from treg_gating.gating.results import FittedGate, GateStatus
from treg_gating.gating.rows import Indices, PopulationRows
from treg_gating.gating.selection import chosen, held, known_masks, sparse
from treg_gating.gating.template import CombineStep, GateStep, GatingTemplate, Rule
from treg_gating.gating.view import EventView
from treg_gating.threads import aside, beside

__all__ = ["EventView", "Walk", "apply_gates", "apply_sample", "fit_sample"]

HeldAgainst = Callable[[FittedGate], Sequence[Gate]]


@dataclass
class Walk:
    """A template walked down one tube.

    Parameters
    ----------
    gates : by population, in template order.
    rows : by population, its events.
    why_not : by population that is not estimable, the reason.
    summaries : by population, what the tube tells the cohort (pass 1).
    close : by population, the events of its parent on which its gate may disagree with what it was held against.
    """

    gates: dict[str, FittedGate] = field(default_factory=dict)
    rows: PopulationRows = field(default_factory=lambda: PopulationRows(0))
    why_not: dict[str, str] = field(default_factory=dict)
    summaries: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    close: dict[str, Indices] = field(default_factory=dict)


def fit_sample(template: GatingTemplate, view: EventView, *, batch: str, control: bool = True) -> Walk:
    """Pass 1: every gate on its own, and the summaries of the methods that learn from the cohort.

    Parameters
    ----------
    control : whether the tube may be an FMO control: methods that learn from those alone ask no other.
    """

    def decide(step: GateStep, walk: Walk, look: Callable[[], FitContext]) -> FittedGate:
        context = look()
        untold = _tell_cohort(step, context, walk, control)
        if step.share == "landmark":
            walk.summaries[f"{step.population}/{LANDMARKS}"] = {"peaks": find_landmarks(*context.counted(step.dims[0]))}
        gate = _pending(step, "waits for the cohort", context.n_events) if step.learns else None
        gate = gate or _follow(step, step.chain, context, None)
        return replace(gate, reason="; ".join([*untold, gate.reason])) if untold else gate

    known = {step.population: gate for step in template.gate_steps if (gate := _blind_gate(step)) is not None}
    return _walk(template, view, batch, decide, _known_rows(template, known, view)[0], ahead=True)


def _tell_cohort(step: GateStep, context: FitContext, walk: Walk, control: bool) -> list[str]:
    """Leave what the methods that learn would know of these events; what kept any of them from saying it."""
    untold: list[str] = []
    for rule in step.chain:
        learns = rule.learns and (control or rule.method.learns_from != "controls")
        if not learns or not context.n_events:
            continue
        name = f"{step.population}/{rule.name}"
        try:
            walk.summaries[name] = rule.method.summarise(context)
        except GateFitError as error:  # the cohort learns without this tube
            untold.append(f"{rule.name} told the cohort nothing: {error}")
            walk.summaries[f"{name}/{UNTOLD}"] = {"reason": str(error)}
    return untold


def _blind_gate(step: GateStep) -> Gate | None:
    """The gate of a method that does not look at the events."""
    return getattr(step.method, "blind", None)


def apply_sample(
    template: GatingTemplate,
    view: EventView,
    own: Mapping[str, FittedGate],
    settle: Callable[[GateStep, FittedGate], FittedGate],
    models: Mapping[str, Mapping[str, Any]],
    *,
    batch: str,
    meanwhile: Callable[[Walk], Sequence[Callable[[], None]]] | None = None,
    held_against: HeldAgainst | None = None,
) -> Walk:
    """Pass 2: every gate settled with the cohort, and what needs the cohort's models placed on this tube.

    Parameters
    ----------
    own : gates of pass 1, by population. settle : final gate from the tube's own and the cohort's.
    models : by ``population/rule``, for methods that learn.
    meanwhile : new work on the populations of a walk that is on its way, for a second thread while gates are fitted;
        asked first about what stands before all gates, and then about those that settled gates alone lead to.
    held_against : gates of the same kind that a final gate is to be held against, for :attr:`Walk.close`; maybe none.
    """
    with aside() as others:

        def tell(walk: Walk) -> None:
            others.add(meanwhile(walk) if meanwhile else ())

        tell(Walk(rows=_first_rows(view)))  # while gates are settled
        final = {one.population: settle(one, own[one.population]) for one in template.gate_steps if _stands(one, own)}
        known = {name: gate.gate for name, gate in final.items() if gate.gate is not None}

        def decide(step: GateStep, walk: Walk, look: Callable[[], FitContext]) -> FittedGate:
            gate = final.get(step.population)
            if gate is None:
                gate = settle(step, _follow(step, step.chain, look(), models))
            if gate.gate is not None or gate.status is not GateStatus.CONSENSUS:
                return gate
            behind = step.chain[[rule.method is None for rule in step.chain].index(True) + 1 :]
            there_is_none = f"{gate.reason}; and there is no consensus"
            found = _follow(step, behind, look(), models)
            return replace(found, reason="; ".join(filter(None, (there_is_none, found.reason))))

        others_of = {name: held_against(final[name]) for name in known} if held_against else {}
        rows, close = _known_rows(template, known, view, {name: some for name, some in others_of.items() if some})
        tell(Walk({name: gate for name, gate in final.items() if name in rows}, rows, close=close))
        walk = _walk(template, view, batch, decide, rows, tell=tell, held_against=held_against)
        others.finish()
    return walk


def _first_rows(view: EventView) -> PopulationRows:
    return PopulationRows(view.n_events, {"root": np.ones(view.n_events, np.bool_), "clean": view.kept})


def _known_rows(
    template: GatingTemplate,
    gates: Mapping[str, Gate],
    view: EventView,
    others: Mapping[str, Sequence[Gate]] | None = None,
) -> tuple[PopulationRows, dict[str, Indices]]:
    """The events of the populations that only known gates lead to, and those close to gates with others."""
    rows, known = _first_rows(view), known_masks(template, gates, view, others)
    for name, mask in known.masks.items():
        rows.keep(name, mask)
    return rows, known.close


def _stands(step: GateStep, own: Mapping[str, FittedGate]) -> bool:
    """Whether pass 1 could say what this tube says of a gate.

    It could not look at the events where a gate above waits for the cohort, nor ask a rule that does.
    """
    estimate = own.get(step.population)
    if estimate is None or estimate.status is GateStatus.FAILED:
        return False
    waits = any(rule.learns for rule in step.chain)
    return not waits or estimate.status in {GateStatus.FITTED, GateStatus.OVERRIDDEN}


def apply_gates(template: GatingTemplate, gates: Mapping[str, FittedGate], view: EventView) -> Walk:
    """Walk down with gates that are known; nothing is fitted or settled."""

    def decide(step: GateStep, walk: Walk, look: Callable[[], FitContext]) -> FittedGate:
        return gates[step.population]

    known = {name: found.gate for name, found in gates.items() if found.gate is not None}
    return _walk(template, view, "", decide, _known_rows(template, known, view)[0])


def _walk(
    template: GatingTemplate,
    view: EventView,
    batch: str,
    decide: Callable[[GateStep, Walk, Callable[[], FitContext]], FittedGate],
    known: PopulationRows,
    *,
    ahead: bool = False,
    tell: Callable[[Walk], None] | None = None,
    held_against: HeldAgainst | None = None,
) -> Walk:
    """Step by step. With `ahead` another thread decides over a step further on whose events are known already.

    Parameters
    ----------
    known : events of some populations. tell : is told of the walk whenever it has come to another.
    held_against : as in :func:`apply_sample`.
    """
    walk = Walk(rows=_first_rows(view))
    memo: dict[Any, Any] = {}
    early: dict[str, FittedGate] = {}

    def decided(step: GateStep) -> FittedGate:
        if walk.rows.count(step.fit_on) is None:
            return _failed(step, walk.why_not.get(step.fit_on, ""), 0)
        return decide(step, walk, partial(_context, step, view, walk, batch, memo))

    for place, step in enumerate(template.steps):
        if isinstance(step, CombineStep):
            _combine(step, walk)
            if tell is not None:
                tell(walk)
            continue
        absent = [name for name in step.dims if name not in view.measured]
        if absent:
            reason = f"{', '.join(absent)} not stained"
            walk.gates[step.population] = FittedGate(
                step.population, step.parent, step.sign, None, GateStatus.NOT_STAINED, "none", reason
            )
            walk.rows.pass_on(step.parent, step.population)
            continue
        later = template.steps[place + 1 :] if ahead else ()
        one = [s for s in later if isinstance(s, GateStep) and _may_be_early(s, walk, view, early)][:1]
        with beside(partial(_try_early, decided), one) as others:
            gate = early.get(step.population) or decided(step)
            walk.gates[step.population] = gate
            if step.population in known:
                walk.rows.share(step.population, known)
            else:
                _select(step, gate, walk, view, held_against)
            early |= {found.population: found for found in others() if found is not None}
        if tell is not None and step.population not in known:
            tell(walk)
    return walk


def _may_be_early(step: GateStep, walk: Walk, view: EventView, early: Mapping[str, FittedGate]) -> bool:
    """Whether the events that a later gate is fitted on are known, and it tells the cohort nothing else."""
    if step.population in early or step.fit_on not in walk.rows:
        return False
    tells = step.share == "landmark" or any(rule.learns for rule in step.chain)
    return not tells and walk.rows.count(step.fit_on) is not None and view.measured.issuperset(step.dims)


def _try_early(decided: Callable[[GateStep], FittedGate], step: GateStep) -> FittedGate | None:
    try:
        return decided(step)
    except TooEarlyError:
        return None


def _context(step: GateStep, view: EventView, walk: Walk, batch: str, memo: dict[Any, Any]) -> FitContext:
    """What a method may look at, of a population that is estimable."""
    looks, size = PopulationLooks(view, walk.rows, step.fit_on, step.parent), walk.rows.count(step.fit_on)
    source = partial(looks.fetch, step.dims)
    return FitContext(step.dims, source, looks.fetch, None, batch, None, memo, size, step.fit_on, looks)


def _follow(
    step: GateStep, chain: Sequence[Rule], context: FitContext, models: Mapping[str, Mapping[str, Any]] | None
) -> FittedGate:
    """The first rule of the chain that holds; every one that did not is named in the reason."""
    complaints: list[str] = []
    for rule in chain:
        if rule.method is None:
            return _pending(step, "; ".join(complaints), context.n_events)
        model = (models or {}).get(f"{step.population}/{rule.name}")
        here = context.with_model(model)
        try:
            fit = rule.method.fit(here)
        except GateFitError as error:
            complaints.append(f"{rule.name}: {error}")
            continue
        status = GateStatus.FITTED if rule == step.chain[0] else GateStatus.FALLBACK
        if rule.name == "fixed":
            status = GateStatus.FIXED
        reason = "; ".join([*complaints, fit.reason])
        return FittedGate(
            step.population, step.parent, step.sign, fit.gate, status, rule.name, reason, fit.standard_error,
            n_events=context.n_events, caution=fit.caution,
        )  # fmt: skip
    return _failed(step, "; ".join(complaints), context.n_events)


def _pending(step: GateStep, reason: str, n_events: int) -> FittedGate:
    """A gate the cohort has to give; it has no numbers yet."""
    return FittedGate(
        step.population, step.parent, step.sign, None, GateStatus.CONSENSUS, "consensus", reason, n_events=n_events
    )


def _failed(step: GateStep, reason: str, n_events: int) -> FittedGate:
    return FittedGate(
        step.population, step.parent, step.sign, None, GateStatus.FAILED, "none", reason, n_events=n_events
    )


def _select(step: GateStep, gate: FittedGate, walk: Walk, view: EventView, held_against: HeldAgainst | None) -> None:
    if gate.gate is None or walk.rows.count(step.parent) is None:
        walk.rows[step.population] = None
        reason = gate.reason if gate.gate is None else walk.why_not.get(step.parent, "")
        walk.why_not[step.population] = walk.why_not.get(step.parent) or f"{step.population}: {reason}"
        return
    if (some := sparse(walk.rows, step.parent)) is not None:
        others = held_against(gate) if held_against else ()
        walk.rows[step.population], close = chosen(gate.gate, others, step.sign, some, view)
        if close is not None:
            walk.close[step.population] = close
    else:
        walk.rows.keep(step.population, held(step, gate.gate, walk.rows.mask(step.parent), view))


def _combine(step: CombineStep, walk: Walk) -> None:
    unknown = [name for name in (step.parent, *step.expression.names) if walk.rows.count(name) is None]
    status = GateStatus.FAILED if unknown else GateStatus.FITTED
    reason = walk.why_not.get(unknown[0], "") if unknown else ""
    pending = [name for name in step.expression.names if _not_stained(walk, name)]
    if pending:
        status, reason = GateStatus.NOT_STAINED, f"{', '.join(pending)}: {walk.gates[pending[0]].reason}"
    walk.gates[step.population] = FittedGate(
        step.population, step.parent, "+", None, status, "combine", reason, expression=step.expression.text
    )
    if unknown:
        walk.rows[step.population] = None
        walk.why_not[step.population] = reason
        return
    if pending:
        walk.rows.pass_on(step.parent, step.population)  # as a gate that is not stained
        return
    if (some := walk.rows.few(step.parent)) is not None:
        held_by = step.expression.evaluate(lambda name: walk.rows.among(name, some))
        walk.rows[step.population] = some[held_by]
    else:
        walk.rows.keep(step.population, step.expression.evaluate(walk.rows.mask) & walk.rows.mask(step.parent))


def _not_stained(walk: Walk, population: str) -> bool:
    gate = walk.gates.get(population)
    return gate is not None and gate.status is GateStatus.NOT_STAINED
