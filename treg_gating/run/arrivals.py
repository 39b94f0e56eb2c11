"""Which tube is a file that arrived? By its row in a sheet that grows, or by a pattern of file names. Never a guess."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from treg_gating.errors import InputError, SampleSheetError

__all__ = ["NamePattern", "sheet_text", "unusable", "without_row"]

FIELDS = ("subject", "visit", "batch", "role", "control_for", "tube_id", "date", "day")
_FIELD = re.compile(r"\{(\w+)\}")


class NamePattern:
    """File names that say whose tube a file holds, such as ``{subject}_{visit}_{batch}``.

    Parameters
    ----------
    text : fields in braces; anything else stands for itself. A ``/`` means sub-folders. The ending is left out.

    Raises
    ------
    InputError : an unknown field, one named twice, or none of subject and visit.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.fields = tuple(_FIELD.findall(text))
        unknown = [name for name in self.fields if name not in FIELDS]
        twice = len(set(self.fields)) != len(self.fields)
        if unknown or twice or not {"subject", "visit"} <= set(self.fields):
            problem = "not a pattern of file names"
            expected = f"{{subject}} and {{visit}}, each once, and at will {', '.join(FIELDS[2:])}"
            raise InputError(problem, file="--names", found=repr(text), expected=expected)
        pieces = _FIELD.split(text)
        self._short, self._long = (
            re.compile("".join(self._piece(at, piece, more) for at, piece in enumerate(pieces))) for more in ("+?", "+")
        )

    @staticmethod
    def _piece(at: int, piece: str, more: str) -> str:
        return f"(?P<{piece}>[^/]{more})" if at % 2 else re.escape(piece)

    def read(self, name: str) -> dict[str, str] | str:
        """Fields of a file's name, or why it has none.

        Parameters
        ----------
        name : relative to the watched folder; without a ``/`` in the pattern only its last part counts.
        """
        path = PurePosixPath(name)
        stem = str(path.with_suffix("")) if "/" in self.text else path.stem
        short, long = self._short.fullmatch(stem), self._long.fullmatch(stem)
        if short is None or long is None:
            return f"its name does not follow {self.text}"
        if short.groupdict() != long.groupdict():
            return f"its name can be read in two ways by {self.text}: {_both(short.groupdict(), long.groupdict())}"
        return {field: value.strip() for field, value in short.groupdict().items()}


def _both(first: Mapping[str, str], second: Mapping[str, str]) -> str:
    field = next(name for name, value in first.items() if second[name] != value)
    return f"{field} {first[field]!r} or {second[field]!r}"


def sheet_text(pattern: NamePattern, names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """A sample sheet of the files whose names follow a pattern, and why the others are left out, by name."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("file", *pattern.fields))
    left: dict[str, str] = {}
    for name in sorted(names):
        found = pattern.read(name)
        if isinstance(found, str):
            left[name] = found
        else:
            writer.writerow((name, *(found[field] for field in pattern.fields)))
    return out.getvalue(), left


def unusable(error: SampleSheetError, text: str) -> dict[str, str]:
    """Files of a sheet made by :func:`sheet_text` that are at fault, with the fault.

    Raises
    ------
    SampleSheetError : a fault that belongs to no row.
    """
    rows = list(csv.reader(io.StringIO(text, newline="")))
    found: dict[str, str] = {}
    for fault in error.faults:
        number = re.match(r"row (\d+)", fault.where)
        if number is None:
            raise error
        found[rows[int(number[1]) - 1][0]] = f"{fault.problem}{f'; found {fault.found}' if fault.found else ''}"
    return found


def without_row(sheet_files: Iterable[Path], names: Iterable[str], root: Path) -> dict[str, str]:
    """Files taken in that no row of the sheet names."""
    named = {path.resolve() for path in sheet_files}
    return {name: "no row in the sheet names it" for name in names if (root / name).resolve() not in named}
