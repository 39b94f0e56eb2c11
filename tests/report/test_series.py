"""Series of gate positions: which tubes, which numbers, what is comparable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from treg_gating.gating.gates import HalfPlane, Interval
from treg_gating.report.page import report_html
from treg_gating.report.series import cut_series
from treg_gating.run.record import RunRecord


def test_every_cut_and_every_line_is_followed(record: RunRecord) -> None:
    series = {(s.population, s.bound): s for s in cut_series(record, {})}
    assert set(series) == {
        ("live", "low"), ("t_cells", "low"), ("cd4_t", "low"), ("cd25_cd127low", "line"), ("treg", "low"),
        ("hostile", "low"),
    }  # fmt: skip
    line = series["cd25_cd127low", "line"]
    assert line.dim == "CD25 × CD127"
    done = [result for result in record.samples if result.status == "done"]
    gates = {r.tube_id: next(g for g in r.gates if g.population == "cd25_cd127low") for r in done}
    assert [point.tube_id for point in line.points] == list(gates)
    for point in line.points:
        fitted = gates[point.tube_id]
        assert isinstance(fitted.gate, HalfPlane)
        assert (point.final, point.error) == (fitted.gate.offset, 0.012)
        expected = fitted.own.offset if isinstance(fitted.own, HalfPlane) else float("nan")
        assert point.own == pytest.approx(expected, nan_ok=True)


def test_lines_of_another_slope_are_left_out(record: RunRecord) -> None:
    """Distances of lines from the origin are one quantity only where the lines are parallel."""

    def turned(number: int):
        result = record.samples[number]
        gates = tuple(
            replace(g, gate=HalfPlane(g.gate.dims, (0.6, -0.8), 0.1)) if isinstance(g.gate, HalfPlane) else g
            for g in result.gates
        )
        return replace(result, gates=gates)

    changed = replace(record, samples=(record.samples[0], turned(1), *record.samples[2:]))
    before, after = (next(s for s in cut_series(r, {}) if s.bound == "line") for r in (record, changed))
    assert {p.tube_id for p in before.points} - {p.tube_id for p in after.points} == {record.samples[1].tube_id}
    assert isinstance(record.samples[0].gates[2].gate, Interval)


def test_absolute_counts_have_columns_where_there_are_any(record: RunRecord) -> None:
    assert "Treg/µL" not in report_html(record)
    rows = [dict(row) for row in record.endpoint]
    rows[0] |= {"treg_per_ul": 41.23, "treg_per_ul_low": 37.0, "treg_per_ul_high": 45.9, "absolute_from": "cd4_per_ul"}
    rows[1] |= {"absolute_from": "beads_counted", "absolute_note": "900 bead events, no count below 1000"}
    html = report_html(replace(record, endpoint=tuple(rows)))
    assert ">41.2</td>" in html
    assert "no Treg/µL: beads_counted; 900 bead events, no count below 1000" in html
