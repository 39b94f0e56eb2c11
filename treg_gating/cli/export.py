"""`treg-gating export`: a finished run in the formats of others, one command a format."""

from __future__ import annotations

import importlib

import click

__all__ = ["command"]

# Format -> module; imported when it is asked for.
_FORMATS = {
    "flowjo": ("treg_gating.cli.export_flowjo", "Every tube's gates as one FlowJo 10 workspace (.wsp)."),
    "anndata": ("treg_gating.cli.export_anndata", "Events and populations of one tube for scverse (.h5ad)."),
    "cdisc": ("treg_gating.cli.export_cdisc", "SDTM CP and SUPPCP, with an arm list ADTREG (SAS transport files)."),
}


class _Formats(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_FORMATS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _FORMATS:
            return None
        found: click.Command = importlib.import_module(_FORMATS[cmd_name][0]).command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Formats"):
            formatter.write_dl([(name, words) for name, (_, words) in _FORMATS.items()])


@click.group("export", cls=_Formats)
def command() -> None:
    """Write a finished run in another program's format."""
