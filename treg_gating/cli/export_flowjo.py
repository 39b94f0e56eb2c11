"""`treg-gating export flowjo`."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  treg-gating export flowjo results -o study.wsp
  treg-gating review results --read study.wsp --name "A. Lab"     # gates that were moved in FlowJo, as overrides
"""


@click.command("flowjo", epilog=_EPILOG)
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--out", "-o", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Workspace to write (.wsp)."
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder below which the files lie, where they have moved."
)
def command(run_dir: Path, out: Path, data: Path | None) -> None:
    """Write the gates of the last finished run in RUN_DIR as a FlowJo 10 workspace, a sample a tube.

    The headers of the FCS files are read; their events are not. A workspace names files, so it is not blinded.
    """
    from treg_gating.interchange.flowjo_export import export_flowjo
    from treg_gating.run.last import open_last_run

    with open_last_run(run_dir) as last:
        files = {tube.tube_id: data.resolve() / tube.file if data else tube.path for tube in last.tubes}
        export = export_flowjo(last.record.samples, out, files, run=last.run)
    for tube_id, population, reason in export.left_out:
        click.echo(f"{tube_id}: {population} is not written: {reason}", err=True)
    for note in dict.fromkeys(note for _, note in export.notes):
        click.echo(f"Note: {note}.", err=True)
    click.echo(f"{out}: gates of {len(export.samples)} tubes")
