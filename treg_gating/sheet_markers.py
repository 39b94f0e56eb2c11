"""Which detector carries which marker, where the FCS files do not say: a table, or a cell of the sample sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from treg_gating.errors import InputError, SampleSheetError
from treg_gating.sheet_columns import fold_header
from treg_gating.sheet_table import read_table

__all__ = ["parse_inline_mapping", "read_marker_mapping"]

_COLUMNS = {
    "channel": ("channel", "detector", "parameter", "pnn", "$pnn", "channel name", "detector name"),
    "marker": ("marker", "stain", "antigen", "pns", "$pns", "target", "desc", "description", "markers"),
}
_EXPECTED = "two columns, channel and marker"


def read_marker_mapping(path: str | Path) -> dict[str, str]:
    """Read a table (CSV or XLSX) with the columns channel ($PnN) and marker; rows without a marker are left out.

    Raises
    ------
    SampleSheetError : with every fault and its row.
    """
    source = Path(path)
    faults: list[InputError] = []

    def pick(headers: Sequence[str]) -> Mapping[int, str]:
        names = {fold_header(name): column for column, known in _COLUMNS.items() for name in known}
        picked: dict[int, str] = {}
        for at, header in enumerate(headers):
            column = names.get(fold_header(header))
            if column and column not in picked.values():
                picked[at] = column
        if len(picked) < len(_COLUMNS):
            listed = ", ".join(repr(header) for header in headers)
            faults.append(
                InputError("not a marker table", file=source.name, where="header", found=listed, expected=_EXPECTED)
            )
        return picked

    table = read_table(source, pick, "a marker table")
    if faults:
        raise SampleSheetError(faults)
    faults.extend(table.faults)
    mapping: dict[str, str] = {}
    for row in table.rows:
        channel, marker = row.cells["channel"], row.cells["marker"]
        where = f"row {row.number}"
        for cell in (channel, marker):
            if cell.problem:
                faults.append(InputError(cell.problem, file=source.name, where=where, found=repr(cell.text)))
        _add(mapping, channel.text, marker.text, source.name, where, faults)
    if not mapping and not faults:
        faults.append(InputError("the table names no marker", file=source.name, expected="a row a stained channel"))
    if faults:
        raise SampleSheetError(faults)
    return mapping


def parse_inline_mapping(text: str, file: str = "", where: str = "") -> dict[str, str]:
    """Read ``detector=marker; detector=marker``.

    Raises
    ------
    SampleSheetError : a part is not of that form, or names a detector twice with different markers.

    >>> parse_inline_mapping("640 670_30-A=CD25; PE-A = CD127")
    {'640 670_30-A': 'CD25', 'PE-A': 'CD127'}
    """
    faults: list[InputError] = []
    mapping: dict[str, str] = {}
    for part in text.split(";"):
        if not part.strip():
            continue
        detector, equals, marker = part.rpartition("=")
        if not (equals and detector.strip() and marker.strip()):
            found, expected = repr(part.strip()), "detector=marker; detector=marker"
            faults.append(InputError("not a mapping", file=file, where=where, found=found, expected=expected))
            continue
        _add(mapping, detector.strip(), marker.strip(), file, where, faults)
    if faults:
        raise SampleSheetError(faults)
    return mapping


def _add(mapping: dict[str, str], channel: str, marker: str, file: str, where: str, faults: list[InputError]) -> None:
    if not channel:
        faults.append(InputError("a marker without a channel", file=file, where=where, found=repr(marker)))
    elif marker and mapping.setdefault(channel, marker) != marker:
        found = f"{mapping[channel]!r} and {marker!r}"
        faults.append(InputError(f"two markers for the channel {channel!r}", file=file, where=where, found=found))
