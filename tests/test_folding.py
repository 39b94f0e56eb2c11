"""Tables looked at many rows at a time say what a look at each row would."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.folding import column_extremes, column_least, reaching


@pytest.fixture(params=["C", "F"])
def table(request: pytest.FixtureRequest) -> np.ndarray:
    return np.asarray(np.random.default_rng(3).normal(size=(200, 5)).astype("f4"), order=request.param)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 128, 200])
def test_extremes_of_columns(table: np.ndarray, n: int) -> None:
    low, high = column_extremes(table[:n])
    assert low.tolist() == table[:n].min(axis=0).tolist() == column_least(table[:n]).tolist()
    assert high.tolist() == table[:n].max(axis=0).tolist()
    table[n - 1, 2] = np.nan
    assert np.isnan(column_extremes(table[:n])).tolist() == [[False, False, True, False, False]] * 2


@pytest.mark.parametrize("n", [0, 1, 64, 130, 200])
def test_values_that_reach_a_limit(table: np.ndarray, n: int) -> None:
    limits = np.array([1.0, np.nan, 0.5, np.inf, -9.0], "f4")
    table[:n:7, 0], table[:n:9, 3], table[:n:11, 4] = 1.0, np.inf, np.nan
    rows, columns = reaching(table[:n], limits)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [
        (row, column) for row in range(n) for column in range(5) if table[row, column] >= limits[column]
    ]
