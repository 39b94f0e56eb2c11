"""review.xlsx: written, filled in as a person would, read back; every fault by its row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner

from treg_gating.cli.main import cli
from treg_gating.errors import InputError, ReviewError
from treg_gating.gating.gates import Ellipse, HalfPlane, Interval, Polygon
from treg_gating.gating.template import load_template
from treg_gating.reviewing.desk import Desk
from treg_gating.reviewing.numbers import gate_in_words, gate_of_words
from treg_gating.reviewing.workbook import WHOLE, write_workbook
from treg_gating.reviewing.workbook_rows import read_workbook
from treg_gating.transforms import Linear, Logicle

TUBE = "S01_Baseline"
SCALE = Logicle(t=262144, w=0.6, m=4.5, a=0)


@pytest.fixture
def desk(study: Any) -> Desk:
    return Desk(study.out, load_template("treg_foxp3"), data=study.folder, blinded=False)


@pytest.fixture
def fill(study: Any, desk: Desk) -> Callable[..., Any]:
    """Write the workbook, fill in rows as ``(tube, gate): {column: text}``, and give its path."""
    path = study.out / "review.xlsx"

    def edit(*entries: tuple[str, str, dict[str, object]]) -> Any:
        write_workbook(path, desk)
        book = openpyxl.load_workbook(path)
        sheet = book["review"]
        head = {cell.value: cell.column for cell in sheet[1]}
        for tube, gate, cells in entries:
            row = next(
                r for r in range(2, sheet.max_row + 1)
                if (sheet.cell(r, head["tube"]).value, sheet.cell(r, head["gate"]).value) == (tube, gate)
            )  # fmt: skip
            for name, text in cells.items():
                cell = sheet.cell(row, head[name])
                cell.value = text
                cell.data_type = "s"  # as Excel keeps what is typed into a cell of text, a leading = included
        book.save(path)
        return path

    return edit


def test_filled_in_and_read_back_it_does_what_the_page_does(study, desk, fill):
    before = study.row(TUBE)
    path = fill(
        (TUBE, "treg", {"decision": "override", "new numbers": "≥ 800", "name": "A. Lab",
                        "reason": "gate lies too low: takes in negatives"}),
        ("S01_Week4", WHOLE, {"decision": "exclude", "reason": "other", "comment": "=cmd|'/c calc'!A1"}),
        ("S02_Week4", WHOLE, {"decision": "accept"}),
    )  # fmt: skip
    desk.keep(read_workbook(path, desk))
    study.rerun()
    row = study.row(TUBE)
    assert row["review"] == "overridden"
    assert float(row["treg_pct_of_cd4"]) < float(before["treg_pct_of_cd4"])
    gate = next(g for g in study.result(TUBE).gates if g.population == "treg").gate
    assert float(SCALE.inverse(gate.low)) == pytest.approx(800, rel=0.3)  # the template's own width
    assert study.row("S01_Week4")["status"] == "not_estimable"
    assert "=cmd|'/c calc'!A1" in study.row("S01_Week4")["reason"]
    assert study.row("S02_Week4")["review"] == "accepted"
    assert study.row("S02_Week4")["reviewed_by"].startswith("A. Lab"), "the first name holds for the rows below"


def test_every_fault_is_told_with_its_row_and_nothing_is_kept(study, desk, fill):
    path = fill(
        (TUBE, "treg", {"decision": "override", "new numbers": "high", "reason": "control", "name": "A. Lab"}),
        (TUBE, "cd4_t", {"decision": "overide"}),
        (TUBE, "t_cells", {"decision": "override", "new numbers": "900"}),
        (TUBE, "live", {"comment": "looks odd"}),
        ("S01_Week4", WHOLE, {"decision": "exclude", "reason": "bad day"}),
        ("S01_Week12", "treg", {"decision": "accept", "new numbers": "900"}),
        ("S02_Baseline", WHOLE, {"decision": "accept"}),
        ("S02_Baseline", "treg", {"decision": "override", "new numbers": "900", "reason": "control"}),
    )
    with pytest.raises(ReviewError) as caught:
        read_workbook(path, desk)
    told = str(caught.value).splitlines()
    assert len(told) == 7
    assert all("review.xlsx:row " in line for line in told)
    for words in ("not understood", "'overide' is none of", "a reason is missing", "comment without a decision",
                  "new numbers stand beside 'accept'", "has not been seen"):  # fmt: skip
        assert sum(words in line for line in told) >= 1, words
    from treg_gating.run.ledger import Ledger

    with Ledger(study.out) as ledger:
        assert ledger.decisions() == []


def test_a_row_that_no_longer_holds_is_refused(study, desk, fill, moved):
    from treg_gating.run.decisions import gate_text

    path = fill((TUBE, "treg", {"decision": "override", "new numbers": "900", "reason": "control", "name": "A"}))
    gate = moved(study.result(TUBE), 0.03)
    study.decide(study.decision(TUBE, "treg", "override", gate=gate_text(gate), reason="too_low"))
    desk.load()
    with pytest.raises(ReviewError, match="no longer what this row shows"):
        read_workbook(path, desk)


def test_a_blinded_workbook_has_no_names(study):
    desk = Desk(study.out, load_template("treg_foxp3"), data=study.folder)
    path = study.out / "review.xlsx"
    write_workbook(path, desk)
    book = openpyxl.load_workbook(path)
    said = " ".join(str(cell.value) for sheet in book for row in sheet for cell in row if cell.value)
    for word in ("S01", "S02", "Baseline", "Week", ".fcs", "B1"):
        assert word not in said, word
    sheet = book["review"]
    assert sheet.freeze_panes is not None
    lists = {rule.formula1 for rule in sheet.data_validations.dataValidation}
    assert '"accept,override,withdraw"' in lists
    assert '"accept,exclude,withdraw"' in lists


def test_the_commands(study):
    runner = CliRunner()
    words = ["review", str(study.out), "--data", str(study.folder), "--not-blinded"]
    done = runner.invoke(cli, [*words, "--workbook"], standalone_mode=False)
    assert done.exception is None
    assert "rows of 6 tubes" in done.output
    path = study.out / "review.xlsx"
    assert "There is no decision in it" in runner.invoke(cli, [*words, "--read", str(path)]).output
    other = runner.invoke(cli, [*words, "--read", str(study.folder / "samples.csv")], standalone_mode=False)
    assert isinstance(other.exception, ReviewError)
    assert "columns are missing" in str(other.exception)


@pytest.mark.parametrize(
    ("gate", "scales"),
    [
        (Interval(("A",), low=0.41), [SCALE]),
        (Interval(("A",), high=0.2), [SCALE]),
        (Interval(("A",), 0.2, 0.6), [SCALE]),
        (HalfPlane(("A", "B"), (0.8, -0.6), 0.11), [SCALE, SCALE]),
        (Polygon(("A", "B"), ((0.1, 0.1), (0.8, 0.2), (0.4, 0.9))), [SCALE, Linear()]),
    ],
)
def test_words_and_gates_are_one(gate, scales):
    words = gate_in_words(gate, scales)
    again = gate_of_words(words, gate, gate.dims, scales)
    assert type(again) is type(gate)
    grid = np.random.default_rng(1).uniform(0, 1, (4000, len(gate.dims)))
    assert np.mean(gate.contains(grid) != again.contains(grid)) < 2e-3  # six digits are written


def test_an_ellipse_is_written_as_a_polygon_of_nearly_its_events():
    gate = Ellipse(("A", "B"), (7e4, 2e4), ((4e8, 1e7), (1e7, 2e7)), 6.0)
    again = gate_of_words(gate_in_words(gate, [Linear(), Linear()]), gate, gate.dims, [Linear(), Linear()])
    assert isinstance(again, Polygon)
    events = np.random.default_rng(2).multivariate_normal(gate.mean, gate.covariance, 20000)
    assert abs(gate.contains(events).mean() - again.contains(events).mean()) < 0.02


@pytest.mark.parametrize(
    ("text", "before", "expected"),
    [
        ("1,200", Interval(("A",), low=0.4), ("low", 1200)),
        ("1200", Interval(("A",), high=0.4), ("high", 1200)),
        (">= -50.5", None, ("low", -50.5)),
        ("< 3e3", Interval(("A",), low=0.4), ("high", 3000)),
    ],
)
def test_ways_to_write_a_threshold(text, before, expected):
    gate = gate_of_words(text, before, ("A",), [SCALE])
    assert float(SCALE.inverse(getattr(gate, expected[0]))) == pytest.approx(expected[1])


@pytest.mark.parametrize("text", ["", "about 900", "900 to", "5 to 3", "1200 1300"])
def test_words_that_are_no_threshold(text):
    with pytest.raises(InputError, match="not understood"):
        gate_of_words(text, Interval(("A",), low=0.4), ("A",), [SCALE])


@pytest.mark.parametrize("text", ["1, 2", "1, 2; 1, 2", "1; 2; 3", "1, 2; 3, x; 4, 5"])
def test_words_that_are_no_line(text):
    with pytest.raises(InputError, match="not understood"):
        gate_of_words(text, HalfPlane(("A", "B"), (1.0, 0.0), 0.1), ("A", "B"), [SCALE, SCALE])


def test_a_run_of_more_tubes_than_are_kept_at_hand(study, monkeypatch):
    monkeypatch.setattr("treg_gating.run.shelves._AT_HAND", 1)  # results are read from the ledger when asked
    desk = Desk(study.out, load_template("treg_foxp3"), data=study.folder)
    assert [seat.current.tube_id for seat in desk.seats.values()] == [
        seat.fitted.tube_id for seat in desk.seats.values()
    ]
    assert len(desk.seats) > 1
