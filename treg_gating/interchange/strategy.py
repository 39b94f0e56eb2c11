"""FlowKit's gates as ours: FlowKit reads Gating-ML and FlowJo workspaces, and this takes over what it read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from treg_gating.errors import CompensationError, InputError
from treg_gating.foreign_scales import Biex, FAsinh, FLin, FLog, FlowJoLog, Hyperlog
from treg_gating.gating.gates import Ellipse, Gate, Interval, Polygon, Rectangle
from treg_gating.interchange.imported import Axis, ImportedPopulation, Term
from treg_gating.sample import Channel, Spillover
from treg_gating.transforms import Linear, Logicle, Transform

__all__ = ["FILE", "TakenOver", "take_over"]

FILE = "FCS"  # Gating-ML's name for the matrix in the file
Path = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TakenOver:
    """What of a FlowKit strategy has a counterpart here.

    Parameters
    ----------
    populations : parents and operands first. left_out : (population, reason).
    compensation, spillover : as a template has them. names : population by path from the root, its own name included.
    """

    populations: tuple[ImportedPopulation, ...]
    left_out: tuple[tuple[str, str], ...]
    compensation: str
    spillover: Spillover | None
    names: Mapping[Path, str]


class _UnsupportedError(Exception):
    """A gate without counterpart; the text says why."""


def take_over(
    strategy: Any,
    sample_id: str | None = None,
    unusable: Mapping[str, str] | None = None,
    *,
    file_has_matrix: bool = True,
) -> TakenOver:
    """Gates of a ``flowkit.GatingStrategy`` (those of one sample where it has its own).

    Parameters
    ----------
    unusable : transforms and matrices, by identifier, that FlowKit reads otherwise than the document means, and why.
    file_has_matrix : False for files without a matrix of their own: "compensated by the file's matrix" then means
        not compensated, as Gating-ML 2.0 has it.
    """
    return _Reader(strategy, sample_id, dict(unusable or {}), file_has_matrix).read()


@dataclass(frozen=True)
class _Node:
    """A gate or quadrant of the tree; `above` is the path of the population it is cut out of."""

    path: Path
    above: Path
    gate: Any
    quadrant: Any = None


class _Reader:
    def __init__(self, strategy: Any, sample_id: str | None, unusable: dict[str, str], file_has_matrix: bool) -> None:
        self.strategy, self.unusable = strategy, unusable
        self.raw = {None, "uncompensated"} if file_has_matrix else {None, "uncompensated", FILE}
        self.nodes = _nodes(strategy, sample_id)
        self.names = _names([node.path for node in self.nodes])
        self.transforms = dict(strategy.transformations)
        self.matrix, self.spillover = self._choose_matrix()

    def read(self) -> TakenOver:
        populations: list[ImportedPopulation] = []
        left_out: dict[Path, str] = {}
        done: set[Path] = {("root",)}
        waiting = list(self.nodes)
        while waiting:
            ready = [node for node in waiting if {node.above, *self._operands(node)} <= done | set(left_out)]
            for node in ready:
                try:
                    populations.append(self._population(node, left_out))
                    done.add(node.path)
                except _UnsupportedError as error:
                    left_out[node.path] = str(error)
            waiting = [node for node in waiting if node not in ready]
            if not ready:
                left_out |= {node.path: "refers to a gate that is not there" for node in waiting}
                break
        lost = tuple((self.names[path], reason) for path, reason in left_out.items())
        return TakenOver(tuple(populations), lost, self._compensation(), self.spillover, self.names)

    def _compensation(self) -> str:
        if self.matrix is not None:
            return "file"
        used = [_dimension_id(dim) for node in self.nodes for dim in _dimensions(node)]
        return "none" if any(name.startswith(("FJComp-", "Comp-")) for name in used) else "uncompensated"

    def _choose_matrix(self) -> tuple[str | None, Spillover | None]:
        """The compensation that most dimensions ask for; one file is compensated once."""
        asked = Counter(
            dim.compensation_ref
            for node in self.nodes
            for dim in _dimensions(node)
            if dim.compensation_ref not in self.raw
        )
        for reference, _ in asked.most_common():
            if reference == FILE:
                return reference, None
            try:
                return reference, self._spillover(reference)
            except _UnsupportedError as error:
                self.unusable[reference] = str(error)
        return None, None

    def _spillover(self, reference: str) -> Spillover:
        if reference in self.unusable:
            raise _UnsupportedError(self.unusable[reference])
        matrix = self.strategy.comp_matrices.get(reference)
        if matrix is None:
            msg = f"matrix {reference!r} is not in the document"
            raise _UnsupportedError(msg)
        if not hasattr(matrix, "fluorochromes"):
            msg = "spectral unmixing with more detectors than dyes"
            raise _UnsupportedError(msg)
        try:
            return Spillover(tuple(matrix.detectors), np.asarray(matrix.matrix), source=f"matrix {reference!r}")
        except CompensationError as error:
            raise _UnsupportedError(str(error)) from None

    def _operands(self, node: _Node) -> list[Path]:
        references = getattr(node.gate, "gate_refs", None) or []
        return [(*ref["path"], ref["ref"]) for ref in references]

    def _population(self, node: _Node, left_out: Mapping[Path, str]) -> ImportedPopulation:
        for path in (node.above, *self._operands(node)):
            if path in left_out:
                msg = f"{self.names[path]} is not taken over"
                raise _UnsupportedError(msg)
        name, title = self.names[node.path], "/".join(node.path[1:])
        parent = "root" if node.above == ("root",) else self.names[node.above]
        if node.gate.gate_type == "BooleanGate":
            return ImportedPopulation(name, parent, terms=self._terms(node.gate), title=title)
        gate, axes = self._shape(node)
        inside = not getattr(node.gate, "use_complement", False)
        return ImportedPopulation(name, parent, axes, gate, inside, title=title)

    def _terms(self, gate: Any) -> tuple[Term, ...]:
        literals = [
            (self.names[*ref["path"], ref["ref"]], bool(ref["complement"]) == (gate.type == "not"))
            for ref in gate.gate_refs
        ]
        return tuple((literal,) for literal in literals) if gate.type == "or" else (tuple(literals),)

    def _shape(self, node: _Node) -> tuple[Gate, tuple[Axis, ...]]:
        kind, dims = node.gate.gate_type, _dimensions(node)
        axes = tuple(Axis(*self._detector(dim), self._transform(dim.transformation_ref)) for dim in dims)
        names = tuple(axis.detector for axis in axes)
        if len(set(names)) < len(names):
            msg = "one detector on two of its dimensions"
            raise _UnsupportedError(msg)
        try:
            if kind == "RectangleGate":
                low = [-np.inf if dim.min is None else float(dim.min) for dim in dims]
                high = [np.inf if dim.max is None else float(dim.max) for dim in dims]
                return _box(names, low, high), axes
            if kind == "QuadrantGate":
                ranges = [node.quadrant.get_divider_range(dim.id) for dim in dims]
                low = [-np.inf if pair[0] is None else float(pair[0]) for pair in ranges]
                high = [np.inf if pair[1] is None else float(pair[1]) for pair in ranges]
                return _box(names, low, high), axes
            if kind == "PolygonGate":
                return Polygon(names, tuple((float(x), float(y)) for x, y in node.gate.vertices)), axes
            if kind == "EllipsoidGate":
                covariance = tuple(tuple(float(value) for value in row) for row in node.gate.covariance_matrix)
                mean = tuple(float(value) for value in node.gate.coordinates)
                return Ellipse(names, mean, covariance, float(node.gate.distance_square)), axes
        except ValueError as error:
            raise _UnsupportedError(str(error)) from None
        msg = f"a {kind}"
        raise _UnsupportedError(msg)

    def _detector(self, dim: Any) -> tuple[str, bool]:
        """Name of the detector, and whether its raw values are meant beside compensated ones."""
        if hasattr(dim, "ratio_ref"):
            msg = "a ratio of two channels"
            raise _UnsupportedError(msg)
        name, reference = _dimension_id(dim), dim.compensation_ref
        compensated = reference not in self.raw
        if compensated and reference != self.matrix:
            reason = self.unusable.get(reference, f"compensated by {reference!r} beside {self.matrix!r}")
            raise _UnsupportedError(reason)
        if compensated and self.spillover is not None:
            matrix = self.strategy.comp_matrices[self.matrix]
            if name not in self.spillover.channels and name in matrix.fluorochromes:
                name = matrix.detectors[list(matrix.fluorochromes).index(name)]
        return str(name), not compensated and self._is_dye(str(name))

    def _is_dye(self, detector: str) -> bool:
        """Whether the file's compensation changes this detector's values."""
        if self.spillover is not None:
            return detector in self.spillover.channels
        channel = Channel(detector)
        return self.matrix == FILE and not (channel.is_scatter or channel.is_time)

    def _transform(self, reference: str | None) -> Transform:
        if reference is None:
            return Linear()
        if reference in self.unusable:
            raise _UnsupportedError(self.unusable[reference])
        if reference not in self.transforms:
            msg = f"transform {reference!r} is not in the document"
            raise _UnsupportedError(msg)
        theirs = self.transforms[reference]
        make = _SCALES.get(type(theirs).__name__)
        if make is None:
            msg = f"a {type(theirs).__name__}"
            raise _UnsupportedError(msg)
        try:
            scale: Transform = make(theirs)
        except InputError as error:
            raise _UnsupportedError(str(error)) from None
        return scale


_SCALES: dict[str, Any] = {
    "LogicleTransform": lambda x: Logicle(x.param_t, x.param_w, x.param_m, x.param_a),
    "LinearTransform": lambda x: FLin(x.param_t, x.param_a),
    "LogTransform": lambda x: FLog(x.param_t, x.param_m),
    "AsinhTransform": lambda x: FAsinh(x.param_t, x.param_m, x.param_a),
    "HyperlogTransform": lambda x: Hyperlog(x.param_t, x.param_w, x.param_m, x.param_a),
    "WSPBiexTransform": lambda x: Biex(x.negative, x.width, x.positive, x.max_value),
    "WSPLogTransform": lambda x: FlowJoLog(x.offset, x.decades),
}


def _box(names: tuple[str, ...], low: Sequence[float], high: Sequence[float]) -> Gate:
    if len(names) == 1:
        return Interval(names, low[0], high[0])
    return Rectangle(names, tuple(low), tuple(high))


def _dimension_id(dim: Any) -> str:
    return str(getattr(dim, "dimension_ref", None) or getattr(dim, "id", None) or dim.ratio_ref)


def _dimensions(node: _Node) -> list[Any]:
    dims = list(node.gate.dimensions or [])
    return dims if node.quadrant is None else [dim for dim in dims if dim.id in node.quadrant.divider_refs]


def _nodes(strategy: Any, sample_id: str | None) -> list[_Node]:
    """Every gate and quadrant; a quadrant gate itself is no population."""
    from flowkit.exceptions import QuadrantReferenceError

    nodes: list[_Node] = []
    for name, above in strategy.get_gate_ids():
        path = (*above, name)
        try:
            gate = strategy.get_gate(name, above, sample_id=sample_id)
        except QuadrantReferenceError:
            continue
        over = tuple(above)
        if gate.gate_type == "QuadrantGate":
            nodes += [_Node((*path, q.id), over, gate, q) for q in gate.quadrants.values()]
        else:
            nodes.append(_Node(path, over, gate))
    return nodes


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """The last part of a path where it is the only one of its name, else the whole path."""
    times = Counter(path[-1] for path in paths)
    names = {path: path[-1] if times[path[-1]] == 1 else "/".join(path[1:]) for path in paths}
    # Two names mean something here already; a path that begins at the root cannot be taken for them.
    return {path: "/".join(path) if name in {"root", "clean"} else name for path, name in names.items()}
