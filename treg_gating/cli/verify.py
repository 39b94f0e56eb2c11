"""`treg-gating verify`."""

from __future__ import annotations

from pathlib import Path

import click

_EPILOG = """\b
Examples:
  treg-gating verify results
  treg-gating verify results --data /archive/study7 --head 5d0c…
  treg-gating verify --installation -o installation_check

Exit codes: 0 all holds; 7 something does not, and the last line names it; 75 a run is at work in the folder.
"""
VERIFICATION_FAILED = 7


@click.command("verify", epilog=_EPILOG)
@click.argument("run_dir", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder below which the FCS files lie now; without it, where they were when the run read them.",
)
@click.option("--no-inputs", is_flag=True, help="Leave the FCS files unread, where they are no longer kept.")
@click.option("--head", default="", help="Digest of the audit trail from a printed report: it must be in the trail.")
@click.option(
    "--installation",
    is_flag=True,
    help="Instead of a run, qualify this installation: files, versions, and the reference study against its results.",
)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("installation_check"),
    show_default=True,
    help="With --installation: folder for the report to be signed; made if it is not there.",
)
@click.option("--workers", type=click.IntRange(min=0), help="With --installation: processes.")
def command(
    run_dir: Path | None, data: Path | None, no_inputs: bool, head: str, installation: bool, out: Path,
    workers: int | None,
) -> int:  # fmt: skip
    """Check that a run in RUN_DIR still is what it was: ledger, audit trail, outputs and input files.

    Ends at the first thing that does not hold, and names it.
    """
    if installation == (run_dir is not None):
        msg = "give either the folder of a run or --installation."
        raise click.UsageError(msg)
    if run_dir is None:
        return _installation(out, workers)
    from treg_gating.run.integrity import NotAsStoredError, verify_folder
    from treg_gating.run.ledger import LEDGER_NAME

    if not (run_dir / LEDGER_NAME).is_file():
        msg = f"{run_dir} holds no run ({LEDGER_NAME} is not there)."
        raise click.UsageError(msg)
    try:
        for sentence in verify_folder(run_dir, data=data, inputs=not no_inputs, head=head):
            click.echo(f"holds   {sentence}")
    except NotAsStoredError as error:
        click.echo(f"BROKEN  {error}")
        return VERIFICATION_FAILED
    click.echo(f"{run_dir} is as the last run left it.")
    return 0


def _installation(out: Path, workers: int | None) -> int:
    """Qualify the installation; leaves the report, the reference run and the checks as JSON."""
    import json
    from dataclasses import asdict

    from treg_gating import __version__
    from treg_gating.qualification.check import Verdict
    from treg_gating.qualification.installed import installed_checks
    from treg_gating.qualification.page import qualification_page
    from treg_gating.qualification.reference import reference_checks
    from treg_gating.run.audit import now, who
    from treg_gating.run.files import write_bytes
    from treg_gating.run.keys import code_version, environment

    user, host = who()
    checks = installed_checks()
    checks += reference_checks(out / "reference", workers, lambda text: click.echo(text, err=True))
    about = {
        "version": f"treg-gating {__version__}, code {code_version()}",
        "computer": host,
        "performed as": user,
        "time (UTC)": now(),
        "libraries": ", ".join(f"{name} {version}" for name, version in environment().items()),
    }
    page = out / "installation_check.html"
    write_bytes(page, qualification_page(checks, about).encode())
    told = {"about": about, "checks": [asdict(check) for check in checks]}
    write_bytes(out / "installation_check.json", (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode())
    failed = [check for check in checks if check.verdict is Verdict.FAILED]
    for check in failed:
        click.echo(f"FAILED  {check.name}: found {check.found}, expected {check.expected}")
    click.echo(
        f"{len(checks) - len(failed)} of {len(checks)} checks hold. To be signed: {out / 'installation_check.html'}"
    )
    return VERIFICATION_FAILED if failed else 0
