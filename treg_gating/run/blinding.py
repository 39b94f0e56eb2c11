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
from treg_gating.samplesheet import Tube

__all__ = ["KEY_NAME", "BlindingKey", "Scrubber", "open_key"]

KEY_NAME = "blinding_key.csv"
_COLUMNS = ("pseudonym", "tube_id")
_PRIVATE = 0o600
BLINDED = "[blinded]"
_NUMBERED = ("batch", "visit", "subject", "tube")


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


class Scrubber:
    """Takes the names of subjects, visits, batches, files and days out of sentences.

    Parameters
    ----------
    tubes : of the sheet; whatever tells one of them apart is taken out as a whole word. A number of one or two digits
        is taken out only behind the word that says what it numbers: counts must stay.
    more : further words, such as the days of acquisition.
    pseudonym_of : what stands instead of a tube's name.
    """

    def __init__(self, tubes: Iterable[Tube], pseudonym_of: Mapping[str, str], more: Iterable[str] = ()) -> None:
        instead: dict[str, str] = {}
        for tube in tubes:
            own = pseudonym_of.get(tube.tube_id, BLINDED)
            path = Path(tube.file)
            names = [str(tube.path), tube.file, path.name, path.stem, tube.tube_id]
            instead.update({name: own for name in names if name})
            instead.update({name: BLINDED for name in (tube.subject, tube.visit, tube.batch, tube.date) if name})
        instead.update({word: BLINDED for word in more if word})
        self._instead = {name.casefold(): word for name, word in instead.items()}
        plain = sorted((name for name in instead if not _short_number(name)), key=len, reverse=True)
        short = sorted(name for name in instead if _short_number(name))
        parts = [rf"(?<!\w)(?:{'|'.join(map(re.escape, plain))})(?!\w)"] if plain else []
        numbers = "|".join(short)
        parts += [rf"(?<=\b{word} )(?:{numbers})(?!\w)" for word in _NUMBERED if short]
        self._pattern = re.compile("|".join(parts), re.IGNORECASE) if parts else None

    def __call__(self, text: str) -> str:
        """The sentence without the names."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._instead.get(found.group(0).casefold(), BLINDED), text)


def _short_number(name: str) -> bool:
    return name.isdecimal() and len(name) < 3
