"""Tables looked at many rows at a time say what a look at each row would."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from treg_gating.folding import Extremes, column_extremes


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


@pytest.mark.parametrize("chunk", [128, 256, 100])
@pytest.mark.parametrize("order", ["C", "F"])
def test_extremes_of_parts_that_come_in_any_order(
    order: Literal["C", "F"], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treg_gating.folding.CHUNK", chunk)
    table = np.asarray(np.random.default_rng(4).normal(size=(1_000, 3)), order=order)
    table[350, 1] = np.nan
    extremes = Extremes()
    for first, last in ((600, 1_000), (0, 300), (300, 600)):
        low, high = extremes.take(first, table[first:last])
        assert np.array_equal([low, high], [table[first:last].min(), table[first:last].max()], equal_nan=True)
    least, most = extremes.by_part(3)
    seen = np.zeros(len(table), int)
    for part in range(len(least)):
        rows = table[extremes.rows_of(part)]
        seen[extremes.rows_of(part)] += 1
        here = ~np.isnan(least[part])
        assert (rows[:, here] >= least[part, here]).all()
        assert (rows[:, here] <= most[part, here]).all()
        assert here[[0, 2]].all()
    assert (seen == 1).all()
    assert np.array_equal(least[:, [0, 2]].min(axis=0), table[:, [0, 2]].min(axis=0))
    assert np.array_equal(most[:, [0, 2]].max(axis=0), table[:, [0, 2]].max(axis=0))
    assert np.isnan(least[:, 1]).any()
