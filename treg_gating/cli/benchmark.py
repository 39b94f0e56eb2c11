"""`treg-gating benchmark`."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  treg-gating benchmark
  treg-gating benchmark --events 500000 --tubes 16
  treg-gating benchmark --folder /mnt/cytometer --workers 8
"""


@click.command("benchmark", epilog=_EPILOG)
@click.option("--events", type=click.IntRange(min=2_000), default=100_000, show_default=True, help="Events a tube.")
@click.option("--tubes", type=click.IntRange(min=2), help="Sample tubes; four a process by default.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; one a core by default.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder on the disk that holds your files; the system's folder for temporary files by default.",
)
def command(events: int, tubes: int | None, workers: int | None, folder: Path | None) -> None:
    """Say how many tubes an hour this computer does, and what holds it back.

    Simulates a small cohort in a temporary folder, runs it with one process and with all, and removes it again.
    """
    import tempfile

    from treg_gating.run.capacity import held_back_by, measure_capacity
    from treg_gating.run.processes import cores

    processes = workers or cores()
    with tempfile.TemporaryDirectory(prefix="treg-gating-benchmark-", dir=folder) as scratch:
        click.echo("Simulating tubes and running them with one process and with all ...", err=True)
        found = measure_capacity(Path(scratch), events=events, tubes=tubes or 4 * processes, workers=processes)
    alone, together = found.alone, found.together
    click.echo(
        f"About {together.tubes_an_hour:,.0f} tubes of {events:,} events an hour with {together.workers} "
        f"process{'es' if together.workers > 1 else ''}. What holds it back: {held_back_by(found)}."
    )
    click.echo(
        f"  one process   {alone.tubes_an_hour:,.0f} tubes an hour, {alone.work / alone.tubes:.2f} s of work a tube\n"
        f"  {together.workers} processes   {together.tubes_an_hour:,.0f} tubes an hour, "
        f"{together.work / together.tubes:.2f} s of work a tube, busy {100 * together.busy:.0f} %\n"
        f"  disk          {found.disk:,.0f} MB/s; a tube has {found.megabytes:.1f} MB\n"
        f"  whole run     {together.whole:.1f} s for {together.tubes} tubes, with start, learning and tables"
    )
