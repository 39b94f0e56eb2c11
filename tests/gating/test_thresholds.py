"""Tail, negative peak, fixed and control quantile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from treg_gating.errors import GateFitError
from treg_gating.gating.gates import Interval
from treg_gating.gating.method import FitContext, Learner
from treg_gating.gating.methods.control_quantile import ControlQuantile
from treg_gating.gating.methods.fixed import Fixed
from treg_gating.gating.methods.negative import NegativePeak
from treg_gating.gating.methods.tail import Tail

Make = Callable[..., FitContext]


def low(fit: Any) -> float:
    return float(fit.gate.low)


def test_tail_leaves_the_peak_behind(context: Make) -> None:
    values = np.random.default_rng(1).normal(0.3, 0.05, 20_000)
    high = Tail().fit(context(values))
    assert 0.3 + 2.5 * 0.05 < low(high) < 0.3 + 5 * 0.05
    assert low(Tail(side="low").fit(context(values))) == pytest.approx(0.6 - low(high), abs=0.02)
    assert low(Tail(tolerance=0.2).fit(context(values))) < low(high)
    assert high.standard_error[0] > 0


def test_tail_is_taken_from_the_highest_peak(context: Make) -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0.2, 0.04, 15_000), rng.normal(0.8, 0.04, 1_000)])
    assert 0.28 < low(Tail().fit(context(values))) < 0.5


def test_tail_needs_data(context: Make) -> None:
    with pytest.raises(GateFitError, match="10 events"):
        Tail().fit(context(np.arange(10.0)))


@pytest.mark.parametrize("method", [Tail(), NegativePeak()], ids=lambda method: type(method).__name__)
def test_order_and_missing_values(method: Any, context: Make) -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=3_000)
    expected = method.fit(context(values))
    mixed = rng.permutation(np.append(values, [np.nan, np.nan]))
    mixed.setflags(write=False)
    assert method.fit(context(mixed)) == expected


def test_negative_peak_is_mode_and_k_sd_of_the_lower_half(context: Make) -> None:
    rng = np.random.default_rng(3)
    negative, positive = rng.normal(0.2, 0.05, 40_000), rng.normal(0.6, 0.1, 4_000)
    fit = NegativePeak(k=3).fit(context(np.concatenate([negative, positive])))
    assert low(fit) == pytest.approx(0.2 + 3 * 0.05, abs=0.02)
    assert low(NegativePeak(k=2).fit(context(np.concatenate([negative, positive])))) < low(fit)


def test_negative_peak_needs_a_lower_half(context: Make) -> None:
    with pytest.raises(GateFitError, match="199 events"):
        NegativePeak().fit(context(np.arange(199.0)))


def test_fixed_is_what_is_written(context: Make) -> None:
    fit = Fixed(low=0.25, high=0.5).fit(context(np.zeros(0)))
    assert fit.gate == Interval(("x",), 0.25, 0.5)
    assert fit.standard_error == ()


def control(values: np.ndarray, context: Make, tube: str = "f", batch: str = "1", marker: str = "FOXP3", **more: int):
    return Learner(tube, batch, "fmo", marker, ControlQuantile(**more).summarise(context(values)))


def test_quantile_of_a_control_and_its_error(context: Make) -> None:
    """The standard error against √(q(1−q)/n) / φ(z) of a normal distribution, and the spread over repeats."""
    q, n = 0.995, 20_000
    summaries: list[Mapping[str, Any]] = [
        ControlQuantile().summarise(context(np.random.default_rng(seed).normal(size=n))) for seed in range(80)
    ]
    z = norm.ppf(q)
    expected = np.sqrt(q * (1 - q) / n) / norm.pdf(z)
    assert np.median([one["cut"] for one in summaries]) == pytest.approx(z, abs=0.02)
    assert np.median([one["error"] for one in summaries]) == pytest.approx(expected, rel=0.3)
    assert np.std([one["cut"] for one in summaries]) == pytest.approx(expected, rel=0.3)


def test_each_batch_has_its_own_threshold_and_several_their_median(context: Make) -> None:
    flat = np.linspace(0, 1, 4_001)
    learners = [
        control(flat, context, "a", "1"),
        control(flat + 1, context, "b", "2"),
        control(flat + 3, context, "c", "2"),
        control(flat + 4, context, "d", "2"),
        control(flat + 9, context, "e", "1", marker="Ki67"),
    ]
    method = ControlQuantile()
    model = method.pool(learners)
    cuts = {batch: low(method.fit(context(flat, model=model, batch=batch))) for batch in ("1", "2", "3")}
    assert cuts == {"1": pytest.approx(0.995), "2": pytest.approx(3.995), "3": pytest.approx((0.995 + 3.995) / 2)}
    assert "of batch 2" in method.fit(context(flat, model=model, batch="2")).reason
    assert "median over batches (this batch has none)" in method.fit(context(flat, model=model, batch="3")).reason
    assert method.pool(learners[::-1])["overall"] == model["overall"]


def test_a_control_with_too_few_events_does_not_count(context: Make) -> None:
    few = control(np.linspace(0, 1, 1_999), context, "a", "1")
    assert few.summary == {"n": 1_999}
    with pytest.raises(GateFitError, match="no FMO tube without FOXP3 has 2000 events"):
        ControlQuantile().pool([few])
    enough = control(np.linspace(0, 1, 2_000), context, "b", "2")
    model = ControlQuantile().pool([few, enough])
    assert set(model["by_batch"]) == {"2"}


def test_without_a_model_there_is_no_threshold(context: Make) -> None:
    with pytest.raises(GateFitError, match="no usable FMO control for FOXP3"):
        ControlQuantile().fit(context(np.zeros(10)))
