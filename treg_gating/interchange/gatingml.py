"""Fitted gates of a tube as a Gating-ML 2.0 document.

Dimensions are detectors ($PnN) of the FCS file; the spillover matrix that was used and every transform stand in the
document, so that it needs nothing but the file. Numbers are written with all their digits.

Source: Spidlen et al., Gating-ML 2.0 (ISAC recommendation, Cytometry A 2015).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from treg_gating.errors import InputError
from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Polygon, Rectangle
from treg_gating.gating.results import SampleResult
from treg_gating.interchange.export_tree import (
    ExportNode,
    ExportTree,
    build_tree,
    half_plane_polygon,
    transforms_of,
)
from treg_gating.interchange.xml_text import (
    DATA,
    GATING,
    TRANSFORMS,
    data,
    gating,
    number,
    printable,
    transforms,
    unique_ids,
)
from treg_gating.transforms import Asinh, Linear, Logicle, Transform

__all__ = ["GateExport", "export_gatingml", "export_run", "safe_file_name"]

MATRIX = "spillover"


@dataclass(frozen=True)
class GateExport:
    """What was written, and what could not be.

    Parameters
    ----------
    path : the document. populations : identifiers in it, by population; populations that hold the same events as
        another share its identifier, and those that hold all events have "".
    left_out : (population, reason). notes : what a reader of the document must know; they stand in it too.
    """

    path: Path
    populations: Mapping[str, str]
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def export_gatingml(result: SampleResult, path: str | Path) -> GateExport:
    """Write the gates of one finished tube.

    Intervals and rectangles become RectangleGates, polygons and lines PolygonGates (a line is closed far outside all
    data), ellipses EllipsoidGates; the outside of a gate and combinations become BooleanGates. ``clean`` is a
    RectangleGate on raw values; what quality control removes by time cannot be written, and is said.

    Raises
    ------
    InputError : the tube failed, or a transform of it does not exist in Gating-ML (FlowJo's biex).
    """
    from lxml import etree

    if result.status != "done":
        msg = f"tube {result.tube_id} has no gates: {result.reason or result.status}"
        raise InputError(msg, file=result.file)
    tree = build_tree(result)
    document = _Document(result, tree)
    document.write()
    target = Path(path)
    text = etree.tostring(document.root, encoding="utf-8", xml_declaration=True, pretty_print=True)
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.write_bytes(text)
    temporary.replace(target)
    ids = {name: document.ids[name] for name in (node.population for node in tree.nodes)}
    ids |= {name: ids[goal] if goal else "" for name, goal in tree.same_as.items()}
    return GateExport(target, ids, tree.left_out, tree.notes)


def export_run(results: Iterable[SampleResult], folder: str | Path) -> tuple[GateExport, ...]:
    """One document a finished tube, ``<tube_id>.xml`` in `folder`; failed tubes have none.

    Characters that a file name cannot hold everywhere are replaced; where that makes two names alike, or a name is
    too long, a digest of the tube's name is added.
    """
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    done = [result for result in results if result.status == "done"]
    names = [safe_file_name(result.tube_id) for result in done]
    written = []
    for result, name in zip(done, names, strict=True):
        twice = sum(other.lower() == name.lower() for other in names) > 1
        written.append(export_gatingml(result, out / f"{safe_file_name(result.tube_id, digest=twice)}.xml"))
    return tuple(written)


def safe_file_name(text: str, *, digest: bool = False) -> str:
    """A name for a file that every system takes: letters, digits, ``_ . -``, at most 100 characters."""
    name = re.sub(r"[^\w.-]", "_", text, flags=re.ASCII).strip(".") or "_"
    reserved = re.fullmatch(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", name, re.IGNORECASE)
    if digest or reserved or len(name) > 100:
        return f"{name[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    return name


class _Document:
    """The document being built: what each part of it is called, and its root element."""

    def __init__(self, result: SampleResult, tree: ExportTree) -> None:
        from lxml import etree

        self._etree = etree
        self.result, self.tree = result, tree
        self.transforms = transforms_of(result)
        self.detector = {marker: channel for marker, channel, _ in result.panel}
        self.raw = {marker for marker, _, how in result.panel if how == "raw"}
        matrix = result.spillover or {"channels": (), "matrix": ()}
        self.dyes, self.matrix = list(matrix["channels"]), matrix["matrix"]
        self.root = etree.Element(
            gating("Gating-ML"), nsmap={"gating": GATING, "transforms": TRANSFORMS, "data-type": DATA}
        )
        used = dict.fromkeys(name for node in tree.nodes if node.gate for name in node.gate.dims)
        scaled = [name for name in used if not isinstance(self.transforms[name], Linear)]
        names = [node.population for node in tree.nodes]
        self.ids = unique_ids(names, taken=["root", MATRIX])
        ids = unique_ids([f"scale.{name}" for name in scaled], taken=[*self.ids.values(), MATRIX])
        self.scale = {name: ids[f"scale.{name}"] for name in scaled}
        self._taken = {*self.ids.values(), *self.scale.values(), MATRIX, "root"}

    def write(self) -> None:
        self._about()
        for name, identifier in self.scale.items():
            self._transformation(identifier, self.transforms[name])
        if self.dyes:
            self._spectrum_matrix()
        for node in self.tree.nodes:
            self._population(node)

    def _about(self) -> None:
        from treg_gating import __version__

        info = self._etree.SubElement(self.root, data("custom_info"))
        about = {
            "program": f"treg-gating {__version__}",
            "tube": self.result.tube_id,
            "file": self.result.file,
            "sha256": self.result.sha256,
            "compensation": self.result.compensation,
        }
        for key, text in about.items():
            self._etree.SubElement(info, key).text = printable(text)
        for note in self.tree.notes:
            self._etree.SubElement(info, "note").text = printable(note)
        for population, reason in self.tree.left_out:
            self._etree.SubElement(info, "left_out").text = printable(f"{population}: {reason}")

    def _transformation(self, identifier: str, transform: Transform) -> None:
        element = self._etree.SubElement(self.root, transforms("transformation"), {transforms("id"): identifier})
        if isinstance(transform, Logicle):
            kind, numbers = "logicle", {"T": transform.t, "W": transform.w, "M": transform.m, "A": transform.a}
        elif isinstance(transform, Asinh):
            # fasinh(x) = asinh(x · sinh(M ln 10) / T) / (M ln 10) with A = 0.
            top = transform.cofactor * float(np.sinh(transform.scale))
            kind, numbers = "fasinh", {"T": top, "M": transform.scale / float(np.log(10)), "A": 0.0}
        else:
            msg = f"{type(transform).__name__} does not exist in Gating-ML 2.0"
            raise InputError(msg, file=self.result.file, action="Export to a FlowJo workspace instead")
        self._etree.SubElement(
            element, transforms(kind), {transforms(key): number(value) for key, value in numbers.items()}
        )

    def _spectrum_matrix(self) -> None:
        element = self._etree.SubElement(self.root, transforms("spectrumMatrix"), {transforms("id"): MATRIX})
        for kind in ("fluorochromes", "detectors"):
            part = self._etree.SubElement(element, transforms(kind))
            for name in self.dyes:
                self._etree.SubElement(part, data("fcs-dimension"), {data("name"): name})
        for row in self.matrix:
            spectrum = self._etree.SubElement(element, transforms("spectrum"))
            for value in row:
                self._etree.SubElement(spectrum, transforms("coefficient"), {transforms("value"): number(value)})

    def _population(self, node: ExportNode) -> None:
        identifier = self.ids[node.population]
        if node.ranges:
            self._clean(identifier, node)
        elif node.terms:
            self._combination(identifier, node)
        elif node.gate is not None and node.inside:
            self._shape(identifier, node, node.gate)
        elif node.gate is not None:
            inside = self._extra(f"{identifier}.inside")
            self._shape(inside, node, node.gate)
            element = self._gate("BooleanGate", identifier, node)
            self._reference(self._etree.SubElement(element, gating("not")), inside, wanted=True)

    def _clean(self, identifier: str, node: ExportNode) -> None:
        """Raw ranges; each stretch of time that is left out is a gate, and ``clean`` is what none of them holds."""
        ranges = self._extra(f"{identifier}.ranges") if node.without else identifier
        element = self._gate("RectangleGate", ranges, node)
        for channel, (low, high) in node.ranges.items():
            self._dimension(element, channel, None, raw=True, low=low, high=high)
        literals = [(ranges, True)]
        for clock, low, high in node.without:
            stretch = self._extra(f"{identifier}.removed")
            element = self._gate("RectangleGate", stretch, node)
            self._dimension(element, clock, None, raw=True, low=low, high=high)
            literals.append((stretch, False))
        if node.without:
            self._boolean(identifier, node, "and", literals)

    def _extra(self, name: str) -> str:
        identifier = unique_ids([name], taken=self._taken)[name]
        self._taken.add(identifier)
        return identifier

    def _gate(self, kind: str, identifier: str, node: ExportNode) -> Any:
        element = self._etree.SubElement(self.root, gating(kind), {gating("id"): identifier})
        if node.parent is not None:
            element.set(gating("parent_id"), self.ids[node.parent])
        return element

    def _dimension(
        self,
        gate: Any,
        channel: str,
        scale: str | None,
        *,
        raw: bool = False,
        low: float = -np.inf,
        high: float = np.inf,
    ) -> None:
        compensation = MATRIX if channel in self.dyes and not raw else "uncompensated"
        element = self._etree.SubElement(gate, gating("dimension"), {gating("compensation-ref"): compensation})
        if scale is not None:
            element.set(gating("transformation-ref"), scale)
        for key, value in (("min", low), ("max", high)):
            if np.isfinite(value):
                element.set(gating(key), number(value))
        self._etree.SubElement(element, data("fcs-dimension"), {data("name"): channel})

    def _shape(self, identifier: str, node: ExportNode, gate: Gate) -> None:
        if isinstance(gate, HalfPlane):
            gate = half_plane_polygon(gate, [self.transforms[name] for name in gate.dims])
        if isinstance(gate, Interval | Rectangle):
            element = self._gate("RectangleGate", identifier, node)
            for name, low, high in zip(gate.dims, np.atleast_1d(gate.low), np.atleast_1d(gate.high), strict=True):
                self._dimension(
                    element, self.detector[name], self.scale.get(name), raw=name in self.raw, low=low, high=high
                )
            return
        element = self._gate("PolygonGate" if isinstance(gate, Polygon) else "EllipsoidGate", identifier, node)
        for name in gate.dims:
            self._dimension(element, self.detector[name], self.scale.get(name), raw=name in self.raw)
        if isinstance(gate, Polygon):
            for vertex in gate.vertices:
                self._values(self._etree.SubElement(element, gating("vertex")), "coordinate", vertex)
        elif isinstance(gate, Ellipse):
            self._values(self._etree.SubElement(element, gating("mean")), "coordinate", gate.mean)
            covariance = self._etree.SubElement(element, gating("covarianceMatrix"))
            for row in gate.covariance:
                self._values(self._etree.SubElement(covariance, gating("row")), "entry", row)
            self._etree.SubElement(element, gating("distanceSquare"), {data("value"): number(gate.distance_square)})

    def _values(self, parent: Any, name: str, values: Sequence[float]) -> None:
        for value in values:
            self._etree.SubElement(parent, gating(name), {data("value"): number(value)})

    def _combination(self, identifier: str, node: ExportNode) -> None:
        """Alternatives of conjunctions; a conjunction of several stands as a gate of its own."""
        alternatives: list[tuple[str, bool]] = []
        for i, term in enumerate(node.terms):
            literals = [(self.ids[name], wanted) for name, wanted in term]
            if len(literals) == 1:
                alternatives += literals
                continue
            inner = identifier if len(node.terms) == 1 else self._extra(f"{identifier}.{i + 1}")
            self._boolean(inner, node, "and", literals)
            alternatives.append((inner, True))
        if alternatives != [(identifier, True)]:
            self._boolean(identifier, node, "or", alternatives)

    def _boolean(self, identifier: str, node: ExportNode, kind: str, literals: list[tuple[str, bool]]) -> None:
        element = self._gate("BooleanGate", identifier, node)
        operation = self._etree.SubElement(element, gating(kind))
        for reference, wanted in literals if len(literals) > 1 else literals * 2:  # the format wants two
            self._reference(operation, reference, wanted=wanted)

    def _reference(self, operation: Any, reference: str, *, wanted: bool) -> None:
        element = self._etree.SubElement(operation, gating("gateReference"), {gating("ref"): reference})
        if not wanted:
            element.set(gating("use-as-complement"), "true")
