"""`treg-gating review`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treg_gating.reviewing.desk import Desk
    from treg_gating.run.decisions import Decision

_EPILOG = """\b
Examples:
  treg-gating review results                     # the page; open the address it prints
  treg-gating review results --not-blinded       # with subject, visit and batch
  treg-gating review results --workbook          # instead of the page: writes results/review.xlsx ...
  treg-gating review results --read results/review.xlsx          # ... and reads it back, filled in
  treg-gating review results --read study.wsp --name "A. Lab"    # gates moved in FlowJo (see: export flowjo)
  treg-gating rerun results                      # then: apply what was decided

Whoever holds the address may decide, so do not pass it on. It works on this computer alone; from your own computer,
an SSH tunnel brings it there: ssh -L 8765:127.0.0.1:8765 server, with --port 8765 here.
"""


# The keys of treg_gating.run.decisions.GATE_REASONS, written out so that --help imports nothing heavy; a test compares.
_REASONS = ("too_low", "too_high", "wrong_population", "two_populations", "control", "few_events", "other")


@click.command("review", epilog=_EPILOG)
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--not-blinded", is_flag=True, help="Show subject, visit and batch; noted in the audit trail.")
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False), help="The blinding key, where it is not in RUN_DIR."
)
@click.option("--template", "-t", default="", help="The run's gating template, where it is no longer where it was.")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Folder below which the files lie, where they have moved."
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the page; any that is free by default.")
@click.option("--workbook", is_flag=True, help="Write RUN_DIR/review.xlsx instead of showing the page.")
@click.option(
    "--read",
    "edited",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read decisions from a filled-in review.xlsx, or overrides from a workspace (.wsp) of 'export flowjo' whose "
    "gates were moved in FlowJo.",
)
@click.option("--name", default="", help="Who signs what is read from a workspace.")
@click.option("--reason", type=click.Choice(_REASONS), default="other", help="Of what is read from a workspace.")
@click.option("--comment", default="", help="Of what is read from a workspace; its file's name by default.")
@click.option("--browser/--no-browser", default=False, help="Open the page in this computer's browser.")
def command(
    run_dir: Path,
    not_blinded: bool,
    key: Path | None,
    template: str,
    data: Path | None,
    port: int,
    workbook: bool,
    edited: Path | None,
    name: str,
    reason: str,
    comment: str,
    browser: bool,
) -> None:
    """Review the last finished run in RUN_DIR on a page in the browser.

    A reviewer steps through the tubes under pseudonyms, drags gates over the events, sees the Treg percentage change,
    and accepts, overrides with a reason, or excludes; each decision is signed, and kept the moment it is made. Ctrl-C
    ends the page. Decisions change no result by themselves: 'treg-gating rerun' applies them.
    """
    from treg_gating.cli.finished import template_of
    from treg_gating.reviewing.desk import Desk

    if workbook and edited is not None:
        msg = "--workbook writes and --read reads: give one of them"
        raise click.UsageError(msg)
    desk = Desk(run_dir, template_of(run_dir, template), data=data, blinded=not not_blinded, key=key)
    if not_blinded:
        desk.note("review not blinded", "the review page was opened with subjects, visits and batches")
    if workbook:
        _write(desk, run_dir)
    elif edited is not None and edited.suffix.lower() == ".wsp":
        _read_workspace(desk, edited, run_dir, name, reason, comment)
    elif edited is not None:
        _read(desk, edited, run_dir)
    else:
        _serve(desk, run_dir, port, browser=browser)


def _serve(desk: Desk, run_dir: Path, port: int, *, browser: bool) -> None:
    from treg_gating.reviewing.server import ReviewServer

    server = ReviewServer(desk, port)

    def ready() -> None:
        click.echo(f"Review page of {len(desk.seats)} tubes: {server.url}")
        click.echo("Ctrl-C ends it; what was decided is kept. Then: treg-gating rerun " + str(run_dir))
        if browser:
            click.launch(server.url)

    try:
        server.run(ready)
    except KeyboardInterrupt:
        click.echo("\nThe page is closed.")


def _write(desk: Desk, run_dir: Path) -> None:
    from treg_gating.reviewing.workbook import write_workbook

    path = run_dir / "review.xlsx"
    rows = write_workbook(path, desk)
    click.echo(f"{path}: {rows} rows of {len(desk.seats)} tubes. Fill in the yellow columns, save, then:")
    click.echo(f"  treg-gating review {run_dir} --read {path}")


def _read(desk: Desk, edited: Path, run_dir: Path) -> None:
    from treg_gating.reviewing.workbook_rows import read_workbook

    _keep(desk, read_workbook(edited, desk), run_dir)


def _read_workspace(desk: Desk, edited: Path, run_dir: Path, name: str, reason: str, comment: str) -> None:
    from treg_gating.reviewing.workspace import read_workspace

    if not name.strip():
        msg = "a workspace does not say who moved its gates: give --name"
        raise click.UsageError(msg)
    found = read_workspace(edited, desk, name=name, reason=reason, comment=comment or f"moved in FlowJo, {edited.name}")
    for note in found.notes:
        click.echo(f"Note: {note}", err=True)
    _keep(desk, found.decisions, run_dir)


def _keep(desk: Desk, decisions: Sequence[Decision], run_dir: Path) -> None:
    kept = desk.keep(list(decisions))
    names = {seat.tube.tube_id: seat.name for seat in desk.seats.values()}
    for decision in kept:
        what = f"{names[decision.tube_id]} {decision.population or 'whole tube'}"
        click.echo(f"{decision.action:<9} {what}: {decision.why or 'no reason given'} ({decision.signed})")
    click.echo(
        f"{len(kept)} decisions kept. Then: treg-gating rerun {run_dir}" if kept else "There is no decision in it."
    )
