"""Tables on disk: escaping, types, units; files that are old or new and nothing between."""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from treg_gating.gating.gates import HalfPlane, Interval
from treg_gating.gating.results import FittedGate, GateStatus, PopulationCount, SampleResult
from treg_gating.run.files import DiskError, replace_file
from treg_gating.run.outputs import csv_bytes, gate_rows, population_rows, write_tables
from treg_gating.run.parquet import ParquetRows
from treg_gating.tables import ENDPOINT, GATES, POPULATIONS, Column, names

TABLE = (Column("text", "text", "", ""), Column("number", "number", "%", ""))


def result(subject: str = "001") -> SampleResult:
    counts = (
        PopulationCount("root", "", 1000, None),
        PopulationCount("clean", "root", 900, 1000),
        PopulationCount("live", "clean", 800, 900),
        PopulationCount("cd4_t", "live", 400, 800),
        PopulationCount("treg", "cd4_t", 20, 400, mfi={"CD25": 12.3456789}),
        PopulationCount("naive_treg", "treg", None, 20, "not_stained", "CD45RA is not in this tube"),
    )
    gates = (
        FittedGate("live", "clean", "-", Interval(("Viability",), 0.5), GateStatus.FITTED, "valley", "", (0.01,)),
        FittedGate(
            "treg", "cd4_t", "+", HalfPlane(("CD25", "CD127"), (0.6, -0.8), 0.25), GateStatus.CONSENSUS, "consensus"
        ),
        FittedGate("naive_treg", "treg", "+", None, GateStatus.NOT_STAINED, "", "CD45RA is not in this tube"),
    )
    return SampleResult(
        "T1", "=t.fcs", subject, "Baseline", "B", "sample", "done", counts=counts, gates=gates, sha256="ab"
    )


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"), ("+49", "'+49"), ("-5", "'-5"), ("@SUM(A1)", "'@SUM(A1)"), ("\tx", "'\tx"), ("\rx", "'\rx"),
        ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"), ("001", "001"), ("1E5", "1E5"), ("NA", "NA"), ("a=b", "a=b"),
        ("Sjögren, \"x\"\n", "Sjögren, \"x\"\n"),
    ],
)  # fmt: skip
def test_text_that_a_spreadsheet_would_run_is_escaped(text, cell):
    rows = list(csv.reader(io.StringIO(csv_bytes(TABLE, [{"text": text, "number": None}]).decode(), newline="")))
    assert rows == [["text", "number"], [cell, ""]]


def test_numbers_are_never_escaped():
    assert csv_bytes(TABLE, [{"text": "", "number": -1.5}, {"text": "", "number": 0}]) == b"text,number\n,-1.5\n,0\n"


def test_populations_by_hand():
    rows = {row["population"]: row for row in population_rows([result()], "cd4_t")}
    assert rows["treg"]["pct_of_parent"] == 5.0
    assert rows["treg"]["pct_of_cd4"] == 5.0
    assert rows["treg"]["pct_of_lymphocytes"] == 2.5
    assert rows["treg"]["mfi_cd25"] == 12.3457
    assert (rows["treg"]["pct_of_parent_low"], rows["treg"]["pct_of_parent_high"]) == (3.25974, 7.59636)
    assert rows["live"]["pct_of_cd4"] is None  # not below CD4
    assert rows["cd4_t"]["pct_of_lymphocytes"] == 50.0
    assert rows["naive_treg"]["n"] is None
    assert "pct_of_parent" not in rows["naive_treg"]


def test_a_failed_tube_stays_a_row():
    failed = SampleResult("T2", "x.fcs", "1", "V", "B", "sample", "failed", "first", "E_NOT_FCS", "not an FCS file")
    assert [(row["status"], row["reason"]) for row in population_rows([failed], "cd4_t")] == [
        ("failed", "not an FCS file")
    ]


def test_gates_by_hand():
    live, treg, naive = gate_rows([result()])
    assert (live["kind"], live["dims"], live["numbers"]) == ("Interval", "Viability", '{"low":0.5,"high":"inf"}')
    assert (live["sign"], live["standard_error"]) == ("outside", "0.01")
    assert treg["numbers"] == '{"normal":[0.6,-0.8],"offset":0.25}'
    assert (naive["kind"], naive["status"], naive["reason"]) == ("", "not_stained", "CD45RA is not in this tube")


def test_parquet_has_types_units_and_meanings(tmp_path):
    write_tables(tmp_path, [result("=1+1")], [], "cd4_t")
    table = pq.read_table(tmp_path / "populations.parquet")
    assert tuple(table.column_names) == names(POPULATIONS)
    assert str(table.schema.field("n").type) == "int64"
    assert table.schema.field("pct_of_cd4").metadata[b"unit"] == b"%"
    assert table.column("subject").to_pylist()[0] == "=1+1"  # typed text needs no escape
    assert table.column("n").to_pylist() == [1000, 900, 800, 400, 20, None]


def test_same_results_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert write_tables(tmp_path / "a", [result()], [], "cd4_t") == write_tables(
        tmp_path / "b", [result()], [], "cd4_t"
    )
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "endpoint.csv",
        "gates.csv",
        "other_tubes.csv",
        "populations.parquet",
    ]


@pytest.mark.parametrize("table", [ENDPOINT, POPULATIONS, GATES])
def test_every_column_is_told(table):
    assert len(set(names(table))) == len(table)
    assert all(column.meaning and column.dtype in {"text", "integer", "number"} for column in table)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half of the new")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskError, match=r"writing .*table\.csv: No space left"):
        replace_file(path, fail)
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["table.csv"]


def test_parquet_holds_what_pyarrow_makes_of_the_values(tmp_path):
    table = (Column("text", "text", "", ""), Column("number", "number", "%", ""), Column("integer", "integer", "", ""))
    texts = ["", "a", None, 'é "quoted"\n', "=1+1", "nul \0 inside", "{}", "null"]
    numbers = [1e-300, -0.0, None, 0.1 + 0.2, 1.7976931348623157e308, 12345678.9, 5e-324, 2.0]
    integers = [0, -1, None, 2**62, 10**12, 7, 8, 9]
    rows = [
        {"text": text, "number": number, "integer": integer}
        for text, number, integer in zip(texts, numbers, integers, strict=True)
    ]
    written = ParquetRows(table)
    written.add(rows[:3])
    written.add([*rows[3:], {}])
    written.write(tmp_path / "t.parquet")
    found = pq.read_table(tmp_path / "t.parquet")
    assert found.column("text").equals(pa.chunked_array([pa.array([*texts, None], pa.string())]))
    assert found.column("number").equals(pa.chunked_array([pa.array([*numbers, None], pa.float64())]))
    assert found.column("integer").equals(pa.chunked_array([pa.array([*integers, None], pa.int64())]))
    ParquetRows(table).write(tmp_path / "empty.parquet")
    assert pq.read_table(tmp_path / "empty.parquet").num_rows == 0
