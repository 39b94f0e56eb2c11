"""The bytes of one file: opened without trusting it, read once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from treg_gating.fcs.inspection import Inspection

__all__ = ["DEFAULT_MAX_BYTES", "Source", "open_source"]

DEFAULT_MAX_BYTES = 4 << 30
PIECE = 1 << 20
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


@dataclass
class Source:
    """An open regular file.

    Parameters
    ----------
    fd : its descriptor.
    size : bytes when it was opened.
    """

    fd: int
    size: int
    kept: list[tuple[int, bytes]] = field(default_factory=list)

    def peek(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`, to look at."""
        return os.pread(self.fd, max(0, min(length, self.size - offset)), offset) if offset < self.size else b""

    def parse(self, offset: int, length: int) -> bytes:
        """Bytes to parse; kept, so that :meth:`stream` can vouch that they are the bytes that were hashed."""
        raw = self.peek(offset, length)
        self.kept.append((offset, raw))
        return raw

    def fill(self, offset: int, view: memoryview, inspection: Inspection) -> None:
        """Read exactly ``len(view)`` bytes at `offset` into `view`."""
        done = 0
        while done < len(view):
            got = os.preadv(self.fd, [view[done:]], offset + done)
            if got == 0:
                inspection.refuse("E_CHANGED", "the file became shorter while it was read")
            done += got

    def stream(self, begin: int, end: int, inspection: Inspection) -> Iterator[bytes]:
        """The bytes from `begin` to `end` in pieces, compared with what was parsed before."""
        for offset in range(begin, end, PIECE):
            piece = self.peek(offset, min(PIECE, end - offset))
            if len(piece) < min(PIECE, end - offset):
                inspection.refuse("E_CHANGED", "the file became shorter while it was read")
            self._compare(offset, piece, inspection)
            yield piece

    def _compare(self, offset: int, piece: bytes, inspection: Inspection) -> None:
        for start, raw in self.kept:
            low, high = max(offset, start), min(offset + len(piece), start + len(raw))
            if low < high and piece[low - offset : high - offset] != raw[low - start : high - start]:
                inspection.refuse("E_CHANGED", "the file changed while it was read")

    def check_unchanged(self, inspection: Inspection) -> None:
        """Refuse a file that grew or shrank since it was opened."""
        size = os.fstat(self.fd).st_size
        if size != self.size:
            inspection.refuse(
                "E_CHANGED",
                "the file changed its size while it was read",
                found=f"{size} bytes",
                expected=f"{self.size} bytes",
            )


@contextmanager
def open_source(path: str, max_bytes: int, inspection: Inspection) -> Iterator[Source]:
    """Open a regular file of at most `max_bytes`; anything else is refused before a byte is read.

    Raises
    ------
    FCSError : E_OPEN, E_NOT_REGULAR, E_TOO_LARGE.
    """
    try:
        _check_kind(Path(path).stat(), max_bytes, inspection)  # before opening: opening a device may act on it
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        inspection.refuse("E_OPEN", "cannot be opened", found=getattr(error, "strerror", None) or str(error))
    try:
        status = os.fstat(fd)
        _check_kind(status, max_bytes, inspection)
        yield Source(fd, status.st_size)
    finally:
        os.close(fd)


def _check_kind(status: os.stat_result, max_bytes: int, inspection: Inspection) -> None:
    if not stat.S_ISREG(status.st_mode):
        inspection.refuse(
            "E_NOT_REGULAR",
            "not a regular file",
            found=_KINDS.get(stat.S_IFMT(status.st_mode), "a device"),
            expected="a file",
        )
    if not status.st_mode & 0o444:  # root could read it, but whoever withdrew every right meant something by it
        inspection.refuse("E_OPEN", "nobody has the right to read it", found=stat.filemode(status.st_mode))
    if status.st_size > max_bytes:
        inspection.refuse(
            "E_TOO_LARGE",
            "larger than the limit",
            found=f"{status.st_size} bytes",
            expected=f"at most {max_bytes} bytes",
        )
