"""The files of a finished run, made from stored results alone. Same results, same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from treg_gating.gating.gates import Gate, gate_to_dict
from treg_gating.gating.results import FittedGate, PopulationCount, SampleResult
from treg_gating.proportion import rounded, wilson
from treg_gating.run.files import replace_file, write_bytes
from treg_gating.tables import ENDPOINT, GATES, OTHER_TUBES, POPULATIONS, Column, names

__all__ = ["csv_bytes", "gate_rows", "population_rows", "write_json", "write_tables"]

Row = Mapping[str, str | int | float | None]

# A cell that begins with one of these is a formula to a spreadsheet.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_LYMPHOCYTES = ("live", "lymphocytes")


def write_tables(
    folder: Path,
    results: Sequence[SampleResult],
    endpoint: Sequence[Row],
    denominator: str,
    others: Sequence[Row] = (),
) -> dict[str, str]:
    """Write endpoint.csv, other_tubes.csv, populations.parquet and gates.csv.

    Parameters
    ----------
    results : in the order of the sheet.
    denominator : the population called CD4 in the tables.
    others : tubes that count for no planned visit.

    Returns
    -------
    Digest by file name.

    Raises
    ------
    DiskError : the files that were there before are untouched.
    """
    write_bytes(folder / "endpoint.csv", csv_bytes(ENDPOINT, endpoint))
    write_bytes(folder / "other_tubes.csv", csv_bytes(OTHER_TUBES, others))
    write_bytes(folder / "gates.csv", csv_bytes(GATES, gate_rows(results)))
    _write_parquet(folder / "populations.parquet", POPULATIONS, list(population_rows(results, denominator)))
    written = ("endpoint.csv", "other_tubes.csv", "gates.csv", "populations.parquet")
    return {name: _digest(folder / name) for name in written}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a small JSON file that a person can read."""
    write_bytes(path, (json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode())


def csv_bytes(table: tuple[Column, ...], rows: Iterable[Row]) -> bytes:
    """A CSV table, UTF-8; text that a spreadsheet would run as a formula is led by an apostrophe, numbers never."""
    lines = [",".join(names(table))]
    lines += [",".join(_quoted(_cell(row.get(column.name))) for column in table) for row in rows]
    return ("\n".join(lines) + "\n").encode()


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


def _write_parquet(path: Path, table: tuple[Column, ...], rows: Sequence[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64()}
    fields = [
        pa.field(column.name, kinds[column.dtype], metadata={"unit": column.unit, "meaning": column.meaning})
        for column in table
    ]
    arrays = [pa.array([row.get(column.name) for row in rows], kinds[column.dtype]) for column in table]
    content = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    replace_file(path, lambda temporary: pq.write_table(content, temporary))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
