"""Gates that a person set on one tube: counted again with them, every other gate where the run put it.

Nothing is fitted again: what a person sees while dragging a gate is what is counted afterwards. The matrix and the
scales are those of the stored result, so that the tube's file and the template are all that is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import FCSError, InputError, RunStateError
from treg_gating.gating.gates import Gate
from treg_gating.gating.hierarchy import EventView, Walk, apply_gates
from treg_gating.gating.results import FittedGate, GatePicture, GateStatus, SampleResult
from treg_gating.gating.template import GatingTemplate
from treg_gating.pictures import picture_gates
from treg_gating.pipeline import axis_limits, prepare
from treg_gating.populations import count_populations
from treg_gating.review import flag_result
from treg_gating.sample import Spillover
from treg_gating.settings import RunSettings
from treg_gating.showing import Showing
from treg_gating.transforms import LogicleOfStudy, transform_from_dict
from treg_gating.tube import Tube

__all__ = ["Look", "OpenTube", "override_pass"]

_E_CHANGED = "E_CHANGED"
BY_HAND = "by hand"


@dataclass(frozen=True, eq=False)
class Look:
    """What a tube shows with a person's gates.

    Parameters
    ----------
    numbers : events of every population; None where not estimable.
    pictures : density of some gates' parents, by population.
    """

    numbers: Mapping[str, int | None]
    pictures: Mapping[str, GatePicture]


class OpenTube:
    """A tube's events with the gates of its stored result, ready to be counted with other gates.

    Parameters
    ----------
    tube : where the file lies.
    settings : template, study; the matrix and the widths are taken from `result`.
    result : as pass 2 left it, before any override.

    Raises
    ------
    TregGatingError : the file cannot be read. FCSError : it is not the file of the result.
    RunStateError : the stored gates do not give the stored counts here, so that no count could be trusted.
    """

    def __init__(self, tube: Tube, settings: RunSettings, result: SampleResult) -> None:
        self.tube, self.study, self.fitted = tube, settings.study, result
        self._ready = prepare(tube, _as_it_was(settings, result))
        if self._ready.sample.sha256 != result.sha256:
            msg = "the file is no longer the one that the run read"
            raise FCSError(
                _E_CHANGED,
                msg,
                file=str(tube.path),
                found=self._ready.sample.sha256[:12],
                expected=result.sha256[:12],
                action="Run again, then look at the gates again.",
            )
        self.template: GatingTemplate = self._ready.template
        self._view = _remembering(self._ready.view)
        self._gates = {gate.population: gate for gate in result.gates}
        self._check_counts()

    def _check_counts(self) -> None:
        walk = self._walk({})
        for count in self.fitted.counts:
            rows = walk.rows.get(count.population)
            if count.n is not None and (rows is None or len(rows) != count.n):
                found = "none" if rows is None else len(rows)
                msg = (
                    f"{self.tube.file}: {count.population} has {found} events with the stored gates, {count.n} in the "
                    "stored result. Run again with this version of the program"
                )
                raise RunStateError(msg)

    def gates(self, overrides: Mapping[str, Gate], why: Mapping[str, str] | None = None) -> dict[str, FittedGate]:
        """All gates of the tube, those of a person in their places.

        Parameters
        ----------
        overrides : the person's gates by population. why : reasons in words, by population.

        Raises
        ------
        InputError : a population has no gate of its own.
        """
        found = dict(self._gates)
        for population, gate in overrides.items():
            old = found.get(population)
            if old is None or old.expression or old.status is GateStatus.NOT_STAINED:
                msg = "this population has no gate of its own that could be set"
                raise InputError(msg, file=self.tube.file, where=population)
            found[population] = replace(
                old,
                gate=gate,
                own=old.gate,
                status=GateStatus.OVERRIDDEN,
                rule=BY_HAND,
                reason=(why or {}).get(population, ""),
                standard_error=(),
            )
        return found

    def _walk(self, overrides: Mapping[str, Gate], why: Mapping[str, str] | None = None) -> Walk:
        return apply_gates(self.template, self.gates(overrides, why), self._view)

    def look(self, overrides: Mapping[str, Gate], draw: Sequence[str] = ()) -> Look:
        """Count every population with these gates, and draw the parents of some.

        Parameters
        ----------
        draw : populations whose parents' density is wanted; those whose parent holds no event are left out.
        """
        walk = self._walk(overrides)
        wanted = replace(self.template, steps=tuple(s for s in self.template.steps if s.population in draw))
        pictures = picture_gates(wanted, walk, self._view, axis_limits(self.template)) if draw else ()
        numbers = {name: None if found is None else len(found) for name, found in walk.rows.items()}
        return Look(numbers, {picture.population: picture for picture in pictures})

    def result(self, overrides: Mapping[str, Gate], why: Mapping[str, str]) -> SampleResult:
        """The tube's whole result with these gates."""
        walk = self._walk(overrides, why)
        old = self.fitted
        controls = {p.population: p.control for p in old.pictures if p.control is not None}
        showing = Showing(self.template, self._view, self._ready.linear, axis_limits(self.template), controls)
        showing.complete(walk)
        counts, interval = count_populations(self.template, walk, showing.medians()), showing.interval
        gates = tuple(walk.gates[step.population] for step in self.template.steps)
        flags = flag_result(self.template, self.study, counts, gates, self._ready.quality, interval)
        return replace(
            old,
            counts=counts,
            gates=gates,
            flags=(*self._flags_from_elsewhere(overrides), *flags),
            pictures=showing.pictures(),
            gate_interval={} if interval is None else {self.template.primary.numerator: interval},
        )

    def _flags_from_elsewhere(self, overrides: Mapping[str, Gate]) -> list[Any]:
        """Flags of the stored result that do not follow from counts and gates: of the file, the matrix, the cohort."""
        old, primary = self.fitted, self.template.primary
        interval = old.gate_interval.get(primary.numerator)
        own = flag_result(self.template, self.study, old.counts, old.gates, self._ready.quality, interval)
        return [flag for flag in old.flags if flag not in own and flag.population not in overrides]


def override_pass(
    tube: Tube, settings: RunSettings, result: SampleResult, gates: Mapping[str, Gate], why: Mapping[str, str]
) -> SampleResult:
    """Count one tube again with gates that a person set.

    Parameters
    ----------
    gates, why : the person's gates and reasons, by population.

    Raises
    ------
    TregGatingError : as for :class:`OpenTube`.
    """
    return OpenTube(tube, settings, result).result(gates, why)


def _as_it_was(settings: RunSettings, result: SampleResult) -> RunSettings:
    """Settings that give the tube the matrix and the scales it had."""
    matrix = result.spillover
    given = None if matrix is None else Spillover(tuple(matrix["channels"]), np.array(matrix["matrix"]))
    template = settings.template
    if template.imported is None:
        known = {name: transform_from_dict(dict(values)) for name, values in result.transforms.items()}
        # A scale that is not in the result belongs to a marker the tube does not have.
        kept = {name: kind for name, kind in template.transforms.items() if not isinstance(kind, LogicleOfStudy)}
        template = replace(template, transforms={**kept, **known})
    order = ("csv",) if given is not None else ("file",)
    return replace(settings, template=template, spillover=given, matrices={}, order=order)


def _remembering(view: EventView) -> EventView:
    """The view with every column transformed once for all events: a person's hand moves many times."""
    columns: dict[str, NDArray[np.float64]] = {}

    def column(name: str, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        if name not in columns:
            columns[name] = view.exact(name, view.root)
        return columns[name][rows]

    return EventView(view.n_events, view.kept, column, sorted(view.measured))
