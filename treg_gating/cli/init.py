"""`treg-gating init`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from treg_gating.draft.guess import Draft
    from treg_gating.study import Study

_EPILOG = """\b
Examples:
  treg-gating init /mnt/cytometer/study7
  treg-gating init /mnt/cytometer/study7 -o study7        (when nothing may be written beside the files)

\b
Then, in this order:
  1. open samples.xlsx; look at what is yellow (guessed), fill in what is red (unknown)
  2. treg-gating check samples.xlsx
  3. treg-gating run samples.xlsx
"""
_SHEET, _STUDY = "samples.xlsx", "study.toml"


@click.command("init", epilog=_EPILOG)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--out", "-o", type=click.Path(path_type=Path, file_okay=False),
    help="Where samples.xlsx and study.toml go; made if it is not there. Without it, FOLDER itself.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a samples.xlsx that is there. A study.toml is never replaced.")
def command(folder: Path, out: Path | None, force: bool) -> int:
    """Draft a sample sheet from the FCS files below FOLDER; their headers are read, no events.

    Leaves samples.xlsx, with subject, visit, batch, tube and role as far as file names, folders and keywords tell them,
    and study.toml with the visits they name. Each guess says where it comes from; what nothing tells, or what two
    sources contradict each other about, is left for you.
    """
    target = out or folder
    sheet, plan = target / _SHEET, target / _STUDY
    if sheet.exists() and not force:
        msg = f"{sheet} is there already. Give --force to replace it, or --out for another place."
        raise click.UsageError(msg)
    from treg_gating.draft.guess import draft_sheet
    from treg_gating.draft.plan import study_text
    from treg_gating.draft.scan import scan_folder
    from treg_gating.draft.workbook import write_draft
    from treg_gating.errors import InputError
    from treg_gating.run.files import disk_errors, replace_file, write_bytes

    study, state = _study_there(plan)
    with _counting() as seen:
        scan = scan_folder(folder, seen)
    if not scan.files:
        found = f"{len(scan.unreadable)} that cannot be read" if scan.unreadable else "none"
        problem = "the folder holds no FCS file that can be read"
        raise InputError(problem, file=str(folder), found=found, expected="files ending in .fcs or .lmd")
    draft = draft_sheet(scan, study)
    with disk_errors(f"making {target}"):
        target.mkdir(parents=True, exist_ok=True)
    replace_file(sheet, lambda temporary: write_draft(temporary, draft, str(folder)))
    if not state and draft.study.visits:
        write_bytes(plan, study_text(draft.study).encode())
    _say(draft, folder, target, state)
    return 0


def _study_there(plan: Path) -> tuple[Study | None, str]:
    """The plan that is there, if it can be read, and what is to be said of it; nothing where there is none."""
    from treg_gating.errors import StudyError
    from treg_gating.study import read_study

    if not plan.exists():
        return None, ""
    try:
        return read_study(plan), "was there and was kept; visits are written as it names them"
    except StudyError as error:
        first = str(error.faults[0]).removeprefix(f"{plan.name}:")
        return None, f"was there and was kept; it has faults still, the first: {first}"


@contextmanager
def _counting() -> Iterator[Callable[[int], object]]:
    """A counter on the terminal's error stream, so that a slow network drive is seen to move."""
    if not sys.stderr.isatty():
        yield lambda number: None
        return
    yield lambda number: click.echo(f"\r{number} files looked at", err=True, nl=False)
    click.echo("\r\033[K", err=True, nl=False)


def _say(draft: Draft, folder: Path, target: Path, state: str) -> None:
    from treg_gating.draft.plan import plan_gaps

    roles = Counter(row.role or "role not known" for row in draft.rows)
    subjects = {row.cells["subject"].value for row in draft.rows if row.role == "sample"} - {""}
    guesses = sum(bool(guess.value) for row in draft.rows for guess in row.cells.values())
    click.echo(f"Files     {len(draft.rows)}: " + ", ".join(f"{number} {role}" for role, number in roles.items()))
    visits = ", ".join(draft.study.visit_names) or "none seen"
    click.echo(f"Seen      {len(subjects)} subject{'' if len(subjects) == 1 else 's'}; visits: {visits}")
    click.echo(f"Sheet     {target / _SHEET}: {guesses} cells guessed (yellow), {draft.gaps} gaps to fill in (red)")
    if not any(row.cells["batch"].value for row in draft.rows):
        click.echo(
            "Batches   not told by the files; fill in the column where tubes were stained in batches (empty: one)"
        )
    _say_plan(draft, target, state, plan_gaps(draft.study))
    if draft.unreadable:
        click.echo(f"Left out  {len(draft.unreadable)} files (sheet 'files left out'):")
        for file in draft.unreadable[:10]:
            code = f"[{file.code}] " if file.code else ""
            click.echo(f"          {file.file}: {code}{file.reason}")
        if len(draft.unreadable) > 10:
            click.echo(f"          and {len(draft.unreadable) - 10} more")
    data = "" if target == folder else f" --data {_shown(folder)}"
    sheet = _shown(target / _SHEET)
    click.echo("Next      open the sheet, look at what is yellow, fill in what is red, save it; then")
    click.echo(f"            treg-gating check {sheet}{data}")
    click.echo(f"            treg-gating run {sheet}{data}")


def _say_plan(draft: Draft, target: Path, state: str, gaps: list[str]) -> None:
    plan = target / _STUDY
    if state:
        click.echo(f"Study     {plan} {state}")
    elif not draft.study.visits:
        click.echo("Study     no study.toml written, because no file names a visit")
    else:
        words = "; fill in: " + ", ".join(gaps) if gaps else "; look at what it guesses (target days, baseline)"
        click.echo(f"Study     {plan}{words}")


def _shown(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
