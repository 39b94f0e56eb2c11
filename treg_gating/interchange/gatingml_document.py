"""Gating-ML 2.0 read into plain values, checked by the standard's own schema.

FlowKit reads Gating-ML too, and is the judge in the tests; but to import it takes as long as gating a large tube.
Source: Spidlen et al., ISAC's Gating-ML 2.0 (2013), sections 5 (gates) and 6 (transformations).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from treg_gating.errors import InputError
from treg_gating.foreign_scales import FAsinh, FLin, FLog, Hyperlog
from treg_gating.interchange.xml_text import data, gating, transforms
from treg_gating.transforms import Logicle, Transform

__all__ = ["Document", "Scale", "check_schema", "read_document"]

_KINDS = ("RectangleGate", "PolygonGate", "EllipsoidGate", "QuadrantGate", "BooleanGate")
_SCALES: dict[str, tuple[str, Any]] = {
    "flin": ("TA", FLin),
    "flog": ("TM", FLog),
    "fasinh": ("TMA", FAsinh),
    "hyperlog": ("TWMA", Hyperlog),
    "logicle": ("TWMA", Logicle),
}


@dataclass(frozen=True)
class Dimension:
    """A dimension of a gate, or a divider of a quadrant gate (`id` is then the divider's)."""

    id: str
    dimension_ref: str | None
    compensation_ref: str | None
    transformation_ref: str | None
    min: float | None = None
    max: float | None = None
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class RatioDimension:
    """A dimension that is a ratio of two others."""

    ratio_ref: str
    compensation_ref: str | None
    transformation_ref: str | None


@dataclass(frozen=True)
class Quadrant:
    """A part of a quadrant gate: between which values of each divider it lies."""

    id: str
    ranges: dict[str, tuple[float | None, float | None]]

    @property
    def divider_refs(self) -> tuple[str, ...]:
        """Identifiers of the dividers that bound it."""
        return tuple(self.ranges)

    def get_divider_range(self, divider: str) -> tuple[float | None, float | None]:
        """Lower and upper bound along a divider; None where there is none."""
        return self.ranges[divider]


@dataclass
class Node:
    """A gate; which of the fields are filled depends on its type."""

    gate_type: str
    id: str
    parent: str | None
    dimensions: list[Dimension | RatioDimension]
    vertices: list[tuple[float, ...]] = field(default_factory=list)
    coordinates: list[float] = field(default_factory=list)
    covariance_matrix: list[list[float]] = field(default_factory=list)
    distance_square: float = 0.0
    quadrants: dict[str, Quadrant] = field(default_factory=dict)
    type: str = ""
    gate_refs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Scale:
    """A transformation with its numbers."""

    kind: str
    numbers: tuple[float, ...]

    def ours(self) -> Transform:
        """The scale here.

        Raises
        ------
        InputError : there is none, or its numbers make none.
        """
        if self.kind not in _SCALES:
            msg = f"a {self.kind}"
            raise InputError(msg)
        made: Transform = _SCALES[self.kind][1](*self.numbers)
        return made


@dataclass(frozen=True)
class Matrix:
    """A spectrum matrix; shape of `matrix`: (fluorochromes, detectors)."""

    fluorochromes: tuple[str, ...]
    detectors: tuple[str, ...]
    matrix: list[list[float]]


@dataclass(frozen=True)
class Document:
    """What a document holds.

    Parameters
    ----------
    gates : by identifier. transformations, comp_matrices : by identifier.
    """

    gates: dict[str, Node]
    transformations: dict[str, Scale]
    comp_matrices: dict[str, Matrix]

    def listed(self) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], Node]]:
        """Path, path of the population above, and gate, for every gate in the order of the document."""
        for gate in self.gates.values():
            above = self.path(gate.parent)
            yield (*above, gate.id), above, gate

    def path(self, name: str | None) -> tuple[str, ...]:
        """Names from the root to a gate or quadrant, its own included.

        Raises
        ------
        ValueError : it is not there, or stands below itself.
        """
        found: list[str] = []
        of_quadrant = {quadrant: gate.id for gate in self.gates.values() for quadrant in gate.quadrants}
        while name is not None:
            if name in found or not (name in self.gates or name in of_quadrant):
                msg = f"gate {name!r} is not there, or stands below itself"
                raise ValueError(msg)
            found.append(name)
            name = of_quadrant[name] if name in of_quadrant else self.gates[name].parent
        return ("root", *reversed(found))


def check_schema(root: Any) -> None:
    """Check a document by the standard's schema, which FlowKit's package holds.

    Raises
    ------
    ValueError : it is not as the schema wants it.
    """
    schema = _schema()
    if not schema.validate(root.getroottree()):
        first = schema.error_log[0]
        msg = f"line {first.line}: {first.message}"
        raise ValueError(msg)


@cache
def _schema() -> Any:
    from lxml import etree

    package = find_spec("flowkit")  # where it lies; it is not imported
    if package is None or package.origin is None:
        msg = "FlowKit, whose package holds the schema of Gating-ML, is not installed"
        raise InputError(msg)
    return etree.XMLSchema(etree.parse(Path(package.origin).parent / "_resources" / "Gating-ML.v2.0.xsd"))


def read_document(root: Any) -> Document:
    """Everything a document holds.

    Raises
    ------
    ValueError, KeyError, TypeError : it does not follow the standard.
    """
    check_schema(root)
    gates: dict[str, Node] = {}
    for kind in _KINDS:
        for element in root.findall(gating(kind)):
            gate = _gate(kind, element)
            if gate.id in gates:
                msg = f"two gates are called {gate.id!r}"
                raise ValueError(msg)
            gates[gate.id] = gate
    scales = dict(_scale(element) for element in root.findall(transforms("transformation")))
    matrices = dict(_matrix(element) for element in root.findall(transforms("spectrumMatrix")))
    document = Document(gates, scales, matrices)
    for gate in gates.values():
        document.path(gate.id)  # or the reason why there is none
        for reference in gate.gate_refs:
            reference["path"] = document.path(reference["ref"])[:-1]
    return document


def _gate(kind: str, element: Any) -> Node:
    parts = element.findall(gating("divider")) or element.findall(gating("dimension"))
    gate = Node(kind, element.attrib[gating("id")], element.get(gating("parent_id")), [_dimension(x) for x in parts])
    if kind == "PolygonGate":
        gate.vertices = [_coordinates(vertex) for vertex in element.findall(gating("vertex"))]
    elif kind == "EllipsoidGate":
        gate.coordinates = list(_coordinates(element.find(gating("mean"))))
        rows = element.find(gating("covarianceMatrix")).findall(gating("row"))
        gate.covariance_matrix = [[_value(entry) for entry in row.findall(gating("entry"))] for row in rows]
        gate.distance_square = _value(element.find(gating("distanceSquare")))
    elif kind == "QuadrantGate":
        gate.quadrants = {q.id: q for q in (_quadrant(x, gate) for x in element.findall(gating("Quadrant")))}
    elif kind == "BooleanGate":
        gate.type = next(name for name in ("and", "or", "not") if element.find(gating(name)) is not None)
        gate.gate_refs = [
            {"ref": x.attrib[gating("ref")], "complement": x.get(gating("use-as-complement")) in {"true", "1"}}
            for x in element.find(gating(gate.type)).findall(gating("gateReference"))
        ]
    return gate


def _dimension(element: Any) -> Dimension | RatioDimension:
    references = (element.get(gating("compensation-ref")), element.get(gating("transformation-ref")))
    made = element.find(data("new-dimension"))
    if made is not None:
        return RatioDimension(made.attrib[data("transformation-ref")], *references)
    name = element.find(data("fcs-dimension")).attrib[data("name")]
    low, high = (None if (text := element.get(gating(bound))) is None else float(text) for bound in ("min", "max"))
    values = tuple(float(value.text) for value in element.findall(gating("value")))
    divider = element.get(gating("id"))
    return Dimension(divider or name, name if divider else None, *references, low, high, values)


def _quadrant(element: Any, gate: Node) -> Quadrant:
    values = {dim.id: sorted(dim.values) for dim in gate.dimensions if isinstance(dim, Dimension)}
    ranges: dict[str, tuple[float | None, float | None]] = {}
    for position in element.findall(gating("position")):
        divider, place = position.attrib[gating("divider_ref")], float(position.attrib[gating("location")])
        below, above = ([v for v in values[divider] if v <= place], [v for v in values[divider] if v > place])
        ranges[divider] = (below[-1] if below else None, above[0] if above else None)
    return Quadrant(element.attrib[gating("id")], ranges)


def _coordinates(element: Any) -> tuple[float, ...]:
    return tuple(_value(coordinate) for coordinate in element.findall(gating("coordinate")))


def _value(element: Any) -> float:
    return float(element.attrib[data("value")])


def _scale(element: Any) -> tuple[str, Scale]:
    inner = next(iter(element))
    kind = inner.tag.rpartition("}")[2]
    numbers = tuple(float(inner.attrib[transforms(letter)]) for letter in _SCALES.get(kind, ("", None))[0])
    return element.attrib[transforms("id")], Scale(kind, numbers)


def _matrix(element: Any) -> tuple[str, Matrix]:
    dyes, detectors = (
        tuple(x.attrib[data("name")] for x in element.find(transforms(part)).findall(data("fcs-dimension")))
        for part in ("fluorochromes", "detectors")
    )
    rows = [
        [float(x.attrib[transforms("value")]) for x in spectrum.findall(transforms("coefficient"))]
        for spectrum in element.findall(transforms("spectrum"))
    ]
    return element.attrib[transforms("id")], Matrix(dyes, detectors, rows)
