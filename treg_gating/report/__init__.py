"""What people open after a run: the page and the workbooks, made from the record alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from treg_gating.run.finish import Reports

__all__ = ["reports"]


def reports(folder: Path, *, blind: bool = False, key: Path | None = None) -> Reports:
    """File name → what writes it; loaded when it is asked for, because drawing is slow to import.

    Parameters
    ----------
    folder : the run's. blind, key : see :func:`treg_gating.report.blinded.report_writer`; the workbooks name subjects
        as endpoint.csv does.
    """
    from treg_gating.report.blinded import report_writer
    from treg_gating.report.miflowcyt import write_miflowcyt
    from treg_gating.report.workbook import write_results_workbook

    return {
        "report.html": report_writer(folder, blind=blind, key=key),
        "results.xlsx": write_results_workbook,
        "miflowcyt.xlsx": write_miflowcyt,
    }
