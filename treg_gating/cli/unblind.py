"""`treg-gating unblind`."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  treg-gating unblind results --name "A. Statistician" --why "database locked"
  treg-gating unblind results --name "A. Statistician" --why "tube P314 only" --only P314
"""


@click.command("unblind", epilog=_EPILOG)
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--name", required=True, help="Who unblinds; goes to the audit trail.")
@click.option("--why", required=True, help="The reason; goes to the audit trail.")
@click.option("--only", multiple=True, help="A pseudonym; may be given several times. Without it, all of them.")
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False), help="The blinding key, where it is not in RUN_DIR."
)
def command(run_dir: Path, name: str, why: str, only: tuple[str, ...], key: Path | None) -> None:
    """Tell whose tubes the pseudonyms of a blinded report or review stand for.

    Prints a table (tab-separated) of pseudonym, tube, subject, visit, batch and file. That it was asked, by whom, why,
    and for which pseudonyms is in the run's audit trail before anything is shown.
    """
    from treg_gating.errors import InputError
    from treg_gating.run.blinding import KEY_NAME, read_key
    from treg_gating.run.keys import file_sha256
    from treg_gating.run.last import open_last_run

    if not name.strip() or not why.strip():
        msg = "--name and --why must not be empty"
        raise click.UsageError(msg)
    with open_last_run(run_dir) as last:
        known = read_key(key or run_dir / KEY_NAME)
        tube_of = known.tube_of
        unknown = [pseudonym for pseudonym in only if pseudonym not in tube_of]
        if unknown:
            problem = "the key has no such pseudonym"
            raise InputError(problem, file=str(known.path), found=", ".join(unknown))
        tubes = {tube.tube_id: tube for tube in last.tubes}
        shown = [p for p in (only or sorted(tube_of)) if tube_of[p] in tubes]
        last.ledger.note(
            last.run,
            "pseudonyms unblinded",
            subject=", ".join(only) or f"all {len(shown)}",
            new=file_sha256(known.path),
            why=f"{why.strip()} (signed {name.strip()})",
        )
    click.echo("pseudonym\ttube_id\tsubject\tvisit\tbatch\tfile")
    for pseudonym in shown:
        tube = tubes[tube_of[pseudonym]]
        click.echo("\t".join((pseudonym, tube.tube_id, tube.subject, tube.visit, tube.batch, tube.file)))
