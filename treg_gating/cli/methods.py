"""`treg-gating methods`."""

from __future__ import annotations

import inspect

import click

_EPILOG = """\b
Examples:
  treg-gating methods
  treg-gating methods valley
"""


@click.command("methods", epilog=_EPILOG)
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """Show the gating methods a template can name, with arguments, units and defaults; or only NAME."""
    from treg_gating.gating.method import describe
    from treg_gating.gating.methods import METHODS

    if name is not None and name not in METHODS:
        msg = f"no method {name!r}; there are {', '.join(METHODS)}."
        raise click.UsageError(msg)
    for method, kind in METHODS.items():
        if name not in (None, method):
            continue
        summary = (inspect.getdoc(kind) or "").splitlines()
        click.echo(f"{method}\n    {summary[0] if summary else ''}".rstrip())
        for argument, default, unit, meaning in describe(kind):
            unit = f" {unit}" if unit else ""
            click.echo(f"      {argument} = {default}{unit}: {meaning}")
