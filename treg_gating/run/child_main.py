"""The process that tubes are worked on in: ``python -m treg_gating.run.child_main MODULE ...``.

It ends with its watcher, :class:`treg_gating.run.child.Child`: when the pipe closes, and on Linux by the kernel's word.
It imports no more than work on a tube takes, because a run waits for it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from treg_gating.run.processes import HEADER, do_beside


def serve(names: Sequence[str]) -> None:
    """Answer jobs from stdin until it closes.

    Parameters
    ----------
    names : modules to import ahead of the first job: one that it cannot begin without, and behind it those that it asks
        for in its course, which come in a thread while its file is read.
    """
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's affair
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not enter the answers
    inbox = _Inbox(source)
    gc.disable()  # imports leave no garbage, and to look for it takes a thirtieth of their time
    from treg_gating.run import job

    for name in names[:1]:
        with contextlib.suppress(ImportError):  # a tube that needs it will say so
            import_module(name)
    gc.enable()
    do_beside(*(partial(import_module, name) for name in names[1:]))
    shared: job.Shared | None = None
    while True:
        message = inbox.take()
        if isinstance(message, bytes):
            shared = pickle.loads(message)  # noqa: S301 (from our own parent)
            job.load_pipeline(shared.pipeline)
            _answer(sink, b"ready")
        elif isinstance(message, job.Job) and shared is not None:
            _answer(sink, pickle.dumps(job.execute(message, shared)))
        elif isinstance(message, job.Errand):
            _answer(sink, pickle.dumps(message.run()))


def _answer(sink: Any, body: bytes) -> None:
    sink.write(HEADER.pack(len(body)) + body)
    sink.flush()


class _Inbox:
    """Reads messages in a thread, so that a closed pipe ends the process even in the midst of a tube."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def take(self) -> object:
        return self._queue.get()

    def _read(self) -> None:
        while True:
            header = self._source.read(HEADER.size)
            if len(header) < HEADER.size:
                os._exit(0)
            body = self._source.read(HEADER.unpack(header)[0])
            self._queue.put(pickle.loads(body))  # noqa: S301 (from our own parent)


def _die_with_parent() -> None:
    """Ask the kernel to end this process with its parent (Linux); elsewhere the closed pipe does it."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    serve(sys.argv[1:])
