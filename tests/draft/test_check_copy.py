"""The annotated copy that `check` leaves: comments on the bad cells, in the rows that Excel shows."""

from __future__ import annotations

import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner

from treg_gating.cli.main import cli
from treg_gating.fcs import write_fcs
from treg_gating.sample import Channel

CHANNELS = [Channel(name) for name in ("FSC-A", "FSC-H", "SSC-A", "Time")] + [
    Channel(f"B{at}-A", marker)
    for at, marker in enumerate(("CD3", "CD4", "CD25", "CD127", "FOXP3", "Viability", "CD45RA"))
]
FAULTY = """file,subject,visit,role,arm
P01_BL.fcs,001,Baseline,sample,secret
P01_W4.fcs,,Week 4,sample,secret

none.fcs,=1+1,Week 4,smaple,x
"""


def check(*words):
    return CliRunner().invoke(cli, ["check", *map(str, words)], standalone_mode=False)


@pytest.fixture
def csv_sheet(tube, tmp_path):
    tube("P01_BL.fcs")
    tube("P01_W4.fcs")
    sheet = tmp_path / "samples.csv"
    sheet.write_text(FAULTY)
    return sheet


def comments(path):
    page = openpyxl.load_workbook(path)["samples"]
    return {cell.coordinate: cell.comment.text for row in page for cell in row if cell.comment}, page


def test_a_csv_file_becomes_a_workbook_with_comments(csv_sheet, tmp_path):
    done = check(csv_sheet)
    assert done.return_value == 3
    assert "samples_checked.xlsx" in done.output
    found, page = comments(tmp_path / "samples_checked.xlsx")
    assert set(found) == {"B3", "D5", "A5"}
    assert "did you mean 'sample'" in found["D5"]
    assert "does not exist" in found["A5"]
    assert [page["B2"].value, page["B5"].value, page["B5"].data_type] == ["001", "=1+1", "s"]
    assert "secret" not in {cell.value for row in page for cell in row}


def test_the_copy_of_a_workbook_keeps_its_own_look(csv_sheet, tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "read me"
    page = book.create_sheet("samples")
    for number, line in enumerate(FAULTY.splitlines(), start=3):
        for column, text in enumerate(line.split(",") if line else (), start=1):
            page.cell(number, column).value = text
            page.cell(number, column).data_type = "s"
    page.column_dimensions["A"].width = 33
    book.save(tmp_path / "samples.xlsx")
    assert check(tmp_path / "samples.xlsx").return_value == 3
    found, page = comments(tmp_path / "samples_checked.xlsx")
    assert set(found) == {"B5", "D7", "A7"}
    assert page.column_dimensions["A"].width == 33


def test_faults_of_files_are_comments_too(csv_sheet, tmp_path):
    csv_sheet.write_text("file,subject,visit\nP01_BL.fcs,P01,Baseline\nbad.fcs,P01,Week 4\n")
    (tmp_path / "bad.fcs").write_bytes(b"\x89PNG" + bytes(100))
    done = check(csv_sheet, "--copy", tmp_path / "here.xlsx")
    assert done.return_value == 3
    found, _ = comments(tmp_path / "here.xlsx")
    assert set(found) == {"A3"}
    assert "E_NOT_FCS" in found["A3"]


def test_what_many_files_lack_is_said_once_with_the_files(csv_sheet, tmp_path):
    names = [f"P{at}.fcs" for at in range(1, 7)]
    channels = [channel for channel in CHANNELS if "FOXP3" not in (channel.marker or "")]
    for at, name in enumerate((*names, "FMO.fcs")):
        write_fcs(tmp_path / name, np.random.default_rng(at).random((200, len(channels))) * 1e3, channels)
    (tmp_path / names[1]).write_bytes(b"\x89PNG" + bytes(100))
    rows = [f"{name},S{at // 2},{('Baseline', 'Week 4')[at % 2]},sample," for at, name in enumerate(names)]
    csv_sheet.write_text("\n".join(["file,subject,visit,role,control_for", *rows, "FMO.fcs,,,fmo,FOXP3"]) + "\n")
    done = check(csv_sheet, "-t", "treg_foxp3")
    assert done.return_value == 3
    lacks, broken = [line for line in done.output.splitlines() if line.startswith("row")]
    assert lacks.startswith(
        "rows 2, 4 to 8, file  P1.fcs, P3.fcs, P4.fcs, P5.fcs and 2 more: $PnN/$PnS: FOXP3: no chan"
    )
    assert broken.startswith("row 3, file           P2.fcs: [E_NOT_FCS] byte 0: not an FCS file")
    assert "7 files have faults." in done.output
    found, _ = comments(tmp_path / "samples_checked.xlsx")
    assert set(found) == {f"A{row}" for row in range(2, 9)}
    assert found["A8"].startswith("FMO.fcs: $PnN/$PnS: FOXP3"), "it is gated too"
    assert found["A8"].count("Say which detector carries it") == lacks.count("Say which detector carries it") == 1


def test_a_sound_sheet_leaves_no_copy_and_refreshes_an_old_one(csv_sheet, tmp_path):
    check(csv_sheet)
    csv_sheet.write_text("file,subject,visit\nP01_BL.fcs,P01,Baseline\nP01_W4.fcs,P01,Week 4\n")
    assert check(csv_sheet).return_value == 0
    assert comments(tmp_path / "samples_checked.xlsx")[0] == {}
    (tmp_path / "samples_checked.xlsx").unlink()
    check(csv_sheet)
    assert not (tmp_path / "samples_checked.xlsx").exists()


def test_what_is_no_table_leaves_no_copy(tmp_path):
    sheet = tmp_path / "samples.xlsx"
    sheet.write_bytes(b"PK\x03\x04 but damaged")
    assert check(sheet).return_value == 3
    assert [path.name for path in tmp_path.iterdir()] == ["samples.xlsx"]
