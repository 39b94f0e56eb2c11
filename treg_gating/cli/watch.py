"""`treg-gating watch`."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from treg_gating.cli.exits import EXIT_CODES
from treg_gating.cli.inputs import Inputs, gating_options, read_inputs
from treg_gating.cli.running import RunOptions, mail_at_the_end, run_inputs, run_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treg_gating.run.arrivals import NamePattern
    from treg_gating.run.intake import Intake
    from treg_gating.run.watch import Work

_EPILOG = f"""\b
Examples:
  treg-gating watch /mnt/cytometer/study7 --sheet samples.xlsx -o results
  treg-gating watch /mnt/cytometer/study7 --names "{{subject}}_{{visit}}" --study study.toml -o results
  treg-gating watch /mnt/cytometer/study7 --sheet samples.xlsx -o results --once --interval 120    (from cron)

\b
Whose tube a file is must be told, and is never guessed:
  --sheet FILE     the sample sheet. It may grow: rows whose file has not arrived wait for it, and a file that no row
                   names waits for its row. The sheet is read again at each look.
  --names PATTERN  the file's name itself, such as {{batch}}/{{subject}}_{{visit}}. A name that does not follow it,
                   or can be read in two ways, is left out.
What waits or is left out, and why, is said and stands in OUT/intake/status.json.

A file is taken in when two looks find the same size and content. It is copied to OUT/intake, under its sha256 and under
its name, and used from there: the original may go. Another content under a name that was taken in is refused.

{EXIT_CODES}
"""


@click.command("watch", epilog=_EPILOG)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--sheet", type=click.Path(path_type=Path), help="Sample sheet (CSV or XLSX) of the tubes that will come."
)
@click.option("--names", default="", help="Pattern of file names, instead of a sheet.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Look twice, run, and end with the run's exit code: for cron and timers.")
@gating_options
@run_options
def command(
    folder: Path,
    sheet: Path | None,
    names: str,
    interval: float,
    once: bool,
    template: str,
    study_file: Path | None,
    markers: Path | None,
    **options: Any,
) -> int:
    """Take in FCS files as they arrive in FOLDER, and run the cohort whenever there is something new."""
    if (sheet is None) == (not names):
        msg = "say whose tube a file is by --sheet FILE or by --names PATTERN."
        raise click.UsageError(msg)
    from treg_gating.run.arrivals import NamePattern
    from treg_gating.run.intake import Intake
    from treg_gating.run.lock import folder_lock
    from treg_gating.run.progress import LinesProgress, Progress, QuietProgress, log_to
    from treg_gating.run.watch import Watch

    chosen = RunOptions(**options)
    place = chosen.out / "intake"
    pattern = NamePattern(names) if names else None
    with folder_lock(place), log_to(place / "watch.log.jsonl"):
        intake = Intake(folder, place)
        cohort = _Cohort(intake, sheet, pattern, (study_file, markers), template, chosen)
        progress: Progress = LinesProgress(sys.stderr)
        if chosen.quiet:
            progress = QuietProgress()
        watch = Watch(intake, cohort.work, cohort.fingerprint, progress.say, interval)
        if once:
            return watch.once()
        progress.say(f"Watching {folder}, a look every {interval:g} s; Ctrl-C ends it.")
        watch.forever()
    return 0


class _Cohort:
    """Runs what was taken in, as far as a sheet or the names tell whose tubes they are."""

    def __init__(
        self,
        intake: Intake,
        sheet: Path | None,
        pattern: NamePattern | None,
        tables: tuple[Path | None, Path | None],
        template: str,
        options: RunOptions,
    ) -> None:
        self._intake, self._sheet, self._pattern = intake, sheet, pattern
        self._tables, self._template, self._options = tables, template, options

    def fingerprint(self) -> str:
        """Digest of sheet, study and markers as they are now."""
        found = hashlib.sha256()
        beside = self._sheet.parent / "study.toml" if self._sheet is not None else None
        for path in (self._sheet, beside, *self._tables):
            if path is not None and path.is_file():
                found.update(path.read_bytes() + b"\0")
        return found.hexdigest()

    def work(self) -> Work:
        """One run, or none where no file has a row yet."""
        from treg_gating.run.watch import Work

        left: Mapping[str, str] = {}
        with mail_at_the_end(self._options.mail) as mail:
            if self._pattern is not None:
                inputs, left = self._by_names(self._pattern)
            elif self._sheet is not None and self._intake.index:
                inputs, left = self._by_sheet(self._sheet)
            else:
                inputs = None
            if inputs is None:
                return Work(None, left)
            code = run_inputs(inputs, self._template, self._options, mail)
        return Work(code, left, inputs.sheet.absent)

    def _by_sheet(self, sheet: Path) -> tuple[Inputs, Mapping[str, str]]:
        from treg_gating.run.arrivals import without_row

        inputs = read_inputs(sheet, self._intake.files, *self._tables, arrived_only=True)
        used = (tube.path for tube in inputs.sheet.tubes)
        return inputs, without_row(used, self._intake.index, self._intake.files)

    def _by_names(self, pattern: NamePattern) -> tuple[Inputs | None, Mapping[str, str]]:
        """Tubes by the names of their files; a name at fault, such as an unplanned visit, leaves its file out."""
        from treg_gating.errors import SampleSheetError
        from treg_gating.run.arrivals import sheet_text, unusable
        from treg_gating.run.files import write_bytes

        sheet = self._intake.folder / "samples.csv"
        left: dict[str, str] = {}
        while len(left) < len(self._intake.index):
            text, unread = sheet_text(pattern, (name for name in self._intake.index if name not in left))
            left.update(unread)
            if text.count("\n") < 2:
                break
            write_bytes(sheet, text.encode())
            try:
                inputs = read_inputs(sheet, self._intake.files, *self._tables)
            except SampleSheetError as error:
                left.update(unusable(error, text))
                continue
            note = f"Whose tube a file is was read from its name by {pattern.text}."
            return replace(inputs, notes=(*inputs.notes, note)), left
        return None, left
