"""`treg-gating rerun`."""

from __future__ import annotations

from pathlib import Path

import click

from treg_gating.cli.exits import EXIT_CODES

_EPILOG = f"""\b
Examples:
  treg-gating rerun results
  treg-gating rerun results --data /mnt/cytometer/study7      # the files have moved

{EXIT_CODES}
"""


@click.command("rerun", epilog=_EPILOG)
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--template", "-t", default="", help="The run's gating template, where it is no longer where it was.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder below which the files lie, where they have moved."
)
@click.option("--workers", type=click.IntRange(min=0), help="Processes; one a core by default. 0: all in this process.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def command(run_dir: Path, template: str, data: Path | None, workers: int | None, quiet: bool) -> int:
    """Apply what reviewers decided to the last finished run in RUN_DIR.

    Only the tubes whose gates a person set are read and counted again; all other results are kept. Both values stay:
    endpoint.csv has the fitted one in treg_pct_of_cd4_fitted, gates.csv the fitted gate in own_numbers. A decision
    whose file, template, matrix or scale has changed since is not applied, and the tube says so.
    """
    from treg_gating.cli.finished import template_of, was_blinded_in
    from treg_gating.report import reports
    from treg_gating.run.progress import open_progress
    from treg_gating.run.rerun import rerun

    progress = open_progress(quiet=quiet)
    try:
        gating = template_of(run_dir, template)
        writer = reports(run_dir, blind=was_blinded_in(run_dir))
        finished = rerun(run_dir, gating, progress, writer, data=data, workers=workers)
    finally:
        progress.close()
    if not quiet:
        click.echo("\n".join(finished.lines))
    return finished.exit_code
