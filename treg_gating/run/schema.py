"""Tables of the ledger, and what the database itself forbids: what was found is added, never changed.

Fits, results and the audit trail only grow; a run that came to its end, with its tubes, stays as it is.
"""

from __future__ import annotations

__all__ = ["FORMAT", "LEDGER_NAME", "SCHEMA"]

LEDGER_NAME = "ledger.sqlite"
FORMAT = 2

_TABLES = """
CREATE TABLE runs (
  run TEXT PRIMARY KEY, started TEXT NOT NULL, ended TEXT NOT NULL DEFAULT '', state TEXT NOT NULL,
  who TEXT NOT NULL, host TEXT NOT NULL, code TEXT NOT NULL, plan TEXT NOT NULL, arrays BLOB NOT NULL,
  cohort TEXT NOT NULL DEFAULT '', cohort_arrays BLOB NOT NULL DEFAULT x'', closing TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE samples (
  run TEXT NOT NULL REFERENCES runs (run), position INTEGER NOT NULL, tube_id TEXT NOT NULL,
  setting_key TEXT NOT NULL, sha256 TEXT NOT NULL DEFAULT '', state TEXT NOT NULL DEFAULT 'pending',
  result_key TEXT NOT NULL DEFAULT '', PRIMARY KEY (run, tube_id)
);
CREATE TABLE fits (
  key TEXT PRIMARY KEY, setting_key TEXT NOT NULL, sha256 TEXT NOT NULL, text TEXT NOT NULL, arrays BLOB NOT NULL
);
CREATE INDEX fits_by_setting ON fits (setting_key);
CREATE TABLE results (
  key TEXT PRIMARY KEY, setting_key TEXT NOT NULL, sha256 TEXT NOT NULL, status TEXT NOT NULL, final INTEGER NOT NULL,
  text TEXT NOT NULL, arrays BLOB NOT NULL
);
CREATE INDEX results_by_setting ON results (setting_key);
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY, utc TEXT NOT NULL, who TEXT NOT NULL, host TEXT NOT NULL, run TEXT NOT NULL,
  what TEXT NOT NULL, subject TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL, why TEXT NOT NULL,
  previous TEXT NOT NULL, hash TEXT NOT NULL
);
"""
_GROWING = {"audit": "the audit trail is append-only", "fits": "fits are kept", "results": "results are kept"}
_CLOSED = {"runs": "OLD.state", "samples": "(SELECT state FROM runs WHERE run = OLD.run)"}


def _forbidden(table: str, act: str, why: str, when: str = "") -> str:
    condition = f" WHEN {when}" if when else ""
    return (
        f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table}{condition}"
        f"\n  BEGIN SELECT RAISE(ABORT, '{why}'); END;\n"
    )


SCHEMA = _TABLES + "".join(
    [_forbidden(table, act, why) for table, why in _GROWING.items() for act in ("UPDATE", "DELETE")]
    + [
        _forbidden(table, act, "a finished run is read-only", f"{state} != 'running'")
        for table, state in _CLOSED.items()
        for act in ("UPDATE", "DELETE")
    ]
)
