"""A workbook from which a define document can be made: data sets, variables, values, code lists, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from treg_gating.interchange.cdisc_variables import DatasetPlan
from treg_gating.interchange.cdisc_xpt import Record
from treg_gating.run.files import replace_file

__all__ = ["write_define_workbook"]

_NOTES = (
    "Define-XML is the sponsor's to make; these sheets hold what it needs.",
    "Controlled terminology is named by its code list; the sponsor states the version and checks the terms.",
    "CPTESTCD TLHRTLH, THRLY, TLHRSP and CD25X are not in the SDTM terminology of 2022-09-30; the list is extensible.",
    "SUPPCP: CPNUMEVT and CPDENEVT are the events counted in numerator and denominator.",
    "Study days: the first dose is day 1; there is no day 0.",
    "CPDTC is the collection as the sample sheet gives it, not the acquisition.",
)


def write_define_workbook(path: Path, datasets: Mapping[str, tuple[DatasetPlan, Sequence[Record]]]) -> None:
    """Write the workbook.

    Parameters
    ----------
    datasets : file name → plan and records, as they were written.
    """
    replace_file(path, lambda temporary: _write(temporary, datasets))


def _write(path: Path, datasets: Mapping[str, tuple[DatasetPlan, Sequence[Record]]]) -> None:
    from openpyxl import Workbook
    from openpyxl.styles import Font

    book = Workbook()
    sets, variables, values = book.active, book.create_sheet("Variables"), book.create_sheet("Values")
    sets.title = "Datasets"
    sets.append(["Dataset", "Label", "Class", "Structure", "Keys", "File", "Records"])
    head = ["Order", "Dataset", "Variable", "Label", "Type", "Length", "Core", "Codelist", "Origin", "Comment"]
    variables.append(head)
    values.append(["Dataset", "Where", "Variable", "Value", "Label", "Unit", "Records"])
    for file, (plan, records) in datasets.items():
        keys = ", ".join(plan.keys)
        sets.append([plan.name, plan.label, plan.observation_class, plan.structure, keys, file, len(records)])
        for order, variable in enumerate(plan.variables, start=1):
            longest = max((len(str(record.get(variable.name) or "")) for record in records), default=0)
            length = 8 if variable.kind == "Num" else max(1, longest)
            variables.append([order, plan.name, variable.name, variable.label, variable.kind, length, variable.core,
                              variable.codelist, variable.origin, variable.comment])  # fmt: skip
        code, label, unit = ("CPTESTCD", "CPTEST", "CPORRESU") if plan.name == "CP" else ("PARAMCD", "PARAM", "")
        found: dict[tuple[object, object, object], int] = {}
        for record in records if plan.name in {"CP", "ADTREG"} else ():
            key = (record[code], record[label], record.get(unit) or "")
            found[key] = found.get(key, 0) + 1
        for (value, words, units), number in found.items():
            values.append([plan.name, f"{code} EQ {value}", code, value, words, units, number])
    notes = book.create_sheet("Notes")
    for line in _NOTES:
        notes.append([line])
    for sheet in (sets, variables, values):
        sheet.freeze_panes = "A2"
        for cell in sheet[1]:
            cell.font = Font(bold=True)
    book.save(path)
