"""review.xlsx: one row a tube and a gate, with drop-downs for decision and reason: the page as a spreadsheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from treg_gating.gating.gates import Gate
from treg_gating.gating.results import FittedGate, GateStatus
from treg_gating.report.levels import headline, sample_level
from treg_gating.report.wording import percent
from treg_gating.reviewing.desk import Desk, Seat
from treg_gating.reviewing.numbers import KIND_WORDS, gate_in_words
from treg_gating.run.decisions import ACTIONS, GATE_REASONS, TUBE_REASONS
from treg_gating.run.files import replace_file
from treg_gating.run.keys import digest
from treg_gating.tables import WORKBOOK_DATE
from treg_gating.transforms import Transform, transform_from_dict

__all__ = ["COLUMNS", "REVIEW_SHEET", "WHOLE", "scales_of", "seen_digest", "write_workbook"]

REVIEW_SHEET, EXPLAINED, LISTS = "review", "explained", "lists"
WHOLE = "(whole tube)"
_WIDTHS: Mapping[str, int] = {
    "tube": 14, "subject": 11, "visit": 12, "batch": 10, "gate": 18, "light": 10, "value": 16, "kind": 11, "axes": 18,
    "keeps": 9, "set by": 22, "numbers": 26, "why": 46, "decision": 12, "new numbers": 26, "reason": 34, "comment": 34,
    "name": 18, "seen": 4,
}  # fmt: skip
_KNOWN_BY_NAME = ("subject", "visit", "batch")
COLUMNS = tuple(_WIDTHS)
ENTERED = ("decision", "new numbers", "reason", "comment", "name")
_MEANING: Mapping[str, str] = {
    "tube": "the tube's pseudonym, or its name where the workbook is not blinded",
    "gate": f"the population that the gate makes; {WHOLE} for the tube itself",
    "light": "how the tube stands, as in the report",
    "value": "Treg of CD4 T cells for a tube; share of the parent for a gate",
    "keeps": "whether the population is what lies inside the gate, or outside of it",
    "numbers": "the gate as it is now, in compensated intensities, as on the axes of the report",
    "set by": "the rule that set the gate, or who did",
    "why": "flags of a tube; how a gate came about",
    "decision": "accept; override (a gate, with new numbers and a reason); exclude (a tube, with a reason); withdraw",
    "new numbers": "≥ 812, < 812 or 812 to 5000; a line as two points it runs through: 300, 0; 9000, 4000; a polygon "
    "as its corners; an ellipse is replaced by a polygon",
    "reason": "from the list; for 'other', say in the comment which",
    "name": "who signs; a name in the first decision row holds for the rows below it that have none",
    "seen": "what the row showed; a row whose gate or file has changed since is refused. Leave it as it is",
}


def seen_digest(desk: Desk, seat: Seat, population: str, gate: Gate | None, value: str) -> str:
    """Short digest of what a row shows, by which a row that no longer holds is known."""
    shown = value if not population else repr(gate)
    return digest(seat.tube.tube_id, seat.fitted.sha256, desk.template.sha256, population, shown)[:16]


def scales_of(seat: Seat, dims: Sequence[str]) -> list[Transform]:
    """Scales of a gate's dimensions."""
    return [transform_from_dict(dict(seat.fitted.transforms[dim])) for dim in dims]


def write_workbook(path: Path, desk: Desk) -> int:
    """Write review.xlsx; returns the number of rows.

    Raises
    ------
    DiskError : the file that was there before is untouched.
    """
    rows = [row for seat in desk.seats.values() for row in _rows(desk, seat)]
    replace_file(path, lambda temporary: _write(temporary, desk, rows))
    return len(rows)


def _rows(desk: Desk, seat: Seat) -> list[dict[str, str]]:
    result = seat.fitted
    standing, overrides = desk.standing(seat), desk.overrides(seat)
    about = {
        "tube": seat.name,
        "subject": seat.tube.subject,
        "visit": seat.tube.visit,
        "batch": seat.tube.batch,
        "light": sample_level(result, desk.endpoint[0]).word,
    }
    whole, value = standing.get(""), desk.shown_value(seat)
    top, bottom = (int(part) if part.isdecimal() else None for part in value.split("/"))
    flags = "; ".join(f"{flag.code}: {flag.text}" for flag in result.flags)
    rows = [
        {
            **about,
            "gate": WHOLE,
            "value": percent(100 * top / bottom) if top is not None and bottom else "not estimable",
            "set by": f"{whole.action}, {whole.signed}" if whole else "",
            "why": desk.scrub(flags or headline(result, desk.endpoint[0])),
            "seen": seen_digest(desk, seat, "", None, value),
        }
    ]
    for gate in result.gates:
        if gate.expression or gate.status is GateStatus.NOT_STAINED:
            continue
        rows.append({**about, "light": "", **_gate_row(desk, seat, gate, overrides.get(gate.population))})
    return rows


def _gate_row(desk: Desk, seat: Seat, fitted: FittedGate, override: Gate | None) -> dict[str, str]:
    gate = override or fitted.gate
    dims = desk.dims_of(seat, fitted.population)
    count = seat.fitted.count(fitted.population)
    share = 100 * count.n / count.n_parent if count and count.n is not None and count.n_parent else None
    decision = desk.standing(seat).get(fitted.population)
    return {
        "gate": fitted.population,
        "value": percent(share) if override is None else "",
        "kind": KIND_WORDS.get(type(gate), "none"),
        "axes": " × ".join(dims),
        "keeps": "inside" if fitted.sign == "+" else "outside",
        "set by": f"{decision.action}, {decision.signed}" if decision else f"{fitted.status}: {fitted.rule}",
        "numbers": gate_in_words(gate, scales_of(seat, dims)),
        "why": desk.scrub(fitted.reason),
        "seen": seen_digest(desk, seat, fitted.population, gate, ""),
    }


def _write(path: Path, desk: Desk, rows: Sequence[Mapping[str, str]]) -> None:
    import xlsxwriter

    columns = [name for name in COLUMNS if not (desk.blinded and name in _KNOWN_BY_NAME)]
    options = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"title": "Review of gates", "created": WORKBOOK_DATE})
        text = {"num_format": "@", "valign": "top"}
        formats = {
            "text": book.add_format(text),
            "tube": book.add_format({**text, "bold": True, "top": 1}),
            "enter": book.add_format({**text, "bg_color": "#FFF4CC", "border": 1, "border_color": "#D9D9D9"}),
            "head": book.add_format({"bold": True, "bottom": 1, "valign": "top"}),
        }
        sheet = book.add_worksheet(REVIEW_SHEET)
        for at, name in enumerate(columns):
            sheet.set_column(at, at, _WIDTHS[name], formats["text"], {"hidden": name == "seen"})
            sheet.write_string(0, at, name, formats["head"])
        for number, row in enumerate(rows, start=1):
            plain = formats["tube" if row["gate"] == WHOLE else "text"]
            for at, name in enumerate(columns):
                sheet.write_string(number, at, row.get(name, ""), formats["enter"] if name in ENTERED else plain)
        sheet.freeze_panes(1, columns.index("gate") + 1)
        sheet.autofilter(0, 0, max(len(rows), 1), len(columns) - 1)
        _drop_downs(sheet, columns, rows)
        _explain(book.add_worksheet(EXPLAINED), columns, formats)
        _lists(book.add_worksheet(LISTS))


def _drop_downs(sheet: Any, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    gates, tubes = len(GATE_REASONS), len(TUBE_REASONS)
    for number, row in enumerate(rows, start=1):
        whole = row["gate"] == WHOLE
        allowed = [action for action in ACTIONS if action != ("override" if whole else "exclude")]
        at = columns.index("decision")
        sheet.data_validation(number, at, number, at, {"validate": "list", "source": allowed})
        source = f"={LISTS}!$B$1:$B${tubes}" if whole else f"={LISTS}!$A$1:$A${gates}"
        at = columns.index("reason")
        sheet.data_validation(number, at, number, at, {"validate": "list", "source": source})


def _lists(sheet: Any) -> None:
    for at, reasons in enumerate((GATE_REASONS, TUBE_REASONS)):
        for number, words in enumerate(reasons.values()):
            sheet.write_string(number, at, words)
    sheet.hide()


def _explain(sheet: Any, columns: Sequence[str], formats: Mapping[str, Any]) -> None:
    sheet.set_column(0, 0, 16, formats["text"])
    sheet.set_column(1, 1, 110, formats["text"])
    sheet.write_string(0, 0, "column", formats["head"])
    sheet.write_string(0, 1, "meaning", formats["head"])
    told = [(name, _MEANING[name]) for name in columns if name in _MEANING]
    for number, (name, meaning) in enumerate(told, start=1):
        sheet.write_string(number, 0, name, formats["text"])
        sheet.write_string(number, 1, meaning, formats["text"])
    how = "Fill in the yellow columns, save, and read the workbook back: treg-gating review RUN --read review.xlsx"
    sheet.write_string(len(told) + 2, 1, how, formats["text"])
