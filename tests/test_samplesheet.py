"""Sample sheets as people write them: read as they mean it, or every fault with its row."""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treg_gating.errors import SampleSheetError
from treg_gating.samplesheet import (
    Role,
    SampleSheet,
    parse_inline_mapping,
    read_marker_mapping,
    read_samplesheet,
)
from treg_gating.sheet_columns import COLUMNS, HeaderReading
from treg_gating.sheet_xlsx import shown_number
from treg_gating.study import Study, Visit

STUDY = Study(
    visits=(Visit("Baseline", 0, baseline=True), Visit("Week 4", 28), Visit("Week 12", 84, synonyms=("W12",)))
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six small files with different bytes."""
    for name in ("a.fcs", "b.fcs", "c.fcs", "d.fcs", "fmo.fcs", "sub/e.fcs"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"FCS3.1 " + name.encode())
    return tmp_path


def csv(folder: Path, text: str | bytes, name: str = "samples.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def xlsx(folder: Path, rows: Sequence[Sequence[object]], formats: dict[str, str] | None = None) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    for cell, number_format in (formats or {}).items():
        book.active[cell].number_format = number_format
    path = folder / "samples.xlsx"
    book.save(path)
    return path


def faults_of(path: Path, **options: object) -> list[str]:
    with pytest.raises(SampleSheetError) as caught:
        read_samplesheet(path, **options)  # type: ignore[arg-type]
    return [str(fault) for fault in caught.value.faults]


def column(sheet: SampleSheet, name: str) -> list[object]:
    return [getattr(tube, name) for tube in sheet.tubes]


def test_a_plain_sheet(folder: Path) -> None:
    path = csv(
        folder,
        "file,subject,visit,batch,role,control_for\na.fcs,001,Baseline,B1,sample,\n"
        "sub/e.fcs,1E5,week 4,B1,sample,\nfmo.fcs,,,B1,FMO,FOXP3\nb.fcs,,,B2,control,\n",
    )
    sheet = read_samplesheet(path, study=STUDY)
    assert column(sheet, "subject") == ["001", "1E5", "", ""]
    assert column(sheet, "visit") == ["Baseline", "Week 4", "", ""]
    assert column(sheet, "role") == [Role.SAMPLE, Role.SAMPLE, Role.FMO, Role.CONTROL]
    assert column(sheet, "tube_id") == ["a", "e", "fmo", "b"]
    assert column(sheet, "row") == [2, 3, 4, 5]
    assert sheet.tubes[1].path == (folder / "sub" / "e.fcs").resolve()
    assert sheet.tubes[2].control_for == "FOXP3"
    assert (sheet.subjects, sheet.visits, sheet.batches) == (("001", "1E5"), ("Baseline", "Week 4"), ("B1", "B2"))
    assert not sheet.warnings
    assert not sheet.set_aside
    assert pickle.loads(pickle.dumps(sheet)) == sheet
    assert len({hash(tube) for tube in sheet.tubes}) == 4


def test_the_faults_of_issue_two_are_all_listed_by_row(folder: Path) -> None:
    text = (
        "file,subject,visit,batch\n"
        "a.fcs,001,Baseline,B1\n"
        "absent.fcs,S02,Baseline,B1\n"
        "a.fcs,001,Baseline,B1\n"
        "b.fcs,S03,Weak 12,B1\n"
        "c.fcs,1,Week 4,B1\n"
    )
    faults = faults_of(csv(folder, text), study=STUDY)
    assert [fault.split(":")[1] for fault in faults] == [
        "row 2, subject",
        "row 3, file",
        "row 4, file",
        "row 4, subject",
        "row 5, visit",
        "row 6, subject",
    ]
    assert "does not exist" in faults[1]
    assert "duplicate tube: the file is listed already in row 2" in faults[2]
    assert "unknown visit; did you mean 'Week 12'?; found 'Weak 12'" in faults[4]
    assert "also written '001' in rows 2, 4; found '1'" in faults[5]


@pytest.mark.parametrize(
    ("encode", "delimiter"),
    [
        (lambda text: text.encode(), ","),
        (lambda text: b"\xef\xbb\xbf" + text.encode(), ";"),
        (lambda text: text.encode("utf-16"), "\t"),
        (lambda text: text.encode("cp1252"), ";"),
        (lambda text: ("sep=;\r\n" + text).encode(), ";"),
        (lambda text: text.replace("\r\n", "\r").encode(), ","),
    ],
)
def test_what_excel_writes(folder: Path, encode: object, delimiter: str) -> None:
    text = (
        'file;subject;visit;comment\r\na.fcs;Müller;Week 4;"two\r\nlines; one cell"\r\n\r\nb.fcs;NA;Week 4;\r\n;;;\r\n'
    )
    text = text.replace("; one", " one").replace(";", delimiter)
    raw = encode(text)  # type: ignore[operator]
    sheet = read_samplesheet(csv(folder, raw))
    first = 3 if raw.startswith(b"sep") else 2
    assert column(sheet, "subject") == ["Müller", "NA"]
    assert column(sheet, "row") == [first, first + 3], "line numbers count quoted line breaks and empty lines"
    assert any("cp1252" in warning for warning in sheet.warnings) == (raw == text.encode("cp1252"))


def test_headers_by_other_names(folder: Path) -> None:
    text = "FCS file,Subject ID,Time Point,Batch No.,Tube role,Colour\na.fcs,001,Baseline,7,Full stain,red\n"
    sheet = read_samplesheet(csv(folder, text))
    assert (sheet.tubes[0].subject, sheet.tubes[0].visit, sheet.tubes[0].batch) == ("001", "Baseline", "7")
    assert sheet.warnings == ("Column 'Colour' is not known and was not read",)
    text = "Filename,USUBJID,Timepoint,Comment\na.fcs,001,Baseline,\n"
    sheet = read_samplesheet(csv(folder, text))
    assert sheet.tubes[0].batch == "1"
    assert any("batch '1'" in warning for warning in sheet.warnings)
    assert any("every tube is a sample" in warning for warning in sheet.warnings)


def test_header_faults_come_with_the_rows_faults(folder: Path) -> None:
    faults = faults_of(csv(folder, "file,sujbect,visit\nabsent.fcs,001,Baseline\n"))
    assert len(faults) == 2
    assert "no column 'subject'; did you mean it by 'sujbect'?" in faults[0]
    assert "row 2, file" in faults[1]
    faults = faults_of(csv(folder, "file,Subject,Patient,visit\na.fcs,001,001,Baseline\n"))
    assert len(faults) == 1
    assert "two columns are the subject; found 'Subject' and 'Patient'" in faults[0]


@pytest.mark.parametrize(
    "header",
    ["arm", "Arm", "Treatment", "Treatment group", "TRT01P", "Randomisation", "GROUP", "study arm", "ACTARMCD"],
)
def test_the_treatment_is_set_aside_unread(folder: Path, header: str) -> None:
    sheet = read_samplesheet(csv(folder, f"file,subject,visit,{header}\na.fcs,001,Baseline,SECRET-IL2\n"))
    assert sheet.set_aside == (header,)
    assert "SECRET" not in repr(sheet)
    assert "SECRET" not in repr(pickle.dumps(sheet))
    faults = faults_of(csv(folder, f"file,subject,visit,{header}\nx.fcs,,Baseline,SECRET-IL2\n"))
    assert "SECRET" not in "".join(faults)


def test_every_known_header_is_read_and_no_treatment_is_among_them() -> None:
    for name, synonyms in COLUMNS.items():
        for header in (name, *synonyms):
            reading = HeaderReading("s.csv")
            assert dict(reading.pick([header.upper()])) == {0: name}
            assert not reading.set_aside


def test_roles_and_what_they_need(folder: Path) -> None:
    text = "file,subject,visit,role,control_for\na.fcs,S1,Baseline,smaple,\nb.fcs,,,fmo,\nc.fcs,,,FMO_CD25,\n"
    text += "d.fcs,,Baseline,sample,\nfmo.fcs,S1,Baseline,,\nsub/e.fcs,S1,Baseline,sample,CD25\n"
    faults = faults_of(csv(folder, text))
    assert len(faults) == 5
    assert "row 2, role: unknown role; did you mean 'sample'?; found 'smaple'" in faults[0]
    assert "row 3, control_for: empty for a tube of role fmo; expected the marker that is left out" in faults[1]
    assert "row 5, subject: the cell is empty" in faults[2]
    assert "row 6, role: the cell is empty" in faults[3]
    assert "row 7, control_for: a tube of role sample is a control for nothing; found 'CD25'" in faults[4]
    text = "file,subject,visit,role,control_for\nc.fcs,,,FMO_CD25,\nb.fcs,,,Compensation,PE\na.fcs,S1,BL,sample,n/a\n"
    assert column(read_samplesheet(csv(folder, text)), "control_for") == ["CD25", "PE", ""]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("../outside.fcs", "leaves the folder"),
        ("sub/../../outside.fcs", "leaves the folder"),
        ("..\\outside.fcs", "leaves the folder"),
        ("/etc/passwd", "leaves the folder"),
        ("C:\\data\\a.fcs", "absolute path"),
        ("\\\\server\\share\\a.fcs", "absolute path"),
        ("file:///etc/passwd", "absolute path"),
        ("link.fcs", "symbolic link that leaves"),
        ("linked/passwd", "symbolic link that leaves"),
        ("loop.fcs", "does not exist"),
        ("sub", "not a file"),
        ("pipe.fcs", "not a file"),
        ("x" * 300, "not a usable path"),
        ("A.FCS", "did you mean 'a.fcs'?"),
        ("e.fcs", "did you mean 'sub/e.fcs'?"),
        ("aa.fcs", "did you mean 'a.fcs'?"),
    ],
)
def test_files_that_are_refused(folder: Path, written: str, hint: str) -> None:
    import os

    data = folder / "data"
    data.mkdir()
    for name in ("a.fcs", "sub"):
        (folder / name).rename(data / name)
    (folder / "outside.fcs").write_bytes(b"FCS3.1")
    (data / "link.fcs").symlink_to(folder / "outside.fcs")
    (data / "linked").symlink_to("/etc")
    (data / "loop.fcs").symlink_to(data / "loop.fcs")
    os.mkfifo(data / "pipe.fcs")
    faults = faults_of(csv(data, f"file,subject,visit\n{written},S1,Baseline\n"))
    assert len(faults) == 1
    assert "row 2, file" in faults[0]
    assert hint in faults[0]
    if "leaves" in hint or "absolute" in hint:
        assert "--data DIR" in faults[0]


def test_the_data_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = csv(tmp_path_factory.mktemp("sheets"), "file,subject,visit\nsub\\e.fcs,S1,Baseline\n")
    assert "does not exist" in faults_of(path)[0]
    assert read_samplesheet(path, data_dir=folder).tubes[0].path == (folder / "sub" / "e.fcs").resolve()
    absolute = csv(path.parent, f"file,subject,visit\n{folder / 'a.fcs'},S1,Baseline\n")
    assert read_samplesheet(absolute, data_dir=folder).tubes[0].path == (folder / "a.fcs").resolve()
    with pytest.raises(SampleSheetError, match="data folder does not exist"):
        read_samplesheet(path, data_dir=folder / "nowhere")


def test_an_accent_written_by_another_system_is_the_same_file(folder: Path) -> None:
    (folder / "Mu\u0308ller.fcs").write_bytes(b"FCS3.1 m")
    sheet = read_samplesheet(csv(folder, "file,subject,visit\nM\u00fcller.fcs,S1,Baseline\n"))
    assert sheet.tubes[0].path.name == "Mu\u0308ller.fcs"


def test_duplicates(folder: Path) -> None:
    (folder / "copy.fcs").write_bytes((folder / "a.fcs").read_bytes())
    (folder / "same_size.fcs").write_bytes(b"x" * (folder / "a.fcs").stat().st_size)
    head = "file,subject,visit,tube_id,dataset,date\n"
    path = csv(folder, head + "a.fcs,S1,Baseline,,,\ncopy.fcs,S2,Baseline,,,\nsame_size.fcs,S3,Baseline,,,\n")
    assert len(faults := faults_of(path)) == 1
    assert "row 3, file: duplicate tube: the file has the same bytes as 'a.fcs' in row 2" in faults[0]
    path = csv(folder, head + "a.fcs,S1,Baseline,,,\nb.fcs,S1,baseline,,,\n")
    assert len(faults := faults_of(path)) == 1
    assert "row 3: duplicate tube: subject 'S1' has visit 'Baseline' already in row 2" in faults[0]
    path = csv(folder, head + "a.fcs,S1,Baseline,T1,,\nb.fcs,S1,Baseline,T1,,\n")
    assert len(faults_of(path)) == 1
    path = csv(folder, head + "a.fcs,S1,Baseline,,1,\na.fcs,S2,Baseline,,2,\na.fcs,S3,Baseline,,,\n")
    assert len(faults := faults_of(path)) == 1
    assert "row 4" in faults[0]
    allowed = head + "a.fcs,S1,Baseline,T1,,\nb.fcs,S1,Baseline,T2,,\nc.fcs,S2,Baseline,,,2024-01-01\n"
    sheet = read_samplesheet(csv(folder, allowed + "d.fcs,S2,Baseline,,,2024-01-09T08:30\n"))
    assert column(sheet, "tube_id") == ["T1", "T2", "c", "d"]
    assert column(sheet, "date") == ["", "", "2024-01-01", "2024-01-09T08:30:00"]


def test_tube_ids_are_unique(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "e.fcs").write_bytes(b"FCS3.1 other")
    text = "file,subject,visit,tube_id\nsub/e.fcs,S1,Baseline,\nother/e.fcs,S2,Baseline,\n"
    text += "a.fcs,S3,Baseline,Treg\nb.fcs,S4,Baseline,Treg\n"
    sheet = read_samplesheet(csv(folder, text))
    assert column(sheet, "tube_id") == ["sub_e", "other_e", "Treg_a", "Treg_b"]
    assert any("'Treg' occurs more than once" in warning for warning in sheet.warnings)


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (",,,0,,", "dataset: not usable"),
        (",,,1.5,,", "dataset: not usable"),
        (",2.5,,,,", "day: not usable"),
        (",x,,,,", "day: not a number"),
        ("31.03.2024,,,,,", "date: not an ISO date"),
        (",,,,-5,", "lymphocytes_per_ul: not a count"),
        (",,,,nan,", "lymphocytes_per_ul: not a number"),
        (",,,,1e999,", "lymphocytes_per_ul: not a count"),
        (",,,,1.8,", "1.8 × 10⁹/L would be 1800"),
        (',,,,"1,834",', "thousands or decimals"),
        (",,,,1500,1600", "more CD4 cells than lymphocytes"),
        (",,PE-A,,,", "markers: the file does not exist"),
        (",,PE-A=,,,", "markers: not a mapping"),
        (",,PE-A=CD25; PE-A=CD4,,,", "two markers for the channel 'PE-A'"),
        (',,"PE-A=CD25\nx",,,', "line breaks"),
        (",,../a.csv,,,", "markers: the path leaves"),
    ],
)
def test_values_that_are_refused(folder: Path, values: str, hint: str) -> None:
    head = "file,subject,visit,date,day,markers,dataset,lymphocytes_per_ul,CD4 (cells/µL)\n"
    faults = faults_of(csv(folder, f"{head}a.fcs,S1,Baseline,{values}\n"))
    assert len(faults) == 1, faults
    assert "row 2" in faults[0]
    assert hint in faults[0]


def test_values_that_are_read(folder: Path) -> None:
    csv(folder, "channel,marker\nPE-A,CD25\nAPC-A,CD127\nFITC-A,\n", "panel.csv")
    head = "file;subject;visit;date;day;markers;dataset;lymphocytes/µl;cd4_per_ul;comment\n"
    text = head + 'a.fcs;S1;Baseline;2024-03-31;-2;panel.csv;1;1834,5;612;"a; b"\n'
    text += 'b.fcs;S2;Baseline;;;"PE-A=CD25; X = FoxP3";;;;\n'
    first, second = read_samplesheet(csv(folder, text)).tubes
    assert (first.day, first.dataset, first.lymphocytes_per_ul, first.cd4_per_ul) == (-2, 1, 1834.5, 612)
    assert (first.date, first.comment) == ("2024-03-31", "a; b")
    assert dict(first.markers) == {"PE-A": "CD25", "APC-A": "CD127"}
    assert dict(second.markers) == {"PE-A": "CD25", "X": "FoxP3"}
    with pytest.raises(TypeError):
        second.markers["PE-A"] = "CD4"  # type: ignore[index]


def test_marker_tables(folder: Path) -> None:
    assert read_marker_mapping(csv(folder, "Detector;Stain\nPE-A;CD25\n")) == {"PE-A": "CD25"}
    for text, hint in [
        ("a,b\nPE-A,CD25\n", "not a marker table"),
        ("channel,marker\nPE-A,CD25\nPE-A,CD4\n", "row 3: two markers for the channel 'PE-A'"),
        ("channel,marker\n,CD25\n", "row 2: a marker without a channel"),
        ("channel,marker\nPE-A,\n", "names no marker"),
    ]:
        with pytest.raises(SampleSheetError, match=hint):
            read_marker_mapping(csv(folder, text))
    assert parse_inline_mapping(" ; PE-A=CD25 ;") == {"PE-A": "CD25"}


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        (b"", "the table is empty"),
        (b"\n\n", "the table is empty"),
        (b"file,subject,visit\n", "lists no tube"),
        (b"\x00\x01\x02", "neither a text table"),
        (b"file,\x81\n", "neither a text table"),
        (b"\xd0\xcf\x11\xe0 old", "old Excel file"),
        (b"PK\x03\x04 broken", "damaged"),
        (b'<?xml version="1.0"?>\n<Workspace>\n', "where a table is expected"),
        (b"FCS3.1         256    1024", "where a table is expected"),
        (b'file,subject,visit\n"a.fcs,S1,Baseline\n', "row 2: the row cannot be read"),
        (b"file,subject,visit\na.fcs,S1,Baseline,more\n", "row 2: the row has more cells"),
    ],
)
def test_files_that_are_no_sheet(folder: Path, raw: bytes, hint: str) -> None:
    assert any(hint in fault for fault in faults_of(csv(folder, raw)))
    assert any("no such file" in fault for fault in faults_of(folder / "absent.csv"))
    (fault,) = faults_of(folder)
    assert fault.endswith(f"Draft one of the files in a folder with 'treg-gating init {folder}'")


def test_a_marker_table_that_is_not_there_is_not_called_a_sample_sheet(folder: Path) -> None:
    with pytest.raises(SampleSheetError, match="no such file; expected a marker table in CSV or XLSX"):
        read_marker_mapping(folder / "absent.csv")


def test_visits_of_tubes_that_are_no_samples(folder: Path) -> None:
    text = "file,subject,visit,role,control_for\na.fcs,S1,W12,sample,\nb.fcs,,Run 3,control,\nfmo.fcs,,Run 3,fmo,CD25\n"
    sheet = read_samplesheet(csv(folder, text), study=STUDY)
    assert column(sheet, "visit") == ["Week 12", "Run 3", "Run 3"]
    assert [warning for warning in sheet.warnings if "Run 3" in warning] == [
        "Row 4: visit 'Run 3' of a fmo tube is not planned; it was kept."
    ]


def test_excel_cells_are_what_a_person_sees(folder: Path) -> None:
    head = ("file", "subject", "visit", "batch", "date", "lymphocytes_per_ul", "arm")
    rows = [
        head,
        ("a.fcs", "001", "Baseline", 1, dt.datetime(2024, 3, 31), 1834.267, "SECRET"),
        (),
        ("b.fcs", 2, "Week 4", dt.date(2024, 1, 2), "2024-04-28", 1500, "SECRET"),
        ("c.fcs", 7, "Week 4", 3.0, dt.datetime(2024, 4, 28, 8, 30), None, "SECRET"),
        ("d.fcs", 12, "Week 4", "NA", None, None, "SECRET"),
    ]
    sheet = read_samplesheet(xlsx(folder, rows, {"B5": "000", "B6": '"S-"000', "F2": "0"}), study=STUDY)
    assert column(sheet, "subject") == ["001", "2", "007", "S-012"]
    assert column(sheet, "row") == [2, 4, 5, 6]
    assert column(sheet, "batch") == ["1", "2024-01-02", "3", "NA"]
    assert column(sheet, "date") == ["2024-03-31", "2024-04-28", "2024-04-28T08:30:00", ""]
    assert column(sheet, "lymphocytes_per_ul") == [1834.267, 1500, None, None]
    assert sheet.set_aside == ("arm",)
    assert "SECRET" not in repr(sheet)


def test_excel_cells_that_cannot_be_told(folder: Path) -> None:
    rows = [
        ("file", "subject", "visit"),
        ("a.fcs", dt.datetime(2024, 1, 2), "Baseline"),
        ("b.fcs", 1234567890123456, "Baseline"),
        ("c.fcs", 0.5, "Baseline"),
        ("d.fcs", "=A1", "Baseline"),
        ("sub/e.fcs", "S1", "#N/A"),
    ]
    faults = faults_of(xlsx(folder, rows, {"B4": "0%"}))
    assert [fault.split(":")[1] for fault in faults] == [
        *("row 2, subject", "row 3, subject", "row 4, subject", "row 5, subject", "row 6, visit")
    ]
    for fault, hint in zip(faults, ("a date", "15 digits", "number format", "formula", "Excel error"), strict=True):
        assert hint in fault


def test_lost_zeros_in_excel_are_a_fault(folder: Path) -> None:
    faults = faults_of(xlsx(folder, [("file", "subject", "visit"), ("a.fcs", "001", "BL"), ("b.fcs", 1, "W4")]))
    assert [fault.split(":")[1] for fault in faults] == ["row 2, subject", "row 3, subject"]


def test_the_sheet_called_samples_is_read(folder: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Read me"
    book.active.append(["How to fill this in"])
    sheet = book.create_sheet("Samples")
    sheet.append(["file", "subject", "visit"])
    sheet.append(["a.fcs", "S1", "Baseline", None, "a remark beside the table"])
    book.save(folder / "s.xlsx")
    read = read_samplesheet(folder / "s.xlsx")
    assert column(read, "subject") == ["S1"]
    assert any("'Samples'" in warning and "'Read me'" in warning for warning in read.warnings)


def test_a_workbook_with_entities_is_refused(folder: Path) -> None:
    import zipfile

    source = xlsx(folder, [("file", "subject", "visit"), ("a.fcs", "S1", "BL")])
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(folder / "evil.xlsx", "w") as new:
        for item in old.namelist():
            part = old.read(item)
            if item.endswith("sheet1.xml"):
                part = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + part
            new.writestr(item, part)
    assert "declares XML entities" in faults_of(folder / "evil.xlsx")[0]


@given(st.integers(0, 10**9), st.integers(1, 12))
def test_zeros_of_a_number_format_are_kept(number: int, width: int) -> None:
    assert shown_number(number, "0" * width) == (str(number).zfill(width), "")
    assert shown_number(number, "General") == (str(number), "")


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=12))
def test_any_text_stays_text(tmp_path_factory: pytest.TempPathFactory, subject: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "a.fcs").write_bytes(b"FCS")
    quoted = subject.replace('"', '""')
    path = csv(folder, f'file,subject,visit\na.fcs,"{quoted}",Baseline\n')
    if subject.strip():
        assert column(read_samplesheet(path), "subject") == [subject.strip()]
    else:
        assert "row 2, subject: the cell is empty" in faults_of(path)[0]


def test_the_independent_cohort(shared: Path) -> None:
    sheet = read_samplesheet(shared / "data" / "independent_cohort" / "samples.csv")
    assert len(sheet.tubes) == 12
    assert sheet.set_aside == ("arm",)
    assert sheet.visits == ("Baseline", "Week 4", "Week 12")
