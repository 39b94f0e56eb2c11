"""One run at a time in an output folder."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from treg_gating.errors import RunStateError
from treg_gating.run.files import disk_errors

__all__ = ["FolderLockedError", "folder_lock"]

LOCK_NAME = ".treg-gating.lock"


class FolderLockedError(RunStateError):
    """Another run holds the folder."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the system lets go of it whatever way the process ends.

    Parameters
    ----------
    folder : made if it is not there.

    Raises
    ------
    FolderLockedError : at once, when another process holds it. DiskError : the disk is full or read-only.
    """
    with disk_errors(f"making {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        # The file stays behind on purpose: removing it would let two processes lock two different inodes.
        descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
            holder = os.pread(descriptor, 64, 0).decode("ascii", "replace").strip()
            msg = (
                f"{folder}: another run is at work here{f' (process {holder})' if holder else ''}. "
                "Wait until it ends, or choose another folder with --out"
            )
            raise FolderLockedError(msg) from error
        with disk_errors(f"locking {folder}"):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)
