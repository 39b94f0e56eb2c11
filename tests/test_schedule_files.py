"""Units, tasks and lines for schedulers in docs/: each is valid to its own tool, and names options that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lxml import etree

from treg_gating.cli.main import cli

DOCS = Path(__file__).resolve().parents[1] / "docs"
UNITS = sorted(path.name for path in (DOCS / "units").glob("treg-gating-*.*") if path.suffix in {".service", ".timer"})
PROGRAM = "/opt/treg-gating/bin/treg-gating"


def commands() -> list[str]:
    """Every command line of the program in units, task and pages."""
    found = []
    for path in (*(DOCS / "units").iterdir(), DOCS / "schedule.md", DOCS / "cluster.md"):
        for line in path.read_text().splitlines():
            match = re.search(rf"(?:{PROGRAM}|^    treg-gating) ([^<`]*)", line)
            if match:
                found.append(match[1])
    return found


def test_there_are_command_lines():
    assert len(commands()) >= 5


@pytest.mark.parametrize("line", commands())
def test_a_scheduler_s_command_line_is_understood(line):
    name, *words = shlex.split(line)
    command = cli.get_command(None, name)
    assert command is not None
    assert command.make_context(name, words).params  # parses; an unknown option raises


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_accepts_its_units(unit, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for name in UNITS:  # the program's path must be one that is there
        text = (DOCS / "units" / name).read_text().replace(PROGRAM, sys.executable)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_timer_names_times_that_come():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    moment = re.search(r"OnCalendar=(.*)", (DOCS / "units" / "treg-gating-run.timer").read_text())[1]
    done = subprocess.run(["systemd-analyze", "calendar", moment], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "Next elapse" in done.stdout


def test_other_files_are_what_their_endings_say():
    task = etree.parse(DOCS / "units" / "treg-gating-task.xml").getroot()
    order = [etree.QName(part).localname for part in task]
    assert order == ["RegistrationInfo", "Triggers", "Settings", "Actions"]
    kinds = [part["kind"] for part in yaml.safe_load_all((DOCS / "units" / "kubernetes.yaml").read_text())]
    assert kinds == ["Service", "Deployment", "Deployment"]
    compile((DOCS / "units" / "slurm_cluster.py").read_text(), "slurm_cluster.py", "exec")
