"""`treg-gating compensate`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from treg_gating.spillover import BatchControls

_EPILOG = """\b
Examples:
  treg-gating compensate samples.csv -o matrix.csv --report
  treg-gating compensate samples.csv --data /mnt/cytometer/study7 --batch B2 -o matrix_B2.csv

\b
The sheet's tubes of role single_stain (control_for says the marker or the detector) and unstained are used. With
several batches, each gets its own file: matrix_B1.csv, matrix_B2.csv. 'treg-gating run' does the same by itself.

\b
Exit codes: 0 done; 2 a batch's controls were refused, with the reason; 3 the sample sheet has faults.
"""
_REFUSED = 2


@click.command("compensate", epilog=_EPILOG)
@click.argument("sheet", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Folder below which the files lie.")
@click.option("--batch", help="Only this batch.")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("matrix.csv"),
    show_default=True,
    help="The matrix, as CSV.",
)
@click.option("--report", is_flag=True, help="A page beside it (.html) with diagnostics and a picture.")
def command(sheet: Path, data: Path | None, batch: str | None, out: Path, report: bool) -> int:
    """Make a spillover matrix from the single-stain tubes of SHEET."""
    from treg_gating.samplesheet import read_samplesheet
    from treg_gating.spillover import fit_controls
    from treg_gating.tube import Role

    tubes = [
        tube
        for tube in read_samplesheet(sheet, data_dir=data).tubes
        if tube.role in {Role.SINGLE_STAIN, Role.UNSTAINED}
    ]
    found = fit_controls([tube for tube in tubes if batch is None or tube.batch == batch])
    if not found:
        here = f" of batch {batch}" if batch else ""
        msg = f"{sheet} lists no tube{here} with role single_stain."
        raise click.UsageError(msg)
    for controls in found.values():
        _write(controls, _path(out, controls.batch) if len(found) > 1 else out, report=report)
    return _REFUSED if any(controls.fit is None for controls in found.values()) else 0


def _path(out: Path, batch: str) -> Path:
    return out.with_name(f"{out.stem}_{re.sub(r'[^A-Za-z0-9._-]+', '-', batch)}{out.suffix}")


def _write(controls: BatchControls, path: Path, *, report: bool) -> None:
    from treg_gating.compensation import write_spillover_csv

    if controls.fit is None:
        click.echo(f"Batch {controls.batch}: no matrix. {controls.refusal}", err=True)
        return
    write_spillover_csv(path, controls.fit.spillover)
    record = controls.fit.record
    click.echo(
        f"Batch {controls.batch}: {path}, {len(controls.fit.stains)} stains, condition {record.condition:.2f}, largest "
        f"residual slope {record.residuals[-1]:.1g}"
    )
    for stain in controls.fit.stains:
        left = max(abs(value) for value in stain.left.values())
        click.echo(
            f"  {stain.label:<12} {stain.detector:<20} {stain.n_positive:>7,} positives, {100 * left:.2f} % left "
            "between the medians of positives and negatives"
        )
    if record.without_stain:
        click.echo(f"  Without a stain, so with an empty row: {', '.join(record.without_stain)}")
    if report:
        from treg_gating.report.spillover_page import spillover_page
        from treg_gating.run.files import replace_file

        page = spillover_page(controls.fit, f"Spillover from single stains, batch {controls.batch}")
        target = path.with_suffix(".html")
        replace_file(target, lambda temporary: temporary.write_text(page, encoding="utf-8"))
        click.echo(f"  Picture and diagnostics: {target}")
