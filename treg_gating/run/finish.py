"""The end of a run: tables, summary and report from the ledger. Can be done again any time, without FCS files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from treg_gating.endpoint import endpoint_tables
from treg_gating.errors import RunStateError
from treg_gating.gating.gates import gate_to_dict
from treg_gating.run.audit import now
from treg_gating.run.codec import Payload, decode
from treg_gating.run.control_charts import ControlCharts
from treg_gating.run.files import all_or_none, replace_file
from treg_gating.run.ledger import OUTPUT_MADE_AGAIN, Ledger
from treg_gating.run.manifest import manifest_of
from treg_gating.run.outputs import Tables, write_endpoint, write_json
from treg_gating.run.override_rows import override_rows
from treg_gating.run.plan import plan_in, study_summary
from treg_gating.run.record import EndpointRow, RunRecord
from treg_gating.run.shelves import ResultShelf, Values
from treg_gating.run.stored import RunRow
from treg_gating.run.tube_summary import TubeSummary

__all__ = [
    "EXIT_DONE",
    "EXIT_FAILED",
    "EXIT_REVIEW",
    "Finished",
    "ReportWriter",
    "Reports",
    "finish_run",
    "rebuild",
    "record_of",
    "still_finished",
]

EXIT_DONE, EXIT_REVIEW, EXIT_FAILED = 0, 4, 5

ReportWriter = Callable[[RunRecord, Path], object]
Reports = Mapping[str, ReportWriter]
"""File name → what writes it from the record; empty for no reports."""


@dataclass(frozen=True)
class Finished:
    """What a run came to.

    Parameters
    ----------
    exit_code : 0 all done, 4 samples need review, 5 samples failed.
    lines : the last screen.
    run : its name. attention : (subject, visit, state) of tubes that failed or need review.
    changed : False where nothing was left to do.
    """

    exit_code: int
    lines: tuple[str, ...]
    run: str = ""
    attention: tuple[tuple[str, str, str], ...] = ()
    changed: bool = field(default=True, compare=False)

    @classmethod
    def from_closing(cls, run: str, closing: Mapping[str, Any], *, changed: bool = True) -> Finished:
        """From what was said at the run's end."""
        attention = tuple((subject, visit, state) for subject, visit, state in closing.get("attention", ()))
        return cls(closing["exit_code"], tuple(closing["lines"]), run, attention, changed)


def finish_run(
    ledger: Ledger,
    folder: Path,
    run: str,
    reports: Reports,
    reasons: Mapping[str, Sequence[str]] | None = None,
) -> Finished:
    """Make all outputs of a run and close it in the ledger.

    Parameters
    ----------
    reports : what to write beside the tables.
    reasons : where the run went on from an earlier one, the tubes it gated, by reason.
    """
    ended = now()
    row = replace(ledger.run(run), ended=ended, closing={"gated_because": dict(reasons or {})})
    with all_or_none(folder) as place:
        closing = _write(place, folder, ledger, row, reports)
        closing["decisions"] = len(ledger.decisions())
        ledger.end_run(run, "ended", closing, ended)  # the last thing that may find the disk full
    return Finished.from_closing(run, closing)


def rebuild(ledger: Ledger, folder: Path, reports: Reports) -> Finished:
    """Make all outputs of the last finished run again.

    Raises
    ------
    RunStateError : no run came to its end in this folder.
    """
    row = ledger.last_run()
    if row is None:
        msg = f"{folder}: no run came to its end here. Run 'treg-gating run' first"
        raise RunStateError(msg)
    before = ledger.outputs_of(row)
    with all_or_none(folder) as place:
        closing = _write(place, folder, ledger, row, reports)
        for name, sha256 in closing["outputs"].items():
            if before.get(name) != sha256:  # the same results, written by another version of this program
                why = "made again from the ledger"
                ledger.note(row.run, OUTPUT_MADE_AGAIN, subject=name, old=before.get(name, ""), new=sha256, why=why)
    return Finished.from_closing(row.run, closing)


def still_finished(
    ledger: Ledger, folder: Path, plan: Payload | None, roster: Sequence[tuple[str, str, str]], code: str
) -> Finished | None:
    """The last run's end, if the same is asked again, nothing could come out otherwise, and the outputs are intact.

    Parameters
    ----------
    plan : None where only the tubes count.
    """
    row = ledger.last_run()
    if row is None or (row.plan, row.code) != (plan or row.plan, code) or not row.closing.get("complete"):
        return None
    if row.closing.get("decisions", 0) != len(ledger.decisions()):
        return None
    before = [entry[:3] for entry in ledger.roster_of(row.run)]
    if before != list(roster) or not all(entry[2] for entry in roster):
        return None
    outputs = ledger.outputs_of(row)
    if any(_digest_or_empty(folder / name) != sha256 for name, sha256 in outputs.items()):
        return None
    return Finished.from_closing(row.run, row.closing, changed=False)


def record_of(ledger: Ledger, row: RunRow, ended: str) -> RunRecord:
    """The record of a run, from the ledger alone."""
    plan = plan_in(row)
    cohort = decode(row.cohort) if row.cohort.text else {"notes": (), "consensus": {}}
    results = ResultShelf(ledger.results_of(row.run))
    endpoint, others = endpoint_tables(results, plan["tubes"], plan["study"], plan["template"], row.code)
    consensus = {name: None if gate is None else gate_to_dict(gate) for name, gate in cohort["consensus"].items()}
    trail = ledger.audit_before_end(row.run)
    made = [decision for decision in ledger.decisions() if decision.seq <= len(trail)]
    return RunRecord(
        title=plan["title"],
        created=ended,
        version=row.code,
        template=plan["template"],
        study=study_summary(plan["study"]),
        study_assumed=" ".join(plan["study"].notes) if plan["study"].assumed else "",
        set_aside=plan["set_aside"],
        notes=(*plan["notes"], *cohort["notes"]),
        samples=Values(results),
        endpoint=tuple(endpoint),
        consensus=consensus,
        settings={
            **plan["choices"],
            "sheet": plan["sheet"],
            "sheet_sha256": plan["sheet_sha256"],
            "run": row.run,
            "audit_head": ledger.head_at_end(row.run),
        },
        other_tubes=tuple(others),
        overrides=override_rows(made, results, plan["template"]),
        audit=tuple(trail),
        limits={item.name: getattr(plan["study"].limits, item.name) for item in fields(plan["study"].limits)},
        environment=plan["environment"],
        study_sha256=plan["study"].sha256,
    )


def _write(place: Path, folder: Path, ledger: Ledger, row: RunRow, reports: Reports) -> dict[str, Any]:
    """Write every output in `place`, from where they go to `folder`; what is to be said at the run's end."""
    record = record_of(ledger, row, row.ended)
    template = record.template
    tables, charts = Tables(place, template.denominator), ControlCharts(template.numerator, template.denominator)
    with tables:
        for result in record.samples:  # each is read from the ledger when its turn comes, and not held
            tables.add(result)
            charts.add(result)
    outputs = {**tables.digests, **write_endpoint(place, record.endpoint, record.other_tubes)}
    digests, broken = charts.write(place)
    outputs.update(digests)
    for name, write in reports.items():
        replace_file(place / name, partial(write, record))
        outputs[name] = _digest_or_empty(place / name)
    write_json(place / "manifest.json", manifest_of(record, outputs))
    outputs["manifest.json"] = _digest_or_empty(place / "manifest.json")
    exit_code = _exit_code(record.tubes)
    lines = _last_screen(record, folder, reports)
    gated = row.closing.get("gated_because", {})
    summary = {
        "run": row.run,
        "code_version": row.code,
        "template": {"name": template.name, "sha256": template.sha256},
        "started": row.started,
        "ended": row.ended,
        "exit_code": exit_code,
        "tubes": dict(Counter(tube.state for tube in record.tubes)),
        "endpoint": dict(Counter(str(line["status"]) for line in record.endpoint)),
        "failed": [_problem(tube) for tube in record.tubes if tube.status != "done"],
        "gated_because": gated,
        "notes": list(record.notes),
        "control_rules_broken": list(broken),
        "outputs": dict(outputs),
        "audit_head": record.settings["audit_head"],
    }
    write_json(place / "summary.json", summary)
    outputs["summary.json"] = _digest_or_empty(place / "summary.json")
    transient = any(not final for final in row.finals)
    return {
        "exit_code": exit_code,
        "lines": lines,
        "outputs": outputs,
        "complete": not transient,
        "gated_because": gated,
        "attention": [(tube.subject, tube.visit, tube.state) for tube in record.tubes if tube.state != "done"],
    }


def _exit_code(tubes: Sequence[TubeSummary]) -> int:
    states = {tube.state for tube in tubes}
    if "failed" in states:
        return EXIT_FAILED
    return EXIT_REVIEW if "review" in states else EXIT_DONE


def _problem(tube: TubeSummary) -> dict[str, str]:
    keys = ("tube_id", "file", "subject", "visit", "stage", "code", "reason")
    return {key: getattr(tube, key) for key in keys}


def _last_screen(record: RunRecord, folder: Path, reports: Iterable[str]) -> list[str]:
    """Some lines: tubes, subjects, the endpoint by visit, what failed, where it lies."""
    states = Counter(tube.state for tube in record.tubes)
    rows = Counter(str(row["status"]) for row in record.endpoint)
    subjects = len({row["subject"] for row in record.endpoint})
    valued = rows["ok"] + rows["review"]
    failed = [tube for tube in record.tubes if tube.status != "done"]
    failures = ", ".join(f"{tube.tube_id} [{tube.code}]" for tube in failed[:4])
    more = f" and {len(failed) - 4} more" if len(failed) > 4 else ""
    shown = ", ".join(name if name != "report.html" else "report.html (open it first)" for name in reports)
    tables = "endpoint.csv, populations.parquet, gates.csv, summary.json, run.log.jsonl"
    return [
        f"Tubes     {len(record.tubes)}: {states['done'] + states['review']} done, of which {states['review']} "
        f"need review; {states['failed']} failed",
        f"Visits    {subjects} subjects × {len(record.study.visits)} visits: {valued} with a value, "
        f"{rows['not_estimable']} not estimable, {rows['failed']} failed, {rows['missing']} missing",
        f"Endpoint  {record.template.label}, median: {_medians(record.endpoint, record)}",
        f"Failed    {failures + more or 'none'}",
        *_decisions(record.tubes),
        f"Results   in {folder}: {f'{shown}, ' if shown else ''}{tables}",
    ]


def _decisions(tubes: Sequence[TubeSummary]) -> list[str]:
    """A line on what persons decided, where anybody did."""
    verdicts = Counter(tube.verdict for tube in tubes if tube.verdict)
    stale = sum(tube.stale for tube in tubes)
    said = [f"{n} {verdict}" for verdict, n in sorted(verdicts.items())]
    if stale:
        said.append(f"{stale} NOT APPLIED because what they rest on has changed (flag DECISION_STALE)")
    return [f"Decisions {', '.join(said)}"] if said else []


def _medians(rows: Sequence[EndpointRow], record: RunRecord) -> str:
    parts = []
    for visit, _ in record.study.visits:
        values = [
            value for row in rows if row["visit"] == visit and isinstance(value := row["treg_pct_of_cd4"], int | float)
        ]
        parts.append(f"{visit} {median(values):.3g} (n {len(values)})" if values else f"{visit} – (n 0)")
    return ", ".join(parts) or "no planned visit"


def _digest_or_empty(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
