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
  treg-gating templates import workspace.wsp study7.gates.json
  treg-gating run samples.csv --template study7.gates.json
"""


@click.group("templates", invoke_without_command=True, epilog=_EPILOG)
@click.pass_context
def command(context: click.Context) -> None:
    """List the gating templates that come along, copy one to adapt it, or import gates of another program."""
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


@command.command("import")
@click.argument("document", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--treg", default="", help="The Treg population, where its name does not say so.")
@click.option("--cd4", default="", help="The CD4 T cells it is a share of, where their name does not say so.")
def import_gates(document: Path, file: Path, treg: str, cd4: str) -> None:
    """Keep the gates of DOCUMENT (FlowJo .wsp or Gating-ML .xml) in FILE, whose name ends in .gates.json.

    They are read once and stay as they were looked at, whatever happens to the document, and a run starts at once.
    Results are those of the document itself.
    """
    from treg_gating.interchange.kept import keep_gates
    from treg_gating.interchange.load import load_gates, what_was_left_out

    if file.exists():
        msg = f"{file} exists already; name a new file."
        raise click.UsageError(msg)
    template = load_gates(document, treg=treg, cd4=cd4)
    keep_gates(template, file)
    for sentence in what_was_left_out(template):
        click.echo(f"Note: {sentence}")
    primary = template.primary
    click.echo(
        f"{file}: {len(template.steps)} populations of {template.name}, endpoint {primary.numerator} of "
        f"{primary.denominator}. Give it to 'run' with --template."
    )
