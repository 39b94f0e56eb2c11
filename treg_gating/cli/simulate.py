"""`treg-gating simulate`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

_EPILOG = """\b
Examples:
  treg-gating simulate sample -o cohort --seed 1
  treg-gating simulate nct05605665 -o trial --subjects 30 --events 100000
"""


@click.command("simulate", epilog=_EPILOG)
@click.argument("name", required=False)
@click.option("--study", help="The same as NAME.")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same bytes.")
@click.option("--subjects", type=click.IntRange(min=1), help="Instead of the preset's number.")
@click.option("--events", type=click.IntRange(min=1), help="Events a tube, instead of the preset's number.")
def command(
    name: str | None, study: str | None, out: Path, seed: int, subjects: int | None, events: int | None
) -> None:
    """Make the simulated cohort NAME: FCS files, sample sheet, study.toml, arm list and the truth of every event."""
    from treg_gating.simulate import PRESETS, simulate_to_folder

    if (name is None) == (study is None):
        msg = f"name one cohort: {', '.join(PRESETS)}."
        raise click.UsageError(msg)
    shown = sys.stderr.isatty()

    def progress(done: int, total: int, file: str) -> None:
        if shown:
            click.echo(f"\r{done}/{total} {file:<40}", nl=False, err=True)

    summary = simulate_to_folder(
        name or study or "", out, seed=seed, subjects=subjects, events=events, progress=progress
    )
    if shown:
        click.echo(err=True)
    click.echo(
        f"{summary.tubes} tubes, {summary.events:,} events, {summary.bytes / 1e6:.1f} MB in {summary.folder}\n"
        f"Next: treg-gating run {summary.sheet}"
    )
