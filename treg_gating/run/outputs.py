"""The files of a finished run, made from stored results alone. Same results, same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from treg_gating.gating.gates import Gate, gate_to_dict
from treg_gating.gating.results import FittedGate, PopulationCount, SampleResult
from treg_gating.proportion import rounded, wilson
from treg_gating.run.files import replace_file, write_bytes, write_pieces
from treg_gating.run.parquet import ParquetRows
from treg_gating.tables import ENDPOINT, GATES, OTHER_TUBES, POPULATIONS, Column, names

__all__ = [
    "Tables",
    "csv_bytes",
    "csv_lines",
    "gate_rows",
    "population_rows",
    "write_endpoint",
    "write_tables",
]

Row = Mapping[str, str | int | float | None]

# A cell that begins with one of these is a formula to a spreadsheet.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_LYMPHOCYTES = ("live", "lymphocytes")


def write_tables(
    folder: Path,
    results: Iterable[SampleResult],
    endpoint: Sequence[Row],
    denominator: str,
    others: Sequence[Row] = (),
) -> dict[str, str]:
    """Write endpoint.csv, other_tubes.csv, populations.parquet and gates.csv.

    Parameters
    ----------
    results : in the order of the sheet; each is looked at once.
    denominator : the population called CD4 in the tables.
    others : tubes that count for no planned visit.

    Returns
    -------
    Digest by file name.

    Raises
    ------
    DiskError : the files that were there before are untouched.
    """
    with Tables(folder, denominator) as tables:
        for result in results:
            tables.add(result)
    return {**tables.digests, **write_endpoint(folder, endpoint, others)}


def write_endpoint(folder: Path, endpoint: Sequence[Row], others: Sequence[Row]) -> dict[str, str]:
    """Write endpoint.csv and other_tubes.csv; digest by file name. Errors as of :func:`write_tables`."""
    content = {"endpoint.csv": csv_bytes(ENDPOINT, endpoint), "other_tubes.csv": csv_bytes(OTHER_TUBES, others)}
    for name, text in content.items():
        write_bytes(folder / name, text)
    return {name: hashlib.sha256(text).hexdigest() for name, text in content.items()}


class Tables:
    """populations.parquet and gates.csv of results that are given one by one, none of which is held.

    Parameters
    ----------
    folder, denominator : as for :func:`write_tables`.

    Attributes
    ----------
    digests : by file name, once the block that uses this has ended in order.
    """

    def __init__(self, folder: Path, denominator: str) -> None:
        self.digests: dict[str, str] = {}
        self._folder, self._denominator = folder, denominator
        self._gates = [csv_bytes(GATES, ())]
        self._populations = ParquetRows(POPULATIONS)

    def __enter__(self) -> Self:
        return self

    def add(self, result: SampleResult) -> None:
        """The next tube's rows."""
        self._gates.append(csv_lines(GATES, gate_rows([result])))
        self._populations.add(population_rows([result], self._denominator))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        write_pieces(self._folder / "gates.csv", self._gates)
        replace_file(self._folder / "populations.parquet", self._populations.write)
        self.digests.update({name: _digest(self._folder / name) for name in ("gates.csv", "populations.parquet")})


def csv_bytes(table: tuple[Column, ...], rows: Iterable[Row]) -> bytes:
    """A CSV table, UTF-8; text that a spreadsheet would run as a formula is led by an apostrophe, numbers never."""
    return f"{','.join(names(table))}\n".encode() + csv_lines(table, rows)


def csv_lines(table: tuple[Column, ...], rows: Iterable[Row]) -> bytes:
    """The lines of :func:`csv_bytes` without its head."""
    columns = names(table)
    return "".join(",".join(_quoted(_cell(row.get(name))) for name in columns) + "\n" for row in rows).encode()


def _quoted(cell: str) -> str:
    # The standard library's writer leaves a lone carriage return bare, which readers take for the end of the row.
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\r\n') else cell


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA_STARTS) else value
    return repr(value)


def population_rows(results: Iterable[SampleResult], denominator: str) -> Iterable[Row]:
    """Rows of populations.parquet; a failed tube has one row, which says why."""
    for result in results:
        tube = {key: getattr(result, key) for key in ("tube_id", "file", "subject", "visit", "batch", "role", "sha256")}
        if result.status != "done":
            yield {**tube, "population": "", "parent": "", "status": "failed", "reason": result.reason}
        for count in result.counts:
            yield {**tube, **_population(result, count, denominator)}


def _population(result: SampleResult, count: PopulationCount, denominator: str) -> Row:
    k, n = count.n, count.n_parent
    row: dict[str, str | int | float | None] = {
        "population": count.population,
        "parent": count.parent,
        "status": count.status,
        "reason": count.reason,
        "n": k,
        "n_parent": n,
        "n_reference": count.reference,
        "mfi_cd25": rounded(count.mfi.get("CD25")),
        "mfi_foxp3": rounded(count.mfi.get("FOXP3")),
    }
    if k is None or not n:
        return row
    row["pct_of_parent"] = rounded(100 * k / n)
    bounds = wilson(k, n)
    if bounds is not None:
        row["pct_of_parent_low"], row["pct_of_parent_high"] = (rounded(100 * bound) for bound in bounds)
    above = _ancestors(result, count.population)
    row["pct_of_cd4"] = _share(result, k, denominator, above)
    lymphocytes = next((name for name in _LYMPHOCYTES if name in above), "")
    row["pct_of_lymphocytes"] = _share(result, k, lymphocytes, above)
    return row


def _ancestors(result: SampleResult, population: str) -> frozenset[str]:
    parents = {count.population: count.parent for count in result.counts}
    above: set[str] = set()
    while (population := parents.get(population, "")) and population not in above:
        above.add(population)
    return frozenset(above)


def _share(result: SampleResult, k: int, of: str, above: frozenset[str]) -> float | None:
    whole = result.count(of) if of in above else None
    return rounded(100 * k / whole.n) if whole is not None and whole.n else None


def gate_rows(results: Iterable[SampleResult]) -> Iterable[Row]:
    """Rows of gates.csv: every final gate of every tube."""
    for result in results:
        tube = {key: getattr(result, key) for key in ("tube_id", "subject", "visit", "batch")}
        for gate in result.gates:
            yield {**tube, **_gate(gate)}


def _gate(gate: FittedGate) -> Row:
    kind, dims, numbers = _numbers(gate.gate)
    return {
        "population": gate.population,
        "parent": gate.parent,
        "sign": {"+": "inside", "-": "outside"}.get(gate.sign, gate.sign),
        "status": str(gate.status),
        "rule": gate.rule,
        "kind": kind,
        "dims": dims,
        "numbers": numbers or gate.expression,
        "standard_error": ";".join(f"{value:.6g}" for value in gate.standard_error),
        "own_numbers": _numbers(gate.own)[2],
        "n_events": gate.n_events,
        "reason": gate.reason,
    }


def _numbers(gate: Gate | None) -> tuple[str, str, str]:
    if gate is None:
        return "", "", ""
    plain = gate_to_dict(gate)
    kind, dims = str(plain.pop("gate")), ";".join(plain.pop("dims"))
    return kind, dims, json.dumps(_six_digits(plain), separators=(",", ":"))


def _six_digits(value: Any) -> Any:
    """Numbers rounded for reading; an absent bound is written as text, which JSON can hold."""
    if isinstance(value, dict):
        return {key: _six_digits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_six_digits(item) for item in value]
    if isinstance(value, float):
        number = rounded(value)
        return repr(value) if number is None else number
    return value


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
