"""The group of commands, found by name and imported only when asked for."""

from __future__ import annotations

import importlib
import os
import sys

import click

from treg_gating import __version__
from treg_gating.cli.exits import EXIT_CODES, run_to_exit_code

__all__ = ["cli", "main"]

# Command -> module; a command is imported when it is called, and --help shows these words without importing any.
_COMMANDS = {
    "init": ("treg_gating.cli.init", "Draft a sample sheet from a folder of FCS files."),
    "run": ("treg_gating.cli.run", "Process every tube of a sample sheet; leaves tables and a report."),
    "watch": (
        "treg_gating.cli.watch",
        "Take in files as they arrive in a folder; run whenever there are new ones.",
    ),
    "check": ("treg_gating.cli.check", "Check sheet, study, template and every file's header; reads no events."),
    "report": ("treg_gating.cli.report", "Make tables and report of a finished run again, without the FCS files."),
    "verify": ("treg_gating.cli.verify", "Check that a run's folder still says what was found, inputs included."),
    "compare": ("treg_gating.cli.compare", "List what came out otherwise between two runs, and why."),
    "review": ("treg_gating.cli.review", "Review gates on a page in the browser: accept, drag, override, exclude."),
    "rerun": (
        "treg_gating.cli.rerun",
        "Apply what reviewers decided to a finished run; reads only the tubes concerned.",
    ),
    "unblind": ("treg_gating.cli.unblind", "Tell whose tubes the pseudonyms stand for; noted in the audit trail."),
    "endpoint": ("treg_gating.cli.endpoint", "Analyse a finished run by treatment arm, after unblinding."),
    "export": ("treg_gating.cli.export", "Write a finished run in another program's format, such as CDISC."),
    "inspect": ("treg_gating.cli.inspect", "Show what an FCS file holds: channels, markers, matrix, warnings."),
    "convert": ("treg_gating.cli.convert", "Write an FCS file anew as FCS 3.1 float; also one of $DATATYPE A."),
    "templates": ("treg_gating.cli.templates", "List the gating templates that come along; copy one to adapt it."),
    "compensate": ("treg_gating.cli.compensate", "Make a spillover matrix from the sheet's single stains."),
    "methods": ("treg_gating.cli.methods", "Show the gating methods a template can name, with their arguments."),
    "benchmark": (
        "treg_gating.cli.benchmark",
        "Say how many tubes an hour this computer does, and what limits it.",
    ),
    "simulate": ("treg_gating.cli.simulate", "Make a cohort of FCS files whose truth is known."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        near = difflib.get_close_matches(args[0], _COMMANDS, n=1) if args else []
        if args and args[0] not in _COMMANDS and near:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])


_EPILOG = f"""\b
Examples:
  treg-gating init /mnt/cytometer/study7
  treg-gating run sample_data/samples.csv
  treg-gating check samples.xlsx --data /mnt/cytometer/study7
  treg-gating COMMAND --help

{EXIT_CODES}
"""


@click.group(cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="treg-gating")
def cli() -> None:
    """From a folder of flow-cytometry files to per-visit Treg proportions."""


def main() -> None:
    """Entry point of ``treg-gating``."""
    # Before numpy is loaded: one thread for linear algebra, because its sums depend on the number of threads.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    sys.exit(run_to_exit_code(cli))
