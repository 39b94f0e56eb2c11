"""Files that are either the old ones or the new ones, never half of each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from treg_gating.errors import RunStateError

__all__ = ["DiskError", "all_or_none", "disk_errors", "replace_file", "write_bytes", "write_json", "write_pieces"]


class DiskError(RunStateError):
    """The disk is full, read-only or gone; what was committed before stands."""


@contextmanager
def disk_errors(doing: str) -> Iterator[None]:
    """Turn the system's refusals into :class:`DiskError` that says what was being done."""
    try:
        yield
    except OSError as error:
        msg = f"{doing}: {error.strerror or error}. What was finished is kept; mend the disk and run the same again"
        raise DiskError(msg) from error


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file under another name, then put it in place in one step.

    Parameters
    ----------
    path : the file to be made or replaced.
    write : is called with the path to write to, in the same folder.

    Raises
    ------
    DiskError : the old file, if there was one, is untouched.
    """
    # The same ending, because writers choose their format by it; a dot in front, because nobody should open it.
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    with disk_errors(f"writing {path}"):
        try:
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)


@contextmanager
def all_or_none(folder: Path) -> Iterator[Path]:
    """A folder to write several files in, which are put in place together when the block ends.

    Renaming needs no space, so a disk that fills up meanwhile leaves the old files, not a mixture. The new ones are
    read-only: a slip in a spreadsheet must not be saved over a finished run.

    Raises
    ------
    DiskError : the old files are untouched.
    """
    staged = folder / ".outputs.partial"
    with disk_errors(f"writing the outputs in {folder}"):
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
    try:
        yield staged
        with disk_errors(f"writing the outputs in {folder}"):
            for path in sorted(staged.iterdir()):
                path.chmod(0o444)
                path.replace(folder / path.name)
            _sync_folder(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` in place of the file in one step."""
    write_pieces(path, [content])


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a small JSON file that a person can read."""
    write_bytes(path, (json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode())


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Put `pieces`, one after the other, in place of the file in one step."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.writelines(pieces)

    replace_file(path, write)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
