"""The state of every run in a folder: one SQLite file, from which all outputs can be made again.

Fits and results are stored by what they depend on (:mod:`treg_gating.run.keys`), so a run takes over whatever an
earlier one finished, also one that was killed. A result, its status and its audit row are one transaction.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from treg_gating.errors import RunStateError
from treg_gating.run import audit
from treg_gating.run.codec import Payload
from treg_gating.run.files import DiskError
from treg_gating.run.stored import RunRow, Stored

__all__ = ["LEDGER_NAME", "Ledger"]

LEDGER_NAME = "ledger.sqlite"
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
  run TEXT PRIMARY KEY, started TEXT NOT NULL, ended TEXT NOT NULL DEFAULT '', state TEXT NOT NULL,
  who TEXT NOT NULL, host TEXT NOT NULL, code TEXT NOT NULL, plan TEXT NOT NULL, arrays BLOB NOT NULL,
  cohort TEXT NOT NULL DEFAULT '', cohort_arrays BLOB NOT NULL DEFAULT x'', closing TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS samples (
  run TEXT NOT NULL REFERENCES runs (run), position INTEGER NOT NULL, tube_id TEXT NOT NULL,
  setting_key TEXT NOT NULL, sha256 TEXT NOT NULL DEFAULT '', state TEXT NOT NULL DEFAULT 'pending',
  result_key TEXT NOT NULL DEFAULT '', PRIMARY KEY (run, tube_id)
);
CREATE TABLE IF NOT EXISTS fits (
  key TEXT PRIMARY KEY, setting_key TEXT NOT NULL, sha256 TEXT NOT NULL, text TEXT NOT NULL, arrays BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS fits_by_setting ON fits (setting_key);
CREATE TABLE IF NOT EXISTS results (
  key TEXT PRIMARY KEY, setting_key TEXT NOT NULL, sha256 TEXT NOT NULL, status TEXT NOT NULL, final INTEGER NOT NULL,
  text TEXT NOT NULL, arrays BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS results_by_setting ON results (setting_key);
"""


class Ledger:
    """An open ledger; one process, one thread.

    Parameters
    ----------
    folder : the run's output folder.

    Raises
    ------
    RunStateError : the file is damaged or was written by a later version.
    DiskError : the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER_NAME
        with self._errors():
            self._database = sqlite3.connect(self.path, isolation_level=None)
            self._prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def _prepare(self) -> None:
        run = self._database.execute
        # Exclusive: no shared-memory file, which network file systems cannot give to a second process anyway.
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA foreign_keys = ON")
        found = run("PRAGMA user_version").fetchone()[0]
        if found not in (0, _FORMAT):
            msg = f"{self.path}: format {found}, this version reads format {_FORMAT}. Use another output folder"
            raise RunStateError(msg)
        if found == 0:
            self._database.executescript(_SCHEMA + audit.SCHEMA)
            run(f"PRAGMA user_version = {_FORMAT}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            msg = f"{self.path}: {error}. What was finished is kept; mend the disk and run the same again"
            raise DiskError(msg) from error
        except sqlite3.ProgrammingError:
            raise  # a bug of ours, not a damaged file
        except sqlite3.DatabaseError as error:
            msg = f"{self.path}: {error}. The ledger is damaged: restore it from a backup, or use another output folder"
            raise RunStateError(msg) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def begin_run(self, run: str, code: str, plan: Payload, samples: Sequence[tuple[str, str]]) -> None:
        """Enter a run and its tubes.

        Parameters
        ----------
        samples : (tube_id, setting_key) in the order of the sheet.
        """
        user, host = audit.who()
        with self._transaction() as database:
            self._note_killed_runs(database)
            row = (run, audit.now(), "running", user, host, code, plan.text, plan.arrays)
            database.execute(
                "INSERT INTO runs (run, started, state, who, host, code, plan, arrays) VALUES (?,?,?,?,?,?,?,?)", row
            )
            database.executemany(
                "INSERT INTO samples (run, position, tube_id, setting_key) VALUES (?,?,?,?)",
                [(run, position, tube_id, key) for position, (tube_id, key) in enumerate(samples)],
            )
            new = hashlib.sha256(plan.text.encode()).hexdigest()
            audit.append(database, run=run, what="run started", new=new, why=f"{len(samples)} tubes, code {code}")

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
            audit.append(database, run=run, what="cohort gates", new=_text_hash(cohort.text))

    def end_run(self, run: str, state: str, closing: Mapping[str, Any], ended: str = "") -> None:
        """Close a run with what was said at its end."""
        text = json.dumps(closing, ensure_ascii=False, sort_keys=True)
        with self._transaction() as database:
            database.execute(
                "UPDATE runs SET ended = ?, state = ?, closing = ? WHERE run = ?",
                (ended or audit.now(), state, text, run),
            )
            audit.append(database, run=run, what="run ended", new=hashlib.sha256(text.encode()).hexdigest(), why=state)

    def note(self, run: str, what: str, *, subject: str = "", new: str = "", why: str = "") -> None:
        """Add an act of a person to the audit trail, such as the unblinding before the analysis."""
        with self._transaction() as database:
            audit.append(database, run=run, what=what, subject=subject, new=new, why=why)

    def mark_running(self, run: str, tube_ids: Sequence[str]) -> None:
        """Note that work on these tubes has begun."""
        with self._transaction() as database:
            database.executemany(
                "UPDATE samples SET state = 'running' WHERE run = ? AND tube_id = ?", [(run, t) for t in tube_ids]
            )

    def commit_fit(self, run: str, tube_id: str, fit: Stored) -> None:
        """Store what pass 1 learned of a tube."""
        with self._transaction() as database:
            self._insert(database, "fits", fit)
            self._fitted(database, run, tube_id, fit)

    def commit_result(self, run: str, tube_id: str, result: Stored, why: str = "") -> None:
        """Store the result of a tube, its status and an audit row, in one transaction.

        `why` is the reason of a failure. A result that a finished run left under the same key is replaced only
        where it was a failure that another try may mend.
        """
        with self._transaction() as database:
            old = database.execute("SELECT final, text FROM results WHERE key = ?", (result.key,)).fetchone()
            if old is None or not old[0]:
                self._insert(database, "results", result)
                audit.append(
                    database,
                    run=run,
                    what=f"result {result.status}",
                    subject=tube_id,
                    old=_text_hash(old[1]) if old else "",
                    new=_text_hash(result.payload.text),
                    why=why,
                )
            self._use(database, run, tube_id, result)

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
    def _insert(database: sqlite3.Connection, table: str, stored: Stored) -> None:
        row: list[Any] = [stored.key, stored.setting_key, stored.sha256, stored.payload.text, stored.payload.arrays]
        names = "key, setting_key, sha256, text, arrays"
        if table == "results":
            row += [stored.status, int(stored.final)]
            names += ", status, final"
        marks = ",".join("?" * len(row))
        database.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", row)  # noqa: S608 (constants)

    def known_digests(self, setting_key: str) -> frozenset[str]:
        """Digests of files that anything was stored for under this row and these settings."""
        query = "SELECT sha256 FROM fits WHERE setting_key = :k UNION SELECT sha256 FROM results WHERE setting_key = :k"
        with self._errors():
            return frozenset(row[0] for row in self._database.execute(query, {"k": setting_key}))

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
            row = self._database.execute(query, (key,)).fetchone()
        if row is None:
            return None
        return Stored(row[0], row[1], row[2], Payload(row[3], row[4]), row[5], bool(row[6]))

    def results_of(self, run: str) -> dict[str, Stored]:
        """Results that a run ended with, by tube, in the order of the sheet."""
        query = "SELECT tube_id, result_key FROM samples WHERE run = ? AND result_key != '' ORDER BY position"
        with self._errors():
            rows = self._database.execute(query, (run,)).fetchall()
        return {tube_id: stored for tube_id, key in rows if (stored := self.result(key)) is not None}

    def roster_of(self, run: str) -> list[tuple[str, str, str, str]]:
        """(tube_id, setting_key, sha256, state) of a run's tubes in the order of the sheet."""
        query = "SELECT tube_id, setting_key, sha256, state FROM samples WHERE run = ? ORDER BY position"
        with self._errors():
            return [tuple(row) for row in self._database.execute(query, (run,))]

    def last_run(self) -> RunRow | None:
        """Of the runs that came to their end, the one that began last."""
        with self._errors():
            query = "SELECT run FROM runs WHERE state = 'ended' ORDER BY rowid DESC LIMIT 1"
            row = self._database.execute(query).fetchone()
        return self.run(row[0]) if row else None

    def run(self, run: str) -> RunRow:
        """One run.

        Raises
        ------
        RunStateError : the ledger does not know it.
        """
        columns = "run, started, ended, state, code, plan, arrays, cohort, cohort_arrays, closing"
        used = "SELECT final FROM results JOIN samples ON key = result_key WHERE run = ?"
        with self._errors():
            row = self._database.execute(f"SELECT {columns} FROM runs WHERE run = ?", (run,)).fetchone()  # noqa: S608
            finals = self._database.execute(used, (run,)).fetchall()
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

    def audit_head(self) -> str:
        """Digest of the audit trail's last row."""
        with self._errors():
            return audit.head(self._database)

    def first_broken_audit_row(self) -> int | None:
        """Number of the first audit row that does not follow from the one before it, or None."""
        with self._errors():
            return audit.first_broken_row(self._database)


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
