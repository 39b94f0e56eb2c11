"""Starting the processes that tubes are worked on in; some ahead of time, before anything heavy is imported here.

A process of its own imports for about half a second before it can read a tube. Started first, it does so beside the
program that will send it tubes, which imports for as long.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

__all__ = [
    "HEADER",
    "LITTLE_MEMORY",
    "ONE_THREAD",
    "PIPELINE",
    "cores",
    "do_beside",
    "end_process",
    "spares",
    "start_process",
]

PIPELINE = "treg_gating.pipeline"
HEADER = struct.Struct("<Q")
"""Length of each message between a process and its watcher."""
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)
# The C library's allocator (glibc): one heap for all threads, which gives back what is free at its end, and large
# blocks beside it. Else what a large tube needed for a moment stays with the process, in pieces.
LITTLE_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
}
# What the pipeline imports only when it meets its first tube.
_LATER = ("flowutils", "numpy.random")
_SPARE: list[tuple[subprocess.Popen[bytes], Any]] = []


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_process(pipeline: str = "", beside: int = 1) -> tuple[subprocess.Popen[bytes], Any]:
    """A process that answers jobs, and the file that takes its last words; a spare one where there is one.

    Parameters
    ----------
    pipeline : the module with the science that it shall import while it waits; empty for none.
    beside : how many such processes share the cores; where each core has one, none uses a second thread.
    """
    return _SPARE.pop() if pipeline == PIPELINE and _SPARE else _start(pipeline, beside)


def _start(pipeline: str, beside: int) -> tuple[subprocess.Popen[bytes], Any]:
    import subprocess
    import tempfile

    share = {"TREG_GATING_THREADS": str(max(1, cores() // beside))}
    words = tempfile.TemporaryFile()  # noqa: SIM115 (closed by whoever ends the process)
    command = [sys.executable, "-X", "faulthandler", "-m", "treg_gating.run.child_main"]
    ahead = [pipeline, *_LATER] if pipeline == PIPELINE else [pipeline] if pipeline else []
    process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
        [*command, *ahead],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
        env={**LITTLE_MEMORY, **os.environ, **ONE_THREAD, **share},
    )
    return process, words


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, wait for its end and close its pipes."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def do_beside(*works: Callable[[], object]) -> None:
    """Call functions in a thread, while this process waits for others or for the disk; who needs them meets errors."""

    def all_of_them() -> None:
        for work in works:
            with contextlib.suppress(Exception):
                work()

    threading.Thread(target=all_of_them, daemon=True).start()


@contextmanager
def spares(number: int) -> Iterator[None]:
    """Keep some processes ready for the engine that is opened inside; those it did not take end with the block."""
    _SPARE.extend([_start(PIPELINE, number) for _ in range(number)])
    try:
        yield
    finally:
        while _SPARE:
            process, words = _SPARE.pop()
            end_process(process)
            words.close()
