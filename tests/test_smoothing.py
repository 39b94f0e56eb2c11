"""Smoothing, peaks and running medians of our own against scipy's, which are too slow to import."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.gating.density import find_peaks
from treg_gating.gating.methods.mixture_ellipse import _squared_distance
from treg_gating.quality.traces import _running_median
from treg_gating.smoothing import middle, smooth


@pytest.mark.parametrize("bandwidth", [0.5, 2.0, 17.3])
@pytest.mark.parametrize("shape", [(512,), (3, 40), (2, 2, 9), (20, 9), (60, 200), (16, 1)])
def test_smoothing_is_a_gaussian_filter(bandwidth: float, shape: tuple[int, ...]) -> None:
    from scipy.ndimage import gaussian_filter1d

    counts = np.random.default_rng(0).poisson(20.0, shape)
    expected = gaussian_filter1d(counts.astype(float), bandwidth, axis=-1, mode="constant", truncate=5)
    assert smooth(counts, bandwidth) == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("seed", range(20))
def test_peaks_and_prominences_are_scipys(seed: int) -> None:
    from scipy import signal

    rng = np.random.default_rng(seed)
    curve = rng.integers(0, 6, 80).astype(float) if seed % 2 else smooth(rng.poisson(30.0, 200), 3.0)
    for share in (0.0, 0.05, 0.4):
        padded = np.concatenate([[0.0], curve, [0.0]])
        places, found = signal.find_peaks(padded, prominence=share * curve.max())
        ours = find_peaks(curve, share)
        assert [peak.index for peak in ours] == (places - 1).tolist()
        assert [peak.height for peak in ours] == padded[places].tolist()
        assert [peak.prominence for peak in ours] == found["prominences"].tolist()
    assert find_peaks(np.zeros(5), 0.1) == []


@pytest.mark.parametrize(("n", "width"), [(3, 3), (10, 5), (41, 20), (41, 21)])
def test_the_running_median_is_scipys(n: int, width: int) -> None:
    from scipy.ndimage import median_filter

    values = np.random.default_rng(n + width).normal(size=n)
    assert _running_median(values, width).tolist() == median_filter(values, size=width | 1, mode="nearest").tolist()


@pytest.mark.parametrize("nu", [1.0, 4.0, 30.0, 1e6])
@pytest.mark.parametrize("mass", [0.5, 0.9, 0.9999])
def test_the_ellipse_that_holds_a_share_of_a_t_distribution(mass: float, nu: float) -> None:
    from scipy.stats import f

    assert _squared_distance(mass, nu) == pytest.approx(2 * f.ppf(mass, 2, nu), rel=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 600, 601])
def test_the_middle_is_the_median(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    assert middle(values) == np.median(values)
