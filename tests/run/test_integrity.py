"""`verify`: whatever is done to a run's folder is found, and the first thing that does not hold is named."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from treg_gating.run.finish import rebuild
from treg_gating.run.integrity import NotAsStoredError, verify_folder
from treg_gating.run.ledger import LEDGER_NAME, Ledger
from treg_gating.run.ledger_file import HEAD_NAME


@pytest.fixture
def finished(small_study, tmp_path) -> Path:
    """A folder with two finished runs."""
    study = small_study(A_B="60", A_W="90")
    study.run(workers=0)
    study.files["B_W"] = "PNG"
    study.run(workers=0)
    return tmp_path / "out"


def tamper(folder: Path, *statements: str) -> None:
    """Change the ledger as one who knows SQLite would: guards taken away and put back."""
    with closing(sqlite3.connect(folder / LEDGER_NAME)) as database:
        guards = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            database.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert database.execute(statement).rowcount != 0, statement
        for _, sql in guards:
            database.execute(sql)
        database.commit()


def test_an_untouched_run_holds(finished):
    told = list(verify_folder(finished))
    assert [sentence.partition(":")[0] for sentence in told] == [
        "Ledger", "Audit trail", "Runs", "Results", "Outputs", "Inputs",
    ]  # fmt: skip
    assert "3 files as they were read (3 sample)" in told[-1]


@pytest.mark.parametrize(
    ("tampering", "named"),
    [
        ("UPDATE audit SET who = 'nobody' WHERE seq = 2", r"audit trail: row 2 \(gates fitted"),
        ("DELETE FROM audit WHERE seq = 3", r"audit trail: row 3 is missing"),
        ("DELETE FROM audit WHERE seq > 9", r"audit\.head .* rows were cut off"),
        (
            "UPDATE audit SET seq = -seq WHERE seq IN (2, 3); UPDATE audit SET seq = 5 + seq WHERE seq < 0",
            r"audit trail: row 2",
        ),
        ("UPDATE results SET text = replace(text, '120', '220')", r"results: the row of tube A_B .*edited"),
        ("UPDATE results SET status = 'done' WHERE status = 'failed'", r"results: the row of tube B_W"),
        ("DELETE FROM results WHERE status = 'failed'", r"results: what was found of tube B_W is missing"),
        ("UPDATE fits SET sha256 = 'x'", r"fits: the row"),
        ("UPDATE runs SET who = 'someone else'", r"run \w+ of .* 'run started'"),
        ("UPDATE runs SET cohort = replace(cohort, 'note', 'Note')", r"'cohort gates'"),
        ("UPDATE runs SET closing = replace(closing, '5', '0')", r"'run ended'"),
        ("DELETE FROM samples WHERE tube_id = 'B_W'; DELETE FROM runs WHERE rowid = 2", r"not in the ledger"),
        (
            "UPDATE samples SET result_key = (SELECT result_key FROM samples WHERE tube_id = 'A_W') "
            "WHERE tube_id = 'A_B'",
            r"'run ended'",
        ),
    ],
)
def test_every_tampering_with_the_ledger_is_named(finished, tampering, named):
    tamper(finished, *tampering.split(";"))
    with pytest.raises(NotAsStoredError, match=named):
        list(verify_folder(finished))


def test_guards_that_were_taken_away_are_missed(finished):
    with closing(sqlite3.connect(finished / LEDGER_NAME)) as database:
        database.execute("DROP TRIGGER results_no_update")
    with pytest.raises(NotAsStoredError, match="ledger: results_no_update is missing"):
        list(verify_folder(finished))


def test_a_rewritten_trail_is_seen_by_the_digest_on_paper(finished, tmp_path):
    with Ledger(finished, read_only=True) as ledger:
        head = ledger.audit_head()
    assert list(verify_folder(finished, head=head))
    shutil.rmtree(finished)
    (finished / "x").mkdir(parents=True)
    with Ledger(finished) as ledger:  # a new story with a trail of its own, whole in itself
        ledger.note("r", "unblinded")
    assert list(verify_folder(finished))
    with pytest.raises(NotAsStoredError, match=f"the digest given \\({head[:12]}\\) is none of its rows"):
        list(verify_folder(finished, head=head))


def test_a_witness_that_is_gone_is_missed(finished):
    (finished / HEAD_NAME).unlink()
    with pytest.raises(NotAsStoredError, match=r"audit\.head: the file is missing"):
        list(verify_folder(finished))


@pytest.mark.parametrize("name", ["endpoint.csv", "summary.json", "populations.parquet"])
def test_an_output_that_was_edited_is_named(finished, name):
    path = finished / name
    assert path.stat().st_mode & 0o222 == 0  # read-only to a spreadsheet's "save"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    with pytest.raises(NotAsStoredError, match=f"output {name}: its content changed"):
        list(verify_folder(finished))


def test_inputs_that_changed_are_gone_or_moved(finished, tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "A_W.fcs").rename(tmp_path / "archive" / "A_W.fcs")
    with pytest.raises(NotAsStoredError, match=r"input A_W\.fcs \(tube A_W\): cannot be read"):
        list(verify_folder(finished))
    assert len(list(verify_folder(finished, inputs=False))) == 5
    for name in ("A_B", "B_W"):
        (tmp_path / f"{name}.fcs").rename(tmp_path / "archive" / f"{name}.fcs")
    assert list(verify_folder(finished, data=tmp_path / "archive"))
    (tmp_path / "archive" / "A_W.fcs").write_text("value 91")
    with pytest.raises(NotAsStoredError, match=r"input A_W\.fcs \(tube A_W\): its content changed"):
        list(verify_folder(finished, data=tmp_path / "archive"))


def test_outputs_made_again_by_a_later_version_hold(finished):
    (finished / "endpoint.csv").unlink()
    with Ledger(finished) as ledger:
        rebuild(ledger, finished, {"report.html": lambda _, path: path.write_text("a report of a later version")})
    told = list(verify_folder(finished))
    with Ledger(finished, read_only=True) as ledger:
        query = "SELECT subject FROM audit WHERE what = 'output made again' ORDER BY subject"
        assert ledger.connection.execute(query).fetchall() == [("manifest.json",), ("report.html",), ("summary.json",)]
    assert told[4].startswith("Outputs: 8 files")


def test_a_damaged_file_is_no_traceback(finished):
    raw = bytearray((finished / LEDGER_NAME).read_bytes())
    raw[4096:20000] = bytes(15904)
    (finished / LEDGER_NAME).write_bytes(raw)
    with pytest.raises(NotAsStoredError, match="ledger"):
        list(verify_folder(finished))


def test_a_killed_run_is_no_tampering(finished):
    with Ledger(finished) as ledger:
        plan = ledger.last_run().plan
        ledger.begin_run("killed", "code", plan, [("A_B", "key")])
    assert list(verify_folder(finished))
    with Ledger(finished) as ledger:
        ledger.begin_run("next", "code", plan, [])
    assert list(verify_folder(finished))


def test_exit_codes_of_the_command(finished):
    command = [sys.executable, "-m", "treg_gating", "verify", str(finished)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.count("holds ")) == (0, 6), done.stderr
    tamper(finished, "UPDATE results SET text = replace(text, '120', '220')")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 7
    assert done.stdout.splitlines()[-1].startswith("BROKEN  results: the row of tube A_B")
