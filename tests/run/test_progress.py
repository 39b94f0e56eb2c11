"""What a run says where nobody looks at a terminal."""

from __future__ import annotations

import io

import pytest

from treg_gating.run import progress


def said(monkeypatch: pytest.MonkeyPatch, seconds_a_tube: float) -> list[str]:
    clock = iter(seconds_a_tube * tick for tick in range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    lines = progress.LinesProgress(stream)
    lines.stage("Fitting gates", 40, 0)
    for number in range(40):
        lines.tube(f"T{number}", "no events" if number == 3 else "")
    return [line.partition(" ")[2] for line in stream.getvalue().splitlines()]


def test_slow_tubes_are_told_ten_times_a_stage(monkeypatch):
    lines = said(monkeypatch, 60.0)
    assert lines[0] == "Fitting gates: 40 tubes"
    assert lines[1] == "T3 FAILED: no events"
    assert lines[2] == "Fitting gates: 4/40, 0.0 tubes/s, 2160 s left"
    assert len(lines) == 2 + 10


def test_quick_tubes_are_told_once_a_second_and_at_the_end(monkeypatch):
    lines = said(monkeypatch, 0.1)
    assert lines[1:] == [
        "T3 FAILED: no events",
        "Fitting gates: 12/40, 10.0 tubes/s, 3 s left",
        "Fitting gates: 24/40, 10.0 tubes/s, 2 s left",
        "Fitting gates: 36/40, 10.0 tubes/s, 0 s left",
        "Fitting gates: 40/40, 10.0 tubes/s",
    ]
