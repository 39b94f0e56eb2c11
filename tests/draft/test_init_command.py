"""`init` as a laboratory uses it: draft, fill in, check."""

from __future__ import annotations

import hashlib

import openpyxl
import pytest
from click.testing import CliRunner

from treg_gating.cli.init import command
from treg_gating.cli.main import cli


def run(*words):
    # Exceptions of ours pass through click; main() turns them into exit codes.
    return CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)


@pytest.fixture
def folder(tube, tmp_path):
    for name in ("P01_BL", "P01_W12", "P02_BL", "P02_W12", "FMO FOXP3"):
        tube(f"{name}.fcs", **{"$DATE": "05-JAN-2026"})
    return tmp_path


def test_what_it_writes_passes_check(folder):
    done = run("init", folder)
    assert done.return_value == 0, done.output
    assert "0 gaps" in done.output
    checked = run("check", folder / "samples.xlsx")
    assert checked.return_value == 0, checked.output
    assert "Nothing found" in checked.output
    assert "info:" not in checked.output


def test_a_gap_is_found_by_check_until_it_is_filled(folder, tube):
    tube("unnamed.fcs", **{"$DATE": "05-JAN-2026"})
    run("init", folder)
    book = openpyxl.load_workbook(folder / "samples.xlsx")
    sheet = book["samples"]
    row = next(cell.row for cell in sheet["A"] if cell.value == "unnamed.fcs")
    assert sheet.cell(row, 2).fill.start_color.rgb == "FFF4B6B0"
    assert "nor keywords tell the subject" in sheet.cell(row, 2).comment.text
    assert run("check", folder / "samples.xlsx").return_value == 3
    sheet.cell(row, 2).value, sheet.cell(row, 3).value = "P03", "Week 12"
    book.save(folder / "samples.xlsx")
    assert run("check", folder / "samples.xlsx").return_value == 0


def test_drop_downs_colours_and_text(folder):
    run("init", folder)
    book = openpyxl.load_workbook(folder / "samples.xlsx")
    sheet = book["samples"]
    assert book.sheetnames == ["samples", "how to fill it in", "lists"]
    assert {str(rule.sqref).split(":")[0][0] for rule in sheet.data_validations.dataValidation} == {"C", "E", "F"}
    assert [cell.value for cell in book["lists"]["B"] if cell.value] == ["visit", "Baseline", "Week 12"]
    assert (sheet["B2"].value, sheet["B2"].fill.start_color.rgb, sheet["B2"].number_format) == ("P01", "FFFFF2AB", "@")
    assert sheet.freeze_panes == "B2"
    explained = [cell.value for cell in book["how to fill it in"]["A"]]
    assert {cell.value for cell in sheet[1] if not cell.value.startswith("info:")} <= set(explained)


def test_a_sheet_that_is_there_is_kept(folder):
    (folder / "samples.xlsx").write_text("mine")
    done = CliRunner().invoke(command, [str(folder)])
    assert done.exit_code == 2
    assert "--force" in done.output
    assert (folder / "samples.xlsx").read_text() == "mine"
    (folder / "study.toml").write_text("also mine")
    done = run("init", folder, "--force")
    assert done.return_value == 0, done.output
    assert (folder / "study.toml").read_text() == "also mine"
    assert (folder / "samples.xlsx").read_bytes().startswith(b"PK")


def test_same_files_same_bytes(folder, tmp_path):
    for name in ("one", "two"):
        run("init", folder, "-o", tmp_path / name)
    digests = {hashlib.sha256((tmp_path / name / "samples.xlsx").read_bytes()).digest() for name in ("one", "two")}
    assert len(digests) == 1


def test_names_that_a_spreadsheet_would_run_stay_text(tube, tmp_path):
    tube("=cmd|'calc'!A1_W4.fcs", **{"PATIENT_ID": "=1+1", "$CYT": "<script>alert(1)</script>"})
    run("init", tmp_path)
    sheet = openpyxl.load_workbook(tmp_path / "samples.xlsx")["samples"]
    assert (sheet["A2"].value, sheet["A2"].data_type) == ("=cmd|'calc'!A1_W4.fcs", "s")
    assert all(cell.data_type != "f" for row in sheet for cell in row)


def test_a_folder_without_fcs_files_is_refused(tmp_path):
    done = run("init", tmp_path)
    assert "no FCS file" in str(done.exception)
    assert not list(tmp_path.iterdir())
