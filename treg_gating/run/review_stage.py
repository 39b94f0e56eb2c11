"""After pass 2: what persons decided is applied to the tubes it concerns, and to no other.

The result that the template gave is kept as it is; the reviewed one is stored beside it, with both counts. The cohort's
gates are learnt from fitted gates alone, so that a person's hand on one tube moves no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from treg_gating.flags import Flag, FlagLevel
from treg_gating.gating.results import SampleResult, TubeReview
from treg_gating.run.child import Limits
from treg_gating.run.codec import decode, encode
from treg_gating.run.decisions import (
    ACCEPT,
    EXCLUDE,
    OVERRIDE,
    Decision,
    in_force,
    staleness,
    value_of,
)
from treg_gating.run.engine import Engine, run_stage
from treg_gating.run.job import Job, Outcome, Shared
from treg_gating.run.keys import digest
from treg_gating.run.ledger import Ledger
from treg_gating.run.shelves import StoredShelf
from treg_gating.run.stored import Stored
from treg_gating.tube import Tube

__all__ = ["ReviewStage", "fitted_results", "reviewed"]

STALE = "DECISION_STALE"
EXCLUDED = "EXCLUDED"


class ReviewStage:
    """Decisions of one folder, and the tubes of one run.

    Parameters
    ----------
    fitted : results before any decision, by tube.
    tubes : by tube_id.
    shared : pipeline and settings; the template's digest is what decisions are bound to.
    """

    def __init__(
        self, ledger: Ledger, run: str, fitted: Mapping[str, Stored], tubes: Mapping[str, Tube], shared: Shared
    ) -> None:
        self.ledger, self.run, self.shared = ledger, run, shared
        self.tubes = tubes
        self.endpoint = shared.settings.template.primary
        self.template_sha256 = shared.settings.template.sha256
        self.due: dict[str, tuple[str, Stored, tuple[Decision, ...]]] = {}
        kept: list[tuple[str, Stored]] = []
        for tube_id, decisions in in_force(ledger.decisions()).items():
            if tube_id not in fitted:
                continue
            base = fitted[tube_id]
            key = digest(base.key, "reviewed", self.template_sha256, [decision.seq for decision in decisions])
            found = ledger.result(key)
            if found is not None and found.final:
                kept.append((tube_id, found))
            else:
                self.due[tube_id] = (key, base, decisions)
        ledger.take_over(run, results=kept)

    def work(self, engine: Callable[[], Engine], limits: Limits, tell: Callable[[Outcome], None]) -> None:
        """Apply all that is due.

        Parameters
        ----------
        engine : gives an open engine; asked only where events have to be read again.
        """
        jobs = []
        results: dict[str, SampleResult] = {}
        for tube_id, (_, base, decisions) in self.due.items():
            result = results[tube_id] = decode(base.payload)
            gates, why = self._overrides(result, decisions)
            if gates:
                given = encode({"result": result, "gates": gates, "why": why})
                jobs.append(Job(self.tubes[tube_id], "override", given, base.sha256))
            else:
                self._commit(tube_id, reviewed(result, result, decisions, self.template_sha256, self._value))
        if not jobs:
            return
        for outcome in chain.from_iterable(run_stage(engine(), jobs, self.shared, limits)):
            self._outcome(outcome, results[outcome.tube_id])
            tell(outcome)

    def _overrides(self, result: SampleResult, decisions: Sequence[Decision]) -> tuple[dict[str, Any], dict[str, str]]:
        holding = [d for d in decisions if d.action == OVERRIDE and not staleness(d, result, self.template_sha256)]
        why = {d.population: f"{d.why} ({d.signed})" for d in holding}
        return {d.population: d.new_gate for d in holding}, why

    def _outcome(self, outcome: Outcome, fitted: SampleResult) -> None:
        decisions = self.due[outcome.tube_id][2]
        done = outcome.kind == "done" and outcome.payload is not None
        result = decode(outcome.payload) if done and outcome.payload is not None else fitted
        problem = "" if done else outcome.reason or "its process was lost"
        found = reviewed(fitted, result, decisions, self.template_sha256, self._value, problem)
        self._commit(outcome.tube_id, found, final=done)

    def _commit(self, tube_id: str, result: SampleResult, *, final: bool = True) -> None:
        key, base, decisions = self.due[tube_id]
        review = replace(result.review or TubeReview(), fitted_key=base.key)
        result = replace(result, review=review)
        stored = Stored(key, base.setting_key, base.sha256, encode(result), base.status, final and base.final)
        said = f"decisions {', '.join(str(decision.seq) for decision in decisions)} applied"
        self.ledger.commit_result(self.run, tube_id, stored, "; ".join(review.stale) or said)

    def _value(self, result: SampleResult) -> str:
        return value_of(result, self.endpoint.numerator, self.endpoint.denominator)


def fitted_results(ledger: Ledger, run: str) -> Mapping[str, Stored]:
    """Results of a run as the template alone gave them, before any decision, by tube; read when asked."""
    keys: dict[str, str] = {}
    for tube_id, stored in ledger.results_of(run).items():
        review = decode(stored.payload).review
        before = ledger.result(review.fitted_key) if review is not None else None
        keys[tube_id] = (before or stored).key
    return StoredShelf(ledger, keys)


def reviewed(
    fitted: SampleResult,
    result: SampleResult,
    decisions: Sequence[Decision],
    template_sha256: str,
    value: Callable[[SampleResult], str],
    problem: str = "",
) -> SampleResult:
    """A tube's result with what was decided on it.

    Parameters
    ----------
    fitted, result : before and after the overrides that hold (the same where there are none).
    value : the endpoint's counts of a result, as in :func:`treg_gating.run.decisions.value_of`.
    problem : why overrides could not be applied.
    """
    stale: list[str] = []
    holding: list[Decision] = []
    for decision in decisions:
        why = staleness(decision, fitted, template_sha256)
        why = why or (problem if decision.action == OVERRIDE else "")
        if not why and decision.action == ACCEPT and not decision.population and decision.value != value(result):
            why = f"the count has changed since ({decision.value} then, {value(result)} now)"
        if why:
            stale.append(f"{_words(decision)} is not applied: {why}")
        else:
            holding.append(decision)
    overridden = tuple(d.population for d in holding if d.action == OVERRIDE)
    review = TubeReview(
        verdict=_verdict(holding),
        by="; ".join(dict.fromkeys(decision.signed for decision in holding)),
        reason="; ".join(filter(None, (_reason(decision) for decision in holding))),
        tube_accepted=any(d.action == ACCEPT and not d.population for d in holding),
        overridden=overridden,
        stale=tuple(stale),
        fitted=fitted.counts if overridden else (),
    )
    flags = (*_settled(result.flags, holding), *(Flag(STALE, FlagLevel.REVIEW, text) for text in stale))
    return replace(result, flags=flags, review=review)


def _words(decision: Decision) -> str:
    what = {ACCEPT: "an acceptance", OVERRIDE: "an override", EXCLUDE: "an exclusion"}[decision.action]
    of = f" of {decision.population}" if decision.population else " of the tube"
    return f"{what}{of} by {decision.signed}"


def _verdict(holding: Sequence[Decision]) -> str:
    actions = {(bool(decision.population), decision.action) for decision in holding}
    if (False, EXCLUDE) in actions:
        return "excluded"
    if (True, OVERRIDE) in actions:
        return "overridden"
    if (False, ACCEPT) in actions:
        return "accepted"
    return "reviewed" if actions else ""


def _reason(decision: Decision) -> str:
    if not decision.why:
        return ""
    return f"{decision.population}: {decision.why}" if decision.population else decision.why


def _settled(flags: Sequence[Flag], holding: Sequence[Decision]) -> list[Flag]:
    """Flags that ask for a look are notes where a person has looked: at the gate, or at the whole tube."""
    whole = next((d for d in holding if not d.population and d.action == ACCEPT), None)
    by_gate = {d.population: d for d in holding if d.population}
    settled = []
    for flag in flags:
        looked = by_gate.get(flag.population) if flag.population else None
        looked = looked or whole
        if flag.level is FlagLevel.REVIEW and looked is not None:
            settled.append(replace(flag, level=FlagLevel.NOTE, text=f"{flag.text} [accepted by {looked.signed}]"))
        else:
            settled.append(flag)
    excluded = next((d for d in holding if d.action == EXCLUDE), None)
    if excluded is not None:
        settled.append(Flag(EXCLUDED, FlagLevel.NOTE, f"excluded at review by {excluded.signed}: {excluded.why}"))
    return settled
