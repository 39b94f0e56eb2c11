"""sha256 and CRC-32 of a file and the CRC of a data set, from the very bytes that are parsed, in a thread beside."""

from __future__ import annotations

import binascii
import hashlib
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Self

from treg_gating.threads import hand_over

__all__ = ["Checksum", "Digest"]

Piece = bytes | memoryview
Pieces = Piece | Callable[[], Iterable[Piece]]
ALONE = 1 << 20  # bytes of a file that are not worth a thread


@dataclass(frozen=True, eq=False)
class Checksum:
    """A CRC-32 that is on its way; who asks for it helps."""

    _help: Callable[[], None]
    _future: Future[str]

    def result(self) -> str:
        """Eight hexadecimal digits."""
        self._help()
        return self._future.result()


class Digest:
    """sha256 and CRC-32 of the whole file and, where it states one, the 16-bit CRC of the data set.

    It goes on behind the reading: who asks for the result waits for it. Attribute ``beside`` says whether there is any
    in the second thread.

    Parameters
    ----------
    size : bytes to come; few are hashed at once.
    sha : whether the sha256 is wanted. crc32 : whether the CRC-32 is; it takes a fifth of the time.
    crc_begin, crc_end : first byte the CRC covers, and one past the last, counted in what is fed; 0 for no CRC.
    """

    def __init__(
        self, size: int, *, sha: bool = True, crc32: bool = False, crc_begin: int = 0, crc_end: int = 0
    ) -> None:
        self.wanted = sha or crc32 or crc_end > 0
        self._crc32 = 0 if crc32 else None
        self._sha = hashlib.sha256() if sha else None
        self._crc_begin, self._crc_end = crc_begin, crc_end
        self._crc = 0
        self._position = 0
        self.beside = self.wanted and size > ALONE
        self._fed: list[Future[None]] = []
        self._unsummed: deque[tuple[Future[None], Pieces]] = deque()  # and what must be summed before
        self._summed: Future[None] = Future()  # of the last piece that does not wait
        self._summed.set_result(None)
        self._summing = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for waiting in self._fed:
                waiting.cancel()

    def feed(self, piece: Pieces, waiting: int | None = None, *, stays: bool = False) -> Future[None] | None:
        """Take the next bytes of the file, or what will give them, one part after the other.

        Parameters
        ----------
        stays : nobody will ever write to their memory, and they are soon given again. So their CRC-32 waits until
            a thread has time for it: behind the sha256, or who asks for it.
        waiting : return when at most so many pieces still wait; for callers that use a buffer again.

        Returns
        -------
        What is done when these bytes are hashed and their memory may be written to; None where that is now.
        """
        if not self.beside:
            self._update(piece)
            return None
        if stays and self._sha is not None and self._crc32 is not None:
            self._unsummed.append((self._summed, piece))
            self._fed.append(hand_over(self._update, piece, False))
        else:
            self._summed = hand_over(self._update, piece)
            self._fed.append(self._summed)
        if waiting is not None and len(self._fed) > waiting:
            self._fed[-1 - waiting].result()
        return self._fed[-1]

    def _update(self, pieces: Pieces, summed: bool = True) -> None:
        summed = summed and self._crc32 is not None
        if summed:
            self._sum_up()  # what comes before
        for raw in _each(pieces):
            self._add(raw)
            if summed:
                with self._summing:
                    self._crc32 = zlib.crc32(raw, self._crc32 or 0)

    def _add(self, raw: Piece) -> None:
        if self._sha is not None:
            self._sha.update(raw)
        low = max(0, self._crc_begin - self._position)
        high = min(len(raw), self._crc_end - self._position)
        if low < high:
            self._crc = binascii.crc_hqx(raw[low:high], self._crc)
        self._position += len(raw)

    def _sum_up(self) -> None:
        """Bring the CRC-32 up to what was fed, or to what is not summed yet of the bytes before it.

        Two threads may do this side by side, by turns.
        """
        while True:
            with self._summing:
                if not self._unsummed or not self._unsummed[0][0].done():
                    return
                for raw in _each(self._unsummed.popleft()[1]):
                    self._crc32 = zlib.crc32(raw, self._crc32 or 0)

    def crc(self) -> int:
        """The CRC of what was fed."""
        self._await()
        return self._crc

    def sha256(self) -> str | Future[str]:
        """The sha256, or what it will be; an empty string where it is not wanted. Nothing can be fed behind it."""
        return hand_over(self._hexdigest) if self.beside else self._hexdigest()

    def crc32(self) -> str | Checksum:
        """The CRC-32 in eight hexadecimal digits, otherwise as :meth:`sha256`."""
        return Checksum(self._sum_up, hand_over(self._checksum)) if self.beside else self._checksum()

    def _hexdigest(self) -> str:
        self._await()
        return self._sha.hexdigest() if self._sha is not None else ""

    def _checksum(self) -> str:
        self._await()
        self._sum_up()
        return "" if self._crc32 is None else f"{self._crc32:08x}"

    def _await(self) -> None:
        for done in self._fed:
            done.result()  # a piece that failed would leave a hash of something else


def _each(pieces: Pieces) -> Iterable[Piece]:
    return pieces() if callable(pieces) else (pieces,)
