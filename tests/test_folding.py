"""Tables looked at many rows at a time say what a look at each row would."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.folding import FOLD, column_extremes, long_rows


@pytest.fixture(params=["C", "F"])
def table(request: pytest.FixtureRequest) -> np.ndarray:
    return np.asarray(np.random.default_rng(3).normal(size=(200, 5)).astype("f4"), order=request.param)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 128, 200])
def test_extremes_of_columns(table: np.ndarray, n: int) -> None:
    low, high = column_extremes(table[:n])
    assert low.tolist() == table[:n].min(axis=0).tolist()
    assert high.tolist() == table[:n].max(axis=0).tolist()
    table[n - 1, 2] = np.nan
    assert np.isnan(column_extremes(table[:n])).tolist() == [[False, False, True, False, False]] * 2


@pytest.mark.parametrize("n", [0, 1, 127, 128, 200])
def test_long_rows_are_the_rows_one_behind_the_other(table: np.ndarray, n: int) -> None:
    long, rest = long_rows(table[:n])
    assert len(long) == (n // FOLD if table.flags.c_contiguous else 0)
    assert np.array_equal(np.concatenate([long.reshape(-1, 5), rest]), table[:n])
    assert np.shares_memory(long, table) == bool(len(long))
