"""The ledger: transactions, resume keys, the audit chain."""

from __future__ import annotations

import os
import pwd
import socket
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from treg_gating.errors import RunStateError
from treg_gating.run import audit
from treg_gating.run.codec import Payload, encode
from treg_gating.run.ledger import LEDGER_NAME, Ledger
from treg_gating.run.ledger_file import HEAD_NAME
from treg_gating.run.stored import Stored

PLAN = encode({"what": "asked"})


def stored(key: str = "k1", status: str = "done", final: bool = True, text: str = '"v"') -> Stored:
    return Stored(key, "row", "ab" * 32, Payload(text), status, final)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path) as opened:
        opened.begin_run("r1", "code", PLAN, [("A", "row"), ("B", "row2")])
        yield opened


def raw(folder: Path, *statements: str) -> None:
    database = sqlite3.connect(folder / LEDGER_NAME)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def test_states_go_from_pending_to_done(ledger):
    assert [row[3] for row in ledger.roster_of("r1")] == ["pending", "pending"]
    ledger.mark_running("r1", ["A"])
    assert [row[3] for row in ledger.roster_of("r1")] == ["running", "pending"]
    ledger.commit_fit("r1", "A", stored("fit"))
    ledger.commit_result("r1", "A", stored())
    ledger.commit_result("r1", "B", stored("k2", "failed"), "broken")
    assert [row[3] for row in ledger.roster_of("r1")] == ["done", "failed"]
    assert ledger.results_of("r1") == {"A": stored(), "B": stored("k2", "failed")}
    assert ledger.known_digests("row") == {"ab" * 32}
    assert ledger.known_digests("other") == frozenset()
    assert ledger.fit("fit") == stored("fit")
    assert ledger.fit("k1") is None


def test_a_result_stays_and_a_transient_failure_is_no_result_of_the_next_run(ledger):
    ledger.commit_result("r1", "A", stored(text='"first"'))
    ledger.commit_result("r1", "A", stored(text='"second"'))
    assert ledger.result("k1").payload.text == '"first"'
    ledger.commit_result("r1", "B", stored("k2", "failed", final=False, text='"hung"'))
    assert ledger.result("k2") is None
    ledger.end_run("r1", "ended", {})
    ledger.begin_run("r2", "code", PLAN, [("B", "row2")])
    ledger.commit_result("r2", "B", stored("k2", text='"done"'))
    assert ledger.result("k2") == stored("k2", text='"done"')
    assert ledger.results_of("r1")["B"].payload.text == '"hung"'  # the finished run says what it said
    old, new = ledger.connection.execute("SELECT old, new FROM audit ORDER BY seq DESC").fetchone()
    assert (old, new) == (ledger.results_of("r1")["B"].digest, ledger.results_of("r2")["B"].digest)


def test_what_was_found_and_finished_runs_cannot_be_changed(ledger):
    ledger.commit_fit("r1", "A", stored("fit"))
    ledger.commit_result("r1", "A", stored())
    for table in ("fits", "results"):
        for statement in (f"UPDATE {table} SET text = 'better'", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="are kept"):
                ledger.connection.execute(statement)
    ledger.end_run("r1", "ended", {})
    for statement in ("UPDATE runs SET code = ''", "UPDATE samples SET result_key = ''", "DELETE FROM runs"):
        with pytest.raises(sqlite3.IntegrityError, match="a finished run is read-only"):
            ledger.connection.execute(statement)


def test_the_trail_s_head_stands_in_a_file_of_its_own(tmp_path):
    with Ledger(tmp_path) as ledger:
        ledger.begin_run("r1", "code", PLAN, [])
        head = ledger.audit_head()
    assert (tmp_path / HEAD_NAME).read_text() == head + "\n"


def test_a_ledger_to_be_read_only(tmp_path):
    with Ledger(tmp_path) as ledger:
        ledger.begin_run("r1", "code", PLAN, [])
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())
    with Ledger(tmp_path, read_only=True) as ledger:
        assert ledger.first_broken_audit_row() is None
        assert ledger.run("r1").plan == PLAN
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before


def test_who_is_the_user_of_the_system_whatever_the_environment_says(ledger, monkeypatch):
    monkeypatch.setenv("LOGNAME", "someone else")
    monkeypatch.setenv("USER", "someone else")
    audit.who.cache_clear()
    ledger.note("r1", "looked")
    utc, who, host = ledger.connection.execute("SELECT utc, who, host FROM audit ORDER BY seq DESC").fetchone()
    assert who == pwd.getpwuid(os.getuid()).pw_name
    assert host == socket.gethostname()
    assert abs(datetime.now(UTC) - datetime.fromisoformat(utc)) < timedelta(minutes=1)


def test_a_transaction_that_fails_leaves_nothing(ledger):
    with pytest.raises(sqlite3.ProgrammingError):
        ledger.commit_result("r1", "A", replace(stored(), sha256=object()))
    assert ledger.result("k1") is None
    ledger.commit_result("r1", "A", stored())
    assert ledger.result("k1") == stored()


def test_what_is_stored_together_is_on_disk_together_or_not_at_all(ledger, tmp_path):
    def on_disk(name: str) -> int:
        for suffix in ("", "-wal"):  # the ledger itself is locked, so a copy is looked at
            (tmp_path / f"{name}.sqlite{suffix}").write_bytes((tmp_path / f"ledger.sqlite{suffix}").read_bytes())
        with closing(sqlite3.connect(tmp_path / f"{name}.sqlite")) as copy:
            return copy.execute("SELECT count(*) FROM results").fetchone()[0]

    def breaks_off() -> None:
        with ledger.together():
            ledger.commit_result("r1", "A", stored())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks_off()
    assert ledger.result("k1") is None
    with ledger.together():
        ledger.commit_result("r1", "A", stored())
        ledger.commit_result("r1", "B", replace(stored(), key="k2"))
        assert on_disk("before") == 0
    assert on_disk("after") == 2
    assert ledger.first_broken_audit_row() is None


def test_runs_are_found_by_their_end(ledger):
    assert ledger.last_run() is None
    ledger.keep_cohort("r1", Payload('"c"'))
    ledger.end_run("r1", "ended", {"exit_code": 4}, "2026-01-01T00:00:00Z")
    ledger.begin_run("r2", "code", PLAN, [])
    last = ledger.last_run()
    assert (last.run, last.ended, last.closing, last.cohort.text) == (
        "r1",
        "2026-01-01T00:00:00Z",
        {"exit_code": 4},
        '"c"',
    )
    assert last.plan == PLAN
    with pytest.raises(RunStateError, match="no run r3"):
        ledger.run("r3")


def test_audit_rows_follow_each_other_and_cannot_be_changed(ledger):
    ledger.commit_result("r1", "A", stored())
    head = ledger.audit_head()
    ledger.end_run("r1", "ended", {})
    assert ledger.audit_head() != head
    assert ledger.first_broken_audit_row() is None
    for statement in ("UPDATE audit SET who = 'nobody'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            ledger.connection.execute(statement)


@pytest.mark.parametrize(
    ("tampering", "broken"),
    [
        ("UPDATE audit SET why = 'another reason' WHERE seq = 2", 2),
        ("UPDATE audit SET new = 'x' WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 2", 2),
        ("UPDATE audit SET seq = -seq; UPDATE audit SET seq = 4 + seq", 1),
        ("UPDATE audit SET hash = previous WHERE seq = 3", 3),
    ],
)
def test_every_tampering_is_seen_where_it_begins(tmp_path, tampering, broken):
    with Ledger(tmp_path) as ledger:
        ledger.begin_run("r1", "code", PLAN, [("A", "row")])
        ledger.commit_result("r1", "A", stored())
        ledger.end_run("r1", "ended", {})
    raw(tmp_path, "DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete", *tampering.split(";"))
    with Ledger(tmp_path) as ledger:
        assert ledger.first_broken_audit_row() == broken


def test_damaged_and_foreign_files_are_refused(tmp_path):
    (tmp_path / LEDGER_NAME).write_bytes(b"this is no database, but long enough to be looked at" * 40)
    with pytest.raises(RunStateError, match="damaged"), Ledger(tmp_path):
        pass
    (tmp_path / LEDGER_NAME).unlink()
    raw(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(RunStateError, match="format 99"), Ledger(tmp_path):
        pass


def test_every_commit_is_on_disk(ledger):
    pragmas = {
        name: ledger.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
