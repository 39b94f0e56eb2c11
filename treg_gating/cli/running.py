"""One run from what was read to the last screen; `run` and `watch` share it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from treg_gating.cli.inputs import Inputs
    from treg_gating.run.finish import Finished
    from treg_gating.run.mail import MailSettings
    from treg_gating.run.order import RunOrder

__all__ = ["RunMail", "RunOptions", "mail_at_the_end", "processes_ahead", "run_inputs", "run_options"]


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a run that `watch` takes too."""
    options = (
        click.option(
            "--out",
            "-o",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("results"),
            show_default=True,
            help="Folder for tables, report and the ledger; made if it is not there.",
        ),
        click.option(
            "--new-only",
            is_flag=True,
            help="Work on new tubes alone; finished ones keep their results to the digit, and the run says so.",
        ),
        click.option(
            "--workers", type=click.IntRange(min=0), help="Processes; one a core by default. 0: all in this process."
        ),
        click.option("--scheduler", default="", help="Address (tls://…) of a Dask scheduler that is there already."),
        click.option(
            "--open-scheduler",
            is_flag=True,
            help="Allow a scheduler without TLS: who reaches its port can run code as the user of its workers.",
        ),
        click.option(
            "--spillover",
            type=click.Path(path_type=Path),
            help="CSV with a spillover matrix for every tube.",
        ),
        click.option(
            "--matrix-order",
            default="controls,csv,file",
            show_default=True,
            help="Which spillover matrix is chosen, the first there is: from the batch's single stains, --spillover, "
            "the file.",
        ),
        click.option(
            "--tube-seconds",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            help="A tube that takes longer has failed.",
        ),
        click.option(
            "--tube-memory",
            type=click.FloatRange(min=0),
            default=0.0,
            help="MB; a tube that takes more has failed. 0: no limit.",
        ),
        click.option(
            "--mail",
            type=click.Path(path_type=Path),
            help="mail.toml with a mail server: one mail at the end, with counts, subjects and visits, no values.",
        ),
        click.option(
            "--blinded",
            is_flag=True,
            help="The report shows pseudonyms alone: no subject, arm, visit, batch, day or file. Its key is "
            "blinding_key.csv in the output folder, for you alone to read. Tables are not blinded.",
        ),
        click.option("--quiet", "-q", is_flag=True, help="Say only what went wrong; the log has everything."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True)
class RunOptions:
    """What `run_options` gave, by the names of the options."""

    out: Path
    new_only: bool
    workers: int | None
    scheduler: str
    open_scheduler: bool
    spillover: Path | None
    matrix_order: str
    tube_seconds: float
    tube_memory: float
    mail: Path | None
    blinded: bool
    quiet: bool


def run_inputs(inputs: Inputs, template: str, options: RunOptions, mail: RunMail) -> int:
    """Run a cohort; the exit code."""
    mail.study = inputs.study.id
    if options.scheduler and not options.open_scheduler and not options.scheduler.startswith("tls://"):
        msg = (
            f"{options.scheduler} is not encrypted: who reaches that port can run code on the workers. "
            "Start the scheduler with TLS and give its tls:// address (docs/cluster.md), or allow it with "
            "--open-scheduler on a network that is yours alone."
        )
        raise click.UsageError(msg)
    return _run(inputs, template, options, mail)


def processes_ahead(sheet: Path, options: RunOptions) -> AbstractContextManager[None]:
    """Processes that start while this one reads and imports what a run needs, where there is surely work for them."""
    from treg_gating.run.processes import cores, spares
    from treg_gating.run.schema import LEDGER_NAME

    elsewhere = options.scheduler or options.workers == 0
    if elsewhere or (options.out / LEDGER_NAME).exists():
        return nullcontext()
    return spares(min(options.workers or cores(), _rows(sheet)))


def _rows(sheet: Path) -> int:
    """About how many tubes a sheet has, before it is read: lines of a CSV; many for a workbook."""
    try:
        return sheet.read_bytes().strip().count(b"\n") if sheet.suffix.lower() != ".xlsx" else sys.maxsize
    except OSError:
        return 0  # its reader says why


def _run(inputs: Inputs, template: str, options: RunOptions, mail: RunMail) -> int:
    from treg_gating.report import reports
    from treg_gating.run.cohort import run_cohort
    from treg_gating.run.progress import open_progress

    order = _order(inputs, template, options)
    progress = open_progress(quiet=options.quiet)
    try:
        for note in (*order.notes, *inputs.sheet.warnings, *inputs.study.notes):
            progress.say(f"Note: {note}")
        mail.finished = finished = run_cohort(order, progress, reports(options.out, blind=options.blinded))
    finally:
        progress.close()
    if not options.quiet:
        click.echo("\n".join(finished.lines))
    return finished.exit_code


def _order(inputs: Inputs, template: str, options: RunOptions) -> RunOrder:
    """Template, matrices and widths settled: all that the run rests on."""
    from treg_gating.compensation import read_spillover_csv
    from treg_gating.interchange.load import load_gates, what_was_left_out
    from treg_gating.logicle_widths import settle_widths
    from treg_gating.matrices import from_controls, odd_files, parse_order
    from treg_gating.run.child import Limits
    from treg_gating.run.order import RunOrder
    from treg_gating.run.plan import check_endpoint
    from treg_gating.settings import RunSettings

    gating = load_gates(template)
    check_endpoint(inputs.study, gating)
    spillover = options.spillover
    # The matrix is known by its file's name; where that file lies must not change a result.
    matrix = replace(read_spillover_csv(spillover), source=spillover.name) if spillover else None
    matrix_choice = parse_order(options.matrix_order)
    wanted = "controls" in matrix_choice and gating.compensation == "file"
    matrices, said = from_controls(inputs.sheet.tubes) if wanted else ({}, ())
    own = matrix is None and gating.compensation == "file" and "file" in matrix_choice
    settings = RunSettings(
        template=gating, study=inputs.study, spillover=matrix, matrices=matrices, order=matrix_choice
    )
    settings, estimated = settle_widths(settings, inputs.sheet.tubes)
    return RunOrder(
        sheet=inputs.sheet,
        settings=settings,
        out=options.out,
        workers=options.workers,
        scheduler=options.scheduler,
        limits=Limits(options.tube_seconds, options.tube_memory),
        notes=(*inputs.notes, *what_was_left_out(gating), *said, *estimated),
        notes_of_files=partial(odd_files, inputs.sheet.tubes, matrices) if own else tuple,
        new_only=options.new_only,
        choices={
            "spillover": spillover.name if spillover else "each file's own",
            "matrix_order": ",".join(matrix_choice),
            "template": template,
            **({"report": "blinded"} if options.blinded else {}),
            **({"logicle_widths": dict(settings.widths)} if settings.widths else {}),
        },
    )


@dataclass
class RunMail:
    """What the mail at a run's end will say; filled while the run goes on."""

    settings: MailSettings | None
    study: str = ""
    finished: Finished | None = None

    def send(self, exit_code: int) -> None:
        """Send it, if it is wanted for this exit code; a mail that fails is said and fails nothing."""
        if self.settings is None or (self.settings.when == "attention" and not exit_code):
            return
        from treg_gating.run.mail import message_of, send

        run, attention = (self.finished.run, self.finished.attention) if self.finished else ("", ())
        problem = send(self.settings, message_of(self.settings, self.study, exit_code, run, attention))
        if problem:
            click.echo(problem, err=True)


@contextmanager
def mail_at_the_end(path: Path | None) -> Iterator[RunMail]:
    """Read the mail settings first, so that their faults are told at once; write when the run ended or broke off.

    A run that found nothing to do, or that a person stopped, is not worth a mail.
    """
    from treg_gating.cli.exits import exit_code_of

    if path is None:
        yield RunMail(None)
        return
    from treg_gating.run.mail import read_mail

    mail = RunMail(read_mail(path))
    try:
        yield mail
    except Exception as error:
        mail.send(exit_code_of(error))
        raise
    if mail.finished is not None and mail.finished.changed:
        mail.send(mail.finished.exit_code)
