"""Time, flow rate and what goes wrong in it."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.simulate.disturbances import DRIFT_TOLERANCE, Disturbance, acquire
from treg_gating.simulate.streams import stream


def test_quiet_tube_runs_at_its_rate() -> None:
    quiet = acquire(stream(1), 30_000, 1_000.0, ())
    assert not quiet.disturbed.any()
    assert quiet.seconds[-1] == pytest.approx(30.0, rel=0.001)
    assert (np.diff(quiet.seconds) >= 0).all()
    # Events of a Poisson stream: half of them in the first half of the time, within 4 SD.
    assert abs((quiet.seconds < 15).sum() - 15_000) < 4 * np.sqrt(30_000 / 4)
    np.testing.assert_array_equal(quiet.fluorescence, 0.0)


@pytest.mark.parametrize(("kind", "rate"), [("clog", 0.2), ("burst", 3.0)])
def test_rate_inside_a_clog_or_burst(kind: str, rate: float) -> None:
    n = 100_000
    got = acquire(stream(2), n, 1_000.0, (Disturbance(kind, 0.10, 0.40),))
    inside = rate * 0.10 / (0.90 + rate * 0.10)
    assert got.disturbed.mean() == pytest.approx(inside, rel=0.05)
    time = got.seconds[got.disturbed]
    assert time.min() == pytest.approx(0.40 * got.seconds[-1], rel=0.01)
    assert time.max() == pytest.approx(0.50 * got.seconds[-1], rel=0.01)
    assert (got.fluorescence[got.disturbed] < 0).all()
    np.testing.assert_array_equal(got.fluorescence[~got.disturbed], 0.0)


def test_drift_counts_as_disturbed_from_its_tolerance_on() -> None:
    got = acquire(stream(3), 50_000, 1_000.0, (Disturbance("drift", 0.15),))
    shifted = np.abs(got.fluorescence)
    assert shifted.max() == pytest.approx(0.30, rel=0.01)
    np.testing.assert_array_equal(got.disturbed, shifted > DRIFT_TOLERANCE)
    assert got.disturbed[-1]


def test_bubble_leaves_a_gap_and_then_recovers() -> None:
    got = acquire(stream(4), 60_000, 1_000.0, (Disturbance("bubble", 0.12, 0.5),))
    share = got.seconds / got.seconds[-1]
    gap = ((share > 0.50) & (share < 0.53)).sum()
    before = ((share > 0.45) & (share < 0.48)).sum()
    assert gap < 0.05 * before
    shift = np.abs(got.fluorescence[got.disturbed])
    assert shift[-1] < 0.25 * shift[0]


@pytest.mark.parametrize(("kind", "share"), [("flood", 0.1), ("clog", 0.0), ("clog", 1.0)])
def test_senseless_disturbance_is_refused(kind: str, share: float) -> None:
    with pytest.raises(ValueError, match=r"disturbance"):
        Disturbance(kind, share)
