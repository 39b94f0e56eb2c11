"""Files that a sheet names: found under one folder and never outside it, and told apart by content."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from treg_gating.errors import InputError
from treg_gating.sheet_columns import did_you_mean

__all__ = ["FileFinder", "same_content"]

_ABSENT = "the file does not exist"
_MAX_LISTED = 20_000
_MAX_COMPARED = 2_000
_MAX_SUGGESTIONS = 20  # likeness is slow to measure, and a sheet with more missing files has one cause


class FileFinder:
    """Turns what a cell says into a file under `root`.

    Parameters
    ----------
    root : the sheet's folder, or the one given as ``--data``.
    sheet : name of the sheet, for faults.
    """

    def __init__(self, root: Path, sheet: str) -> None:
        self.root = Path(os.path.realpath(root))
        self.sheet = sheet
        self._suggestions = 0

    def find(self, written: str, where: str) -> Path | InputError:
        """The regular file that `written` names, resolved; or the fault, ready to be reported."""
        try:
            return self._find(written, where)
        except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL, a loop of symbolic links
            reason = getattr(error, "strerror", None) or str(error)
            return self._fault(f"not a usable path ({reason})", written, where)

    def is_absent(self, written: str) -> bool:
        """Whether `written` names a usable place below the root where no file is, or not yet."""
        found = self.find(written, "")
        return isinstance(found, InputError) and found.problem.startswith(_ABSENT)

    def _find(self, written: str, where: str) -> Path | InputError:
        if re.match(r"[A-Za-z]:[\\/]|\\\\|[A-Za-z][A-Za-z+.-]+://", written):
            return self._outside(written, where, "an absolute path or address")
        # A sheet made on Windows writes \; a Mac writes accents in two pieces.
        forms = dict.fromkeys(
            unicodedata.normalize(form, text)
            for text in (written, written.replace("\\", "/"))
            for form in ("NFC", "NFD")
        )
        for text in (written, *forms):
            place = Path(os.path.normpath(self.root / text))
            if not place.is_relative_to(self.root):
                return self._outside(written, where, "the path leaves the folder of the data")
            if not place.exists():
                continue
            real = place.resolve(strict=True)
            if not real.is_relative_to(self.root):
                return self._outside(written, where, "a symbolic link that leaves the folder of the data")
            if not real.is_file():
                return self._fault("not a file", written, where, expected="an FCS file")
            return real
        return self._fault(f"{_ABSENT}{self._nearest(written)}", written, where, expected=self._below)

    @property
    def _below(self) -> str:
        return f"a file below {self.root}"

    def _fault(self, problem: str, written: str, where: str, expected: str = "", action: str = "") -> InputError:
        found = repr(written)
        return InputError(problem, file=self.sheet, where=where, found=found, expected=expected, action=action)

    def _outside(self, written: str, where: str, problem: str) -> InputError:
        action = "Write the path relative to the sheet's folder, or give the folder that holds all files as --data DIR"
        return self._fault(problem, written, where, expected=self._below, action=action)

    @cached_property
    def _listing(self) -> list[str]:
        return list(self._walk())

    def _walk(self) -> Iterator[str]:
        listed = 0
        for folder, folders, files in os.walk(self.root):
            folders.sort()
            for name in sorted(files):
                listed += 1
                if listed > _MAX_LISTED:
                    return
                yield (Path(folder) / name).relative_to(self.root).as_posix()

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return {PurePosixPath(path).name.casefold(): path for path in reversed(self._listing)}

    def _nearest(self, written: str) -> str:
        """A clause with the file that may have been meant: same name elsewhere, else a similar one."""
        path = PurePosixPath(written.replace("\\", "/"))
        if same := self._by_name.get(path.name.casefold()):
            return f"; did you mean {same!r}?"
        self._suggestions += 1
        if self._suggestions > _MAX_SUGGESTIONS:
            return ""
        alike = [name for name in self._listing if PurePosixPath(name).suffix == path.suffix]
        return did_you_mean(written, alike[:_MAX_COMPARED], cutoff=0.8)


def same_content(paths: Iterable[Path]) -> list[list[Path]]:
    """Groups of different files whose bytes are equal.

    Only files of the same size are opened, and only those whose ends are alike are read through. Empty files
    and files that cannot be read are left to the reader of FCS files.
    """
    groups = _split(dict.fromkeys(paths), lambda path: path.stat().st_size)
    for key in (_digest_of_ends, _digest):
        groups = [part for group in groups for part in _split(group, key)]
    return groups


def _split(paths: Iterable[Path], key: Callable[[Path], object]) -> list[list[Path]]:
    groups: dict[object, list[Path]] = {}
    for path in paths:
        try:
            value = key(path)
        except OSError:
            continue
        if value:
            groups.setdefault(value, []).append(path)
    return [group for group in groups.values() if len(group) > 1]


def _digest_of_ends(path: Path) -> str:
    with path.open("rb") as stream:
        first = stream.read(65536)
        stream.seek(max(0, path.stat().st_size - 65536))
        return hashlib.sha256(first + stream.read(65536)).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
