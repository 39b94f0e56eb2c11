"""What a run was asked to do, as it is kept in the ledger: enough to make every output again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from treg_gating.errors import InputError, RunStateError
from treg_gating.gating.template import GatingTemplate
from treg_gating.run.codec import decode
from treg_gating.run.keys import environment, matrices_identity, settings_identity
from treg_gating.run.record import StudySummary, TemplateRow, TemplateSummary
from treg_gating.run.stored import RunRow
from treg_gating.study import Study
from treg_gating.tube import Role, SampleSheet

__all__ = ["check_endpoint", "plan_in", "plan_of", "study_summary", "template_summary"]


_KEYS = frozenset(
    {"title", "sheet", "sheet_sha256", "set_aside", "tubes", "study", "template"}
    | {"notes", "choices", "settings", "matrices", "environment"}
)


def plan_in(row: RunRow) -> dict[str, Any]:
    """What a run in the ledger was asked to do.

    Raises
    ------
    RunStateError : another version of the program wrote it, and left out what is needed now.
    """
    plan: dict[str, Any] = decode(row.plan)
    missing = sorted(_KEYS - set(plan))
    if missing:
        msg = (
            f"run {row.run} was written by treg-gating {row.code}, which did not keep {', '.join(missing)}. "
            "Use that version with this folder, or another output folder"
        )
        raise RunStateError(msg)
    return plan


def plan_of(sheet: SampleSheet, settings: Any, notes: Sequence[str], choices: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values of a run's order, for :func:`treg_gating.run.codec.encode`."""
    study: Study = settings.study
    unused = sum(tube.role in {Role.SINGLE_STAIN, Role.UNSTAINED} for tube in sheet.tubes)
    said = [*notes, *sheet.warnings, *study.notes]
    if unused:
        said.append(f"{unused} single-stain and unstained tubes are listed but not used: matrices come from the files")
    return {
        "title": study.title or study.id or sheet.path.stem,
        "sheet": sheet.path.name,
        "sheet_sha256": sheet.sha256,
        "set_aside": tuple(sheet.set_aside),
        "tubes": tuple(sheet.tubes),
        "study": study,
        "template": template_summary(settings.template),
        "notes": tuple(dict.fromkeys(said)),
        "choices": dict(choices),
        "settings": settings_identity(settings),
        "matrices": matrices_identity(settings),
        "environment": environment(),
    }


def template_summary(template: GatingTemplate) -> TemplateSummary:
    """What tables and report say of the template."""
    primary = template.primary
    rows = tuple(
        TemplateRow(
            population=row["population"],
            parent=row["parent"],
            dims=tuple(filter(None, (name.strip() for name in row["dims"].split(";")))),
            sign=row["sign"],
            method=row["method"],
            args=row["args"],
            share=row["share"],
            fallback=row["fallback"],
        )
        for row in template.rows
    )
    return TemplateSummary(
        name=template.name,
        version=template.version,
        description=template.description,
        sha256=template.sha256,
        numerator=primary.numerator,
        denominator=primary.denominator,
        label=f"{primary.name}, {primary.unit}",
        rows=rows,
    )


def study_summary(study: Study) -> StudySummary:
    """What the report says of the study."""
    visits = tuple((visit.name, None if visit.day is None else float(visit.day)) for visit in study.visits)
    return StudySummary(study.id, study.title, visits)


def check_endpoint(study: Study, template: GatingTemplate) -> None:
    """Study and template must mean the same primary endpoint.

    Raises
    ------
    InputError : they do not.
    """
    primary = template.primary
    asked, given = (study.endpoint.population, study.endpoint.denominator), (primary.numerator, primary.denominator)
    if study.assumed or asked == given:
        return
    problem = "study and gating template do not mean the same primary endpoint"
    raise InputError(
        problem,
        file=study.path,
        where="[endpoint]",
        found=f"{asked[0]} of {asked[1]}",
        expected=f"{given[0]} of {given[1]}, as template {template.name} has it",
        action="Change [endpoint] in study.toml, or endpoints.csv in the template",
    )
