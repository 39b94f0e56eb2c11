"""Valley: found where there is one, never invented."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from treg_gating.errors import GateFitError
from treg_gating.gating.density import estimate_density, find_peaks
from treg_gating.gating.method import FitContext, MethodFit
from treg_gating.gating.methods.valley import BOOTSTRAPS, Valley, _bootstrap
from treg_gating.smoothing import smooth

Make = Callable[..., FitContext]
SEEDS = range(300)


def one_peak(kind: str, seed: int) -> np.ndarray:
    """One-peak data as CD25 may look: symmetric, skewed, heavy-tailed, smeared by counting statistics."""
    rng = np.random.default_rng(seed)
    n = (2_000, 5_000, 20_000)[seed % 3]
    if kind == "normal":
        return rng.normal(0.3, 0.1, n)
    if kind == "skewed":
        return 0.2 + 0.12 * rng.gamma(2.5, 0.5, n)
    if kind == "heavy tails":
        return 0.3 + 0.06 * rng.standard_t(3, n)
    if kind == "exponential smear":
        return 0.3 + rng.normal(0, 0.05, n) + rng.exponential(0.12, n)
    return np.arcsinh((rng.lognormal(5, 1.1, n) + rng.normal(0, 60, n)) / 150) / 9


def two_peaks(seed: int, *, n: int, share: float, apart: float) -> np.ndarray:
    """Two normal peaks of SD 0.08, `apart` SD from each other."""
    rng = np.random.default_rng(seed)
    few = round(share * n)
    return np.concatenate([rng.normal(0.3, 0.08, n - few), rng.normal(0.3 + 0.08 * apart, 0.08, few)])


def accepted(data: list[np.ndarray], context: Make, **arguments: float) -> list[MethodFit]:
    fits = []
    for values in data:
        try:
            fits.append(Valley(**arguments).fit(context(values)))  # type: ignore[arg-type]
        except GateFitError:
            continue
    return fits


@pytest.mark.parametrize("kind", ["normal", "skewed", "heavy tails", "exponential smear", "lognormal smear"])
def test_one_peak_never_gets_a_cut(kind: str, context: Make) -> None:
    assert [fit.reason for fit in accepted([one_peak(kind, seed) for seed in SEEDS], context)] == []


def test_a_small_second_peak_is_always_found_where_the_density_has_a_dip(context: Make) -> None:
    # Two equal normal curves with weights 97 and 3 % have a dip of 20 % only from 4.3 SD on, and a peak with a
    # prominence of 2 % of the highest from 5 SD on.
    fits = accepted([two_peaks(seed, n=20_000, share=0.03, apart=6) for seed in SEEDS], context)
    assert len(fits) == len(SEEDS)
    cuts = [fit.gate.low for fit in fits]  # type: ignore[attr-defined]
    assert min(cuts) > 0.3 + 3 * 0.08
    assert max(cuts) < 0.3 + 5 * 0.08


def test_without_a_dip_there_is_no_cut(context: Make) -> None:
    assert accepted([two_peaks(seed, n=20_000, share=0.03, apart=3) for seed in range(50)], context) == []


@pytest.mark.parametrize(("share", "apart", "n"), [(0.5, 6, 5_000), (0.35, 8, 20_000), (0.1, 6, 10_000)])
def test_standard_error_is_the_spread_over_repeated_samples(share: float, apart: float, n: int, context: Make) -> None:
    fits = accepted([two_peaks(seed, n=n, share=share, apart=apart) for seed in range(150)], context)
    assert len(fits) == 150
    spread = np.std([fit.gate.low for fit in fits])  # type: ignore[attr-defined]
    told = np.median([fit.standard_error[0] for fit in fits])
    assert spread / 1.5 < told < spread * 1.5


@pytest.mark.parametrize(("n", "apart"), [(2_000, 4.0), (50_000, 4.0), (50_000, 8.0)])
def test_bootstraps_near_the_valley_spread_as_those_of_the_whole_histogram(n: int, apart: float) -> None:
    values = np.sort(two_peaks(3, n=n, share=0.3, apart=apart))
    density = estimate_density(values, np.ones(len(values)))
    left, right = find_peaks(density.smoothed, 0.02)
    drawn = np.random.default_rng(0).poisson(density.counts, (2_000, len(density.counts)))
    curves = smooth(drawn, density.bandwidth)[:, left.index : right.index + 1]
    plain = density.centres[left.index + curves.argmin(axis=1)]
    cuts = _bootstrap(density, left, right)
    assert len(cuts) >= 0.95 * BOOTSTRAPS
    assert cuts.std() == pytest.approx(plain.std(), rel=0.25)
    assert abs(cuts.mean() - plain.mean()) < plain.std() / 2


def test_equal_peaks_are_cut_in_their_middle(context: Make) -> None:
    fit = Valley().fit(context(two_peaks(7, n=40_000, share=0.5, apart=6)))
    assert fit.gate.low == pytest.approx(0.3 + 3 * 0.08, abs=0.01)  # type: ignore[attr-defined]
    assert fit.gate.high == np.inf  # type: ignore[attr-defined]
    assert "valley at 0.5" in fit.reason


def test_order_missing_values_and_the_input(context: Make) -> None:
    values = two_peaks(3, n=5_000, share=0.3, apart=6)
    expected = Valley().fit(context(values))
    shuffled = np.random.default_rng(0).permutation(np.append(values, [np.nan, np.inf, -np.inf]))
    shuffled.setflags(write=False)
    assert Valley().fit(context(shuffled)) == expected


def test_a_shift_of_the_data_shifts_the_cut(context: Make) -> None:
    values = two_peaks(3, n=5_000, share=0.3, apart=6)
    here, there = (Valley().fit(context(values + by)).gate.low for by in (0.0, 2.0))  # type: ignore[attr-defined]
    assert there - here == pytest.approx(2.0, abs=1e-6)


def test_search_range_depth_and_significance_refuse(context: Make) -> None:
    values = context(two_peaks(3, n=5_000, share=0.3, apart=6))
    with pytest.raises(GateFitError, match="lies outside the search range"):
        Valley(high=0.4).fit(values)
    with pytest.raises(GateFitError, match="is shallow"):
        Valley(depth=0.01).fit(values)
    with pytest.raises(GateFitError, match="Poisson SD"):
        Valley(sigma=1000).fit(values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros(0), "0 events"),
        (np.arange(49.0), "49 events; at least 50"),
        (np.full(1000, np.nan), "0 events"),
        (np.full(1000, 0.3), "nearly the same value"),
    ],
)
def test_too_little_data_is_refused_with_its_number(values: np.ndarray, words: str, context: Make) -> None:
    with pytest.raises(GateFitError, match=words):
        Valley().fit(context(values))


def test_density_holds_every_event_and_its_noise_is_known() -> None:
    rng = np.random.default_rng(5)
    density = estimate_density(np.sort(rng.normal(size=4_000)), np.ones(4_000))
    assert density.counts.sum() == 4_000
    assert density.smoothed.sum() == pytest.approx(4_000, rel=1e-3)
    # Poisson counts of height 100 smoothed with 3 bins: the SD that the formula gives.
    flat = smooth(rng.poisson(100.0, (400, 512)).astype(float), 3.0)[:, 50:-50]
    wide = type(density)(density.centres, density.counts, density.smoothed, 3.0)
    assert flat.std() == pytest.approx(wide.poisson_sd(100.0), rel=0.05)


def test_peaks_of_a_curve_drawn_by_hand() -> None:
    curve = np.array([5.0, 1.0, 0.0, 2.0, 10.0, 6.0, 7.0, 1.0])
    peaks = find_peaks(curve, 0.05)
    assert [(peak.index, peak.height, peak.prominence) for peak in peaks] == [(0, 5, 5), (4, 10, 10), (6, 7, 1)]
    assert [peak.index for peak in find_peaks(curve, 0.2)] == [0, 4]
