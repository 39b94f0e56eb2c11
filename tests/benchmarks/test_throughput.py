"""The throughput benchmark at a size that fits CI: it runs, all programs count alike, and no decision differs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "throughput.py"


def test_decisions_equal_flowkits_and_every_program_counts_alike(tmp_path: Path) -> None:
    options = ["--events", "20000", "--rounds", "1", "--data", str(tmp_path), "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "fixed", "decisions", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]  # it refuses counts that differ
    results = json.loads((tmp_path / "throughput.json").read_text())
    assert results["decisions"]["decisions"] == 8 * 20_000
    assert results["decisions"]["differ"] == 0
    assert set(results["fixed"][0]["seconds"]) >= {"treg-gating", "FlowKit, load + gate_sample", "FlowKit, Session"}
    table = (tmp_path / "throughput.md").read_text()
    assert "0 differ" in table
    assert "| decisions that differ from FlowKit's, events | 0 of 160000 |" in table


def test_the_long_way_replaces_what_there_is() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from long_way import go_the_long_way; go_the_long_way();"
        "from treg_gating.gating.axes import Axis; assert Axis.near is Axis.values"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(BENCHMARK.parent)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
