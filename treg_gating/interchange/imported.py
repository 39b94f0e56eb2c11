"""Gates of another program as a template: every gate fixed, and counted beside that program's own counts.

A document is first read into :class:`ImportedGates` (what it holds, and what of it has no counterpart here, by name and
reason), then made a :class:`~treg_gating.gating.template.GatingTemplate` whose every step places the gate it was given.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from treg_gating.errors import InputError
from treg_gating.gating.expression import Expression
from treg_gating.gating.gates import Gate
from treg_gating.gating.method import FitContext, MethodFit
from treg_gating.gating.template import CombineStep, Endpoint, GateStep, GatingTemplate, Imported, Rule
from treg_gating.panel import MarkerSpec, canonical_marker
from treg_gating.sample import Spillover
from treg_gating.transforms import Transform

__all__ = ["CD4_NAMES", "TREG_NAMES", "Axis", "ImportedGate", "ImportedGates", "ImportedPopulation", "as_template"]

TREG_NAMES = ("treg", "tregs", "treg cells", "t reg", "t regs", "regulatory t cells", "cd4 treg", "cd4 tregs")
CD4_NAMES = ("cd4", "cd4 t", "cd4 t cells", "cd4+", "cd4+ t", "cd4+ t cells", "cd4t", "cd4_t", "helper t cells", "th")
OURS = {"treg": "treg", "cd4": "cd4_t"}
Term = tuple[tuple[str, bool], ...]


class Axis(NamedTuple):
    """A dimension of a gate: a detector, whether raw values are meant although it is compensated, and the scale."""

    detector: str
    raw: bool
    transform: Transform


@dataclass(frozen=True)
class ImportedPopulation:
    """One population of another program.

    Parameters
    ----------
    name : unique in its document. parent : another's name, or "root".
    axes : of each dimension of the gate.
    gate : numbers; its dims are the detectors. None for combinations.
    inside : False for the events outside the gate.
    terms : for combinations, alternatives of (population, wanted) pairs.
    title : its name as that program shows it, with its path.
    """

    name: str
    parent: str
    axes: tuple[Axis, ...] = ()
    gate: Gate | None = None
    inside: bool = True
    terms: tuple[Term, ...] = ()
    title: str = ""


@dataclass(frozen=True, eq=False)
class ImportedGates:
    """What a document holds for one file (or for every file).

    Parameters
    ----------
    source : the document, and the sample in it.
    populations : those that have a counterpart here, parents and operands first.
    left_out : (population, reason) of the others, and of all below them.
    compensation : "file", "none" or "uncompensated", as a template has it.
    spillover : the document's matrix, or None.
    labels : marker by detector, where the document says.
    counts : by population, what the other program counted.
    """

    source: str
    populations: tuple[ImportedPopulation, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    compensation: str = "uncompensated"
    spillover: Spillover | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportedGate:
    """A gate that another program placed; it does not look at the events.

    Fails: never; whether it fits the file is the importer's to check.
    """

    gate: Gate
    source: str = ""

    @property
    def blind(self) -> Gate:
        """The gate, whatever the events are."""
        return self.gate

    def fit(self, context: FitContext) -> MethodFit:
        """The gate it was made with."""
        return MethodFit(self.gate, f"from {self.source}" if self.source else "imported")


def as_template(
    gates: ImportedGates, *, name: str, sha256: str, treg: str = "", cd4: str = "", endpoint: bool = True
) -> GatingTemplate:
    """A template that places these gates.

    Parameters
    ----------
    treg, cd4 : names of the populations that the primary endpoint is the ratio of; found by their usual names where
        empty. They are called ``treg`` and ``cd4_t`` in the template, as in our own.
    endpoint : False for a template that is only applied, not run.

    Raises
    ------
    InputError : none or several populations could be meant, or the one that is meant has no counterpart here.
    """
    endpoints: tuple[Endpoint, ...] = ()
    if endpoint:
        chosen = {
            _find(gates, treg, TREG_NAMES, "Treg"): OURS["treg"],
            _find(gates, cd4, CD4_NAMES, "CD4 T cell"): OURS["cd4"],
        }
        gates = _renamed(gates, chosen)
        endpoints = (Endpoint("Treg of CD4 T", OURS["treg"], OURS["cd4"], "%", True),)
    names = _axis_names(gates)
    steps = tuple(_step(population, names, gates.source) for population in gates.populations)
    panel = tuple(MarkerSpec(shown, required=True, channel=axis.detector) for axis, shown in names.items())
    return GatingTemplate(
        name=name,
        version="imported",
        description=f"gates of {gates.source}",
        compensation=gates.compensation,
        panel=panel,
        transforms={shown: axis.transform for axis, shown in names.items()},
        steps=steps,
        endpoints=endpoints,
        rows=tuple(_row(step, gates.source) for step in steps),
        sha256=sha256,
        imported=Imported(
            gates.source, gates.spillover, gates.counts, frozenset(shown for axis, shown in names.items() if axis.raw)
        ),
    )


def _find(gates: ImportedGates, asked: str, usual: Sequence[str], what: str) -> str:
    names = [population.name for population in gates.populations]
    lost = dict(gates.left_out)
    if asked:
        hits = [name for name in names if name == asked]
        missing = [name for name in lost if name == asked]
    else:
        hits = [name for name in names if _plain(name) in usual]
        missing = [name for name in lost if _plain(name) in usual]
    if len(hits) == 1 and not missing:
        return hits[0]
    if missing and not hits:
        msg = f"the {what} population cannot be taken over"
        raise InputError(msg, file=gates.source, where=missing[0], found=lost[missing[0]])
    msg = f"no {what} population" if not hits else f"{len(hits) + len(missing)} populations could be the {what} one"
    raise InputError(
        msg,
        file=gates.source,
        found=", ".join([*(hits or names), *missing]) or "no gates",
        expected=asked or f"one of the usual names ({', '.join(usual)})",
    )


def _plain(name: str) -> str:
    """The last part of a path, lower case, runs of blanks as one."""
    return re.sub(r"\s+", " ", name.rsplit("/", 1)[-1].strip().lower())


def _renamed(gates: ImportedGates, names: Mapping[str, str]) -> ImportedGates:
    """Populations under other names; one that has such a name already gets a dash behind it."""
    taken = {p.name for p in gates.populations} - set(names)
    renaming = {name: f"{name}-" for name in names.values() if name in taken} | dict(names)

    def new(name: str) -> str:
        return renaming.get(name, name)

    populations = tuple(
        replace(
            population,
            name=new(population.name),
            parent=new(population.parent),
            terms=tuple(tuple((new(name), wanted) for name, wanted in term) for term in population.terms),
        )
        for population in gates.populations
    )
    return replace(gates, populations=populations, counts={new(name): n for name, n in gates.counts.items()})


def _axis_names(gates: ImportedGates) -> dict[Axis, str]:
    """A name for each detector on each scale it is used on: its marker where that is one detector's, else $PnN."""
    axes = list(dict.fromkeys(axis for population in gates.populations for axis in population.axes))
    detectors = list(dict.fromkeys(axis.detector for axis in axes))
    shown = {detector: gates.labels.get(detector, "").strip() or detector for detector in detectors}
    times = Counter(canonical_marker(label) for label in shown.values())
    names: dict[Axis, str] = {}
    for axis in axes:
        label = shown[axis.detector] if times[canonical_marker(shown[axis.detector])] == 1 else axis.detector
        label = f"{label} (raw)" if axis.raw else label
        scales = sum((other.detector, other.raw) == (axis.detector, axis.raw) for other in names)
        names[axis] = f"{label} (scale {scales + 1})" if scales else label
    return names


def _step(population: ImportedPopulation, names: Mapping[Axis, str], source: str) -> GateStep | CombineStep:
    if population.gate is None:
        text = " | ".join(
            " & ".join(("" if wanted else "!") + name for name, wanted in term) for term in population.terms
        )
        return CombineStep(population.name, population.parent, Expression(text, population.terms), 0)
    dims = tuple(names[axis] for axis in population.axes)
    gate = replace(population.gate, dims=dims)  # type: ignore[type-var]
    rule = Rule("fixed", "", ImportedGate(gate, f"{source}, {population.title or population.name}"))
    sign = "+" if population.inside else "-"
    return GateStep(population.name, population.parent, dims, sign, (rule,), "own", population.parent, 0)


def _row(step: GateStep | CombineStep, source: str) -> Mapping[str, str]:
    """The row of gates.csv that a reader of the report sees."""
    cells: dict[str, Any] = {"population": step.population, "parent": step.parent, "share": "own", "fallback": ""}
    if isinstance(step, CombineStep):
        return {**cells, "dims": "", "sign": "", "method": "combine", "args": step.expression.text}
    return {**cells, "dims": ";".join(step.dims), "sign": step.sign, "method": "imported", "args": source}
