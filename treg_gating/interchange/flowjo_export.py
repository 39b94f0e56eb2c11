"""Fitted gates of a study as one FlowJo 10 workspace: every sample with gates of its own.

FlowJo keeps gates in linear units beside the scale they are drawn on. It knows no general ellipse that other programs
read alike, so an ellipse is written as a polygon of equal area; lines are closed far outside all data.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from treg_gating.errors import InputError
from treg_gating.fcs import read_header
from treg_gating.foreign_scales import Biex, FlowJoLog
from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Polygon, Rectangle
from treg_gating.gating.results import SampleResult
from treg_gating.interchange.export_tree import (
    CLEAN,
    ExportNode,
    build_tree,
    half_plane_polygon,
    transforms_of,
)
from treg_gating.interchange.xml_text import DATA, GATING, TRANSFORMS, number
from treg_gating.transforms import Asinh, Linear, Logicle, Transform

__all__ = ["ELLIPSE_CORNERS", "WorkspaceExport", "ellipse_polygon", "export_flowjo"]

ELLIPSE_CORNERS = 512
PREFIX = "Comp-"
GROUP = "All Samples"


@dataclass(frozen=True)
class WorkspaceExport:
    """What was written, and what could not be.

    Parameters
    ----------
    path : the workspace. samples : tubes in it, by their name there.
    left_out : (tube, population, reason). notes : (tube, what a reader must know).
    """

    path: Path
    samples: Mapping[str, str]
    left_out: tuple[tuple[str, str, str], ...]
    notes: tuple[tuple[str, str], ...]


def export_flowjo(results: Iterable[SampleResult], path: str | Path, files: Mapping[str, Path]) -> WorkspaceExport:
    """Write the gates of all finished tubes into one workspace.

    Parameters
    ----------
    files : FCS file by tube_id; a sample is called by the file's $FIL, as FlowJo does.

    Raises
    ------
    InputError : no finished tube, a file that cannot be read, or a scale that FlowJo does not have.
    """
    from lxml import etree

    done = [result for result in results if result.status == "done"]
    if not done:
        msg = "no finished tube to export"
        raise InputError(msg, file=str(path))
    target = Path(path)
    root = _workspace_element()
    group = _sub(_sub(root.find("Groups"), "GroupNode", name=GROUP, annotation="", owningGroup=GROUP), "Group")
    group.set("name", GROUP)
    references = _sub(group, "SampleRefs")
    samples, left_out, notes = {}, [], []
    for number_of, result in enumerate(done, start=1):
        sample = _Sample(result, files[result.tube_id], str(number_of), target.parent)
        root.find("SampleList").append(sample.element)
        _sub(references, "SampleRef", sampleID=str(number_of))
        samples[result.tube_id] = sample.name
        left_out += [(result.tube_id, *entry) for entry in sample.tree.left_out]
        notes += [(result.tube_id, note) for note in (*sample.tree.notes, *sample.notes)]
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.write_bytes(etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True))
    temporary.replace(target)
    return WorkspaceExport(target, samples, tuple(left_out), tuple(notes))


def ellipse_polygon(gate: Ellipse, corners: int = ELLIPSE_CORNERS) -> Polygon:
    """Polygon of the same area as an ellipse, its corners just outside it.

    With 512 corners the two outlines differ by less than one part in 75,000 of the radius.
    """
    if len(gate.dims) != 2:
        msg = f"ellipsoid on {len(gate.dims)} dimensions"
        raise ValueError(msg)
    angle = 2 * np.pi * np.arange(corners) / corners
    stretch = np.sqrt(2 * np.pi / corners / np.sin(2 * np.pi / corners))
    circle = np.column_stack([np.cos(angle), np.sin(angle)]) * stretch * np.sqrt(gate.distance_square)
    points = np.array(gate.mean) + circle @ np.linalg.cholesky(np.array(gate.covariance)).T
    return Polygon(gate.dims, tuple((float(x), float(y)) for x, y in points))


def _workspace_element() -> Any:
    from lxml import etree

    names = {"gating": GATING, "data-type": DATA, "transforms": TRANSFORMS}
    root = etree.Element("Workspace", nsmap=names)
    stamp = datetime.now().astimezone().strftime("%a %b %d %H:%M:%S %Z %Y")
    for key, value in {"version": "20.0", "modDate": stamp, "flowJoVersion": "10.7.1", "curGroup": GROUP}.items():
        root.set(key, value)
    for part in ("Matrices", "Groups", "SampleList"):
        _sub(root, part)
    return root


class _Sample:
    """The Sample element of one tube."""

    def __init__(self, result: SampleResult, file: Path, identifier: str, folder: Path) -> None:
        from lxml import etree

        self.result, self.identifier = result, identifier
        self.tree = build_tree(result)
        self.header = read_header(file)
        self.name = self.header.keywords.get("$FIL", "").strip() or file.name
        self.transforms = transforms_of(result)
        self.detector = {marker: channel for marker, channel, _ in result.panel}
        self.raw = {marker for marker, _, how in result.panel if how == "raw"}
        matrix = result.spillover or {"channels": (), "matrix": ()}
        self.dyes, self.matrix = list(matrix["channels"]), matrix["matrix"]
        self.notes: list[str] = []
        self.paths: dict[str, tuple[str, ...]] = {}
        self.gates = 0
        self.element = etree.Element("Sample", nsmap={"gating": GATING, "data-type": DATA, "transforms": TRANSFORMS})
        uri = quote(Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix())
        _sub(self.element, "DataSet", uri=uri, sampleID=identifier)
        self._scales(_sub(self.element, "Transformations"))
        self._keywords(_sub(self.element, "Keywords"))
        if self.dyes:
            self._spillover()
        about = {"name": self.name, "annotation": "", "owningGroup": "", "sampleID": identifier}
        node = _sub(self.element, "SampleNode", **about, count=str(result.n_events))
        self.below: dict[str | None, Any] = {None: _sub(node, "Subpopulations")}
        for population in self.tree.nodes:
            self._population(population)

    def _scales(self, parent: Any) -> None:
        for name, transform in self.transforms.items():
            if isinstance(transform, Linear):
                continue
            kind, numbers = _scale(transform, self.result.file)
            channel = self.detector[name]
            for parameter in (channel, PREFIX + channel) if channel in self.dyes else (channel,):
                scale = _sub(parent, _t(kind))
                for key, value in {"length": "256", **numbers}.items():
                    scale.set(_t(key), value)
                _sub(scale, _d("parameter")).set(_d("name"), parameter)

    def _keywords(self, parent: Any) -> None:
        words = {"FJ_FCS_VERSION": self.header.version.removeprefix("FCS")[:1], **self.header.keywords}
        for key, value in words.items():
            _sub(parent, "Keyword", name=_text(key), value=_text(value))

    def _spillover(self) -> None:
        about = {"spectral": "0", "prefix": PREFIX, "suffix": "", "name": "treg-gating", "version": "FlowJo-10.7.1"}
        matrix = _sub(self.element, _t("spilloverMatrix"), **about)
        names = _sub(matrix, _d("parameters"))
        for dye in self.dyes:
            _sub(names, _d("parameter"), userProvidedCompInfix=PREFIX + dye).set(_d("name"), dye)
        for dye, row in zip(self.dyes, self.matrix, strict=True):
            spill = _sub(matrix, _t("spillover"), userProvidedCompInfix=PREFIX + dye)
            spill.set(_d("parameter"), dye)
            for detector, value in zip(self.dyes, row, strict=True):
                coefficient = _sub(spill, _t("coefficient"))
                coefficient.set(_d("parameter"), detector)
                coefficient.set(_t("value"), number(value))

    def _population(self, node: ExportNode) -> None:
        if node.ranges:
            self._clean(node)
        elif node.terms:
            self._combination(node)
        elif node.gate is not None:
            gate = self._drawable(node.population, node.gate)
            self._drawn(node.population, node.parent, gate, inside=node.inside)

    def _drawable(self, population: str, gate: Gate) -> Interval | Rectangle | Polygon:
        if isinstance(gate, HalfPlane):
            return half_plane_polygon(gate, [self.transforms[name] for name in gate.dims])
        if isinstance(gate, Ellipse):
            self.notes.append(
                f"{population}: the ellipse is a polygon of {ELLIPSE_CORNERS} corners and the same area; events within "
                "1/75,000 of its radius from the edge may change sides"
            )
            return ellipse_polygon(gate)
        if isinstance(gate, Interval | Polygon | Rectangle) and len(gate.dims) <= 2:
            return gate
        msg = f"FlowJo has no gate on {len(gate.dims)} dimensions"
        raise InputError(msg, file=self.result.file, where=population)

    def _clean(self, node: ExportNode) -> None:
        """Ranges of raw values, two channels a gate. A raw value of a compensated detector cannot be asked for."""
        ranges = {name: pair for name, pair in node.ranges.items() if name not in self.dyes}
        if len(ranges) < len(node.ranges):
            self.notes.append(
                f"{CLEAN}: events at the top of the range of a fluorescence detector are not left out: in a workspace, "
                "gates on compensated detectors cannot ask for raw values"
            )
        names, parent = list(ranges), node.parent
        if not names:
            self.paths[CLEAN], self.below[CLEAN] = (), self.below[None]
            return
        for first in range(0, len(names), 2):
            pair = tuple(names[first : first + 2])
            low, high = zip(*(ranges[name] for name in pair), strict=True)
            gate = Rectangle(pair, low, high) if len(pair) == 2 else Interval(pair, low[0], high[0])
            last = first + 2 >= len(names)
            population = CLEAN if last else f"{CLEAN} {', '.join(pair)}"
            self._drawn(population, parent, gate, inside=True, raw=True)
            parent = population

    def _drawn(
        self,
        population: str,
        parent: str | None,
        gate: Interval | Rectangle | Polygon,
        *,
        inside: bool,
        raw: bool = False,
    ) -> None:
        holder = self._node("Population", population, parent)
        box = _sub(holder, "Gate")
        self.gates += 1
        box.set(_g("id"), f"ID{self.identifier}{self.gates:05d}")
        kind = "PolygonGate" if isinstance(gate, Polygon) else "RectangleGate"
        shape = _sub(box, _g(kind), eventsInside="1" if inside else "0", quadID="-1", gateResolution="256")
        shape.set(_g("id"), f"ID{self.identifier}{self.gates:05d}")
        names = list(gate.dims)
        if self.raw & set(names):
            msg = "in a workspace, gates on compensated detectors cannot ask for raw values"
            raise InputError(msg, file=self.result.file, where=population, found=", ".join(names))
        channels = names if raw else [self.detector[name] for name in names]
        scales: list[Transform] = [Linear() if raw else self.transforms[name] for name in names]
        for i, channel in enumerate(channels):
            dimension = _sub(shape, _g("dimension"))
            if not isinstance(gate, Polygon):
                for key, bound in (("min", np.atleast_1d(gate.low)[i]), ("max", np.atleast_1d(gate.high)[i])):
                    if np.isfinite(bound):
                        dimension.set(_g(key), number(scales[i].inverse(bound).item()))
            shown = PREFIX + channel if channel in self.dyes and not raw else channel
            _sub(dimension, _d("fcs-dimension")).set(_d("name"), shown)
        if isinstance(gate, Polygon):
            corners = np.array(gate.vertices)
            linear = np.column_stack([scale.inverse(corners[:, i]) for i, scale in enumerate(scales)])
            for corner in linear:
                vertex = _sub(shape, _g("vertex"))
                for value in corner:
                    _sub(vertex, _g("coordinate")).set(_d("value"), number(value))

    def _node(self, kind: str, population: str, parent: str | None) -> Any:
        """The element of a population under its parent, and its own list of children."""
        path = (*self.paths.get(parent or "", ()), population.replace("/", "_"))
        self.paths[population] = path
        count = self.result.count(population)
        known = {"count": str(count.n)} if count is not None and count.n is not None else {}
        holder = _sub(self._children(parent), kind, name=path[-1], annotation="", owningGroup="", expanded="1", **known)
        self.below[population] = holder
        return holder

    def _children(self, parent: str | None) -> Any:
        element = self.below[parent]
        if element.tag == "Subpopulations":
            return element
        found = element.find("Subpopulations")
        return found if found is not None else _sub(element, "Subpopulations")

    def _combination(self, node: ExportNode) -> None:
        """Alternatives of conjunctions, each operand a population; what is negated gets a population of its own."""
        if len(node.terms) == 1 and len(node.terms[0]) == 1 and not node.terms[0][0][1]:
            self._boolean("NotNode", node.population, node.parent, [node.terms[0][0][0]])
            return
        alternatives = []
        for i, term in enumerate(node.terms, start=1):
            operands = [name if wanted else self._negated(name, node) for name, wanted in term]
            if len(operands) > 1 and len(node.terms) > 1:
                helper = f"{node.population} ({i})"
                self._boolean("AndNode", helper, node.parent, operands)
                operands = [helper]
            alternatives.append(operands)
        if len(alternatives) == 1:
            self._boolean("AndNode", node.population, node.parent, alternatives[0])
        else:
            self._boolean("OrNode", node.population, node.parent, [name for names in alternatives for name in names])

    def _negated(self, name: str, node: ExportNode) -> str:
        helper = f"not {name} ({node.population})"
        if helper not in self.paths:
            self._boolean("NotNode", helper, node.parent, [name])
        return helper

    def _boolean(self, kind: str, population: str, parent: str | None, operands: Sequence[str]) -> None:
        holder = self._node(kind, population, parent)
        dependents = _sub(holder, "Dependents")
        for operand in operands:
            _sub(dependents, "Dependent", name="/".join(self.paths[operand]))


def _scale(transform: Transform, file: str) -> tuple[str, dict[str, str]]:
    """FlowJo's element for a scale, and its attributes."""
    if isinstance(transform, Logicle):
        numbers = {"T": transform.t, "W": transform.w, "M": transform.m, "A": transform.a}
        return "logicle", {key: number(value) for key, value in numbers.items()}
    if isinstance(transform, Asinh):
        top = transform.cofactor * float(np.sinh(transform.scale))
        numbers = {"T": top, "M": transform.scale / float(np.log(10)), "A": 0.0, "W": 0.0, "maxRange": top}
        return "fasinh", {key: number(value) for key, value in numbers.items()}
    if isinstance(transform, Biex):
        numbers = {"maxRange": transform.top, "neg": transform.negative, "width": transform.width}
        return "biex", {key: number(value) for key, value in {**numbers, "pos": transform.positive}.items()}
    if isinstance(transform, FlowJoLog):
        return "log", {"offset": number(transform.offset), "decades": number(transform.decades)}
    msg = f"FlowJo has no scale like {type(transform).__name__}"
    raise InputError(msg, file=file)


def _sub(parent: Any, tag: str, **attributes: str) -> Any:
    from lxml import etree

    return etree.SubElement(parent, tag, attributes)


def _text(value: str) -> str:
    return "".join(char if char.isprintable() else " " for char in value)


def _g(name: str) -> str:
    return f"{{{GATING}}}{name}"


def _t(name: str) -> str:
    return f"{{{TRANSFORMS}}}{name}"


def _d(name: str) -> str:
    return f"{{{DATA}}}{name}"
