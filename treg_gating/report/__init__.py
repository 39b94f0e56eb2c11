"""What people open after a run: the page and the workbooks, made from the record alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from treg_gating.run.output_parts import Reports
    from treg_gating.run.record import RunRecord

__all__ = ["reports"]


def reports(folder: Path, *, blind: bool = False, key: Path | None = None) -> Reports:
    """File name → what writes it; what draws is imported when it draws, in the process that it draws in.

    Parameters
    ----------
    folder : the run's. blind, key : see :func:`treg_gating.report.blinded.report_writer`; the workbooks name subjects
        as endpoint.csv does.
    """
    page = partial(_page, folder, blind, key)
    return {"report.html": page, "results.xlsx": _workbook, "miflowcyt.xlsx": _miflowcyt}


def _page(folder: Path, blind: bool, key: Path | None, record: RunRecord, path: Path) -> None:
    from treg_gating.report.blinded import report_writer

    report_writer(folder, blind=blind, key=key)(record, path)


def _workbook(record: RunRecord, path: Path) -> None:
    from treg_gating.report.workbook import write_results_workbook

    write_results_workbook(record, path)


def _miflowcyt(record: RunRecord, path: Path) -> None:
    from treg_gating.report.miflowcyt import write_miflowcyt

    write_miflowcyt(record, path)
