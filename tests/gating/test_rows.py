"""Populations kept as masks or as indices are the same populations."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.gating.rows import PopulationRows


@pytest.mark.parametrize("share", [0.0, 0.05, 0.6, 1.0])
def test_indices_masks_and_counts_say_the_same(share: float) -> None:
    mask = np.random.default_rng(1).random(1_000) < share
    rows = PopulationRows(1_000, {"all": np.ones(1_000, bool)})
    rows["indices"] = np.flatnonzero(mask)
    rows.keep("mask", mask)
    rows.pass_on("mask", "same")
    assert list(rows) == ["all", "indices", "mask", "same"]
    for name in ("indices", "mask", "same", "mask"):
        np.testing.assert_array_equal(rows[name], np.flatnonzero(mask))
        np.testing.assert_array_equal(rows.mask(name), mask)
        assert rows.count(name) == mask.sum()
        some = np.arange(3, 1_000, 7)
        np.testing.assert_array_equal(rows.among(name, some), mask[some])
        assert rows.how_many(name, some) == mask[some].sum()
        assert rows.among(name, some[:0]).tolist() == []
    assert rows.count("all") == 1_000


def test_what_is_not_estimable_has_no_events() -> None:
    rows = PopulationRows(9)
    rows["none"] = None
    assert rows["none"] is rows.count("none") is None
    assert not rows.mask("none").any()
    assert rows.among("none", np.arange(4)).tolist() == [False] * 4
    del rows["none"]
    assert len(rows) == 0
    with pytest.raises(KeyError):
        rows["none"]


def test_every_so_many_th_event_is_one_of_the_tube() -> None:
    """Of a large population those among every third of the tube's; of a small one every third of its own."""
    mask = np.random.default_rng(2).random(3_000) < 0.5
    rows = PopulationRows(3_000, {"root": np.ones(3_000, bool), "half": mask})
    rows["few"] = np.arange(0, 300, 3)
    assert rows.every("half", 3).tolist() == [row for row in range(0, 3_000, 3) if mask[row]]
    assert rows.every("half", 3) is rows.every("half", 3)
    assert rows.every("half", 2).tolist() == [row for row in range(0, 3_000, 2) if mask[row]]
    assert rows.every("root", 3).tolist() == list(range(0, 3_000, 3))
    assert rows.every("half", 1).tolist() == np.flatnonzero(mask).tolist()
    assert rows.every("few", 3).tolist() == list(range(0, 300, 9))
