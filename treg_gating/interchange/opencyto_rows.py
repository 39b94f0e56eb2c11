"""Rows of an openCyto CSV template, and what each becomes in ours."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from treg_gating.errors import InputError
from treg_gating.gating.expression import parse_expression

__all__ = ["GateRow", "OpenCytoRow", "Unsupported", "read_rows", "translate"]

NEEDED = ("alias", "pop", "parent", "dims", "gating_method", "gating_args")
_SIGN = r"(\+/-|-/\+|\+|-)"
_MAX_BYTES = 1 << 20


class Unsupported(Exception):  # noqa: N818 - it is a verdict, not a fault
    """A row without counterpart; the text says why."""


@dataclass(frozen=True)
class OpenCytoRow:
    """A row as written; `parent` is the last part of a path, `method` without ``gate_`` and in lower case."""

    line: int
    alias: str
    pop: str
    parent: str
    dims: tuple[str, ...]
    method: str
    args: str
    collapse: bool = False
    prepares: str = ""


@dataclass(frozen=True)
class GateRow:
    """A row of our gates.csv.

    Parameters
    ----------
    alias : name that later rows of the CSV refer to; empty for helpers.
    fit_on : population the gate is fitted on where that is not the parent.
    """

    alias: str
    population: str
    parent: str
    dims: tuple[str, ...]
    sign: str
    method: str
    args: str = ""
    share: str = "own"
    fit_on: str = ""

    def cells(self) -> dict[str, str]:
        """Cells by column."""
        args = "; ".join(filter(None, (self.args, f"fit_on={self.fit_on}" if self.fit_on else "")))
        return {
            "population": self.population,
            "parent": self.parent,
            "dims": ";".join(self.dims),
            "sign": self.sign,
            "method": self.method,
            "args": args,
            "share": self.share if self.method != "combine" else "",
        }


def read_rows(path: Path) -> list[OpenCytoRow]:
    """Rows of the CSV.

    Raises
    ------
    InputError : cannot be read, or lacks openCyto's columns.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            msg = "too large for a template"
            raise InputError(msg, file=str(path))
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot be read: {error}"
        raise InputError(msg, file=str(path)) from None
    # Line ends of old Macs stand in some of openCyto's own templates.
    reader = csv.reader(io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n")))
    header: list[str] = []
    rows = []
    for cells in reader:
        values = [cell.strip() for cell in cells]
        if not any(values):
            continue
        if not header:
            header = [value.lower() for value in values]
            missing = [name for name in NEEDED if name not in header]
            if missing:
                msg = "not an openCyto template"
                raise InputError(msg, file=str(path), where=str(reader.line_num), found=f"no column {missing[0]!r}")
            continue
        rows.append(_row(dict(zip(header, values, strict=False)), reader.line_num))
    return rows


def _row(cells: Mapping[str, str], line: int) -> OpenCytoRow:
    pop = cells.get("pop", "")
    alias = cells.get("alias", "")
    return OpenCytoRow(
        line=line,
        alias=alias if alias != "*" else pop,
        pop=pop,
        parent=cells.get("parent", "").rsplit("/", 1)[-1],
        dims=tuple(filter(None, (dim.strip() for dim in cells.get("dims", "").split(",")))),
        method=cells.get("gating_method", "").lower().removeprefix("gate_"),
        args=cells.get("gating_args", ""),
        collapse=cells.get("collapsedataforgating", "").upper() in {"TRUE", "T"},
        prepares=cells.get("preprocessing_method", ""),
    )


def translate(
    row: OpenCytoRow, parent: str, above: Sequence[GateRow], stands_for: Mapping[str, str]
) -> tuple[list[GateRow], list[str]]:
    """Our rows for one of theirs, and what a reader must know.

    Raises
    ------
    Unsupported : with the reason.
    """
    if row.method == "boolgate":
        return [_combination(row, parent, stands_for)], []
    signs = _signs(row)
    if row.method == "refgate":
        return _reference(row, parent, signs, above, stands_for), []
    notes = [f"{row.prepares} has no counterpart and is not needed"] if row.prepares else []
    if len(row.dims) == 2 and len(signs) == 2:
        return _quadrants(row, parent, signs, notes), notes
    method, args = _method(row, row.dims, notes)
    gate = GateRow(row.alias, "", parent, row.dims, "+", method, args, "study" if row.collapse else "own")
    return [replace(gate, alias=name, population=_safe(name), sign=s) for name, s in _named(row, signs)], notes


def _signs(row: OpenCytoRow) -> list[str]:
    """Signs in `pop`, one or two groups; "+" where it has none."""
    match = re.fullmatch(rf"[^+-]*{_SIGN}(?:[^+-]*{_SIGN})?", row.pop)
    groups = [group for group in match.groups() if group] if match else re.findall(rf"{_SIGN}$", row.pop)
    if len(groups) == 2 and len(row.dims) == 1:
        groups = groups[-1:]  # a minus inside a name, such as HLA-DR+
    return groups or ["+"]


def _named(row: OpenCytoRow, signs: Sequence[str]) -> list[tuple[str, str]]:
    """Populations a row of one gate makes: (alias, sign); two for +/-."""
    if len(signs[-1]) == 1:
        return [(row.alias, signs[-1])]
    base = row.dims[0] if row.alias in {row.pop, "*"} else row.alias
    return [(f"{base}+", "+"), (f"{base}-", "-")]


def _method(row: OpenCytoRow, dims: Sequence[str], notes: list[str]) -> tuple[str, str]:
    """Our method and its arguments; what was not taken over goes into `notes`."""
    name = row.method
    if name in {"flowclust", "flowclust.2d", "flowclust_2d"}:
        name = "flowclust_2d" if len(dims) == 2 else "flowclust_1d"
    if name not in _COUNTERPARTS:
        raise Unsupported(_HINTS.get(name, f"{row.method} has no counterpart"))
    ours, n_dims, takes = _COUNTERPARTS[name]
    if len(dims) != n_dims:
        msg = f"{row.method} on {len(dims)} dimension(s)"
        raise Unsupported(msg)
    taken: list[str] = []
    for key, value in _arguments(row.args).items():
        if key == "transitional" and value.upper() in {"TRUE", "T"}:
            msg = "a transitional flowClust gate; see aligned_mixture"
            raise Unsupported(msg)
        made = takes[key](value, dims) if key in takes else ""
        if made:
            taken.append(made)
        else:
            notes.append(f"{key}={value} is not taken over")
    return ours, "; ".join(taken)


def _arguments(text: str) -> dict[str, str]:
    """``a=1,b=c(2,3)`` as a dict; commas inside brackets do not separate."""
    parts = re.findall(r"[^,()]+(?:\([^()]*\))?", text)
    pairs = (part.partition("=") for part in parts)
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def _number(key: str) -> Callable[[str, Sequence[str]], str]:
    def make(value: str, dims: Sequence[str]) -> str:
        try:
            return f"{key}={float(value):g}"
        except ValueError:
            return ""

    return make


def _range(value: str, dims: Sequence[str]) -> str:
    """A search range, only on linear scatter: elsewhere it is in openCyto's units."""
    numbers = re.fullmatch(r"c\(([^,]+),([^,]+)\)", value)
    if numbers is None or not re.match(r"(fsc|ssc)", dims[0], re.IGNORECASE):
        return ""
    try:
        low, high = (float(number) for number in numbers.groups())
    except ValueError:
        return ""
    return f"low={low:g}; high={high:g}"


def _side(value: str, dims: Sequence[str]) -> str:
    return {"right": "side=high", "left": "side=low"}.get(value.strip("'\""), "")


_VALLEY = ("valley", 1, {"adjust": _number("adjust"), "gate_range": _range})
_TAIL = ("tail", 1, {"tol": _number("tolerance"), "adjust": _number("adjust"), "side": _side})
_COUNTERPARTS: dict[str, tuple[str, int, Mapping[str, Callable[[str, Sequence[str]], str]]]] = {
    "mindensity": _VALLEY,
    "mindensity2": _VALLEY,
    "tailgate": _TAIL,
    "tail": _TAIL,
    "cytokine": _TAIL,
    "singletgate": ("singlet_band", 2, {"prediction_level": _number("level")}),
    "singlet": ("singlet_band", 2, {"prediction_level": _number("level")}),
    "flowclust_2d": ("mixture_ellipse", 2, {"k": _number("components"), "quantile": _number("mass")}),
}
_HINTS = {
    "flowclust_1d": "flowClust on one dimension has no counterpart; valley or negative_peak may serve",
    "quantilegate": "a quantile of the tube itself; control_quantile takes it from an FMO tube",
    "quantile": "a quantile of the tube itself; control_quantile takes it from an FMO tube",
}


def _quadrants(row: OpenCytoRow, parent: str, signs: Sequence[str], notes: list[str]) -> list[GateRow]:
    """One cut a dimension, and the quadrants that `pop` names as combinations."""
    cuts = []
    for dim in row.dims:
        method, args = _method(row, (dim,), notes)
        name = _safe(f"{row.alias}.{dim}+" if row.alias not in {row.pop, "*"} else f"{parent}.{dim}+")
        cuts.append(GateRow("", name, parent, (dim,), "+", method, args, "study" if row.collapse else "own"))
    return [*cuts, *_corners(row, parent, signs, [cut.population for cut in cuts])]


def _corners(row: OpenCytoRow, parent: str, signs: Sequence[str], cuts: Sequence[str]) -> list[GateRow]:
    made = []
    choices = [("+", "-") if len(sign) > 1 else (sign,) for sign in signs]
    several = any(len(choice) > 1 for choice in choices)
    for first in choices[0]:
        for second in choices[1]:
            text = " & ".join(("" if s == "+" else "!") + cut for s, cut in zip((first, second), cuts, strict=True))
            name = f"{row.dims[0]}{first}{row.dims[1]}{second}" if several or row.alias == row.pop else row.alias
            made.append(GateRow(name, _safe(name), parent, (), "", "combine", text))
    return made


def _reference(
    row: OpenCytoRow, parent: str, signs: Sequence[str], above: Sequence[GateRow], stands_for: Mapping[str, str]
) -> list[GateRow]:
    """Gates found on other events, placed on this parent."""
    known = {gate.population: gate for gate in above}
    placed = []
    for reference in filter(None, (part.strip().rsplit("/", 1)[-1] for part in row.args.split(":"))):
        gate = known.get(stands_for.get(reference, ""))
        if gate is None or gate.method == "combine":
            msg = f"the gate it refers to, {reference!r}, is not taken over"
            raise Unsupported(msg)
        placed.append(replace(gate, parent=parent, fit_on=gate.fit_on or gate.parent, alias="", sign="+"))
    if len(placed) == 1:
        return [replace(placed[0], alias=name, population=_safe(name), sign=s) for name, s in _named(row, signs)]
    if len(placed) != 2 or len(signs) != 2:
        msg = f"refers to {len(placed)} gates with {len(signs)} sign(s)"
        raise Unsupported(msg)
    in_order = sorted(placed, key=lambda gate: row.dims.index(gate.dims[0]) if gate.dims[0] in row.dims else 2)
    label = row.alias if row.alias != row.pop else f"{parent}.{row.line}"
    cuts = [replace(gate, population=_safe(f"{label}.{gate.dims[0]}+")) for gate in in_order]
    return [*cuts, *_corners(row, parent, signs, [cut.population for cut in cuts])]


def _combination(row: OpenCytoRow, parent: str, stands_for: Mapping[str, str]) -> GateRow:
    names = sorted((part.strip() for part in re.split(r"[&|!]", row.args) if part.strip()), key=len, reverse=True)
    text = row.args
    for i, name in enumerate(names):
        goal = stands_for.get(name.rsplit("/", 1)[-1])
        if goal is None:
            msg = f"{name!r} in its expression is not taken over"
            raise Unsupported(msg)
        text = text.replace(name, f"\0{i}\0")
    for i, name in enumerate(names):
        text = text.replace(f"\0{i}\0", stands_for[name.rsplit("/", 1)[-1]])
    try:
        parse_expression(text)
    except ValueError as error:
        msg = f"its expression {row.args!r} {error}"
        raise Unsupported(msg) from None
    return GateRow(row.alias, _safe(row.alias), parent, (), "", "combine", text)


def _safe(name: str) -> str:
    """A name that our expressions can hold."""
    text = re.sub(r"[^A-Za-z0-9_.+-]", "_", name)
    return text if re.match(r"[A-Za-z_]", text) else f"_{text}"
