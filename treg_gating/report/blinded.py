"""A run's record for readers who must not know whose tube they look at.

What tells subject, arm, visit, batch, day or file is left out, not covered: the rows are those of pseudonyms, in their
(random) order, and the notes of the run, which name visits and files, are not taken along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from treg_gating.gating.results import SampleResult
from treg_gating.report import wording
from treg_gating.report.page import build_report
from treg_gating.run.blinding import BLINDED, KEY_NAME, Scrubber, open_key
from treg_gating.run.output_parts import ReportWriter
from treg_gating.run.record import EndpointRow, RunRecord, StudySummary

__all__ = ["blinded", "report_writer"]

_KEPT_SETTINGS = ("run", "audit_head", "template", "matrix_order")
_CLEARED = ("change_from_baseline", "ratio_to_baseline", "sha256")
_EMPTIED = ("batch", "selection", "reviewed_by")
_ONE_VISIT = "all tubes"  # what stands in the visits' place


def report_writer(folder: Path, *, blind: bool, key: Path | None = None) -> ReportWriter:
    """What writes report.html.

    Parameters
    ----------
    folder : the run's. blind : under pseudonyms. key : where the key lies; in the run's folder by default.
    """
    if not blind:
        return build_report

    def write(record: RunRecord, path: Path) -> None:
        known = open_key(key or folder / KEY_NAME, [tube.tube_id for tube in record.tubes])
        build_report(blinded(record, known.pseudonym_of), path)

    return write


def blinded(record: RunRecord, pseudonym_of: Mapping[str, str]) -> RunRecord:
    """The record under pseudonyms.

    Parameters
    ----------
    pseudonym_of : by tube_id, for every tube of the record.
    """
    scrub = Scrubber(_names(record, pseudonym_of))
    samples = [_sample(sample, pseudonym_of[sample.tube_id], scrub) for sample in record.samples]
    rows = [
        _row(row, pseudonym_of[str(row["tube_id"])], scrub)
        for row in record.endpoint
        if row.get("tube_id") in pseudonym_of
    ]
    # A new record, not a changed one: what is added to records later is left out here until somebody has thought of it.
    return RunRecord(
        title=scrub(record.title),
        created=record.created,
        version=record.version,
        template=record.template,
        consensus=record.consensus,
        study=StudySummary(record.study.study_id, scrub(record.study.title), ((_ONE_VISIT, None),)),
        notes=(_note(record),),
        samples=tuple(sorted(samples, key=lambda sample: sample.tube_id)),
        endpoint=tuple(sorted(rows, key=lambda row: str(row["tube_id"]))),
        settings={name: record.settings[name] for name in _KEPT_SETTINGS if name in record.settings},
    )


def _note(record: RunRecord) -> str:
    said = len(record.notes) + bool(record.study_assumed)
    left = f"; {wording.plural(said, 'note')} of the run left out, because notes name visits and files" if said else ""
    return f"Blinded: tubes stand under pseudonyms, whose key lies apart{left}."


def _names(record: RunRecord, pseudonym_of: Mapping[str, str]) -> dict[str, str]:
    """Every name in the record, and what stands instead."""
    instead: dict[str, str] = {}
    for row in (*record.endpoint, *record.other_tubes):
        instead.update(dict.fromkeys((str(row.get(name) or "") for name in ("subject", "visit", "batch")), BLINDED))
    for visit, _ in record.study.visits:
        instead[visit] = BLINDED
    for tube in record.tubes:
        own, path = pseudonym_of[tube.tube_id], Path(tube.file)
        instead.update(dict.fromkeys((tube.subject, tube.visit, tube.batch), BLINDED))
        instead.update(dict.fromkeys((tube.file, path.name, path.stem, tube.tube_id), own))
    return instead


def _sample(sample: SampleResult, name: str, scrub: Scrubber) -> SampleResult:
    review = sample.review
    return replace(
        sample,
        tube_id=name,
        file="",
        subject=name,
        visit="",
        batch="",
        sha256="",
        acquired="",
        reason=scrub(sample.reason),
        compensation=scrub(sample.compensation),
        warnings=tuple(scrub(text) for text in sample.warnings),
        flags=tuple(replace(flag, text=scrub(flag.text)) for flag in sample.flags),
        gates=tuple(replace(gate, reason=scrub(gate.reason)) for gate in sample.gates),
        counts=tuple(replace(count, reason=scrub(count.reason)) for count in sample.counts),
        review=None
        if review is None
        else replace(
            review,
            by=scrub(review.by),
            reason=scrub(review.reason),
            stale=tuple(scrub(text) for text in review.stale),
        ),
    )


def _row(row: EndpointRow, name: str, scrub: Scrubber) -> EndpointRow:
    texts = {key: scrub(value) for key, value in row.items() if isinstance(value, str)}
    cleared = {key: None for key in _CLEARED if key in row}
    emptied = {key: "" for key in _EMPTIED if key in row}
    return {**row, **texts, **cleared, **emptied, "tube_id": name, "subject": name, "file": name, "visit": _ONE_VISIT}
