"""results.xlsx and miflowcyt.xlsx, read back: what is a number, what is text, what is empty; the same bytes again."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import openpyxl
import pytest

from treg_gating.instrument import instrument_settings
from treg_gating.report.miflowcyt import write_miflowcyt
from treg_gating.report.workbook import write_results_workbook
from treg_gating.report.xlsx import Sheet, write_workbook
from treg_gating.sample import Channel
from treg_gating.tables import ENDPOINT, Column

HOSTILE_MARKER = "<script>alert(1)</script>"
HOSTILE_SUBJECT = "=cmd|'/c calc'!A1"
SHEETS = [
    *("Summary", "Treg endpoint", "All populations", "QC flags", "Overrides", "Prism-ready", "Marker map"),
    *("Settings", "Audit"),
]


@pytest.fixture(scope="module")
def book(record, tmp_path_factory):
    path = tmp_path_factory.mktemp("book") / "results.xlsx"
    audit = ({"seq": 1, "utc": "2026-01-01T00:00:00Z", "who": "lab", "what": "run started", "why": "=1+1"},)
    write_results_workbook(replace(record, audit=audit, limits={"cd4_warn": 20000.0}), path)
    return openpyxl.load_workbook(path)


def rows_of(page):
    head, *rows = page.iter_rows(values_only=True)
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_the_sheets_of_the_design(book):
    assert book.sheetnames == SHEETS


def test_endpoint_rows_come_back_equal(book, record):
    rows = rows_of(book["Treg endpoint"])
    assert list(rows[0]) == [column.name for column in ENDPOINT]
    assert len(rows) == len(record.endpoint)
    for read, row in zip(rows, record.endpoint, strict=True):
        for column in ENDPOINT:
            expected = row.get(column.name)
            if expected in ("", None):
                assert read[column.name] is None, column.name
            elif column.dtype == "text":
                assert read[column.name] == expected
            else:
                assert read[column.name] == pytest.approx(expected, rel=1e-15)


def test_hostile_names_are_text_on_every_sheet(book):
    cells = [cell for page in book for row in page.iter_rows() for cell in row if cell.value is not None]
    assert not [cell.coordinate for cell in cells if cell.data_type == "f"]
    assert not [cell.coordinate for cell in cells if cell.hyperlink]
    texts = {cell.value for cell in cells}
    assert {HOSTILE_SUBJECT, HOSTILE_MARKER} <= texts


def test_flags_stand_worst_first(book):
    levels = [row["level"] for row in rows_of(book["QC flags"])]
    order = ["failed", "fail", "review", "note", "file"]
    assert levels == sorted(levels, key=order.index)
    assert "failed" in levels


def test_without_overrides_the_sheet_says_none(book):
    assert [row[0] for row in book["Overrides"].iter_rows(values_only=True)] == ["tube_id", "none"]


def test_overrides_are_rows(record, tmp_path):
    made = {"tube_id": "T1", "decision": "override", "reason": "@too wide", "who": "a reviewer"}
    write_results_workbook(replace(record, overrides=(made,)), tmp_path / "r.xlsx")
    (row,) = rows_of(openpyxl.load_workbook(tmp_path / "r.xlsx")["Overrides"])
    assert (row["tube_id"], row["reason"], row["gate_before"]) == ("T1", "@too wide", None)


def test_prism_blocks_hold_the_same_numbers_both_ways(book, record):
    lines = list(book["Prism-ready"].iter_rows(values_only=True))
    subjects = list(dict.fromkeys(row["subject"] for row in record.endpoint))
    visits = [name for name, _ in record.study.visits]
    across = [line[: len(visits) + 1] for line in lines[2 : 2 + len(subjects)]]
    start = 2 + len(subjects) + 3
    down = [line[: len(subjects) + 1] for line in lines[start : start + len(visits)]]
    assert list(lines[1][: len(visits) + 1]) == ["subject", *visits]
    assert list(lines[start - 1][: len(subjects) + 1]) == ["visit", *subjects]
    assert [line[0] for line in down] == visits
    assert [list(line[1:]) for line in across] == [
        list(column) for column in zip(*(line[1:] for line in down), strict=True)
    ]
    values = {(row["subject"], row["visit"]): row["treg_pct_of_cd4"] for row in record.endpoint}
    assert across[0][1] == values[subjects[0], visits[0]]
    assert None in [value for line in across for value in line[1:]]  # missing is empty, not zero


def test_headers_stay_in_sight_and_explain_themselves(book):
    page = book["Treg endpoint"]
    assert page.freeze_panes == "B2"
    assert page["H1"].comment.text.startswith("Treg of CD4 T cells")
    assert all(8 <= page.column_dimensions[name].width <= 62 for name in page.column_dimensions)


def test_numbers_that_text_could_be_taken_for_stay_text(tmp_path):
    columns = (Column("name", "text", "", ""), Column("n", "integer", "", ""))
    rows = [{"name": text, "n": 1} for text in ("001", "1E5", "NA", "TRUE", "http://x", "=1", "+1", "-1", "@a", "3-4")]
    write_workbook(tmp_path / "t.xlsx", "", [Sheet("t", columns, rows)])
    read = rows_of(openpyxl.load_workbook(tmp_path / "t.xlsx")["t"])
    assert [row["name"] for row in read] == [row["name"] for row in rows]
    assert {type(row["n"]) for row in read} == {int}


def test_same_record_same_bytes(record, tmp_path):
    for write in (write_results_workbook, write_miflowcyt):
        write(record, tmp_path / "a.xlsx")
        write(record, tmp_path / "b.xlsx")
        assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
        with zipfile.ZipFile(tmp_path / "a.xlsx") as package:
            assert package.testzip() is None


def test_miflowcyt_is_filled_from_keywords_and_marks_its_gaps(record, tmp_path):
    told = {"$CYT": "FACSCanto II", "CYTNUM": "V1", "PE-A $PnV": "450", "PE-A $PnF": "585/42"}
    samples = tuple(replace(result, instrument=told) for result in record.samples)
    write_miflowcyt(replace(record, samples=samples), tmp_path / "m.xlsx")
    book = openpyxl.load_workbook(tmp_path / "m.xlsx")
    items = rows_of(book["MIFlowCyt"])
    assert [row["content"] for row in items if row["name"] == "Instrument model"] == ["FACSCanto II"]
    assert {row["state"] for row in items} == {"to fill in", "from the files", "from the run"}
    assert all((row["state"] == "to fill in") or row["content"] for row in items)
    (detector,) = [row for row in rows_of(book["3.3 detectors"]) if row["channel"] == "PE-A"]
    assert (detector["detector voltage, V"], detector["optical filter"], detector["gain"]) == (
        *("450", "585/42"),
        "not in the files",
    )
    assert {row["clone"] for row in rows_of(book["2.4 reagents"])} == {"to fill in"}


def test_names_of_persons_are_not_kept():
    keywords = {"$OP": "A. Person", "$SRC": "A. Person", "EXPORT USER NAME": "A. Person", "$CYT": "X", "$P1V": "400"}
    assert instrument_settings(keywords, [Channel("PE-A")], ["PE-A"]) == {"$CYT": "X", "PE-A $PnV": "400"}
