"""`treg-gating endpoint`."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  treg-gating endpoint results --arms arms.csv -o stats
  treg-gating endpoint results --arms arms.csv --clinical clinical.csv -o stats

ARMS has the columns subject and arm, and one for every stratum that study.toml names. It is read by this command
alone; that the run was unblinded is noted in its audit trail before the list is analysed.
"""


@click.command("endpoint", epilog=_EPILOG)
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--arms", required=True, type=click.Path(path_type=Path), help="Table of subjects and arms (CSV or XLSX)."
)
@click.option("--clinical", type=click.Path(path_type=Path), help="Table of scores and adverse events (CSV or XLSX).")
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("stats"),
    show_default=True,
    help="Folder for the analysis; made if it is not there.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Of permutations and imputations; fixed by default.")
def command(run_dir: Path, arms: Path, clinical: Path | None, out: Path, seed: int | None) -> None:
    """Analyse the last finished run in RUN_DIR by treatment arm, after unblinding.

    Leaves statistics.html (open it first), statistics.xlsx and a CSV file for each table.
    """
    from treg_gating.run.files import disk_errors
    from treg_gating.run.last import open_last_run
    from treg_gating.statistics.analysis import DEFAULT_SEED, analyse
    from treg_gating.statistics.arms import read_arms
    from treg_gating.statistics.clinical import read_clinical
    from treg_gating.statistics.page import write_analysis

    with open_last_run(run_dir) as last:
        subjects = tuple(dict.fromkeys(str(row["subject"]) for row in last.record.endpoint))
        listed = read_arms(arms, subjects, last.study)
        scores = read_clinical(clinical, subjects, last.study) if clinical is not None else None
        last.ledger.note(
            last.run,
            "unblinded",
            subject=listed.file,
            new=listed.sha256,
            why=f"arm list of {len(listed.arm_of)} subjects read for the analysis of the endpoint",
        )
        analysis = analyse(last.record, last.study, listed, scores, DEFAULT_SEED if seed is None else seed)
        about = [
            f"Run {last.run} of {last.record.created}, code {last.record.version}, gating template "
            f"{last.record.template.name} {last.record.template.version} ({last.record.template.sha256[:12]}).",
            f"Arm list {listed.file}, sha256 {listed.sha256}.",
            *([f"Clinical table {scores.file}, sha256 {scores.sha256}."] if scores is not None else []),
            *([last.record.study_assumed] if last.record.study_assumed else []),
            f"Audit trail ends with {last.ledger.audit_head()}.",
        ]
    with disk_errors(f"making {out}"):
        out.mkdir(parents=True, exist_ok=True)
    files = write_analysis(out, analysis, about)
    for line in _screen(analysis):
        click.echo(line)
    click.echo(f"Analysis  in {out}: statistics.html (open it first), statistics.xlsx and {len(files) - 2} CSV tables")


def _screen(analysis: object) -> list[str]:
    """The primary contrasts, or why there are none."""
    import numpy as np

    from treg_gating.statistics.analysis import StudyAnalysis

    assert isinstance(analysis, StudyAnalysis)  # noqa: S101
    primary, arms = analysis.primary.comparison, analysis.arms.names
    if primary is None:
        return [f"Primary   not estimable: {analysis.primary.reason}"]
    lines = []
    for contrast in primary.contrasts:
        ratio, low, high = np.exp([contrast.estimate, contrast.low, contrast.high])
        adjusted = "" if np.isnan(contrast.p_adjusted) else f", adjusted p {contrast.p_adjusted:.3g}"
        lines.append(
            f"Primary   {arms[contrast.second]} / {arms[contrast.first]}: ratio {ratio:.3g} "
            f"(95 % {low:.3g} to {high:.3g}), p {contrast.p:.3g}{adjusted}"
        )
    return lines
