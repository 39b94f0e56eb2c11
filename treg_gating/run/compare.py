"""Two runs side by side: what came out otherwise, tube by tube, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treg_gating.errors import InputError, RunStateError
from treg_gating.gating.gates import gate_to_dict
from treg_gating.gating.results import FittedGate, GateStatus, SampleResult
from treg_gating.proportion import rounded
from treg_gating.run.changes import COHORT_MOVED, Asked, asked_in, cohort_moves, differing
from treg_gating.run.codec import decode
from treg_gating.run.ledger import LEDGER_NAME, Ledger
from treg_gating.run.plan import plan_in
from treg_gating.run.stored import RunRow

__all__ = ["Comparison", "Difference", "RunView", "compare_runs", "read_run"]


@dataclass(frozen=True, eq=False)
class RunView:
    """A finished run, read whole.

    Parameters
    ----------
    row : the run. asked : what its results rest on. results : by tube, in the order of the sheet.
    cohort : consensus gates by population under ``consensus``. path : the endpoint's numerator and denominator.
    """

    row: RunRow
    asked: Asked
    results: Mapping[str, SampleResult]
    cohort: Mapping[str, Any]
    endpoint: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One tube that came out otherwise.

    Parameters
    ----------
    before, after : the endpoint, or why there is none.
    what : what else differs. why : causes, separated by semicolons.
    """

    tube_id: str
    subject: str
    visit: str
    before: str
    after: str
    what: str
    why: str


@dataclass(frozen=True)
class Comparison:
    """Two runs compared.

    Parameters
    ----------
    run_wide : differences that touch every tube. same : tubes that came out the same to the last digit.
    """

    run_wide: tuple[str, ...]
    same: tuple[str, ...]
    differences: tuple[Difference, ...]


@contextmanager
def _open(place: str) -> Iterator[tuple[Ledger, str]]:
    """The ledger of ``FOLDER`` or ``FOLDER@RUN``, and the run's name or its beginning; empty for the last."""
    folder, run = Path(place), ""
    if not folder.exists() and "@" in place:
        before, _, run = place.rpartition("@")
        folder = Path(before)
    if not (folder / LEDGER_NAME).is_file():
        problem = "the folder holds no run"
        raise InputError(problem, file=str(folder), expected=LEDGER_NAME, action="Run 'treg-gating run' first")
    with Ledger(folder, read_only=True) as ledger:
        yield ledger, run


def read_run(place: str) -> RunView:
    """Read a finished run.

    Parameters
    ----------
    place : ``FOLDER`` for its last run, ``FOLDER@RUN`` for the run whose name begins so, ``FOLDER@-1`` for the run
        before the last, and so on.

    Raises
    ------
    InputError : there is no such folder or run. RunStateError : the ledger is damaged.
    """
    with _open(place) as (ledger, wanted):
        row = _row(ledger, wanted, place)
        plan = plan_in(row)
        return RunView(
            row=row,
            asked=asked_in(ledger, row),
            results={tube_id: decode(stored.payload) for tube_id, stored in ledger.results_of(row.run).items()},
            cohort=decode(row.cohort) if row.cohort.text else {},
            endpoint=(plan["template"].numerator, plan["template"].denominator),
        )


def _row(ledger: Ledger, wanted: str, place: str) -> RunRow:
    runs = ledger.ended_runs()
    if not runs:
        msg = f"{place}: no run came to its end here. Run 'treg-gating run' first"
        raise RunStateError(msg)
    if wanted.startswith("-") and wanted[1:].isdecimal():
        found = runs[: len(runs) - int(wanted[1:])][-1:]
    else:
        found = runs[-1:] if not wanted else [run for run in runs if run.startswith(wanted)]
    if len(found) != 1:
        problem = "no such finished run" if not found else "several finished runs begin so"
        raise InputError(problem, file=place, found=wanted, expected=", ".join(runs))
    return ledger.run(found[0])


def compare_runs(before: RunView, after: RunView) -> Comparison:
    """What came out otherwise in `after`, and why."""
    same, differences = [], []
    for tube_id in dict.fromkeys([*before.results, *after.results]):
        old, new = before.results.get(tube_id), after.results.get(tube_id)
        if old is not None and new is not None and not (what := _what(old, new)):
            same.append(tube_id)
            continue
        shown = new or old
        assert shown is not None  # noqa: S101 (the name came from one of the two)
        differences.append(
            Difference(
                tube_id=tube_id,
                subject=shown.subject,
                visit=shown.visit,
                before=_value(old, before.endpoint),
                after=_value(new, after.endpoint),
                what=what if old is not None and new is not None else "",
                why="; ".join(_why(before, after, tube_id)),
            )
        )
    return Comparison(tuple(after.asked.run_wide(before.asked)), tuple(same), tuple(differences))


def _why(before: RunView, after: RunView, tube_id: str) -> list[str]:
    if tube_id not in before.results:
        return ["new tube"] if tube_id not in before.asked.tubes else ["no result before"]
    if tube_id not in after.results:
        return ["no longer in the sheet"] if tube_id not in after.asked.tubes else ["no result any more"]
    said = [
        *after.asked.of_tube(before.asked, tube_id),
        *_overrides(before.results[tube_id], after.results[tube_id]),
        *after.asked.run_wide(before.asked),
    ]
    if said:
        return said
    moved = ", ".join(cohort_moves(before.cohort, after.cohort))
    if moved:
        return [f"{COHORT_MOVED} ({moved})"]
    if before.row.cohort != after.row.cohort or before.asked.files != after.asked.files:
        return [COHORT_MOVED]
    old, new = (view.results[tube_id].status for view in (before, after))
    return ["a failure of the moment (time, memory, disk)"] if old != new else ["not explained: please report it"]


def _overrides(old: SampleResult, new: SampleResult) -> list[str]:
    """Gates that a person set in one of the two, otherwise than in the other."""
    said = []
    for population in dict.fromkeys(gate.population for gate in (*old.gates, *new.gates)):
        pair = [next((gate for gate in result.gates if gate.population == population), None) for result in (old, new)]
        by_hand = [gate for gate in pair if gate is not None and gate.status is GateStatus.OVERRIDDEN]
        if by_hand and _numbers(pair[0]) != _numbers(pair[1]):
            how = "set" if pair[1] in by_hand else "taken back"
            said.append(f"override of {population} {how}: {by_hand[-1].reason or 'no reason given'}")
    return said


def _what(old: SampleResult, new: SampleResult) -> str:
    """What differs in a tube's result, in words; empty when nothing does."""
    said = []
    if (old.status, old.code) != (new.status, new.code):
        said.append(f"{_state(old)} became {_state(new)}")
    counts = [{count.population: (count.n, count.status) for count in result.counts} for result in (old, new)]
    gates = [{gate.population: _numbers(gate) for gate in result.gates} for result in (old, new)]
    for kind, pair in (("counts", counts), ("gates", gates)):
        if populations := differing(*pair):
            said.append(f"{kind} of {', '.join(populations)}")
    flags = [tuple((flag.code, str(flag.level)) for flag in result.flags) for result in (old, new)]
    if flags[0] != flags[1]:
        said.append("flags")
    return "; ".join(said)


def _state(result: SampleResult) -> str:
    return f"{result.status} [{result.code}]" if result.code else result.status


def _numbers(gate: FittedGate | None) -> Any:
    if gate is None:
        return None
    return (str(gate.status), gate.sign, gate.expression, None if gate.gate is None else gate_to_dict(gate.gate))


def _value(result: SampleResult | None, endpoint: tuple[str, str]) -> str:
    """The endpoint of a tube as text: a percentage with its counts, or why there is none."""
    if result is None:
        return "no such tube"
    if result.status != "done":
        return f"failed [{result.code}]"
    numerator, denominator = (result.count(name) for name in endpoint)
    if numerator is None or denominator is None or numerator.n is None or not denominator.n:
        return "not estimable"
    return f"{rounded(100 * numerator.n / denominator.n)} % ({numerator.n} of {denominator.n})"
