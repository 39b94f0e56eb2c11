"""The ledger as a file: opened for one process, errors told, transactions, the witness of its audit trail."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from treg_gating.errors import RunStateError
from treg_gating.run import audit
from treg_gating.run.files import DiskError, write_bytes
from treg_gating.run.schema import FORMAT, LEDGER_NAME, SCHEMA

__all__ = ["HEAD_NAME", "LEDGER_NAME", "LedgerFile"]

HEAD_NAME = "audit.head"


class LedgerFile:
    """An open ledger file; one process, one thread.

    Parameters
    ----------
    folder : the run's output folder.
    read_only : to look at a ledger that is there, which may lie on a medium that cannot be written.

    Attributes
    ----------
    connection : for this package's own queries.

    Raises
    ------
    RunStateError : the file is damaged or was written by another version.
    DiskError : the disk refuses.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.path = folder / LEDGER_NAME
        self._read_only = read_only
        try:
            self._open()
        except BaseException:
            self._close_what_is_open()  # a connection that nobody closes keeps others out
            raise

    def _close_what_is_open(self) -> None:
        connection = getattr(self, "connection", None)
        if connection is not None:
            connection.close()

    def _open(self) -> None:
        with self._errors():
            if self._read_only:
                # Immutable: SQLite makes no file of its own beside the ledger. A killed run left one to be read.
                journal = self.path.with_name(f"{LEDGER_NAME}-wal")
                mode = "mode=ro" if journal.is_file() and journal.stat().st_size else "immutable=1"
                self.connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?{mode}", uri=True)
                self._check_format()
            else:
                self.connection = sqlite3.connect(self.path, isolation_level=None)
                self._prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._read_only:
            self._keep_head()
        self.connection.close()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let other processes read the ledger, all of which is in the one file then; nothing is stored meanwhile."""
        with self._errors():
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # which closing alone would not tell to fail
            self.connection.close()
        try:
            yield
        finally:
            self._open()

    def _keep_head(self) -> None:
        """Leave the audit trail's head in a file of its own, so that a ledger cut short is seen."""
        witness = self.path.with_name(HEAD_NAME)
        with suppress(DiskError, RunStateError), self._errors():  # the head is a witness, not a result
            head = f"{audit.head(self.connection)}\n".encode("ascii")
            if not witness.is_file() or witness.read_bytes() != head:
                write_bytes(witness, head)

    def _check_format(self) -> int:
        found: int = self.connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, FORMAT):
            msg = f"{self.path}: format {found}, this version reads format {FORMAT}. Use another output folder"
            raise RunStateError(msg)
        return found

    def _prepare(self) -> None:
        run = self.connection.execute
        # Exclusive: no shared-memory file, which network file systems cannot give to a second process anyway.
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("PRAGMA foreign_keys = ON")
        if self._check_format() == 0:
            self.connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")

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
    def together(self) -> Iterator[None]:
        """Let all that is stored inside reach the disk at once, and all or none of it: one wait instead of many."""
        with self._transaction():
            yield

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self.connection.in_transaction:  # of `together`, which ends it
            yield self.connection
            return
        with self._errors():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
