"""What of one tube's gates can be written into another program's format: a tree of nodes, and what is left out.

Every exporter starts here, so that all of them agree on three things: a gate whose marker was not stained lets
everything through (its children hang on its parent), a gate that failed is not written and nothing below it is, and
quality control is written only as far as ranges of the raw values say it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from treg_gating.gating.expression import parse_expression
from treg_gating.gating.gates import Gate, HalfPlane, Interval, Polygon
from treg_gating.gating.results import FittedGate, GateStatus, SampleResult
from treg_gating.transforms import Linear, Transform, transform_from_dict

__all__ = ["CLEAN", "ExportNode", "ExportTree", "build_tree", "half_plane_polygon", "transforms_of"]

CLEAN = "clean"
Term = tuple[tuple[str, bool], ...]

_BOX_LINEAR = 1e10  # beyond every value an FCS file of 32-bit numbers can hold after compensation
_BOX_SCALED = 3.0  # a scale's top is 1; 3 stands for more than 10¹³ in linear units


@dataclass(frozen=True)
class ExportNode:
    """One population to write.

    Parameters
    ----------
    population : its name. parent : a node above it, or None for all events.
    gate : numbers in the template's units; None for combinations and for ``clean``.
    inside : False for the events of the parent outside the gate.
    terms : for combinations, alternatives of (population, wanted) pairs, all of them nodes above it.
    ranges : for ``clean``, raw ranges low ≤ x < high by $PnN.
    without : for ``clean``, ranges ($PnN, low, high) of the clock whose events are left out.
    """

    population: str
    parent: str | None
    gate: Gate | None = None
    inside: bool = True
    terms: tuple[Term, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    without: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class ExportTree:
    """All that can be written of one tube, parents first.

    Parameters
    ----------
    nodes : populations to write.
    same_as : populations that are not written because they hold the same events as another (None: all events).
    left_out : (population, reason) of those that cannot be written.
    notes : what a reader of the file must know.
    """

    nodes: tuple[ExportNode, ...]
    same_as: Mapping[str, str | None]
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def build_tree(result: SampleResult) -> ExportTree:
    """The gates of one finished tube as nodes."""
    clean, notes = _clean(result)
    nodes: list[ExportNode] = [clean] if clean else []
    same_as: dict[str, str | None] = {"root": None, CLEAN: CLEAN if clean else None}
    left_out: dict[str, str] = {}
    for gate in result.gates:
        if gate.parent in left_out:
            left_out[gate.population] = f"its parent {gate.parent} is not written"
            continue
        parent = same_as[gate.parent]
        if gate.status is GateStatus.NOT_STAINED and not gate.expression:
            same_as[gate.population] = parent
            notes.append(f"{gate.population} holds the events of {gate.parent}: {gate.reason}")
            continue
        node, reason = _node(gate, parent, same_as, left_out)
        if node is None:
            left_out[gate.population] = reason
            continue
        nodes.append(node)
        same_as[gate.population] = gate.population
    written = {node.population for node in nodes}
    through = {name: target for name, target in same_as.items() if name not in written}
    return ExportTree(tuple(nodes), through, tuple(left_out.items()), tuple(notes))


def _clean(result: SampleResult) -> tuple[ExportNode | None, list[str]]:
    """Quality control as ranges of raw values, and a note on what they do not say."""
    notes: list[str] = []
    # A clock that ran over was joined before it was looked at; the file's own times are others.
    joined = any(flag.code == "CLOCK" for flag in result.flags)
    stretches = () if joined or not result.clock else result.removed
    without = tuple((result.clock, _between(first), _between(last)) for first, last in stretches)
    removed = _by_other_means(result, time=bool(without))
    if removed:
        notes.append(
            f"quality control left out {removed} events that no gate on values can express; the gates written here "
            "count them"
        )
    if not result.margins:
        return None, notes
    return ExportNode(CLEAN, None, ranges=dict(result.margins), without=without), notes


def _between(bound: float) -> float:
    """The place halfway below the least float32 not under `bound`.

    Times are kept as float32; other programs hold the same times as float64, up to half a step lower.
    """
    at = np.float32(bound)
    at = at if float(at) >= bound else np.nextafter(at, np.float32(np.inf))
    return (float(at) + float(np.nextafter(at, np.float32(-np.inf)))) / 2


def _by_other_means(result: SampleResult, *, time: bool) -> int:
    """Events that quality control removed beyond those outside the ranges that are written."""
    clean = result.count(CLEAN)
    if clean is None or clean.n is None:
        return 0
    share = result.quality.get("margin_pct", 0.0) if result.margins else 0.0
    share += result.quality.get("time_removed_pct", 0.0) if result.margins and time else 0.0
    return max(0, result.n_events - clean.n - round(share / 100 * result.n_events))


def _node(
    gate: FittedGate, parent: str | None, same_as: Mapping[str, str | None], left_out: Mapping[str, str]
) -> tuple[ExportNode | None, str]:
    if gate.expression:
        return _combination(gate, parent, same_as, left_out)
    if gate.gate is None:
        return None, f"no gate: {gate.reason or gate.status}"
    node = ExportNode(gate.population, parent, gate.gate, gate.sign == "+")
    return _without_complement(node), ""


def _without_complement(node: ExportNode) -> ExportNode:
    """The outside of a one-sided interval is the interval on its other side."""
    shape = node.gate
    if node.inside or not isinstance(shape, Interval) or np.isfinite(shape.low) == np.isfinite(shape.high):
        return node
    flipped = Interval(shape.dims, high=shape.low) if np.isfinite(shape.low) else Interval(shape.dims, low=shape.high)
    return replace(node, gate=flipped, inside=True)


def _combination(
    gate: FittedGate, parent: str | None, same_as: Mapping[str, str | None], left_out: Mapping[str, str]
) -> tuple[ExportNode | None, str]:
    """Literals that say nothing (all events, or the parent itself) are dropped."""
    if gate.status in (GateStatus.NOT_STAINED, GateStatus.FAILED):
        return None, f"no gate: {gate.reason}"
    expression = parse_expression(gate.expression)
    absent = [name for name in expression.names if name in left_out]
    if absent:
        return None, f"{absent[0]} is not written"
    terms: list[Term] = []
    for term in expression.terms:
        literals = [(same_as[name], wanted) for name, wanted in term]
        if any(name in (None, parent) and not wanted for name, wanted in literals):
            continue  # never true inside the parent
        terms.append(tuple((name, wanted) for name, wanted in literals if name is not None and name != parent))
    if not terms or not all(terms):
        return None, f"{gate.expression!r} holds {'no event' if not terms else 'every event of its parent'}"
    return ExportNode(gate.population, parent, terms=tuple(terms)), ""


def transforms_of(result: SampleResult) -> dict[str, Transform]:
    """Transform of every dimension of a tube."""
    return {name: transform_from_dict(dict(values)) for name, values in result.transforms.items()}


def half_plane_polygon(gate: HalfPlane, transforms: Sequence[Transform]) -> Polygon:
    """The part of a half-plane inside a box that holds every possible event.

    The box ends at 3 on a scale whose top is 1 and at 10¹⁰ in linear units: near enough that rounding moves the line
    by less than 10⁻¹⁴ of a scale, and beyond what a file can hold.
    """
    x, y = (_BOX_LINEAR if isinstance(transform, Linear) else _BOX_SCALED for transform in transforms)
    box = [(-x, -y), (x, -y), (x, y), (-x, y)]
    distance = [gate.normal[0] * a + gate.normal[1] * b - gate.offset for a, b in box]
    corners: list[tuple[float, float]] = []
    for i in range(4):
        j = (i + 1) % 4
        if distance[i] >= 0:
            corners.append(box[i])
        if (distance[i] >= 0) != (distance[j] >= 0):
            share = distance[i] / (distance[i] - distance[j])
            corners.append(tuple(a + share * (b - a) for a, b in zip(box[i], box[j], strict=True)))  # type: ignore[arg-type]
    if len(corners) < 3:
        msg = f"line on {gate.dims} with offset {gate.offset:g} lies beyond every possible event"
        raise ValueError(msg)
    return Polygon(gate.dims, tuple(corners))
