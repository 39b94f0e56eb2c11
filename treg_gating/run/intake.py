"""Files that arrive in a folder: looked at twice, copied into a store by content, and used from there.

A file is taken in when two looks find the same size and the same sha256, so one that is still being copied waits.
What was taken in never changes: the file that arrived may be moved or deleted, and one of the same name with other
content is refused. ``store/`` holds the copies under their digests, ``files/`` the same under the names they had.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from treg_gating.errors import InputError, TregGatingError
from treg_gating.run.audit import now
from treg_gating.run.files import disk_errors, replace_file, write_json
from treg_gating.run.keys import file_sha256

__all__ = ["INDEX_NAME", "Intake", "Look"]

INDEX_NAME = "intake.json"
_SUFFIXES = frozenset({".fcs", ".lmd"})
_PENDING = "seen; it is taken in when the next look finds the same size and content"


@dataclass(frozen=True)
class Look:
    """What one look at the folder came to.

    Parameters
    ----------
    taken : names of files taken in at this look. waiting, refused : by name, why.
    """

    taken: tuple[str, ...]
    waiting: Mapping[str, str]
    refused: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as an earlier look found it."""

    size: int
    changed: int
    sha256: str


class Intake:
    """The store of one watched folder; one process at a time.

    Parameters
    ----------
    watched : where files arrive; sub-folders too.
    folder : where the store lies; made if it is not there.
    """

    def __init__(self, watched: Path, folder: Path) -> None:
        self.watched, self.folder = watched, folder
        self.files = folder / "files"
        self._store = folder / "store"
        with disk_errors(f"making {folder}"):
            for place in (self.files, self._store):
                place.mkdir(parents=True, exist_ok=True)
        self.index: dict[str, dict[str, str | int]] = self._read_index()
        self._seen: dict[str, _Seen] = {}

    def _read_index(self) -> dict[str, dict[str, str | int]]:
        path = self.folder / INDEX_NAME
        if not path.is_file():
            return {}
        try:
            found: dict[str, dict[str, str | int]] = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            problem = f"the list of files taken in cannot be read ({error})"
            raise InputError(problem, file=str(path), action="Restore it from a backup; the copies are kept") from error
        return found

    def look(self) -> Look:
        """Look at the folder once; take in what is as it was at the look before.

        Raises
        ------
        InputError : the folder is not there (as a network folder may be for a while).
        DiskError : a copy cannot be written.
        """
        taken, waiting, refused = [], {}, {}
        for name, path in self._arrived():
            try:
                state = self._look_at(name, path)
            except TregGatingError as error:
                if not isinstance(error, InputError):
                    raise
                waiting[name] = f"cannot be read: {error.problem}"
                continue
            if state == "taken":
                taken.append(name)
            elif state == _PENDING:
                waiting[name] = state
            elif state:
                refused[name] = state
        if taken:
            write_json(self.folder / INDEX_NAME, self.index)
        return Look(tuple(taken), waiting, refused)

    def _arrived(self) -> Iterator[tuple[str, Path]]:
        if not self.watched.is_dir():
            problem = "the watched folder is not there"
            raise InputError(problem, file=str(self.watched), action="It is looked for again at the next look")
        own = self.folder.resolve()
        for path in sorted(self.watched.rglob("*")):
            if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and own not in path.resolve().parents:
                yield path.relative_to(self.watched).as_posix(), path

    def _look_at(self, name: str, path: Path) -> str:
        """Take the file in, or why not; empty where it was taken in before."""
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return "not a regular file"
        before = self._seen.get(name)
        if before is not None and name in self.index and (before.size, before.changed) == _stamp(found):
            sha256 = before.sha256
        else:
            sha256 = file_sha256(path)
        self._seen[name] = _Seen(*_stamp(found), sha256)
        if name in self.index:
            if sha256 == self.index[name]["sha256"]:
                return ""
            return (
                f"its content is not what was taken in at {self.index[name]['utc']}, which stays in use; "
                "give the new file another name, and the sheet's row that name"
            )
        if not found.st_size or before is None or (before.size, before.sha256) != (found.st_size, sha256):
            return _PENDING
        twin = next((other for other, entry in self.index.items() if entry["sha256"] == sha256), "")
        if twin:
            return f"the same content as {twin}, which was taken in before"
        self._take(name, path, sha256)
        self.index[name] = {"sha256": sha256, "bytes": found.st_size, "utc": now()}
        return "taken"

    def _take(self, name: str, path: Path, sha256: str) -> None:
        """Copy into the store; the copy's own content is what counts."""
        kept, shown = self._store / f"{sha256}.fcs", self.files / name
        replace_file(kept, lambda temporary: shutil.copyfile(path, temporary))
        if file_sha256(kept) != sha256:
            kept.unlink()
            problem = "it changed while it was copied"
            raise InputError(problem, file=name)
        with disk_errors(f"writing {shown}"):
            kept.chmod(0o444)
            shown.parent.mkdir(parents=True, exist_ok=True)
            shown.unlink(missing_ok=True)
            os.link(kept, shown)


def _stamp(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
