"""Decisions from a FlowJo workspace that was exported from the run, and whose gates a person moved.

The gates as they were exported are read by the same reader as the edited ones, so that what differs is what the person
did and nothing else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from treg_gating.errors import InputError, ReviewError
from treg_gating.fcs import read_header
from treg_gating.gating.gates import Gate, Interval, Polygon, Rectangle
from treg_gating.gating.results import FittedGate, SampleResult
from treg_gating.interchange.flowjo_document import WorkspaceSample, read_samples, workspace_root
from treg_gating.interchange.flowjo_export import RUN_NOTE, export_flowjo
from treg_gating.interchange.imported import ImportedGates, ImportedPopulation
from treg_gating.reviewing.desk import Desk
from treg_gating.run.decisions import OVERRIDE, Decision
from treg_gating.transforms import transform_from_dict

__all__ = ["WorkspaceReading", "read_workspace"]

_STILL = 1e-6  # of a scale: a gate that moved less was written with other digits
_LINEAR_RANGE = 262144.0


@dataclass(frozen=True)
class WorkspaceReading:
    """What an edited workspace says.

    Parameters
    ----------
    decisions : overrides of the gates that were moved, checked and not yet kept.
    notes : what a reader must know: tubes that the workspace does not hold, gates that were deleted.
    """

    decisions: tuple[Decision, ...]
    notes: tuple[str, ...]


def read_workspace(path: Path, desk: Desk, *, name: str, reason: str, comment: str) -> WorkspaceReading:
    """Overrides for every gate that differs from what the last run's export has.

    Parameters
    ----------
    name, reason, comment : of every decision; a workspace has no place for them.

    Raises
    ------
    InputError : not a workspace, or one exported from another run.
    ReviewError : with every gate that cannot be taken over, by sample and population.
    """
    edited = _samples(path)
    notes = _check_run(path, desk)
    seats = [seat for seat in desk.seats.values() if seat.current.status == "done"]
    files = {seat.tube.tube_id: seat.tube.path for seat in seats}
    with tempfile.TemporaryDirectory() as scratch:
        exported = Path(scratch) / "exported.wsp"
        export_flowjo([seat.current for seat in seats], exported, files, run=desk.run)
        original = _samples(exported)
    decisions: list[Decision] = []
    faults: list[InputError] = []
    for seat in seats:
        before, after = (_of_file(samples, seat.tube.path) for samples in (original, edited))
        if before is None or after is None:
            notes.append(f"{seat.name}: not in {path.name}; nothing is taken over for it.")
            continue
        for gate in seat.current.gates:
            if gate.population not in before:
                continue  # never written: a combination, or nothing was fitted
            if gate.population not in after:
                notes.append(f"{seat.name}: {gate.population} is not in {path.name} any more; it stays as it is.")
                continue
            try:
                moved = _moved(seat.current, gate, before[gate.population], after[gate.population])
                if moved is None:
                    continue
                words = {"name": name, "reason": reason, "comment": comment, "source": path.name}
                decisions.append(desk.draft(seat, population=gate.population, action=OVERRIDE, gate=moved, **words))
            except InputError as error:
                where = f"{seat.name}, {gate.population}"
                faults.append(InputError(error.problem, file=path.name, where=where, found=error.found))
    if faults:
        raise ReviewError(faults)
    return WorkspaceReading(tuple(decisions), tuple(notes))


def _samples(path: Path) -> list[tuple[WorkspaceSample, ImportedGates | str]]:
    root, _ = workspace_root(path)
    return list(read_samples(root, path.name))


def _check_run(path: Path, desk: Desk) -> list[str]:
    root, _ = workspace_root(path)
    said = [node.get("annotation", "") for node in root.iterfind("Groups/GroupNode")]
    runs = [text.removeprefix(RUN_NOTE).strip() for text in said if text.startswith(RUN_NOTE)]
    if not runs:
        return [f"{path.name} does not say which run it was exported from; it is compared with the last one."]
    if desk.run not in runs:
        problem = "the workspace was exported from another run: its gates would all seem moved"
        action = "Export the last run's and move the gates there: treg-gating export flowjo"
        raise InputError(problem, file=str(path), found=", ".join(runs), expected=desk.run, action=action)
    return []


def _of_file(
    samples: Sequence[tuple[WorkspaceSample, ImportedGates | str]], file: Path
) -> Mapping[str, ImportedPopulation] | None:
    """Populations of the sample that is this file, by name; None where no sample is, or its gates cannot be read."""
    words = read_header(file).keywords
    fil = words.get("$FIL", "").strip() or file.name
    found = [
        gates
        for sample, gates in samples
        if sample.answers_to(fil) and sample.total in ("", words.get("$TOT", "").strip())
    ]
    if len(found) != 1 or isinstance(found[0], str):
        return None
    return {population.name: population for population in found[0].populations if population.gate is not None}


def _moved(
    result: SampleResult, fitted: FittedGate, before: ImportedPopulation, after: ImportedPopulation
) -> Gate | None:
    """The gate where the person left it, in our units; None where it was not moved."""
    dims = fitted.gate.dims if fitted.gate is not None else ()
    first, second = (_in_our_units(result, dims, population) for population in (before, after))
    if _same(result, first, second) and before.inside == after.inside:
        return None
    return _for_sign(second, fitted.sign, after)


def _in_our_units(result: SampleResult, dims: Sequence[str], population: ImportedPopulation) -> Gate:
    marker_of = {channel: marker for marker, channel, _ in result.panel}
    found = [marker_of.get(axis.detector, axis.detector) for axis in population.axes]
    if sorted(found) != sorted(dims):
        problem = "the gate is on other channels now"
        raise InputError(problem, found=", ".join(found))
    scales = [transform_from_dict(dict(result.transforms[dim])) for dim in dims]
    order = [found.index(dim) for dim in dims]

    def ours(values: object, at: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        there = np.atleast_1d(np.asarray(values, dtype=np.float64))
        bounded = np.isfinite(there)
        out = there.copy()
        out[bounded] = scales[at].apply(population.axes[order[at]].transform.inverse(there[bounded]))
        return out

    gate = population.gate
    if isinstance(gate, Interval):
        return Interval(tuple(dims), float(ours(gate.low, 0)[0]), float(ours(gate.high, 0)[0]))
    if isinstance(gate, Rectangle):
        low, high = (
            tuple(float(ours(bounds[order[at]], at)[0]) for at in range(len(dims))) for bounds in (gate.low, gate.high)
        )
        return Rectangle(tuple(dims), low, high)
    if isinstance(gate, Polygon):
        corners = np.array(gate.vertices)
        columns = [ours(corners[:, order[at]], at) for at in range(2)]
        return Polygon(tuple(dims), tuple((float(x), float(y)) for x, y in zip(*columns, strict=True)))
    problem = f"a {type(gate).__name__} cannot be taken over; draw a polygon"
    raise InputError(problem)


def _same(result: SampleResult, first: Gate, second: Gate) -> bool:
    if type(first) is not type(second):
        return False
    numbers = [_numbers(gate) for gate in (first, second)]
    if numbers[0].shape != numbers[1].shape:
        return False
    linear = np.array([result.transforms[dim].get("kind", "").lower() == "linear" for dim in first.dims])
    size = np.where(linear, _LINEAR_RANGE, 1.0)
    both = np.isfinite(numbers[0]) & np.isfinite(numbers[1])
    with np.errstate(invalid="ignore"):
        near = np.abs(numbers[0] - numbers[1]) <= _STILL * np.maximum(size, np.abs(numbers[0]))
    return bool(np.all(np.where(both, near, numbers[0] == numbers[1])))


def _numbers(gate: Gate) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Numbers of a gate, one column a dimension."""
    if isinstance(gate, Polygon):
        return np.array(gate.vertices)
    return np.array([np.atleast_1d(gate.low), np.atleast_1d(gate.high)])  # type: ignore[attr-defined]


def _for_sign(gate: Gate, sign: str, population: ImportedPopulation) -> Gate:
    """The gate as the template's sign wants it: the outside of a one-sided interval is its other side."""
    if population.inside == (sign == "+"):
        return gate
    if isinstance(gate, Interval) and np.isfinite(gate.low) != np.isfinite(gate.high):
        return Interval(gate.dims, high=gate.low) if np.isfinite(gate.low) else Interval(gate.dims, low=gate.high)
    problem = "the gate's inside and outside were exchanged; the template keeps the other side"
    raise InputError(problem)
