"""The FCS files below a folder, each with what its header says or the reason why it cannot be read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from treg_gating.draft.names import natural_key
from treg_gating.errors import FCSError, InputError
from treg_gating.fcs import FCSHeader, read_header
from treg_gating.sheet_files import FileFinder

__all__ = ["Scan", "ScannedFile", "Unreadable", "scan_folder"]

_ENDINGS = {".fcs", ".lmd"}
_MAGIC = b"FCS"
_SEVERAL = "E_DATASETS"


@dataclass(frozen=True)
class ScannedFile:
    """A file that can be read.

    Parameters
    ----------
    file : path below the folder, with ``/``.
    header : of its first data set.
    """

    file: str
    header: FCSHeader = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is left out of the sheet, and why."""

    file: str
    code: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """What a folder holds, in natural order (P2 before P10)."""

    files: tuple[ScannedFile, ...]
    unreadable: tuple[Unreadable, ...]


def scan_folder(folder: Path, seen: Callable[[int], object] = lambda number: None) -> Scan:
    """Read the header of every FCS file below `folder`; no events.

    A file counts as FCS by its ending (.fcs, .lmd) or, with any other ending, by its first three bytes.

    Parameters
    ----------
    seen : is called with the number of files looked at so far.
    """
    finder = FileFinder(folder, str(folder))
    files: list[ScannedFile] = []
    unreadable: list[Unreadable] = []
    for number, name in enumerate(sorted(_candidates(finder.root), key=natural_key), start=1):
        found = _scan(finder, name)
        if isinstance(found, ScannedFile):
            files.append(found)
        else:
            unreadable.append(found)
        seen(number)
    return Scan(tuple(files), tuple(unreadable))


def _candidates(root: Path) -> Iterator[str]:
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place) / name
            if not name.startswith((".", "~$")) and (path.suffix.lower() in _ENDINGS or _begins_as_fcs(path)):
                yield path.relative_to(root).as_posix()


def _begins_as_fcs(path: Path) -> bool:
    """Old instruments number their files instead of ending them in .fcs (``Data.001``)."""
    if not (path.suffix == "" or re.fullmatch(r"\.\d{1,4}", path.suffix)) or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _scan(finder: FileFinder, name: str) -> ScannedFile | Unreadable:
    if name != name.strip() or not name.isprintable():
        shown = name.encode("ascii", "backslashreplace").decode("ascii")
        return Unreadable(shown, "", "the name holds characters that a sheet cannot keep; rename the file")
    place = finder.find(name, "")
    if isinstance(place, InputError):
        return Unreadable(name, "", place.problem)
    try:
        return ScannedFile(name, _first_dataset(place))
    except FCSError as error:
        # The message names the file by its whole path; beside the file's own column that says nothing.
        return Unreadable(name, error.code, _without_place(error))


def _first_dataset(path: Path) -> FCSHeader:
    try:
        return read_header(path)
    except FCSError as error:
        if error.code != _SEVERAL:
            raise
        return read_header(path, 1)


def _without_place(error: FCSError) -> str:
    parts = [f"{error.where}: {error.problem}" if error.where else error.problem]
    parts += [f"found {error.found}"] if error.found else []
    parts += [f"expected {error.expected}"] if error.expected else []
    return "; ".join(parts) + (f". {error.action}." if error.action else "")
