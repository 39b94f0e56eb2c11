"""The report of a run: one HTML file that opens anywhere, built from the stored record alone."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from treg_gating.report import figures, strips, wording
from treg_gating.report.bounds import shown_part
from treg_gating.report.gateplot import AxisLibrary
from treg_gating.report.levels import CLEAN, FAILED, LEVELS, NOTE, REVIEW, UNUSED
from treg_gating.report.series import cell_number, cut_series, endpoint_points, flag_table, rows_by_tube, visit_order
from treg_gating.report.view import SampleView, sample_view

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from treg_gating.gating.results import SampleResult
    from treg_gating.report.axes import Axis
    from treg_gating.report.series import EndpointPoint
    from treg_gating.run.record import RunRecord

__all__ = ["build_report", "report_html"]


def build_report(record: RunRecord, path: Path) -> None:
    """Write the report of a run as one self-contained HTML file.

    Parameters
    ----------
    record : the run; no FCS file is read.
    path : the file to write; replaced in one step, so that a reader never meets half a report.
    """
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(_pieces(record))
    partial.replace(path)


def report_html(record: RunRecord) -> str:
    """The report as text."""
    return "".join(_pieces(record))


def _pieces(record: RunRecord) -> Iterator[str]:
    """The page from its beginning to its end; whole, that of some hundred tubes is tens of megabytes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("treg_gating.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent, count=wording.count, day=wording.day, population=wording.population_name
    )
    environment.globals.update(shape=figures.level_shape, plural=wording.plural)
    return environment.get_template("report.html.j2").generate(_context(record))


def _context(whole: RunRecord) -> dict[str, Any]:
    shown = shown_part(whole)
    library = AxisLibrary()
    matrices = _matrices(shown.samples)
    rows = rows_by_tube(shown)
    samples = [
        _drawn(sample_view(result, shown, i, library, matrices.get(_matrix_key(result), ""), rows.get(result.tube_id)))
        for i, result in enumerate(shown.samples)
    ]
    record = replace(shown, samples=tuple(view.result for view in samples))
    anchors = {sample.result.tube_id: sample.anchor for sample in samples}
    points = endpoint_points(record, anchors)
    visits = visit_order(record)
    axis = figures.endpoint_axis(points, record.template.label)
    style, script = (
        files("treg_gating.report").joinpath(name).read_text("utf-8") for name in ("style.css", "script.js")
    )
    return {
        "record": record,
        "style": Markup(style),  # noqa: S704 - the package's own files
        "script": Markup(script),  # noqa: S704
        "policy": _policy(style, script),
        "eyebrow": _eyebrow(record),
        "tally": _tally(samples, points),
        "levels": LEVELS,
        "groups": _groups(samples),
        "samples": samples,
        "endpoint_figure": figures.endpoint_figure(points, visits, axis) if axis else None,
        "endpoint_lines": (lines := _endpoint_lines(record, points, axis)),
        "has_absolute": any(line["absolute"] for line in lines),
        "subject_panels": _subject_panels(points, visits, axis),
        "cuts": [(series, strips.cut_strip(series)) for series in cut_series(record, anchors)],
        "flags": flag_table(record, anchors),
        "matrices": [(name, json.loads(key)) for key, name in matrices.items()],
        "axes": library.definitions(),
    }


def _drawn(view: SampleView) -> SampleView:
    """The view without the arrays that its pictures were drawn from."""
    return replace(view, result=replace(view.result, pictures=(), timeline={}))


def _policy(style: str, script: str) -> str:
    """Content security policy: nothing but this file's own style and script, and images inside it."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")

    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest(style)}'; script-src 'sha256-{digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _eyebrow(record: RunRecord) -> str:
    """What stands above the title: the study, unless the title is its name already."""
    title = record.study.title if record.study.title != record.title else ""
    return " · ".join(part for part in (record.study.study_id, title) if part) or "Report of a gating run"


def _tally(samples: Sequence[SampleView], points: Sequence[EndpointPoint]) -> dict[str, Any]:
    levels = Counter(sample.level for sample in samples)
    clauses = [
        f"{wording.plural(levels[level], 'tube')} {one if levels[level] == 1 else many}"
        for level, one, many in (
            (FAILED, "failed", "failed"),
            (UNUSED, "has a value that must not be used", "have values that must not be used"),
            (REVIEW, "wants review", "want review"),
            (NOTE, "carries a note", "carry a note"),
            (CLEAN, "is clean", "are clean"),
        )
        if levels[level]
    ]
    return {
        "tubes": len(samples),
        "done": len(samples) - levels[FAILED],
        "failed": levels[FAILED],
        "flagged": levels[UNUSED] + levels[REVIEW],
        "sentence": ", ".join(clauses) + "." if clauses else "The sheet held no tube.",
        "with_value": sum(point.value is not None for point in points),
        "cells": len(points),
    }


def _groups(samples: Sequence[SampleView]) -> list[tuple[Any, list[SampleView]]]:
    """Samples by level, worst first; within a level in the order of the sheet. Levels without tubes are left out."""
    groups = [(level, [sample for sample in samples if sample.level == level]) for level in LEVELS]
    return [(level, members) for level, members in groups if members]


def _endpoint_lines(record: RunRecord, points: Sequence[EndpointPoint], axis: Axis | None) -> list[dict[str, Any]]:
    lines = []
    for row, point in zip(record.endpoint, points, strict=True):
        file = str(row.get("file") or "")
        lines.append(
            {
                "point": point,
                "value": wording.percent(point.value),
                "interval": wording.interval(point.low, point.high),
                "gate": wording.interval(cell_number(row, "treg_gate_low"), cell_number(row, "treg_gate_high")),
                "n_treg": wording.count(cell_number(row, "n_treg")),
                "n_cd4": wording.count(cell_number(row, "n_cd4_t")),
                "per_ul": wording.significant(per_ul)
                if (per_ul := cell_number(row, "treg_per_ul")) is not None
                else "",
                "per_ul_interval": wording.interval(
                    cell_number(row, "treg_per_ul_low"), cell_number(row, "treg_per_ul_high")
                ),
                "absolute": "; ".join(str(row.get(k)) for k in ("absolute_from", "absolute_note") if row.get(k)),
                "file": file,
                "status": str(row.get("status") or "").replace("_", " "),
                "reason": str(row.get("reason") or "").replace(f" {file}:", " ", 1),  # the name stands beside it
                "flags": [code.strip() for code in str(row.get("flags") or "").split(";") if code.strip()],
                "forest": figures.forest_cell(point, axis) if axis else "",
            }
        )
    return lines


def _subject_panels(points: Sequence[EndpointPoint], visits: Any, axis: Axis | None) -> list[Markup]:
    if axis is None or len(visits) < 2:  # nothing to follow over the visits
        return []
    subjects = dict.fromkeys(point.subject for point in points)
    return [figures.subject_panel(subject, points, visits, axis) for subject in subjects]


def _matrix_key(result: SampleResult) -> str:
    return json.dumps(result.spillover, sort_keys=True, default=_plain) if result.spillover else ""


def _plain(value: Any) -> Any:
    """Arrays and numpy numbers as lists and numbers."""
    return value.tolist()


def _matrices(samples: Sequence[SampleResult]) -> Mapping[str, str]:
    """Names M1, M2 ... of the distinct spillover matrices: tubes of a study mostly share one."""
    keys = dict.fromkeys(key for result in samples if (key := _matrix_key(result)))
    return {key: f"M{i}" for i, key in enumerate(keys, start=1)}
