"""Every exit code that a scheduler may act on."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from treg_gating.cli.exits import EXIT_CODES, exit_code_of
from treg_gating.errors import (
    FCSError,
    InputError,
    RunStateError,
    SampleSheetError,
    StudyError,
    TemplateError,
)
from treg_gating.run.files import DiskError
from treg_gating.run.lock import FolderLockedError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ZeroDivisionError(), 1),
        (click.UsageError("x"), 2),
        (InputError("x"), 2),
        (StudyError([InputError("x")]), 2),
        (TemplateError([InputError("x")]), 2),
        (SampleSheetError([InputError("x")]), 3),
        (FCSError("E_NOT_FCS", "x"), 74),
        (DiskError("x"), 74),
        (RunStateError("x"), 74),
        (FolderLockedError("x"), 75),
    ],
)
def test_an_error_has_its_code(error, code):
    assert exit_code_of(error) == code


def test_every_code_is_told_in_help():
    told = {
        line.split()[0] for line in EXIT_CODES.splitlines() if line.startswith("  ") and line.split()[0].isdecimal()
    }
    assert told == {"0", "1", "2", "3", "4", "5", "7", "74", "75", "130"}


def test_a_bug_ends_with_1_and_its_traceback():
    script = "import treg_gating.cli.methods as m; m.command.callback = lambda **_: 1 / 0\n"
    script += "import sys; sys.argv = ['treg-gating', 'methods']\nfrom treg_gating.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
