"""Pseudonyms for people who must not know whose tube they look at, and the key that lies apart from what they see."""

from __future__ import annotations

import csv
import io
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from treg_gating.errors import InputError
from treg_gating.run.files import disk_errors
from treg_gating.tube import Tube

__all__ = ["BLINDED", "KEY_NAME", "BlindingKey", "Scrubber", "names_of_tubes", "open_key", "read_key"]

KEY_NAME = "blinding_key.csv"
_COLUMNS = ("pseudonym", "tube_id")
_PRIVATE = 0o600
BLINDED = "[blinded]"
_NUMBERED = ("batch", "visit", "subject", "tube")
_ALWAYS = (r"\S+\.fcs\b", r"\b\d{4}-\d\d-\d\d\b", r"\b\d{1,2}-[a-z]{3}-\d{4}\b")


@dataclass(frozen=True)
class BlindingKey:
    """Which pseudonym stands for which tube.

    Parameters
    ----------
    path : where the key lies.
    pseudonym_of : by tube_id. Pseudonyms are drawn at random, so that their order says nothing.
    """

    path: Path
    pseudonym_of: Mapping[str, str]

    @property
    def tube_of(self) -> dict[str, str]:
        """The other way round."""
        return {pseudonym: tube_id for tube_id, pseudonym in self.pseudonym_of.items()}


def open_key(path: Path, tube_ids: Sequence[str]) -> BlindingKey:
    """The key at `path`, with pseudonyms drawn for the tubes that have none; made if it is not there.

    Only the user who made it may read it (mode 600).

    Raises
    ------
    InputError : the file is not a key. DiskError : it cannot be written.
    """
    known = _read(path) if path.exists() else {}
    missing = [tube_id for tube_id in tube_ids if tube_id not in known]
    if missing:
        known = {**known, **_drawn(missing, set(known.values()))}
        _write(path, known)
    return BlindingKey(path, known)


def read_key(path: Path) -> BlindingKey:
    """The key at `path`.

    Raises
    ------
    InputError : there is none, or the file is not a key.
    """
    if not path.is_file():
        problem = "there is no blinding key"
        action = "It is made by 'run', 'report' or 'review' with --blinded; give its place with --key"
        raise InputError(problem, file=str(path), action=action)
    return BlindingKey(path, _read(path))


def _drawn(tube_ids: Sequence[str], taken: set[str]) -> dict[str, str]:
    digits = max(3, len(str(10 * (len(tube_ids) + len(taken)))))
    free = [str(number) for number in range(10 ** (digits - 1), 10**digits) if f"P{number}" not in taken]
    return dict(zip(tube_ids, (f"P{n}" for n in secrets.SystemRandom().sample(free, len(tube_ids))), strict=True))


def _read(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or tuple(rows[0]) != _COLUMNS or not all(row["pseudonym"] and row["tube_id"] for row in rows):
        problem = "this is not a blinding key"
        raise InputError(problem, file=str(path), expected=f"columns {', '.join(_COLUMNS)}")
    return {row["tube_id"]: row["pseudonym"] for row in rows}


def _write(path: Path, known: Mapping[str, str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(sorted((pseudonym, tube_id) for tube_id, pseudonym in known.items()))
    temporary = path.with_name(f".{path.name}.partial")
    with disk_errors(f"writing {path}"):
        with suppress(FileNotFoundError):
            temporary.unlink()
        # Private from its first byte on, not made so afterwards.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def names_of_tubes(tubes: Iterable[Tube], pseudonym_of: Mapping[str, str]) -> dict[str, str]:
    """Whatever tells a tube, a subject, a visit or a batch, and what stands instead."""
    instead: dict[str, str] = {}
    for tube in tubes:
        own = pseudonym_of.get(tube.tube_id, BLINDED)
        path = Path(tube.file)
        instead.update(dict.fromkeys((str(tube.path), tube.file, path.name, path.stem, tube.tube_id), own))
        instead.update(dict.fromkeys((tube.subject, tube.visit, tube.batch, tube.date), BLINDED))
    return instead


class Scrubber:
    """Takes the names of subjects, visits, batches, files and days out of sentences.

    Parameters
    ----------
    instead : names, and what stands in their places. They are taken out as whole words, in any case; a number of one
        or two digits only behind the word that says what it numbers, because counts must stay. Days and names of FCS
        files are taken out whether they are known or not.
    """

    def __init__(self, instead: Mapping[str, str]) -> None:
        self._instead = {name.casefold(): word for name, word in instead.items() if name.strip()}
        names = [name for name in instead if name.strip()]
        plain = sorted((name for name in names if not _short_number(name)), key=len, reverse=True)
        short = "|".join(sorted(name for name in names if _short_number(name)))
        parts = [rf"(?<!\w)(?:{'|'.join(map(re.escape, plain))})(?!\w)"] if plain else []
        parts += [rf"(?<=\b{word} )(?:{short})(?!\w)" for word in _NUMBERED if short]
        self._pattern = re.compile("|".join([*parts, *_ALWAYS]), re.IGNORECASE)

    def __call__(self, text: str) -> str:
        """The sentence without the names."""
        return self._pattern.sub(lambda found: self._instead.get(found.group(0).casefold(), BLINDED), text)


def _short_number(name: str) -> bool:
    return name.isdecimal() and len(name) < 3
