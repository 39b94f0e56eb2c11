"""`treg-gating benchmark`: what holds a computer back, and the command as it is called."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from treg_gating.cli.benchmark import command
from treg_gating.run.capacity import Capacity, Timing, held_back_by


def capacity(*, work: float = 19.0, passes: float = 10.0, alone: float = 20.0, disk: float = 1e4) -> Capacity:
    one = Timing(workers=1, tubes=100, work=alone, passes=alone, whole=alone + 5)
    return Capacity(100_000, one, Timing(2, 100, work, passes, passes + 5), megabytes=7.2, disk=disk)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (capacity(), "the processors: 95 % of the time"),
        (capacity(disk=200.0), "the disk: it gives 200 MB/s, and tubes at this rate take 144"),
        (capacity(work=29.0, passes=15.0), "what the processes share: 2 do 1.3 times the tubes of one"),
        (capacity(work=16.0, passes=10.0), "handing out the tubes: processes wait 20 % of the time"),
    ],
)
def test_what_holds_it_back(found: Capacity, said: str) -> None:
    assert held_back_by(found).startswith(said)


def test_rates_by_hand() -> None:
    found = capacity()
    assert found.together.tubes_an_hour == 36_000
    assert found.together.busy == pytest.approx(0.95)
    assert found.gain == pytest.approx(2.0)


@pytest.mark.slow
def test_command_says_it_in_its_first_line(tmp_path) -> None:
    options = ["--events", "3000", "--tubes", "4", "--workers", "2", "--folder", str(tmp_path)]
    done = CliRunner().invoke(command, options)
    assert done.exit_code == 0, done.output
    said = r"About [\d,]+ tubes of 3,000 events an hour with 2 processes\. What holds it back: (the|what|handing) .+\."
    assert re.fullmatch(said, done.stdout.splitlines()[0])
    assert list(tmp_path.iterdir()) == []
