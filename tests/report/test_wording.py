"""Numbers in print say what they are and no more."""

from __future__ import annotations

import math

import pytest

from treg_gating.report import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6.1283, "6.13 %"),
        (0.012345, "0.0123 %"),
        (93.87, "93.9 %"),
        (99.994, "99.99 %"),
        (99.9999, "99.99 %"),
        (100.0, "100 %"),
        (0.0, "0 %"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_percent(value: float | None, text: str) -> None:
    assert wording.percent(value) == text


def test_interval_needs_both_ends() -> None:
    assert wording.interval(5.9, 6.366) == "5.90–6.37"
    assert wording.interval(5.9, None) == "–"
    assert wording.interval(math.nan, 6.0) == "–"


def test_counts_and_intensities() -> None:
    assert wording.count(12345) == "12,345"
    assert wording.count(None) == "–"
    assert wording.mfi(-1234.4) == "−1,234"
    assert wording.mfi(12.345) == "12.3"
    assert wording.plural(1, "tube") == "1 tube"
    assert wording.plural(2, "subject-visit") == "2 subject-visits"


@pytest.mark.parametrize(
    ("name", "text"),
    [("cd4_t", "CD4 T"), ("naive_treg", "naive Treg"), ("cd25_cd127low", "CD25 CD127low"), ("not_cd8", "not CD8")],
)
def test_population_names(name: str, text: str) -> None:
    assert wording.population_name(name) == text
