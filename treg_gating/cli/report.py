"""`treg-gating report`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report", epilog="\b\nExample:\n  treg-gating report results")
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
def command(run_dir: Path) -> int:
    """Make tables and report of the last finished run in RUN_DIR again.

    All comes from the run's ledger; neither the FCS files nor the sample sheet are needed. Ends with the exit code
    of the run itself.
    """
    from treg_gating.report.page import build_report
    from treg_gating.run.finish import rebuild
    from treg_gating.run.ledger import LEDGER_NAME, Ledger
    from treg_gating.run.lock import folder_lock

    if not (run_dir / LEDGER_NAME).is_file():
        msg = f"{run_dir} holds no run ({LEDGER_NAME} is not there)."
        raise click.UsageError(msg)
    with folder_lock(run_dir), Ledger(run_dir) as ledger:
        finished = rebuild(ledger, run_dir, build_report)
    click.echo("\n".join(finished.lines))
    return finished.exit_code
