"""Does a run's folder still say what was found? Ledger, audit trail, outputs and inputs, in this order.

Every row that was stored is named in the audit trail by its digest, each row of the trail carries the digest of the
one before, and the trail's last digest stands in ``audit.head`` and in every report. So an edit, a deletion, another
order or a cut end is seen; one who rewrites the ledger, the head and the report alike is not, unless a digest that was
written down elsewhere is given as `head`.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from treg_gating.errors import RunStateError, TregGatingError
from treg_gating.run import audit
from treg_gating.run.codec import Payload
from treg_gating.run.keys import file_sha256
from treg_gating.run.ledger import Ledger
from treg_gating.run.ledger_file import HEAD_NAME
from treg_gating.run.lock import folder_lock
from treg_gating.run.plan import plan_in
from treg_gating.run.schema import SCHEMA
from treg_gating.run.stored import RunRow, Stored, text_digest
from treg_gating.tube import Tube

__all__ = ["NotAsStoredError", "verify_folder"]


class NotAsStoredError(RunStateError):
    """Something in a run's folder is not what was stored; the text names it."""


def verify_folder(folder: Path, *, data: Path | None = None, inputs: bool = True, head: str = "") -> Iterator[str]:
    """Check one thing after another; yields a sentence for each that holds.

    Parameters
    ----------
    data : folder below which the input files lie now; None for where they were when the run read them.
    inputs : whether to read the input files too.
    head : digest of the audit trail as it was written down outside; empty for none.

    Raises
    ------
    NotAsStoredError : names the first thing that does not hold.
    FolderLockedError : a run is at work in the folder.
    """
    # A medium that cannot be written has no run at work on it.
    with folder_lock(folder) if os.access(folder, os.W_OK) else nullcontext():
        try:
            with Ledger(folder, read_only=True) as ledger:
                yield from _ledger(ledger, folder, head)
                row = ledger.last_run()
                if row is None:
                    yield "No run came to its end here: no outputs to check."
                    return
                yield _outputs(ledger, folder, row)
                if inputs:
                    yield _inputs(ledger, row, data)
        except NotAsStoredError:
            raise
        except RunStateError as error:
            raise NotAsStoredError(str(error)) from error
        except sqlite3.Error as error:
            msg = f"{folder}: the ledger cannot be read ({error})"
            raise NotAsStoredError(msg) from error


def _ledger(ledger: Ledger, folder: Path, head: str) -> Iterator[str]:
    database = ledger.connection
    _file(database)
    yield "Ledger: the file is whole, and forbids changes as it was made to."
    trail = _trail(database, folder, head)
    yield f"Audit trail: {len(trail)} rows, each follows from the one before; none is missing at the end."
    runs = _runs(ledger, database, trail)
    yield f"Runs: {runs} as they were entered."
    stored = _stored(database, trail)
    yield f"Results: {stored} fits and results as they were found."


def _file(database: sqlite3.Connection) -> None:
    said = database.execute("PRAGMA integrity_check").fetchone()[0]
    if said != "ok":
        msg = f"ledger: the file is damaged ({said})"
        raise NotAsStoredError(msg)
    fresh = sqlite3.connect(":memory:")
    fresh.executescript(SCHEMA)
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    expected, found = (dict(source.execute(query).fetchall()) for source in (fresh, database))
    fresh.close()
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            how = "is missing" if name not in found else "was added" if name not in expected else "was changed"
            msg = f"ledger: {name} {how}; it guards what was stored or tells how"
            raise NotAsStoredError(msg)


def _trail(database: sqlite3.Connection, folder: Path, head: str) -> list[tuple[str, str, str, str]]:
    """(what, run, subject, new) of every row of the trail."""
    broken = audit.first_broken_row(database)
    if broken is not None:
        about = database.execute("SELECT what, subject, utc FROM audit WHERE seq = ?", (broken,)).fetchone()
        told = f"({' '.join(filter(None, about))}) was edited, or does not follow from the row before" if about else ""
        msg = f"audit trail: row {broken} {told or 'is missing'}"
        raise NotAsStoredError(msg)
    rows = database.execute("SELECT what, run, subject, new, hash FROM audit ORDER BY seq").fetchall()
    hashes = {audit.START, *(row[4] for row in rows)}
    witness = folder / HEAD_NAME
    if rows and not witness.is_file():
        msg = f"{HEAD_NAME}: the file is missing, so that a trail cut short would not be seen"
        raise NotAsStoredError(msg)
    heads = {HEAD_NAME: witness.read_text("ascii", "replace").strip() if rows else "", "the digest given": head}
    for where, expected in heads.items():
        if expected and expected not in hashes:
            msg = f"audit trail: {where} ({expected[:12]}) is none of its rows: rows were cut off, or it was rewritten"
            raise NotAsStoredError(msg)
    return [tuple(row[:4]) for row in rows]


def _runs(ledger: Ledger, database: sqlite3.Connection, trail: list[tuple[str, str, str, str]]) -> int:
    told = {(what, run): new for what, run, _, new in trail}
    rows = database.execute("SELECT run, started, who, host, code, plan, arrays FROM runs").fetchall()
    known = {row[0] for row in rows}
    for run in {run for what, run, _, _ in trail if what == "run started"} - known:
        msg = f"run {run}: it stands in the audit trail and not in the ledger"
        raise NotAsStoredError(msg)
    for run, started, who, host, code, plan, arrays in rows:
        found = {"run started": text_digest([run, started, who, host, code, Payload(plan, arrays).digest])}
        row = ledger.run(run)
        if row.cohort.text:
            found["cohort gates"] = row.cohort.digest
        if row.state == "ended" or told.get((f"run {row.state}", run)):  # a killed run has no words of its own
            found[f"run {row.state}"] = ledger.end_digest(run)
        for what, digest in found.items():
            if told.get((what, run)) != digest:
                msg = f"run {run} of {started}: what the ledger holds is not what was entered at '{what}'"
                raise NotAsStoredError(msg)
    return len(rows)


_STORED = {
    "fits": ("SELECT key, setting_key, sha256, text, arrays, 'done', 1 FROM fits", ("gates fitted",)),
    "results": (
        "SELECT key, setting_key, sha256, text, arrays, status, final FROM results",
        ("result done", "result failed"),
    ),
}


def _stored(database: sqlite3.Connection, trail: list[tuple[str, str, str, str]]) -> int:
    found = 0
    for table, (query, acts) in _STORED.items():
        expected = {new: subject for what, _, subject, new in trail if what in acts}
        users = _users(database) if table == "results" else {}
        for key, setting_key, sha256, text, arrays, status, final in database.execute(query):
            stored = Stored(key, setting_key, sha256, Payload(text, arrays), status, bool(final))
            if expected.pop(stored.digest, None) is None:
                msg = f"{table}: the row of {users.get(key, f'key {key[:12]}')} is not what was found: it was edited"
                raise NotAsStoredError(msg)
            found += 1
        for subject in expected.values():
            msg = f"{table}: what was found of tube {subject} is missing or was edited"
            raise NotAsStoredError(msg)
    return found


def _users(database: sqlite3.Connection) -> dict[str, str]:
    rows = database.execute("SELECT result_key, tube_id FROM samples WHERE result_key != ''")
    return {key: f"tube {tube_id}" for key, tube_id in rows}


def _outputs(ledger: Ledger, folder: Path, row: RunRow) -> str:
    outputs = ledger.outputs_of(row)
    for name, expected in outputs.items():
        _same(folder / name, name, expected, "output")
    return f"Outputs: {len(outputs)} files as run {row.run} of {row.ended} left them."


def _inputs(ledger: Ledger, row: RunRow, data: Path | None) -> str:
    plan = plan_in(row)
    tubes: dict[str, Tube] = {tube.tube_id: tube for tube in plan["tubes"]}
    read = [(tubes[tube_id], sha256) for tube_id, _, sha256, _ in ledger.roster_of(row.run) if sha256]
    for tube, expected in read:
        _same(data / tube.file if data else tube.path, f"{tube.file} (tube {tube.tube_id})", expected, "input")
    kinds = Counter(str(tube.role) for tube, _ in read)
    return f"Inputs: {len(read)} files as they were read ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})."


def _same(path: Path, name: str, expected: str, kind: str) -> None:
    try:
        found = file_sha256(path)
    except TregGatingError as error:
        msg = f"{kind} {name}: cannot be read at {path} ({error})"
        raise NotAsStoredError(msg) from error
    if found != expected:
        msg = f"{kind} {name}: its content changed; sha256 {found[:12]}, expected {expected[:12]} ({path})"
        raise NotAsStoredError(msg)
