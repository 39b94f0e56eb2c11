"""Hashes in a thread beside: of all bytes, in their order, whoever sums them up."""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

from treg_gating.fcs.digest import ALONE, Digest

PIECES = [np.random.default_rng(i).bytes(300_000 + i) for i in range(9)]


def parts(raw: bytes) -> Iterator[memoryview]:
    for first in range(0, len(raw), 70_000):
        yield memoryview(raw)[first : first + 70_000]


@pytest.mark.parametrize("staying", [[], range(9), [2, 3, 5], range(1, 8)], ids=["none", "all", "some", "data"])
@pytest.mark.parametrize("size", [ALONE + 1, 1], ids=["beside", "here"])
def test_pieces_that_stay_are_summed_in_their_order(staying: range, size: int) -> None:
    for _ in range(5):
        with Digest(size, crc32=True) as digest:
            for i, raw in enumerate(PIECES):
                digest.feed(lambda raw=raw: parts(raw), stays=i in staying)  # type: ignore[misc]
            hashed, summed = digest.sha256(), digest.crc32()
        found = summed if isinstance(summed, str) else summed.result()  # asked first: this thread helps
        assert found == f"{zlib.crc32(b''.join(PIECES)):08x}"
        assert (hashed if isinstance(hashed, str) else hashed.result()) == hashlib.sha256(b"".join(PIECES)).hexdigest()


def test_who_asks_early_sums_nothing_before_what_comes_before_it() -> None:
    """The first piece is held up in the other thread; those behind it are not summed until it is."""
    held = threading.Event()

    def late() -> Iterator[memoryview]:
        held.wait(20)
        yield from parts(PIECES[0])

    with Digest(ALONE + 1, crc32=True) as digest:
        digest.feed(late)
        digest.feed(PIECES[1], stays=True)
        hashed, summed = digest.sha256(), digest.crc32()
    threading.Timer(0.2, held.set).start()
    assert not isinstance(summed, str)
    assert not isinstance(hashed, str)
    assert summed.result() == f"{zlib.crc32(PIECES[0] + PIECES[1]):08x}"
    assert hashed.result() == hashlib.sha256(PIECES[0] + PIECES[1]).hexdigest()


def test_bytes_that_cannot_be_had_leave_no_checksum() -> None:
    def broken() -> Iterator[memoryview]:
        raise OSError("gone")

    with Digest(ALONE + 1, crc32=True) as digest:
        digest.feed(PIECES[0])
        digest.feed(broken, stays=True)
        summed = digest.crc32()
    assert not isinstance(summed, str)
    with pytest.raises(OSError, match="gone"):
        summed.result()
