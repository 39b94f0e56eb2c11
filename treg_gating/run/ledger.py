"""The state of every run in a folder: one SQLite file, from which all outputs can be made again.

Fits and results are stored by what they depend on (:mod:`treg_gating.run.keys`), so a run takes over whatever an
earlier one finished, also one that was killed. A result, its status and its audit row are one transaction; nothing
that was stored is ever changed (:mod:`treg_gating.run.schema`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from treg_gating.errors import RunStateError
from treg_gating.run import audit, decisions
from treg_gating.run.codec import Payload
from treg_gating.run.decisions import Decision
from treg_gating.run.ledger_file import LEDGER_NAME, LedgerFile
from treg_gating.run.shelves import StoredShelf
from treg_gating.run.stored import RunRow, Stored, text_digest

__all__ = ["LEDGER_NAME", "OUTPUT_MADE_AGAIN", "Ledger"]


OUTPUT_MADE_AGAIN = "output made again"


class Ledger(LedgerFile):
    """What a folder's runs asked, did and found; parameters and errors are those of :class:`LedgerFile`."""

    _before = ""  # the run that ended last before this one began

    def begin_run(self, run: str, code: str, plan: Payload, samples: Sequence[tuple[str, str]]) -> None:
        """Enter a run and its tubes.

        Parameters
        ----------
        samples : (tube_id, setting_key) in the order of the sheet.
        """
        user, host = audit.who()
        with self._transaction() as database:
            self._note_killed_runs(database)
            self._before = self._last_ended(database)
            row = (run, audit.now(), "running", user, host, code, plan.text, plan.arrays)
            database.execute(
                "INSERT INTO runs (run, started, state, who, host, code, plan, arrays) VALUES (?,?,?,?,?,?,?,?)", row
            )
            database.executemany(
                "INSERT INTO samples (run, position, tube_id, setting_key) VALUES (?,?,?,?)",
                [(run, position, tube_id, key) for position, (tube_id, key) in enumerate(samples)],
            )
            new = text_digest([run, row[1], user, host, code, plan.digest])
            audit.append(database, run=run, what="run started", new=new, why=f"{len(samples)} tubes, code {code}")

    @staticmethod
    def _last_ended(database: sqlite3.Connection) -> str:
        query = "SELECT run FROM runs WHERE state = 'ended' ORDER BY rowid DESC LIMIT 1"
        found = database.execute(query).fetchone()
        return str(found[0]) if found else ""

    @staticmethod
    def _note_killed_runs(database: sqlite3.Connection) -> None:
        """A run that is still open while we hold the folder's lock was killed."""
        for (killed,) in database.execute("SELECT run FROM runs WHERE state = 'running'").fetchall():
            database.execute("UPDATE runs SET state = 'broken off' WHERE run = ?", (killed,))
            audit.append(database, run=killed, what="run broken off", why="its process ended without a word")

    def keep_cohort(self, run: str, cohort: Payload) -> None:
        """Keep what the cohort taught between the passes."""
        with self._transaction() as database:
            values = (cohort.text, cohort.arrays, run)
            database.execute("UPDATE runs SET cohort = ?, cohort_arrays = ? WHERE run = ?", values)
            audit.append(database, run=run, what="cohort gates", new=cohort.digest)

    def end_run(self, run: str, state: str, closing: Mapping[str, Any], ended: str = "") -> None:
        """Close a run with what was said at its end; nothing where it could not even be entered."""
        text = json.dumps(closing, ensure_ascii=False, sort_keys=True)
        ended = ended or audit.now()
        with self._transaction() as database:
            closed = "UPDATE runs SET ended = ?, state = ?, closing = ? WHERE run = ?"
            if not database.execute(closed, (ended, state, text, run)).rowcount:
                return
            audit.append(database, run=run, what=f"run {state}", new=self.end_digest(run), why=state)

    def end_digest(self, run: str) -> str:
        """Digest of a run's end and of what it said of each tube."""
        database = self.connection
        end = database.execute("SELECT run, ended, state, closing FROM runs WHERE run = ?", (run,)).fetchone()
        query = "SELECT tube_id, setting_key, sha256, state, result_key FROM samples WHERE run = ? ORDER BY position"
        return text_digest([*end, *(cell for row in database.execute(query, (run,)) for cell in row)])

    def note(self, run: str, what: str, *, subject: str = "", old: str = "", new: str = "", why: str = "") -> None:
        """Add an act of a person to the audit trail, such as the unblinding before the analysis."""
        with self._transaction() as database:
            audit.append(database, run=run, what=what, subject=subject, old=old, new=new, why=why)

    def decide(self, decision: Decision) -> Decision:
        """Keep what a person decided; it is on the disk when this returns."""
        with self._transaction() as database:
            return decisions.append(database, decision)

    def decisions(self) -> list[Decision]:
        """Every decision that was ever made in this folder, in order."""
        with self._errors():
            return decisions.read(self.connection)

    def mark_running(self, run: str, tube_ids: Sequence[str]) -> None:
        """Note that work on these tubes has begun."""
        with self._transaction() as database:
            database.executemany(
                "UPDATE samples SET state = 'running' WHERE run = ? AND tube_id = ?", [(run, t) for t in tube_ids]
            )

    def commit_fit(self, run: str, tube_id: str, fit: Stored) -> None:
        """Store what pass 1 learned of a tube."""
        with self._transaction() as database:
            if self._insert(database, "fits", fit):
                audit.append(database, run=run, what="gates fitted", subject=tube_id, new=fit.digest)
            self._fitted(database, run, tube_id, fit)

    def commit_result(self, run: str, tube_id: str, result: Stored, why: str = "") -> None:
        """Store the result of a tube, its status and an audit row, in one transaction.

        `why` is the reason of a failure, or of working on the tube again. A failure that another try may mend is
        stored under a key of its own run, so that no later run takes it over.
        """
        if not result.final:
            result = replace(result, key=f"{result.key}@{run}")
        with self._transaction() as database:
            if self._insert(database, "results", result):
                what, old = f"result {result.status}", self._result_before(database, tube_id)
                audit.append(database, run=run, what=what, subject=tube_id, old=old, new=result.digest, why=why)
            self._use(database, run, tube_id, result)

    def _result_before(self, database: sqlite3.Connection, tube_id: str) -> str:
        """Digest of the tube's result in the run that ended last before this one began."""
        query = "SELECT result_key FROM samples WHERE run = ? AND tube_id = ?"
        row = database.execute(query, (self._before, tube_id)).fetchone()
        stored = self.result(row[0]) if row else None
        return stored.digest if stored else ""

    def take_over(
        self, run: str, fits: Sequence[tuple[str, Stored]] = (), results: Sequence[tuple[str, Stored]] = ()
    ) -> None:
        """Note, in one transaction, which tubes (tube_id, stored) keep what an earlier run found."""
        with self._transaction() as database:
            for tube_id, fit in fits:
                self._fitted(database, run, tube_id, fit)
            for tube_id, result in results:
                self._use(database, run, tube_id, result)

    @staticmethod
    def _fitted(database: sqlite3.Connection, run: str, tube_id: str, fit: Stored) -> None:
        statement = "UPDATE samples SET state = 'fitted', sha256 = ? WHERE run = ? AND tube_id = ?"
        database.execute(statement, (fit.sha256, run, tube_id))

    @staticmethod
    def _use(database: sqlite3.Connection, run: str, tube_id: str, result: Stored) -> None:
        database.execute(
            "UPDATE samples SET state = ?, sha256 = ?, result_key = ? WHERE run = ? AND tube_id = ?",
            (result.status, result.sha256, result.key, run, tube_id),
        )

    @staticmethod
    def _insert(database: sqlite3.Connection, table: str, stored: Stored) -> bool:
        """Add a row; False where its key is there already."""
        row: list[Any] = [stored.key, stored.setting_key, stored.sha256, stored.payload.text, stored.payload.arrays]
        names = "key, setting_key, sha256, text, arrays"
        if table == "results":
            row += [stored.status, int(stored.final)]
            names += ", status, final"
        marks = ",".join("?" * len(row))
        done = database.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", row)  # noqa: S608 (constants)
        return done.rowcount > 0

    def known_digests(self, setting_key: str) -> frozenset[str]:
        """Digests of files that anything was stored for under this row and these settings."""
        query = "SELECT sha256 FROM fits WHERE setting_key = :k UNION SELECT sha256 FROM results WHERE setting_key = :k"
        with self._errors():
            return frozenset(row[0] for row in self.connection.execute(query, {"k": setting_key}))

    def fit(self, key: str) -> Stored | None:
        """The stored fit of this key."""
        return self._stored("SELECT key, setting_key, sha256, text, arrays, 'done', 1 FROM fits WHERE key = ?", key)

    def result(self, key: str) -> Stored | None:
        """The stored result of this key."""
        return self._stored(
            "SELECT key, setting_key, sha256, text, arrays, status, final FROM results WHERE key = ?", key
        )

    def _stored(self, query: str, key: str) -> Stored | None:
        with self._errors():
            row = self.connection.execute(query, (key,)).fetchone()
        if row is None:
            return None
        return Stored(row[0], row[1], row[2], Payload(row[3], row[4]), row[5], bool(row[6]))

    def results_of(self, run: str) -> Mapping[str, Stored]:
        """Results that a run ended with, by tube, in the order of the sheet; read when asked."""
        query = (
            "SELECT tube_id, result_key FROM samples JOIN results ON key = result_key WHERE run = ? ORDER BY position"
        )
        with self._errors():
            return StoredShelf(self, dict(self.connection.execute(query, (run,))))

    def roster_of(self, run: str) -> list[tuple[str, str, str, str]]:
        """(tube_id, setting_key, sha256, state) of a run's tubes in the order of the sheet."""
        query = "SELECT tube_id, setting_key, sha256, state FROM samples WHERE run = ? ORDER BY position"
        with self._errors():
            return [tuple(row) for row in self.connection.execute(query, (run,))]

    def last_run(self) -> RunRow | None:
        """Of the runs that came to their end, the one that began last."""
        with self._errors():
            run = self._last_ended(self.connection)
        return self.run(run) if run else None

    def ended_runs(self) -> list[str]:
        """Names of the runs that came to their end, in the order they began."""
        with self._errors():
            rows = self.connection.execute("SELECT run FROM runs WHERE state = 'ended' ORDER BY rowid").fetchall()
        return [str(row[0]) for row in rows]

    def run(self, run: str) -> RunRow:
        """One run.

        Raises
        ------
        RunStateError : the ledger does not know it.
        """
        columns = "run, started, ended, state, code, plan, arrays, cohort, cohort_arrays, closing"
        used = "SELECT final FROM results JOIN samples ON key = result_key WHERE run = ?"
        with self._errors():
            row = self.connection.execute(f"SELECT {columns} FROM runs WHERE run = ?", (run,)).fetchone()  # noqa: S608
            finals = self.connection.execute(used, (run,)).fetchall()
        if row is None:
            msg = f"{self.path}: no run {run}"
            raise RunStateError(msg)
        run_id, started, ended, state, code = row[:5]
        return RunRow(
            run=run_id,
            started=started,
            ended=ended,
            state=state,
            code=code,
            plan=Payload(row[5], row[6]),
            cohort=Payload(row[7], row[8]),
            closing=json.loads(row[9]),
            finals=tuple(bool(final) for (final,) in finals),
        )

    def outputs_of(self, row: RunRow) -> dict[str, str]:
        """Digests of the files that a finished run, or the last making of its outputs, left."""
        query = "SELECT subject, new FROM audit WHERE run = ? AND what = ? ORDER BY seq"
        with self._errors():
            again = self.connection.execute(query, (row.run, OUTPUT_MADE_AGAIN)).fetchall()
        return {**row.closing.get("outputs", {}), **dict(again)}

    def head_at_end(self, run: str) -> str:
        """Digest of the audit row before the one that closed the run; of the last row while it is open."""
        query = "SELECT previous FROM audit WHERE run = ? AND what = 'run ended'"
        with self._errors():
            row = self.connection.execute(query, (run,)).fetchone()
            return str(row[0]) if row else audit.head(self.connection)

    def audit_before_end(self, run: str) -> list[dict[str, str | int | float | None]]:
        """The trail's rows before the one that closed the run; all while it is open."""
        query = "SELECT seq FROM audit WHERE run = ? AND what = 'run ended'"
        with self._errors():
            row = self.connection.execute(query, (run,)).fetchone()
            return audit.rows_before(self.connection, row[0] if row else None)

    def audit_head(self) -> str:
        """Digest of the audit trail's last row."""
        with self._errors():
            return audit.head(self.connection)

    def first_broken_audit_row(self) -> int | None:
        """Number of the first audit row that does not follow from the one before it, or None."""
        with self._errors():
            return audit.first_broken_row(self.connection)
