"""A parquet table whose rows are given a few at a time, and held in columns."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from treg_gating.tables import Column

__all__ = ["ParquetRows"]

_BLOCK = 2_000  # rows held as Python's numbers and texts, which take ten times the memory of columns


class ParquetRows:
    """Rows of a table; what a column means and its unit stand in the file's schema.

    Parameters
    ----------
    table : its columns.
    """

    def __init__(self, table: tuple[Column, ...]) -> None:
        import pyarrow as pa

        kinds = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64()}
        self._schema = pa.schema(
            pa.field(column.name, kinds[column.dtype], metadata={"unit": column.unit, "meaning": column.meaning})
            for column in table
        )
        self._blocks: list[Any] = []
        self._rows: list[Mapping[str, Any]] = []

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """The next rows; a cell that a row does not have is empty."""
        self._rows += rows
        if len(self._rows) >= _BLOCK:
            self._pack()

    def write(self, path: Path) -> None:
        """Write all rows; the same rows give the same bytes."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._pack()
        pq.write_table(pa.Table.from_batches(self._blocks, self._schema), path)

    def _pack(self) -> None:
        """By way of JSON: given Python's own lists, pyarrow imports pandas first, a quarter of a second and 40 MB."""
        import pyarrow as pa
        from pyarrow import json as arrow_json

        if not self._rows:
            return
        names = self._schema.names
        lines = (json.dumps({name: row.get(name) for name in names}, allow_nan=False) for row in self._rows)
        text = "\n".join(lines).encode("ascii")
        whole = arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1)
        plain = arrow_json.ParseOptions(explicit_schema=self._schema.remove_metadata())
        table = arrow_json.read_json(io.BytesIO(text), whole, plain).combine_chunks()
        self._blocks += [pa.RecordBatch.from_arrays(b.columns, schema=self._schema) for b in table.to_batches()]
        self._rows = []
