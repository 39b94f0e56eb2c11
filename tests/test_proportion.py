"""Intervals of proportions against scipy and by hand."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binomtest

from treg_gating.proportion import clopper_pearson, counting_cv_pct, rounded, wilson

CASES = [(0, 10), (1, 10), (10, 10), (5, 10), (18, 238), (1355, 20114), (0, 50_000), (3, 1_000_000)]


@pytest.mark.parametrize(("k", "n"), CASES)
@pytest.mark.parametrize(("function", "name"), [(wilson, "wilson"), (clopper_pearson, "exact")])
def test_interval_equals_scipy(k, n, function, name):
    expected = binomtest(k, n).proportion_ci(0.95, method=name)
    assert function(k, n) == pytest.approx((expected.low, expected.high), abs=1e-8)


def test_interval_holds_the_proportion_and_is_exact_at_the_ends():
    assert wilson(0, 7)[0] == 0.0
    assert wilson(7, 7)[1] == 1.0
    for k, n in CASES:
        low, high = wilson(k, n)
        assert low <= k / n <= high


def test_nothing_of_nothing_has_no_interval():
    assert wilson(0, 0) is None
    assert clopper_pearson(0, 0) is None
    assert counting_cv_pct(0, 10) is None


def test_counting_cv():
    assert counting_cv_pct(100, 10_000) == pytest.approx(9.9498743710662)


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), (math.nan, None), (math.inf, None), (0.0, 0.0), (123456.789, 123457.0)]
)
def test_rounding(value, expected):
    assert rounded(value) == expected
