"""levey_jennings.csv of a run: every tube's series, and the control donor's broken rules."""

from __future__ import annotations

import csv

from treg_gating.gating.results import PopulationCount, SampleResult
from treg_gating.run.control_charts import ControlCharts


def _tube(name, treg, *, role="control", day=1):
    counts = (PopulationCount("cd4_t", "t_cells", 1_000, 4_000), PopulationCount("treg", "cd4_t", treg, 1_000))
    acquired = f"{day:02d}-MAR-2026 10:00:00"
    return SampleResult(name, name, "C", "", "B1", role, "done", acquired=acquired, counts=counts)


def written(folder, tubes):
    charts = ControlCharts("treg", "cd4_t")
    for tube in tubes:
        charts.add(tube)
    return charts.write(folder)


def test_series_and_rules_are_written(tmp_path):
    shares = (50, 51, 49, 50, 52, 48, 90)
    tubes = [_tube(f"c{day}", treg, day=day) for day, treg in enumerate(shares, start=1)]
    tubes += [_tube("s1", 150, role="sample"), _tube("s2", None, role="sample")]
    digests, said = written(tmp_path, tubes)
    assert list(digests) == ["levey_jennings.csv"]
    assert len(said) == 1
    assert said[0].startswith("treg % of cd4_t: 1-3s")
    with (tmp_path / "levey_jennings.csv").open(newline="") as file:
        rows = {row["tube_id"]: row for row in csv.DictReader(file)}
    assert rows["c7"]["rules"] == "1-3s"
    assert rows["c6"]["rules"] == rows["s1"]["rules"] == ""
    assert (rows["s1"]["value"], rows["s1"]["unit"], rows["s1"]["role"]) == ("15.0", "%", "sample")
    assert rows["s2"]["value"] == ""


def test_same_results_same_bytes(tmp_path):
    tubes = [_tube("c1", 50)]
    first, _ = written(tmp_path, tubes)
    assert written(tmp_path, tubes)[0] == first
