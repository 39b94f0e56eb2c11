"""From what happened to the exit code that a scheduler can act on."""

from __future__ import annotations

import signal
from types import FrameType

import click

__all__ = ["EXIT_CODES", "exit_code_of", "run_to_exit_code"]

EXIT_CODES = """\b
Exit codes:
  0   all done
  4   done, some samples need review
  5   done, some samples failed (also where others need review)
  3   the sample sheet (or a review workbook) has faults; nothing was read
  7   verify: something is not as it was stored
  2   wrong usage or configuration (options, study.toml, template, matrix)
  74  disk or input/output error; what was finished is kept
  75  another run is at work in the output folder
  130 stopped by Ctrl-C (143: by SIGTERM); what was finished is kept
  1   a bug in this program, with its traceback"""

_BUG, _USAGE, _SHEET, _DISK, _LOCKED, _INTERRUPTED, _TERMINATED = 1, 2, 3, 74, 75, 130, 143


class _TerminatedError(BaseException):
    """SIGTERM, as an exception, so that everything is closed in order."""


def run_to_exit_code(command: click.Command) -> int:
    """Run the command line and say the exit code; a bug passes with its traceback."""
    from treg_gating.errors import TregGatingError

    signal.signal(signal.SIGTERM, _terminate)
    try:
        result = command.main(standalone_mode=False, prog_name="treg-gating")
    except click.exceptions.Abort:
        return _stopped(_INTERRUPTED)
    except KeyboardInterrupt:
        return _stopped(_INTERRUPTED)
    except _TerminatedError:
        return _stopped(_TERMINATED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SystemExit:
        return 0  # click's way to say that the reader of our output went away, as `head` does
    except TregGatingError as error:
        click.echo(f"treg-gating: {error}", err=True)
        return exit_code_of(error)
    return result if isinstance(result, int) else 0


def _stopped(code: int) -> int:
    click.echo("\nStopped. What was finished is kept: the same command goes on from there.", err=True)
    return code


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _TerminatedError


def exit_code_of(error: Exception) -> int:
    """The exit code that an error ends the program with; 1 for a bug."""
    from treg_gating.errors import FCSError, ReviewError, RunStateError, SampleSheetError, TregGatingError

    if isinstance(error, click.ClickException):
        return error.exit_code
    if not isinstance(error, TregGatingError):
        return _BUG
    if isinstance(error, SampleSheetError | ReviewError):
        return _SHEET
    if isinstance(error, RunStateError):
        from treg_gating.run.lock import FolderLockedError

        return _LOCKED if isinstance(error, FolderLockedError) else _DISK
    return _DISK if isinstance(error, FCSError) else _USAGE
