"""Chunks of DATA that several threads read, each what it needs next or, while another reads that, what comes behind."""

from __future__ import annotations

from concurrent.futures import Future

from treg_gating.fcs.ahead import Ahead
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.segment import Array, Data

__all__ = ["Reads"]


class Reads:
    """Reads chunks into memory, each once. Behind an error it is to be closed: nobody may read on.

    What was begun `ahead`, in the same memory, is waited for and not read again.
    """

    def __init__(self, data: Data, inspection: Inspection, ahead: Ahead | None = None) -> None:
        self._data, self._inspection, self._ahead = data, inspection, ahead
        self._unread: dict[int, Array] = {}  # in the order of the file; each method is atomic
        self._read: dict[int, Future[None]] = {}

    def open(self, first: int, chunk: Array) -> None:
        """From now on the events from the number `first` on may be read into `chunk`, shape (n, channels)."""
        if self._ahead is not None and first * chunk.strides[0] + chunk.nbytes <= self._ahead.size:
            self._read[first] = self._ahead.read
            return
        self._read[first] = Future()
        self._unread[first] = chunk

    def have(self, first: int) -> None:
        """Return when the chunk that begins with the event `first` is read: by this thread, if no other has begun.

        Raises
        ------
        FCSError : E_CHANGED.
        CancelledError : it was closed before anyone began with this chunk.
        """
        wanted = self._read[first]
        self._fill(first)
        for other in list(self._unread):  # rather than wait
            if wanted.done():
                break
            self._fill(other)
        wanted.result()

    def have_all(self) -> None:
        """Read whatever nobody has begun."""
        for first in list(self._unread):
            self._fill(first)

    def close(self) -> None:
        """Let nobody begin with another chunk, nor wait for one."""
        for first in list(self._unread):
            if self._unread.pop(first, None) is not None:  # else another thread has begun with it, and will end
                self._read[first].cancel()

    def _fill(self, first: int) -> None:
        chunk = self._unread.pop(first, None)
        if chunk is None:
            return
        begin, view = first * chunk.strides[0], memoryview(chunk.data).cast("B")
        try:
            if self._ahead is not None and begin < self._ahead.size:
                self._ahead.complete(begin, view)
            else:
                self._data.fill(first, first + len(chunk), view, self._inspection)
        except BaseException as error:  # noqa: BLE001 (raised by who asks for this chunk)
            self._read[first].set_exception(error)
        else:
            self._read[first].set_result(None)
