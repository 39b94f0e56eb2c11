"""The arm list: who got what. Read here and nowhere else, when the analysis is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from treg_gating.sheet_columns import COLUMNS, did_you_mean, fold_header
from treg_gating.statistics.subject_tables import SubjectTable, read_subject_table
from treg_gating.study import Study

__all__ = ["ArmList", "read_arms"]

_ARM_NAMES = ("treatment", "treatment arm", "ARMCD", "TRT01P", "ACTARM", "planned arm", "group", "allocation")


@dataclass(frozen=True)
class ArmList:
    """Arms by subject.

    Parameters
    ----------
    names : arms in the order of the tables.
    arm_of : subject → arm.
    strata_of : subject → its value of each stratum, in the order of the study's list.
    file, sha256 : what was read.
    """

    names: tuple[str, ...]
    arm_of: Mapping[str, str]
    strata_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    file: str = ""
    sha256: str = ""


def read_arms(path: Path, subjects: Sequence[str], study: Study) -> ArmList:
    """Read the arm list (columns subject, arm, and the study's strata) and hold it against the run's subjects.

    Parameters
    ----------
    subjects : of the run.

    Raises
    ------
    StudyError : every fault with its row: a subject twice or without an arm, an arm the study does not name, an arm
        written two ways, a missing stratum, or no subject that the run knows.
    """
    strata = study.statistics.strata
    wanted = {"subject": COLUMNS["subject"], "arm": _ARM_NAMES, **dict.fromkeys(strata, ())}
    table = read_subject_table(path, wanted, ("subject", "arm", *strata), "arm list")
    arm_of: dict[str, str] = {}
    strata_of: dict[str, tuple[str, ...]] = {}
    spelled: dict[str, str] = {}
    for row in table.rows:
        subject, arm = table.text(row, "subject"), table.text(row, "arm")
        values = tuple(table.text(row, name) for name in strata)
        if not subject or not arm:
            table.fault(row, "subject and arm must both be there", found=f"{subject!r}, {arm!r}")
            continue
        if subject in arm_of:
            table.fault(row, f"subject {subject!r} stands twice", expected="one row a subject")
        first = spelled.setdefault(fold_header(arm), arm)
        if first != arm:
            table.fault(row, f"arms {first!r} and {arm!r} look like one arm", action="Spell it one way")
        if study.statistics.arms and arm not in study.statistics.arms:
            near = did_you_mean(arm, study.statistics.arms)
            expected = ", ".join(study.statistics.arms)
            table.fault(row, f"the study plans no such arm{near}", found=repr(arm), expected=expected)
        for name, value in zip(strata, values, strict=True):
            if not value:
                table.fault(row, f"no value for the stratum {name!r}", found=f"subject {subject!r}")
        arm_of[subject], strata_of[subject] = arm, values
    _check_subjects(table, arm_of, subjects)
    table.finish()
    present = set(arm_of.values())
    names = tuple(arm for arm in study.statistics.arms if arm in present) or tuple(sorted(present))
    return ArmList(names, arm_of, strata_of, path.name, table.sha256)


def _check_subjects(table: SubjectTable, arm_of: Mapping[str, str], subjects: Sequence[str]) -> None:
    """A subject that is only written otherwise must not fall out of the analysis without a word."""
    known = {fold_header(subject).lstrip("0"): subject for subject in subjects}
    for row in table.rows:
        subject = row.cells["subject"].text
        other = known.get(fold_header(subject).lstrip("0"))
        if subject not in subjects and other is not None and other not in arm_of:
            expected = f"{other!r}, as the sample sheet writes it"
            table.fault(
                row, "a subject is written otherwise in the sample sheet", found=repr(subject), expected=expected
            )
    if arm_of and not any(subject in arm_of for subject in subjects) and not table.faults:
        found, expected = ", ".join(list(arm_of)[:3]), ", ".join(list(subjects)[:3])
        table.fault(None, "no subject of the run stands in the arm list", found=found, expected=f"such as {expected}")
    if len(set(arm_of.values())) == 1:
        table.fault(None, "all subjects are in one arm", found=next(iter(arm_of.values())), expected="two or more arms")
