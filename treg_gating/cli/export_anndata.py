"""`treg-gating export anndata`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("anndata", epilog="\b\nExample:\n  treg-gating export anndata results S01_Baseline -o S01.h5ad")
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("tube_id")
@click.option(
    "--out", "-o", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write (.h5ad)."
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="The FCS file, where it no longer lies where the run met it."
)
def command(run_dir: Path, tube_id: str, out: Path, data: Path | None) -> None:
    """Write the events of tube TUBE_ID of the last finished run in RUN_DIR with the run's gates, for scverse.

    The FCS file is read again and must have the bytes that the run met. Needs the extra [anndata].
    """
    from treg_gating.errors import InputError
    from treg_gating.interchange.anndata import sample_to_anndata
    from treg_gating.run.files import replace_file
    from treg_gating.run.last import open_last_run

    with open_last_run(run_dir) as last:
        results = {sample.tube_id: sample for sample in last.record.samples}
        tubes = {tube.tube_id: tube for tube in last.tubes}
        if tube_id not in results:
            problem = "the run has no such tube"
            raise InputError(problem, found=repr(tube_id), expected="one of " + ", ".join(results))
        table = sample_to_anndata(results[tube_id], tubes[tube_id], data or tubes[tube_id].path)
    replace_file(out, lambda temporary: table.write_h5ad(temporary))
    click.echo(f"{out}: {table.n_obs} events, {table.n_vars} channels, {len(table.obs.columns)} populations")
