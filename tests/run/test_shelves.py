"""Fits and results are read from the ledger when asked: order, equality, and that memory does not hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from treg_gating.gating.results import SampleFit, SampleResult
from treg_gating.run.codec import encode
from treg_gating.run.shelves import FitShelf, ResultShelf, SecondJobs, StoredShelf, Values
from treg_gating.run.stored import Stored
from treg_gating.samplesheet import Tube

NAMES = [f"T{number}" for number in range(40)]


class Shop:
    """What the shelves ask of a ledger, and how often they did."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def fit(self, key: str) -> Stored | None:
        return self._stored(key, SampleFit(key, "0", {}, {"a": np.arange(3), "b": int(key[1:])}))

    def result(self, key: str) -> Stored | None:
        identity = dict.fromkeys(("file", "subject", "visit", "batch", "role"), "x")
        return self._stored(key, SampleResult(tube_id=key, **identity, status="done"))

    def _stored(self, key: str, value: Any) -> Stored | None:
        if key not in NAMES:
            return None
        self.asked.append(key)
        return Stored(key, "setting", "0", encode(value))


def test_results_come_in_order_and_only_the_last_few_are_held(tmp_path):
    shop = Shop()
    results = ResultShelf(StoredShelf(shop, {name: name for name in NAMES}))
    assert shop.asked == []
    samples = Values(results)
    assert [result.tube_id for result in samples] == NAMES
    assert samples[-1].tube_id == "T39"
    assert [result.tube_id for result in samples[3:5]] == ["T3", "T4"]
    assert len(shop.asked) < 50
    assert [result.tube_id for result in samples] == NAMES
    assert len(shop.asked) >= 80  # nothing of the first round was kept
    assert "T7" in results
    assert "U7" not in results
    with pytest.raises(KeyError):
        StoredShelf(shop, {"T1": "gone"})["T1"]


def test_summaries_are_read_anew_when_asked():
    shop = Shop()
    fits = FitShelf(shop, {name: name for name in NAMES})
    held = [fits[name] for name in NAMES]
    assert [fit.summaries["b"] for fit in held] == list(range(40))
    assert list(held[0].summaries) == ["a", "b"]
    assert len(held[0].summaries) == 2
    np.testing.assert_array_equal(held[5].summaries["a"], [0, 1, 2])
    assert "c" not in held[5].summaries


def test_a_job_takes_its_fit_when_its_turn_comes(tmp_path):
    shop = Shop()
    jobs = SecondJobs(shop, [(Tube(name, name, tmp_path, "S", "V", "1"), name, "f00") for name in NAMES])
    assert len(jobs) == 40
    assert shop.asked == []
    assert [job.tube.tube_id for job in jobs[2:4]] == shop.asked == ["T2", "T3"]
    assert jobs[2].sha256 == "f00"
    assert jobs[2].fit is not None
