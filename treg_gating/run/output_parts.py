"""The outputs of a run in parts, each of which a process can make beside the others, from the ledger alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from treg_gating.fcs.codes import ERRORS
from treg_gating.run.control_charts import ControlCharts
from treg_gating.run.files import replace_file
from treg_gating.run.ledger import Ledger
from treg_gating.run.manifest import manifest_of
from treg_gating.run.outputs import Tables, write_endpoint
from treg_gating.run.record import EndpointRow, RunRecord
from treg_gating.run.stored import RunRow
from treg_gating.run.tube_summary import TubeSummary
from treg_gating.run.whole_record import record_of

__all__ = ["Making", "Part", "ReportWriter", "Reports", "Said", "write_part"]

EXIT_DONE, EXIT_REVIEW, EXIT_FAILED = 0, 4, 5
_BY_THE_FILE = {"E_PANEL", "E_COMPENSATION"}  # beside those of the reader: what `check` finds without fitting a gate

ReportWriter = Callable[[RunRecord, Path], object]
Reports = Mapping[str, ReportWriter]
"""File name → what writes it from the record, and can be pickled; empty for no reports."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the run says at its end, the digests of its files apart.

    Parameters
    ----------
    manifest, summary : plain values of manifest.json and summary.json.
    closing : for the ledger: exit code, last screen, what needs a look.
    """

    manifest: dict[str, Any]
    summary: dict[str, Any]
    closing: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Making:
    """What is made, and where.

    Parameters
    ----------
    folder : the run's; its ledger is lent to those who make outputs. place : where files are written meanwhile.
    row : the run as it ends. shown : the names of all reports, for the last screen.
    """

    folder: Path
    place: Path
    row: RunRow
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a run's outputs.

    Parameters
    ----------
    outputs : digest by file name.
    said : from the part with the tables; None from the others.
    """

    outputs: dict[str, str]
    said: Said | None


def write_part(making: Making, reports: Reports, *, tables: bool) -> Part:
    """Write some reports; with `tables` every table too, and say what the run came to."""
    with Ledger(making.folder, read_only=True) as ledger:
        record = record_of(ledger, making.row, making.row.ended)
        outputs, broken = _tables(making.place, record) if tables else ({}, ())
        for name, write in reports.items():
            replace_file(making.place / name, partial(write, record))
            outputs[name] = hashlib.sha256((making.place / name).read_bytes()).hexdigest()
        return Part(outputs, _said(making, record, broken) if tables else None)


def _tables(place: Path, record: RunRecord) -> tuple[dict[str, str], tuple[str, ...]]:
    """Digest by file name, and a sentence for each rule that the control donor's tubes break."""
    template = record.template
    tables, charts = Tables(place, template.denominator), ControlCharts(template.numerator, template.denominator)
    with tables:
        for result in record.samples:  # each is read from the ledger when its turn comes, and not held
            tables.add(result)
            charts.add(result)
    digests, broken = charts.write(place)
    return {**tables.digests, **write_endpoint(place, record.endpoint, record.other_tubes), **digests}, broken


def _said(making: Making, record: RunRecord, broken: Sequence[str]) -> Said:
    exit_code, template, row = _exit_code(record.tubes), record.template, making.row
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
        "audit_head": record.settings["audit_head"],
    }
    closing = {
        "exit_code": exit_code,
        "lines": _last_screen(record, making.folder, making.shown),
        "complete": all(row.finals),
        "gated_because": gated,
        "attention": [(tube.subject, tube.visit, tube.state) for tube in record.tubes if tube.state != "done"],
    }
    return Said(manifest_of(record), summary, closing)


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
        *_advice(failed),
        *_decisions(record.tubes),
        f"Results   in {folder}: {f'{shown}, ' if shown else ''}{tables}",
    ]


def _advice(failed: Sequence[TubeSummary]) -> list[str]:
    """A line where several tubes failed by what stands in their files: most often they lack the same."""
    codes = Counter(tube.code for tube in failed if tube.code in ERRORS or tube.code in _BY_THE_FILE)
    alike = [code for code, n in codes.most_common(1) if n > 1]
    return [
        f"Advice    treg-gating check, with the same sheet, says once what several files lack ({code})"
        for code in alike
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
