"""Levey-Jennings series from stored densities; Westgard's rules on hand-made series."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from treg_gating.gating.gates import HalfPlane, Interval
from treg_gating.gating.results import FittedGate, GatePicture, GateStatus, PopulationCount, SampleResult
from treg_gating.levey_jennings import control_violations, series_of, westgard

QUIET = [0.1, -0.2, 0.3, -0.1, 0.2, -0.3]


def _rules(values):
    return [(found.rule, found.first, found.last) for found in westgard(values, centre=0.0, sd=1.0)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (QUIET, []),
        ([*QUIET, 3.1, 0.0], [("1-3s", 6, 6)]),
        ([*QUIET, -3.1], [("1-3s", 6, 6)]),
        ([*QUIET, 2.1, 2.2], [("2-2s", 6, 7)]),
        ([*QUIET, 2.1, 0.0, 2.2], []),
        ([*QUIET, 2.1, -2.2], [("R-4s", 6, 7)]),
        ([-0.1, *[0.5] * 10, -0.1], [("10-x", 1, 10)]),
        ([*[0.5] * 9, -0.1], []),
        ([*[-0.5] * 12], [("10-x", 0, 11)]),
    ],
)
def test_each_rule_fires_where_it_should(values, expected):
    assert _rules(values) == expected


def test_limits_of_the_series_itself_are_robust():
    found = westgard([5.0, 5.1, 4.9, 5.05, 4.95, 5.0, 9.0])
    assert [(v.rule, v.first) for v in found] == [("1-3s", 6)]


def test_few_values_and_a_bad_sd_are_refused():
    with pytest.raises(ValueError, match="no limits of their own"):
        westgard([1.0, 2.0])
    with pytest.raises(ValueError, match="SD is 0"):
        westgard([1.0, 2.0], centre=0.0, sd=0.0)
    assert westgard([1.0] * 8) == ()


def _result(name, *, role="control", positive=0.7, n_treg=50, day=1):
    rng = np.random.default_rng(int(positive * 1e6) + day)
    values = np.concatenate([rng.normal(0.2, 0.05, 6_000), rng.normal(positive, 0.04, 4_000)])
    counts = np.histogram(values, 256, (-0.25, 1.0))[0].astype(np.uint32)
    gate = FittedGate("t_cells", "live", "+", Interval(("CD3",), low=0.45), GateStatus.FITTED, "valley")
    return SampleResult(
        tube_id=name, file=name, subject="C", visit="", batch="B1", role=role, status="done",
        acquired=f"{day:02d}-FEB-2026 10:00:00",
        counts=(
            PopulationCount("cd4_t", "t_cells", 1_000, 4_000),
            PopulationCount("treg", "cd4_t", n_treg, 1_000, mfi={"FOXP3": 900.0}),
        ),
        gates=(gate,),
        pictures=(GatePicture("t_cells", "live", ("CD3",), (-0.25,), (1.0,), counts),),
    )  # fmt: skip


def test_medians_and_spreads_come_from_the_density():
    points = {p.quantity: p for p in series_of([_result("a")], "treg", "cd4_t")}
    assert points["CD3 negative median"].value == pytest.approx(0.2, abs=0.005)
    assert points["CD3 positive median"].value == pytest.approx(0.7, abs=0.005)
    assert points["CD3 negative robust SD"].value == pytest.approx(0.05, rel=0.1)
    assert points["CD3 positive robust SD"].value == pytest.approx(0.04, rel=0.1)
    assert points["treg % of cd4_t"].value == pytest.approx(5.0)
    assert points["FOXP3 MFI of treg"].value == 900.0
    assert points["CD3 positive median"].n == pytest.approx(4_000, abs=2)


def test_a_line_on_two_markers_has_two_sides_of_each():
    """Tregs high on CD25 and low on CD127, cut by the diagonal between them and the others."""
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal((0.3, 0.7), 0.04, (9_000, 2)), rng.normal((0.7, 0.3), 0.04, (1_000, 2))])
    counts = np.histogram2d(*values.T, 64, ((-0.25, 1.0),) * 2)[0].astype(np.uint32)
    slanted = HalfPlane(("CD25", "CD127"), (0.8, -0.6), 0.1)
    gate = FittedGate("t", "cd4_t", "+", slanted, GateStatus.FITTED, "aligned_mixture")
    picture = GatePicture("t", "cd4_t", ("CD25", "CD127"), (-0.25, -0.25), (1.0, 1.0), counts)
    made = replace(_result("a"), gates=(gate,), pictures=(picture,))
    points = {p.quantity: p for p in series_of([made], "treg", "cd4_t")}
    expected = {"CD25 positive": 0.7, "CD25 negative": 0.3, "CD127 negative": 0.3, "CD127 positive": 0.7}
    for quantity, place in expected.items():
        assert points[f"{quantity} median"].value == pytest.approx(place, abs=0.01)
    assert points["CD25 positive median"].n == points["CD127 negative median"].n == 1_000


def test_not_estimable_is_nan_and_failed_tubes_are_left_out():
    failed = SampleResult("b", "b", "C", "", "B1", "control", "failed")
    points = series_of([_result("a", n_treg=None), failed], "treg", "cd4_t")
    assert {p.tube_id for p in points} == {"a"}
    assert np.isnan(next(p.value for p in points if p.quantity == "treg % of cd4_t"))


def test_a_control_tube_that_jumps_breaks_a_rule_and_is_named():
    tubes = [_result(f"c{day}", day=day, n_treg=50 + day % 3) for day in range(1, 8)]
    tubes.insert(0, _result("jump", day=9, positive=0.55, n_treg=90))
    tubes.append(_result("patient", role="sample", positive=0.3, n_treg=400))
    found = control_violations(series_of(tubes, "treg", "cd4_t"))
    share = [v for v in found if v.quantity == "treg % of cd4_t"]
    assert [(v.rule, v.first) for v in share] == [("1-3s", 7)]  # in order of acquisition, not of the list
    assert "jump" in share[0].text
    assert all("patient" not in v.text for v in found)


def test_few_control_tubes_break_no_rule():
    tubes = [_result(f"c{day}", day=day, n_treg=50 + 10 * day) for day in range(1, 5)]
    assert control_violations(series_of(tubes, "treg", "cd4_t")) == ()
