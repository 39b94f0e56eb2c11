"""The audit trail: rows that are only ever added, each carrying the digest of the one before."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import socket
import sqlite3
from datetime import UTC, datetime
from functools import cache

__all__ = ["START", "append", "first_broken_row", "head", "now", "rows_before", "who"]

_COLUMNS = "seq, utc, who, host, run, what, subject, old, new, why, previous"
START = "0" * 64


def now() -> str:
    """The time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def who() -> tuple[str, str]:
    """User of the operating system, by the user id and not by what the environment says, and host."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # no name for this user id, as in some containers
        user = f"user id {os.getuid()}"
    return user, socket.gethostname()


def append(
    database: sqlite3.Connection, *, run: str, what: str, subject: str = "", old: str = "", new: str = "", why: str = ""
) -> None:
    """Add a row inside the caller's transaction.

    Parameters
    ----------
    what : the act, such as "result" or "run ended".
    subject : the tube or file it concerns.
    old, new : digests or plain values before and after.
    why : reason in words.
    """
    seq, previous = database.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone() or (0, START)
    user, host = who()
    row = (seq + 1, now(), user, host, run, what, subject, old, new, why, previous)
    database.execute(f"INSERT INTO audit ({_COLUMNS}, hash) VALUES ({'?, ' * 11}?)", (*row, _hash(row)))  # noqa: S608 (constants)


def head(database: sqlite3.Connection) -> str:
    """Digest of the last row; it stands in every report, so that a shortened trail is seen."""
    found = database.execute("SELECT hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return str(found[0]) if found else START


def rows_before(database: sqlite3.Connection, seq: int | None) -> list[dict[str, str | int | float | None]]:
    """Rows before number `seq`, by column; all of them where it is None."""
    names = [*(name for name in _COLUMNS.split(", ") if name != "previous"), "hash"]
    query = f"SELECT {', '.join(names)} FROM audit WHERE :seq IS NULL OR seq < :seq ORDER BY seq"  # noqa: S608 (constants)
    return [dict(zip(names, row, strict=True)) for row in database.execute(query, {"seq": seq})]


def first_broken_row(database: sqlite3.Connection) -> int | None:
    """Number of the first row that does not follow from the one before it, or None."""
    expected, previous = 1, START
    for *row, stored in database.execute(f"SELECT {_COLUMNS}, hash FROM audit ORDER BY seq"):  # noqa: S608 (constants)
        if row[0] != expected or row[-1] != previous or _hash(tuple(row)) != stored:
            return expected
        expected, previous = expected + 1, stored
    return None


def _hash(row: tuple[object, ...]) -> str:
    return hashlib.sha256(json.dumps(row, ensure_ascii=True, separators=(",", ":")).encode("ascii")).hexdigest()
