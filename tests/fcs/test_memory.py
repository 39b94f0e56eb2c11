"""Memory that serves one file after the other: only what nobody holds any more is used again."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from treg_gating import read_fcs, write_fcs
from treg_gating.fcs import memory
from treg_gating.fcs.memory import give_back, leased_empty
from treg_gating.sample import Channel

SHAPE = (memory.SMALLEST // 8 + 100, 2)  # float32: a little more than the smallest block


@pytest.fixture(autouse=True)
def free(monkeypatch: pytest.MonkeyPatch) -> deque[np.ndarray]:
    """No block from tests before."""
    blocks: deque[np.ndarray] = deque(maxlen=1)
    monkeypatch.setattr(memory, "_free", blocks)
    return blocks


def place(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_a_block_is_used_again_when_the_last_view_is_gone(free: deque[np.ndarray]) -> None:
    events = leased_empty(SHAPE, "f4")
    first, column, raw = place(events), events[5:, 1].view(np.uint32), memoryview(events[:7])
    del events
    assert not free
    assert place(leased_empty(SHAPE, "f4")) != first
    free.clear()
    del column
    assert not free
    del raw
    assert place(leased_empty((SHAPE[0] - 3, 2), "f4")) == first


def test_what_is_too_small_or_too_large_is_not_kept(free: deque[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    leased_empty((4, 2), "f4")
    assert not free
    monkeypatch.setattr(memory, "LARGEST", 8 * SHAPE[0])
    leased_empty((SHAPE[0] + 1, 2), "f4")
    assert not free
    assert leased_empty(SHAPE, "f4").shape == SHAPE
    assert len(free) == 1
    assert leased_empty((2 * SHAPE[0], 2), "f8").nbytes == 32 * SHAPE[0]


def test_a_large_free_block_can_be_given_back(free: deque[np.ndarray]) -> None:
    give_back(0)
    leased_empty(SHAPE, "f4")
    give_back(16 * SHAPE[0])
    assert len(free) == 1, "it is not large"
    give_back(memory.SMALLEST // 2)
    assert not free


def test_samples_that_live_keep_their_events(tmp_path: Path, rng: np.random.Generator) -> None:
    """Eight files of one size read again and again by two threads, every second sample kept."""
    truth = [rng.lognormal(6, 1, (memory.SMALLEST // 8 + 5, 2)).astype("f4") for _ in range(8)]
    for i, events in enumerate(truth):
        write_fcs(tmp_path / f"{i}.fcs", events, [Channel("FL1-A"), Channel("FL2-A")])
    kept = []

    def look(turn: int) -> bool:
        sample = read_fcs(tmp_path / f"{turn % 8}.fcs", digest=turn % 3 == 0)
        if turn % 2:
            kept.append((turn, sample.events[:, 1]))  # the sample goes, a column of it stays
        return bool((sample.events == truth[turn % 8]).all())

    with ThreadPoolExecutor(2) as threads:
        assert all(threads.map(look, range(24)))
    assert all((column == truth[turn % 8][:, 1]).all() for turn, column in kept)
