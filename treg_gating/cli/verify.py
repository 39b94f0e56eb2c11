"""`treg-gating verify`."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  treg-gating verify results
  treg-gating verify results --data /archive/study7 --head 5d0c…

Exit codes: 0 all holds; 7 something does not, and the last line names it; 75 a run is at work in the folder.
"""
VERIFICATION_FAILED = 7


@click.command("verify", epilog=_EPILOG)
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder below which the FCS files lie now; without it, where they were when the run read them.",
)
@click.option("--no-inputs", is_flag=True, help="Leave the FCS files unread, where they are no longer kept.")
@click.option("--head", default="", help="Digest of the audit trail from a printed report: it must be in the trail.")
def command(run_dir: Path, data: Path | None, no_inputs: bool, head: str) -> int:
    """Check that a run in RUN_DIR still is what it was: ledger, audit trail, outputs and input files.

    Ends at the first thing that does not hold, and names it.
    """
    from treg_gating.run.integrity import NotAsStoredError, verify_folder
    from treg_gating.run.ledger import LEDGER_NAME

    if not (run_dir / LEDGER_NAME).is_file():
        msg = f"{run_dir} holds no run ({LEDGER_NAME} is not there)."
        raise click.UsageError(msg)
    try:
        for sentence in verify_folder(run_dir, data=data, inputs=not no_inputs, head=head):
            click.echo(f"holds   {sentence}")
    except NotAsStoredError as error:
        click.echo(f"BROKEN  {error}")
        return VERIFICATION_FAILED
    click.echo(f"{run_dir} is as the last run left it.")
    return 0
