"""results.xlsx: everything a run says, for people who work in Excel and Prism. From the record alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from treg_gating.gating.results import FlagLevel, SampleResult
from treg_gating.report.prism import prism_lines
from treg_gating.report.xlsx import Cell, Heading, Line, Page, Sheet, write_workbook
from treg_gating.run.outputs import population_rows
from treg_gating.run.record import RunRecord
from treg_gating.tables import AUDIT, ENDPOINT, FLAGS, MARKER_MAP, OVERRIDES, POPULATIONS

__all__ = ["write_results_workbook"]

_ORDER = {"failed": 0, FlagLevel.FAIL: 1, FlagLevel.REVIEW: 2, FlagLevel.NOTE: 3, "file": 4}
_MANY = 8
_Panel = tuple[tuple[str, str, str], ...]  # marker, channel, how it was found
_STATUSES = (
    ("ok", "the value may be used"),
    ("review", "look at the tube in report.html before the value is used"),
    ("not_estimable", "no value, for the reason given; never zero"),
    ("failed", "the tube could not be processed, for the reason given"),
    ("missing", "no tube of this visit in the sample sheet"),
)


def write_results_workbook(record: RunRecord, path: Path) -> None:
    """Write results.xlsx; the same record gives the same bytes."""
    flags, panels = _flags_and_panels(record)
    sheets = (
        Page("Summary", _summary(record), (26, *[14] * 9), frozen=(1, 0)),
        Sheet("Treg endpoint", ENDPOINT, record.endpoint, marked=("status",)),
        Sheet("All populations", POPULATIONS, population_rows(record.samples, record.template.denominator)),
        Sheet("QC flags", FLAGS, flags, empty="no flag", marked=("level",)),
        Sheet("Overrides", OVERRIDES, record.overrides),
        Page("Prism-ready", prism_lines(record), (16,), frozen=(0, 1)),
        Sheet("Marker map", MARKER_MAP, _marker_map(panels)),
        Page("Settings", _settings(record), (26, 50, 18, 8, 20, 40, 12, 50), frozen=(1, 0)),
        Sheet("Audit", AUDIT, record.audit),
    )
    write_workbook(path, f"Results: {record.title}", sheets)


def _summary(record: RunRecord) -> list[Line]:
    states = Counter(tube.state for tube in record.tubes)
    lines: list[Line] = [
        Heading(record.title),
        ["Study", record.study.study_id or "not named"],
        ["Primary endpoint", record.template.label],
        ["Gating template", f"{record.template.name} {record.template.version}"],
        ["Run", f"{record.settings.get('run', '')}, ended {record.created}"],
        ["Program", record.version],
        ["Tubes done", states["done"]],
        ["Tubes to review", states["review"]],
        ["Tubes failed", states["failed"]],
        [],
        Heading(f"{record.template.label}, by visit"),
        ["visit", "values", "lowest", "median", "highest", *(f"n {name}" for name, _ in _STATUSES)],
    ]
    lines += [_visit_line(record, visit) for visit, _ in record.study.visits]
    lines += [[], Heading("What the statuses mean"), *([name, meaning] for name, meaning in _STATUSES)]
    notes = [*([record.study_assumed] if record.study_assumed else []), *record.notes]
    if record.set_aside:
        notes.append(f"Columns that tell the treatment were not read: {', '.join(record.set_aside)}")
    lines += [[], Heading("What the run says"), *([note] for note in notes or ("nothing",))]
    return lines


def _visit_line(record: RunRecord, visit: str) -> list[Cell]:
    rows = [row for row in record.endpoint if row["visit"] == visit]
    values = sorted(value for row in rows if isinstance(value := row["treg_pct_of_cd4"], int | float))
    states = [sum(row["status"] == name for row in rows) for name, _ in _STATUSES]
    if not values:
        return [visit, 0, None, None, None, *states]
    half = len(values) // 2
    median = values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2
    return [visit, len(values), float(values[0]), float(median), float(values[-1]), *states]


def _flags_and_panels(record: RunRecord) -> tuple[list[Mapping[str, Cell]], dict[str, _Panel]]:
    """Flags of all tubes, worst first, of equal weight in the order of the sheet; and each tube's panel."""
    flags: list[Mapping[str, Cell]] = []
    panels: dict[str, _Panel] = {}
    alike: dict[_Panel, _Panel] = {}  # a panel is held once, however many tubes have it
    for result in record.samples:
        flags += _flags_of(result)
        panels[result.tube_id] = alike.setdefault(result.panel, result.panel)
    return sorted(flags, key=lambda row: _ORDER[str(row["level"])]), panels


def _flags_of(result: SampleResult) -> Iterator[Mapping[str, Cell]]:
    tube = {key: getattr(result, key) for key in ("tube_id", "subject", "visit", "batch", "role", "file")}
    if result.status != "done":
        yield {**tube, "level": "failed", "code": result.code, "population": "", "text": result.reason}
    for flag in result.flags:
        found = {"level": str(flag.level), "code": flag.code, "population": flag.population, "text": flag.text}
        yield {**tube, **found}
    for warning in result.warnings:
        code, _, text = warning.removeprefix("[").partition("] ")
        yield {**tube, "level": "file", "code": code if text else "", "population": "", "text": text or warning}


def _marker_map(panels: Mapping[str, _Panel]) -> Iterator[Mapping[str, Cell]]:
    """Which detector was read for which marker; a row for each way it was, the tubes named where they are few."""
    tubes: dict[tuple[str, str, str], list[str]] = {}
    for tube_id, panel in panels.items():
        for key in panel:
            tubes.setdefault(key, []).append(tube_id)
    read = sum(map(bool, panels.values()))
    order = {marker: at for at, marker in enumerate(dict.fromkeys(marker for marker, _, _ in tubes))}
    for (marker, channel, how), found in sorted(tubes.items(), key=lambda item: (order[item[0][0]], -len(item[1]))):
        more = f" and {len(found) - _MANY} more" if len(found) > _MANY else ""
        named = "all" if len(found) == read else ", ".join(found[:_MANY]) + more
        yield {"marker": marker, "channel": channel, "how": how, "n_tubes": len(found), "tubes": named}


def _settings(record: RunRecord) -> list[Line]:
    template = record.template
    lines: list[Line] = [Heading("Settings of the run")]
    lines += [[name, _plain(value)] for name, value in record.settings.items()]
    compensations = dict.fromkeys(tube.compensation for tube in record.tubes if tube.compensation)
    lines += [["compensation", words] for words in compensations]
    lines += [[], Heading("Versions"), ["treg-gating", record.version]]
    lines += [[name, version] for name, version in record.environment.items()]
    lines += [[], Heading("Visits"), ["visit", "target day"]]
    lines += [[name, "not stated" if day is None else day] for name, day in record.study.visits]
    lines += [[], Heading("Limits")]
    lines += [[name, float(value)] for name, value in record.limits.items()]
    lines += [[], Heading(f"Gating template {template.name} {template.version}"), ["digest", template.sha256]]
    lines += [["population", "parent", "dims", "sign", "method", "args", "share", "fallback"]]
    lines += [
        [row.population, row.parent, ";".join(row.dims), row.sign, row.method, row.args, row.share, row.fallback]
        for row in template.rows
    ]
    return lines


def _plain(value: object) -> Cell:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {item}" for name, item in value.items())
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else str(value)
