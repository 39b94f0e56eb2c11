"""`treg-gating templates`."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

_EPILOG = """\b
Examples:
  treg-gating templates
  treg-gating templates copy treg_foxp3 my_template
  treg-gating run samples.csv --template my_template
"""


@click.group("templates", invoke_without_command=True, epilog=_EPILOG)
@click.pass_context
def command(context: click.Context) -> None:
    """List the gating templates that come along, or copy one to adapt it."""
    if context.invoked_subcommand is not None:
        return
    from treg_gating.gating.template import load_template, shipped_templates

    for name in shipped_templates():
        template = load_template(name)
        click.echo(f"{name} {template.version}\n    {template.description}")
        required = [spec.marker for spec in template.panel if spec.required]
        optional = [spec.marker for spec in template.panel if not spec.required]
        click.echo(f"    needs {', '.join(required)}; uses {', '.join(optional) or 'nothing more'} where it is there")


@command.command("copy")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
def copy(name: str, folder: Path) -> None:
    """Copy the template NAME to FOLDER, which must not exist yet."""
    from treg_gating.gating.template import shipped_templates

    shipped = shipped_templates()
    if name not in shipped:
        msg = f"no template {name!r}; there are {', '.join(shipped)}."
        raise click.UsageError(msg)
    if folder.exists():
        msg = f"{folder} exists already; name a new folder."
        raise click.UsageError(msg)
    shutil.copytree(shipped[name], folder)
    click.echo(f"{folder}: edit gates.csv and panel.csv in a spreadsheet, and give it a name in template.toml.")
