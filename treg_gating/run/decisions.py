"""What a person decided on a gate or a tube: rows of the audit trail, each bound to what the person saw.

The latest row of a gate (or of a whole tube) is the one in force. A decision holds for the bytes, template, matrix and
scales it was made on; where one of these changed it is stale, is not applied, and the outputs say so.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

from treg_gating.errors import InputError
from treg_gating.gating.gates import Gate, gate_from_dict, gate_to_dict
from treg_gating.gating.results import FittedGate, GateStatus, SampleResult
from treg_gating.run import audit
from treg_gating.run.keys import digest

__all__ = [
    "ACCEPT",
    "ACTIONS",
    "EXCLUDE",
    "GATE_REASONS",
    "OVERRIDE",
    "TUBE_REASONS",
    "WITHDRAW",
    "Decision",
    "append",
    "checked",
    "gate_text",
    "in_force",
    "latest",
    "read",
    "scale_of",
    "staleness",
    "value_of",
]

ACCEPT, OVERRIDE, EXCLUDE, WITHDRAW = "accept", "override", "exclude", "withdraw"
ACTIONS = (ACCEPT, OVERRIDE, EXCLUDE, WITHDRAW)
GATE_REASONS: Mapping[str, str] = {
    "too_low": "gate lies too low: takes in negatives",
    "too_high": "gate lies too high: loses positives",
    "wrong_population": "gate holds another population",
    "two_populations": "gate does not part two populations that are there",
    "control": "gate disagrees with the FMO or isotype control",
    "few_events": "too few events to fit; set by eye",
    "other": "another reason (say which)",
}
TUBE_REASONS: Mapping[str, str] = {
    "stain": "staining failed, or a reagent is missing",
    "sample": "sample clotted, lysed, old or too few cells",
    "instrument": "instrument: clog, air, laser or flow rate",
    "compensation": "compensation is wrong",
    "mix_up": "tube was mixed up or labelled wrongly",
    "other": "another reason (say which)",
}
_WHAT = "decision: "
_LONGEST = {"name": 100, "comment": 1000}


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of one person.

    Parameters
    ----------
    tube_id, population : what it concerns; population is empty for the whole tube.
    action : accept; override (a gate, by `gate`); exclude (a tube: missing with this reason); withdraw (what was
        decided before no longer holds).
    name : who signs.
    reason : key of :data:`GATE_REASONS` or :data:`TUBE_REASONS`. comment : free text.
    gate : the person's gate as JSON; empty unless the action is override.
    replaced : the gate the person found, as JSON.
    sha256, template_sha256, scale : of the file, the template, and matrix with scales (:func:`scale_of`).
    value : events of the endpoint that the person saw, ``"numerator/denominator"``.
    source : where it was made: "page", or the name of a workbook or workspace.
    run : the run that was looked at.
    seq, utc : number and time of its row in the audit trail.
    """

    tube_id: str
    population: str
    action: str
    name: str
    reason: str = ""
    comment: str = ""
    gate: str = ""
    replaced: str = ""
    sha256: str = ""
    template_sha256: str = ""
    scale: str = ""
    value: str = ""
    source: str = "page"
    run: str = ""
    seq: int = 0
    utc: str = ""

    @property
    def new_gate(self) -> Gate | None:
        """The person's gate."""
        return gate_from_dict(json.loads(self.gate)) if self.gate else None

    @property
    def why(self) -> str:
        """Reason and comment in words."""
        words = {**GATE_REASONS, **TUBE_REASONS} if not self.population else {**TUBE_REASONS, **GATE_REASONS}
        listed = "" if self.reason == "other" and self.comment else words.get(self.reason, self.reason)
        return ": ".join(filter(None, (listed, self.comment)))

    @property
    def signed(self) -> str:
        """Who and when."""
        return f"{self.name}, {self.utc[:10]}" if self.utc else self.name


_NAMES = tuple(item.name for item in fields(Decision) if item.name not in ("seq", "utc"))


def gate_text(gate: Gate | None) -> str:
    """A gate as JSON; empty for none. Infinite bounds are written as Python's JSON writes them."""
    return "" if gate is None else json.dumps(gate_to_dict(gate), sort_keys=True)


def scale_of(result: SampleResult) -> str:
    """Digest of what gives a gate's numbers their meaning: the matrix, and the scales."""
    return digest(result.spillover, result.transforms)


def value_of(result: SampleResult, numerator: str, denominator: str) -> str:
    """Events of the endpoint as ``"numerator/denominator"``; a dash where not estimable."""
    counts = (result.count(numerator), result.count(denominator))
    return "/".join("–" if count is None or count.n is None else str(count.n) for count in counts)


def checked(decision: Decision, result: SampleResult) -> Decision:
    """The decision, without blanks around its words.

    Raises
    ------
    InputError : it is not complete, or the tube cannot have it.
    """
    tidy = replace(decision, name=decision.name.strip(), comment=decision.comment.strip())
    for problem in _problems(tidy, result):
        raise InputError(problem, where=" ".join(filter(None, (tidy.tube_id, tidy.population))))
    return tidy


def _problems(decision: Decision, result: SampleResult) -> Iterable[str]:
    actions = (ACCEPT, OVERRIDE, WITHDRAW) if decision.population else (ACCEPT, EXCLUDE, WITHDRAW)
    if decision.action not in actions:
        yield f"decision {decision.action!r} is none of {', '.join(actions)}"
    if not decision.name:
        yield "the name of who decides is missing"
    for key, longest in _LONGEST.items():
        if len(getattr(decision, key)) > longest:
            yield f"{key} is longer than {longest} characters"
    reasons = GATE_REASONS if decision.population else TUBE_REASONS
    if decision.action in (OVERRIDE, EXCLUDE):
        if decision.reason not in reasons:
            yield f"a reason is missing: one of {', '.join(reasons)}"
        if decision.reason == "other" and not decision.comment:
            yield "the reason is 'other': say in a comment which"
    elif decision.reason and decision.reason not in reasons:
        yield f"reason {decision.reason!r} is none of {', '.join(reasons)}"
    if result.status != "done" and decision.action != WITHDRAW:
        yield "the tube failed; there is nothing to decide on"
    yield from _gate_problems(decision, result)


def _gate_problems(decision: Decision, result: SampleResult) -> Iterable[str]:
    if not decision.population:
        return
    found = _gate_of(result, decision.population)
    if found is None:
        yield f"the tube has no gate {decision.population!r}"
        return
    if bool(decision.gate) != (decision.action == OVERRIDE):
        yield "an override needs a gate, and nothing else has one"
    if decision.action != OVERRIDE or not decision.gate:
        return
    if found.expression or found.status is GateStatus.NOT_STAINED:
        yield f"{decision.population} has no gate of its own that could be set"
        return
    dims = next((p.dims for p in result.pictures if p.population == decision.population), None)
    dims = dims or (found.gate.dims if found.gate is not None else None)
    new = decision.new_gate
    if new is not None and dims is not None and new.dims != dims:
        yield f"the gate is on {', '.join(new.dims)}, {decision.population} is on {', '.join(dims)}"


def _gate_of(result: SampleResult, population: str) -> FittedGate | None:
    return next((gate for gate in result.gates if gate.population == population), None)


def append(database: sqlite3.Connection, decision: Decision) -> Decision:
    """Add a decision to the audit trail inside the caller's transaction; returns it with its number and time."""
    audit.append(
        database,
        run=decision.run,
        what=f"{_WHAT}{decision.action}",
        subject="/".join(filter(None, (decision.tube_id, decision.population))),
        old=decision.replaced or decision.value,
        new=json.dumps({name: getattr(decision, name) for name in _NAMES}, sort_keys=True, ensure_ascii=False),
        why=f"{decision.why or 'no reason given'} (signed {decision.name}, by {decision.source})",
    )
    return read(database)[-1]


def read(database: sqlite3.Connection) -> list[Decision]:
    """All decisions in their order."""
    query = "SELECT seq, utc, new FROM audit WHERE substr(what, 1, ?) = ? ORDER BY seq"
    rows = database.execute(query, (len(_WHAT), _WHAT))
    return [Decision(**json.loads(new), seq=seq, utc=utc) for seq, utc, new in rows]


def latest(decisions: Iterable[Decision]) -> dict[str, dict[str, Decision]]:
    """The last decision on each gate by tube and population, withdrawals included."""
    last: dict[str, dict[str, Decision]] = {}
    for decision in decisions:
        last.setdefault(decision.tube_id, {})[decision.population] = decision
    return last


def in_force(decisions: Iterable[Decision]) -> dict[str, tuple[Decision, ...]]:
    """Decisions that stand, by tube, in the order they were made."""
    standing = {
        tube: tuple(sorted((d for d in by_gate.values() if d.action != WITHDRAW), key=lambda d: d.seq))
        for tube, by_gate in latest(decisions).items()
    }
    return {tube: found for tube, found in standing.items() if found}


def staleness(decision: Decision, fitted: SampleResult, template_sha256: str) -> str:
    """Why a decision no longer holds for this tube, in words; empty where it does.

    Parameters
    ----------
    fitted : the tube's result before any override.
    """
    if fitted.status != "done":
        return f"the tube failed: {fitted.reason}"
    if decision.sha256 != fitted.sha256:
        return f"the file has changed since ({decision.sha256[:12]} then, {fitted.sha256[:12]} now)"
    if decision.template_sha256 != template_sha256:
        return (
            f"the gating template has changed since ({decision.template_sha256[:12]} then, {template_sha256[:12]} now)"
        )
    if decision.scale != scale_of(fitted):
        return "the spillover matrix or a scale has changed since"
    if not decision.population:
        return ""
    gate = _gate_of(fitted, decision.population)
    if gate is None:
        return f"there is no gate {decision.population} any more"
    if decision.action == ACCEPT and decision.replaced != gate_text(gate.gate):
        return "the gate has moved since it was accepted"
    return ""
