"""What a finished run leaves for its readers: plain values from which every report can be rebuilt.

A :class:`RunRecord` holds no event, no open file and no path: the engine assembles it from the ledger, and
:mod:`treg_gating.report` and the workbook are made from nothing else. Treatment arms have no place in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from treg_gating.run.tube_summary import TubeSummary, tube_summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from treg_gating.gating.results import SampleResult

__all__ = ["EndpointRow", "RunRecord", "StudySummary", "TemplateRow", "TemplateSummary"]

EndpointRow = dict[str, str | int | float | None]
"""One row of endpoint.csv: column name to text, number, or None where the cell is empty."""


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """One row of gates.csv as it was used, in the words of the file.

    Parameters
    ----------
    population, parent : names; the parent stands above the row, or is ``root`` or ``clean``.
    dims : one or two dimensions (markers or scatter channels); empty for a combination.
    sign : "+" for the events inside the gate, "-" for those outside.
    method, args, share, fallback : as written in the table.
    """

    population: str
    parent: str
    dims: tuple[str, ...]
    sign: str
    method: str
    args: str = ""
    share: str = ""
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class TemplateSummary:
    """The gating template of a run.

    Parameters
    ----------
    name, version, description : from template.toml.
    sha256 : digest over the template's files.
    numerator, denominator : populations of the primary endpoint.
    label : the primary endpoint in words, such as "Treg, % of CD4 T cells".
    rows : the rows of gates.csv, in order.
    """

    name: str
    version: str
    description: str
    sha256: str
    numerator: str
    denominator: str
    label: str
    rows: tuple[TemplateRow, ...] = ()


@dataclass(frozen=True, slots=True)
class StudySummary:
    """The study of a run.

    Parameters
    ----------
    study_id, title : from study.toml; may be empty.
    visits : planned visits in order, each with its target day relative to first dose, or None where the
        study does not say.
    """

    study_id: str = ""
    title: str = ""
    visits: tuple[tuple[str, float | None], ...] = ()


@dataclass(frozen=True, eq=False)
class RunRecord:
    """Everything a report of one run says.

    Parameters
    ----------
    title : heading of the report.
    created : when the run ended, UTC, ISO 8601.
    version : version of this package.
    template, study : what was asked.
    study_assumed : a sentence where the study was not given and had to be assumed; empty otherwise.
    set_aside : columns of the sample sheet that were not read (arm, treatment), by name.
    notes : sentences the run must say, such as "no baseline visit: consensus over all samples".
    samples : results of every tube, in the order of the sheet; those of a run are read from its ledger when asked.
    endpoint : rows of endpoint.csv, in its order.
    other_tubes : rows of other_tubes.csv: sample tubes that count for no planned visit.
    overrides : what persons decided, columns as in :data:`treg_gating.tables.OVERRIDES`.
    audit : the trail up to the run's end, columns as in :data:`treg_gating.tables.AUDIT`.
    study_sha256 : digest of study.toml; empty where there was none.
    limits : of study.toml, by name. environment : versions of what the numbers also rest on.
    consensus : by population, the cohort's gate as :func:`treg_gating.gating.gates.gate_to_dict` gives it,
        or None where there is none.
    settings : choices of the run (spillover, workers, seed ...), for provenance.
    """

    title: str
    created: str
    version: str
    template: TemplateSummary
    study: StudySummary = field(default_factory=StudySummary)
    study_assumed: str = ""
    set_aside: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    samples: Sequence[SampleResult] = ()
    endpoint: tuple[EndpointRow, ...] = ()
    consensus: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    other_tubes: tuple[EndpointRow, ...] = ()
    overrides: tuple[EndpointRow, ...] = ()
    audit: tuple[EndpointRow, ...] = ()
    study_sha256: str = ""
    limits: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def tubes(self) -> tuple[TubeSummary, ...]:
        """What came of every tube, in the order of `samples`, which are read once for it."""
        return tuple(map(tube_summary, self.samples))
