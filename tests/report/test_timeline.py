"""A tube over its time: what is drawn, and where."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from treg_gating.gating.results import SampleResult
from treg_gating.report.page import report_html
from treg_gating.report.timeline import timeline_svg
from treg_gating.run.record import RunRecord

LEFT, WIDTH = 48, 560


def tube(removed: tuple[tuple[float, float], ...] = ((20.0, 30.0),), n: int = 500) -> SampleResult:
    rate = np.full(n, 1500.0)
    rate[n // 2] = 9000.0  # one stretch alone, which a mean over its neighbours would hide
    timeline = {
        "seconds": np.linspace(0, 100, n + 1),
        "rate": rate,
        "fluorescence": np.zeros(n),
        "scatter": np.zeros(n),
    }
    named = {name: np.asarray(values, dtype=np.float32) for name, values in timeline.items()}
    return SampleResult("t1", "a.fcs", "S1", "v", "B1", "sample", "done", removed=removed, timeline=named)


def test_removed_stretches_lie_where_they_were() -> None:
    drawn = timeline_svg(tube())
    assert drawn is not None
    boxes = re.findall(r'<rect class="removed" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)
    assert [tuple(map(float, box)) for box in boxes] == [(LEFT + 0.2 * WIDTH, 0.1 * WIDTH)]
    assert "1 stretch removed, 20 to 30 s" in drawn
    assert len(re.findall('class="trace"', drawn)) == 3


def test_a_spike_is_not_lost_among_its_neighbours_and_a_trace_is_short() -> None:
    drawn = timeline_svg(tube())
    assert drawn is not None
    rate = re.findall(r'class="trace" d="M([^"]+)"', drawn)[0].split("L")
    heights = [float(point.split()[1]) for point in rate]
    assert len(heights) <= 160
    assert sum(height < max(heights) - 20 for height in heights) == 1


def test_a_tube_without_time_draws_nothing() -> None:
    assert timeline_svg(replace(tube(), timeline={})) is None
    assert "nothing was removed" in str(timeline_svg(tube(removed=())))


def test_the_report_shows_it(record: RunRecord) -> None:
    samples = [replace(s, timeline=tube().timeline, removed=((20.0, 30.0),)) for s in record.samples]
    html = report_html(replace(record, samples=tuple(samples)))
    assert html.count('<svg class="figure timeline"') == len(samples)
    assert "Red: removed by quality control" in html
    assert "figure timeline" not in report_html(
        replace(record, samples=tuple(replace(s, timeline={}) for s in samples))
    )
