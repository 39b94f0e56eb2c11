"""`treg-gating compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from treg_gating.run.compare import Comparison, RunView

_EPILOG = """\b
Examples:
  treg-gating compare results_may results_june
  treg-gating compare results@-1 results -o changes.csv
  treg-gating compare results@3f2a results@9c01

FOLDER is the last finished run in it, FOLDER@-1 the one before, FOLDER@NAME the one whose name begins so (names stand
in summary.json and the report). Nothing is written to either.
"""
_SHOWN = 20


@click.command("compare", epilog=_EPILOG)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--out", "-o", type=click.Path(path_type=Path, dir_okay=False), help="CSV file for the whole list.")
def command(before: str, after: str, out: Path | None) -> None:
    """List what came out otherwise in run B than in run A, tube by tube, and why.

    Causes are: a new or dropped tube, the file's content, the sheet's row, template, settings, code version, an
    override by a person, and the cohort's gates, which move when the tubes they are learnt on change.
    """
    from treg_gating.run.compare import compare_runs, read_run
    from treg_gating.run.files import write_bytes
    from treg_gating.run.outputs import csv_bytes
    from treg_gating.tables import COMPARISON, names

    runs = read_run(before), read_run(after)
    found = compare_runs(*runs)
    if out is not None:
        rows = [{name: getattr(row, name) for name in names(COMPARISON)} for row in found.differences]
        write_bytes(out, csv_bytes(COMPARISON, rows))
    click.echo("\n".join(_screen(found, runs)))
    if out is not None:
        click.echo(f"The whole list is in {out}")


def _screen(found: Comparison, runs: tuple[RunView, RunView]) -> list[str]:
    lines = [
        f"{name} run {view.row.run} of {view.row.ended}, template {view.asked.template}, code {view.asked.code}"
        for name, view in zip("AB", runs, strict=True)
    ]
    lines += [f"For every tube: {text}" for text in found.run_wide]
    lines.append(f"Tubes: {len(found.same)} the same, {len(found.differences)} otherwise")
    for row in found.differences[:_SHOWN]:
        place = " ".join(filter(None, (row.subject, row.visit)))
        lines.append(f"  {row.tube_id} ({place}): {row.before} -> {row.after}")
        lines.append(f"      why: {row.why}" + (f"; what: {row.what}" if row.what else ""))
    left = len(found.differences) - _SHOWN
    return [*lines, f"  and {left} more; --out FILE lists all"] if left > 0 else lines
