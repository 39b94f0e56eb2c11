"""`treg-gating export cdisc`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    "cdisc",
    epilog="\b\nExamples:\n  treg-gating export cdisc results -o cdisc\n"
    "  treg-gating export cdisc results --arms arms.csv -o stats/cdisc",
)
@click.argument("run_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--arms", type=click.Path(path_type=Path), help="Arm list; with it adtreg.xpt, and the run is unblinded.")
@click.option("--specimen", type=click.Choice(["blood", "pbmc"]), default="blood", show_default=True)
@click.option(
    "--out", "-o", type=click.Path(path_type=Path, file_okay=False), default=Path("cdisc"), show_default=True,
    help="Folder for the files; made if it is not there.",
)  # fmt: skip
def command(run_dir: Path, arms: Path | None, specimen: str, out: Path) -> None:
    """Write the last finished run in RUN_DIR as CDISC data sets (SAS transport files, version 5).

    Leaves cp.xpt, suppcp.xpt and define_metadata.xlsx; with --arms also adtreg.xpt. Needs the extra [cdisc].
    """
    from treg_gating.interchange import cdisc
    from treg_gating.interchange.cdisc_define import write_define_workbook
    from treg_gating.interchange.cdisc_variables import ADTREG, CP, SUPPCP
    from treg_gating.interchange.cdisc_xpt import check_records, write_xpt
    from treg_gating.run.files import disk_errors
    from treg_gating.run.last import open_last_run
    from treg_gating.statistics.arms import read_arms

    with open_last_run(run_dir) as last:
        given = cdisc.CdiscInput(last.record, last.study, last.tubes, specimen)
        cp = cdisc.cp_records(given)
        datasets = {"cp.xpt": (CP, cp), "suppcp.xpt": (SUPPCP, cdisc.suppcp_records(given, cp))}
        if arms is not None:
            subjects = tuple(dict.fromkeys(str(row["subject"]) for row in last.record.endpoint))
            listed = read_arms(arms, subjects, last.study)
            why = f"arm list of {len(listed.arm_of)} subjects read for ADTREG"
            last.ledger.note(last.run, "unblinded", subject=listed.file, new=listed.sha256, why=why)
            adtreg = cdisc.adtreg_records(given, cp, listed.arm_of, listed.names)
            datasets["adtreg.xpt"] = (ADTREG, adtreg)
    for plan, records in datasets.values():
        check_records(plan, records)
    with disk_errors(f"making {out}"):
        out.mkdir(parents=True, exist_ok=True)
    for file, (plan, records) in datasets.items():
        write_xpt(out / file, plan, records, given.record.created)
        click.echo(f"{file}: {len(records)} records")
    write_define_workbook(out / "define_metadata.xlsx", datasets)
    click.echo(f"Written to {out}, with define_metadata.xlsx")
