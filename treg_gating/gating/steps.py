"""What a checked template is made of: steps with their chains of rules, endpoints, and the template itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from treg_gating.gating.expression import Expression
from treg_gating.gating.method import CohortMethod
from treg_gating.panel import MarkerSpec
from treg_gating.sample import Channel, Spillover
from treg_gating.transforms import Transform

__all__ = [
    "BEFORE",
    "CombineStep",
    "Endpoint",
    "FileIdentity",
    "GateStep",
    "GatingTemplate",
    "Imported",
    "Rule",
]

BEFORE = ("root", "clean")  # populations that stand before the first row


@dataclass(frozen=True)
class Rule:
    """One rule of a chain: its name, its arguments as written, and the method (None for ``consensus``)."""

    name: str
    args: str
    method: Any

    @cached_property
    def learns(self) -> bool:
        """Whether the method learns from the cohort before it fits a tube; to ask its protocol takes 16 µs."""
        return isinstance(self.method, CohortMethod)


@dataclass(frozen=True)
class GateStep:
    """One gate, one population.

    Parameters
    ----------
    population, parent : names. dims : one or two dimensions (markers or scatter channels).
    sign : "+" keeps the events inside the gate, "-" those outside.
    chain : the method, then its fall-backs, in order.
    share : how the cohort takes part: own, shrink, batch, study, landmark (the study's gate, moved with the batch's
        peaks), cohort (learns from samples), control (FMO tubes).
    fit_on : the population the gate is fitted on; the parent unless the template says otherwise.
    line : line in gates.csv.
    """

    population: str
    parent: str
    dims: tuple[str, ...]
    sign: str
    chain: tuple[Rule, ...]
    share: str
    fit_on: str
    line: int

    @property
    def method(self) -> Any:
        """The first rule's method."""
        return self.chain[0].method

    @property
    def learns(self) -> bool:
        """Whether the first rule learns from the cohort before it fits a tube."""
        return self.chain[0].learns


@dataclass(frozen=True)
class CombineStep:
    """A Boolean combination of populations that stand above it."""

    population: str
    parent: str
    expression: Expression
    line: int


@dataclass(frozen=True)
class Endpoint:
    """A ratio of two populations that is reported; exactly one is primary."""

    name: str
    numerator: str
    denominator: str
    unit: str
    primary: bool


class FileIdentity(Protocol):
    """What a template may ask of a file: a sample or its header."""

    @property
    def keywords(self) -> Mapping[str, str]:
        """TEXT keywords."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """One a parameter."""

    @property
    def spillover(self) -> Spillover | None:
        """The file's own matrix."""


@dataclass(frozen=True, eq=False)
class Imported:
    """What comes along with gates that another program made.

    Parameters
    ----------
    source : the document and the sample in it.
    spillover : its matrix; None takes the file's own where the template asks for one.
    counts : by population, the events that program counted.
    raw : dimensions that mean a detector's raw values although it is compensated for others.
    """

    source: str
    spillover: Spillover | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    raw: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GatingTemplate:
    """A checked template.

    Parameters
    ----------
    compensation : "file" (the events are raw; a matrix is needed) or "none" (the export is compensated already).
        Imported gates may also ask for "uncompensated": raw values as they are, whatever matrix the file holds.
    panel : markers and scatter channels it asks for. transforms : by marker; absent where estimated.
    steps : gates and combinations in order. rows : gates.csv as written. sha256 : over all its files.
    imported : where its gates come from, if not from a template's tables; its panel then names detectors itself.
    """

    name: str
    version: str
    description: str
    compensation: str
    panel: tuple[MarkerSpec, ...]
    transforms: Mapping[str, Transform]
    steps: tuple[GateStep | CombineStep, ...]
    endpoints: tuple[Endpoint, ...]
    rows: tuple[Mapping[str, str], ...]
    sha256: str
    imported: Imported | None = None

    def for_file(self, file: FileIdentity, name: str = "") -> GatingTemplate:
        """The template as it stands for one file: itself, unless every file has gates of its own."""
        return self

    @property
    def gate_steps(self) -> tuple[GateStep, ...]:
        """The steps that are gates."""
        return tuple(step for step in self.steps if isinstance(step, GateStep))

    @property
    def primary(self) -> Endpoint:
        """The primary endpoint."""
        return next(endpoint for endpoint in self.endpoints if endpoint.primary)

    def step(self, population: str) -> GateStep | CombineStep:
        """The step that makes `population`; KeyError where there is none."""
        for step in self.steps:
            if step.population == population:
                return step
        raise KeyError(population)

    def path(self, population: str) -> tuple[str, ...]:
        """Populations from the first row down to `population`, itself included."""
        names: list[str] = []
        while population not in BEFORE:
            names.append(population)
            population = self.step(population).parent
        return tuple(reversed(names))
