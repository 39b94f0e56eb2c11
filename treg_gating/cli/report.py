"""`treg-gating report`."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  treg-gating report results
  treg-gating report results --blinded           # for readers who must not know whose tube it is
"""


@click.command("report", epilog=_EPILOG)
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--blinded/--not-blinded",
    default=None,
    help="Show pseudonyms alone in report.html: no subject, arm, visit, batch, day or file; as the run did by default.",
)
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False), help="The blinding key, where it is not in RUN_DIR."
)
def command(run_dir: Path, blinded: bool | None, key: Path | None) -> int:
    """Make tables and report of the last finished run in RUN_DIR again.

    All comes from the run's ledger; neither the FCS files nor the sample sheet are needed. Ends with the exit code
    of the run itself.
    """
    from treg_gating.cli.finished import was_blinded
    from treg_gating.report import reports
    from treg_gating.run.finish import rebuild
    from treg_gating.run.ledger import LEDGER_NAME, Ledger
    from treg_gating.run.lock import folder_lock

    if not (run_dir / LEDGER_NAME).is_file():
        msg = f"{run_dir} holds no run ({LEDGER_NAME} is not there)."
        raise click.UsageError(msg)
    with folder_lock(run_dir), Ledger(run_dir) as ledger:
        finished = rebuild(
            ledger,
            run_dir,
            reports(run_dir, blind=was_blinded(ledger) if blinded is None else blinded, key=key),
        )
    click.echo("\n".join(finished.lines))
    return finished.exit_code
