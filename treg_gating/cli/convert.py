"""`treg-gating convert`."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  treg-gating convert old.fcs new.fcs --ascii      # numbers written as text ($DATATYPE A)
  treg-gating convert plate.lmd tube2.fcs --dataset 2

\b
OUT holds the same events as float, on linear scale (logarithmic amplification and gain applied), Time in seconds. Its
keywords are those of IN; TREG_GATING_SOURCE names IN and its SHA-256.
"""


@click.command("convert", epilog=_EPILOG)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--ascii", is_flag=True, help="Read numbers written as text ($DATATYPE A) too.")
@click.option("--dataset", type=click.IntRange(min=1), help="Which data set of a file that holds several.")
@click.option("--force", is_flag=True, help="Replace OUT where it exists.")
def command(source: Path, target: Path, ascii: bool, dataset: int | None, force: bool) -> int:
    """Write the FCS file IN anew as FCS 3.1 float, OUT; it is read strictly and refused where it cannot be trusted."""
    from treg_gating.fcs.convert import convert_fcs

    if target.exists() and not force:
        msg = f"{target} exists. Name another file, or replace it with --force."
        raise click.UsageError(msg)
    sample, empty = convert_fcs(source, target, dataset, ascii=ascii)
    click.echo(f"{target}: {sample.n_events:,} events, {len(sample.channels)} channels, from {sample.version}")
    for warning in sample.warnings:
        click.echo(f"Warning   {warning}")
    if empty:
        click.echo(f"Left out  keywords without a value: {', '.join(empty)}")
    return 0
