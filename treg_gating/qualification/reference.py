"""Operational qualification: the reference study through the program as it is installed, against stored results.

The reference study is the simulated one in ``sample_data/``. Its stored results are made again, after a change of the
gating that was meant, by::

    treg-gating run sample_data/samples.csv -o reference
    python -m treg_gating.qualification.reference reference/endpoint.csv
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from treg_gating.qualification.check import Check, Verdict
from treg_gating.run.files import disk_errors, write_bytes
from treg_gating.run.ledger_file import LEDGER_NAME

__all__ = ["EXPECTED", "TOLERANCE", "reference_checks", "reference_folder"]

EXPECTED = Path(__file__).with_name("expected.csv")
_COLUMNS = ("subject", "visit", "status", "n_cd4_t", "n_treg", "treg_pct_of_cd4")
TOLERANCE = 0.01
"""Relative difference of a value that another processor or library version may make; equal counts are the rule."""
_SECONDS = 1800.0


def reference_folder() -> Path:
    """The simulated study that comes with the package."""
    package = Path(__file__).resolve().parents[1]
    return next(
        (place for place in (package / "sample_data", package.parent / "sample_data") if place.is_dir()),
        package / "sample_data",
    )


def reference_checks(folder: Path, workers: int | None, say: Callable[[str], None]) -> Iterator[Check]:
    """Run the reference study in `folder` (made anew) and try what must be refused or found.

    Parameters
    ----------
    workers : processes of the run; None for one a core.
    say : tells what is going on.
    """
    with disk_errors(f"making {folder}"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("samples.csv", "study.toml"):
            shutil.copyfile(reference_folder() / name, folder / name)
        shutil.copytree(reference_folder() / "fcs", folder / "fcs")
    say("Running the reference study")
    many = [] if workers is None else ["--workers", str(workers)]
    run = _treg("run", "samples.csv", "-o", "results", "--quiet", *many, cwd=folder)
    yield _ends("the reference study runs", run, {0, 4})
    yield from compared(EXPECTED.read_text("utf-8"), _text(folder / "results" / "endpoint.csv"))
    say("Trying what must be refused or found")
    before = _text(folder / "results" / "endpoint.csv")
    again = _treg("run", "samples.csv", "-o", "results", *many, cwd=folder)
    same = before and before == _text(folder / "results" / "endpoint.csv") and "Nothing has changed" in again.stderr
    yield _is("the same command again does nothing and leaves the same bytes", bool(same), "the same", "changed")
    yield _ends("verify accepts the run", _treg("verify", "results", cwd=folder), {0})
    yield _tampered(folder)
    yield _damaged(folder)
    yield _bad_sheet(folder)


def compared(expected: str, found: str) -> Iterator[Check]:
    """Each visit of the reference study against its stored result.

    Parameters
    ----------
    expected, found : texts of CSV tables with `_COLUMNS`; `found` may hold more columns.
    """
    rows = {(row["subject"], row["visit"]): row for row in csv.DictReader(io.StringIO(found))}
    for row in csv.DictReader(io.StringIO(expected)):
        here = rows.pop((row["subject"], row["visit"]), {})
        verdict = Verdict.PASSED if _alike(row, here) else Verdict.FAILED
        told = _told(here) if here else "no such row"
        yield Check("OQ", f"Treg of {row['subject']}, {row['visit']}", _told(row), told, verdict)
    for subject, visit in rows:
        yield Check("OQ", f"Treg of {subject}, {visit}", "no such row", "a row", Verdict.FAILED)


def _alike(expected: dict[str, str], found: dict[str, str]) -> bool:
    if not found or expected["status"] != found["status"]:
        return False
    for name in _COLUMNS[3:]:
        one, other = expected[name], found[name]
        if one != other and not (one and other and abs(float(one) - float(other)) <= TOLERANCE * float(one)):
            return False
    return True


def _told(row: dict[str, str]) -> str:
    return f"{row['treg_pct_of_cd4'] or '–'} % ({row['n_treg']} of {row['n_cd4_t']}), {row['status']}"


def _tampered(folder: Path) -> Check:
    """A copy of the run whose ledger is edited: verify must name it."""
    shutil.copytree(folder / "results", folder / "tampered")
    with closing(sqlite3.connect(folder / "tampered" / LEDGER_NAME)) as database:
        guards = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute("UPDATE results SET text = replace(text, '1', '2') WHERE rowid = 1")
        for _, sql in guards:
            database.execute(sql)
        database.commit()
    return _ends("verify finds one edited result", _treg("verify", "tampered", cwd=folder), {7}, "results:")


def _damaged(folder: Path) -> Check:
    """A truncated file must fail with its code, and nothing else with it."""
    whole = next(iter(sorted((folder / "fcs").glob("*.fcs")))).read_bytes()
    (folder / "cut.fcs").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "cut.csv").write_text("file,subject,visit\ncut.fcs,S01,Baseline\n")
    run = _treg("run", "cut.csv", "-o", "cut", "--workers", "0", cwd=folder)
    return _ends("a truncated file is refused, with no value", run, {5}, "E_")


def _bad_sheet(folder: Path) -> Check:
    (folder / "bad.csv").write_text("file,subject,visit\nfcs/absent.fcs,S01,Baseline\nfcs/absent.fcs,S01,Week 99\n")
    run = _treg("run", "bad.csv", "-o", "bad", cwd=folder)
    return _ends("a sheet with faults is refused by row", run, {3}, "row 2")


def _treg(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "treg_gating", *words]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(  # noqa: S603 (our own interpreter and program)
        command, cwd=cwd, capture_output=True, text=True, env=environment, timeout=_SECONDS, check=False
    )


def _ends(name: str, done: subprocess.CompletedProcess[str], codes: set[int], said: str = "") -> Check:
    expected = f"exit code {' or '.join(map(str, sorted(codes)))}" + (f", naming {said}" if said else "")
    words = (done.stdout + done.stderr).strip().splitlines()
    right = done.returncode in codes and said in done.stdout + done.stderr
    told = f"exit code {done.returncode}" + ("" if right else f": {words[-1] if words else 'no word'}")
    return Check("OQ", name, expected, told, Verdict.PASSED if right else Verdict.FAILED)


def _is(name: str, right: bool, yes: str, no: str) -> Check:
    return Check("OQ", name, yes, yes if right else no, Verdict.PASSED if right else Verdict.FAILED)


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""


def store(endpoint: Path) -> None:
    """Keep the results of a run over the reference study as those to compare with."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(csv.DictReader(io.StringIO(endpoint.read_text("utf-8"))))
    write_bytes(EXPECTED, out.getvalue().encode())


if __name__ == "__main__":
    store(Path(sys.argv[1]))
