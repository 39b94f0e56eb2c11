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
from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Polygon, Rectangle
from treg_gating.gating.results import SampleResult
from treg_gating.interchange.export_tree import (
    CLEAN,
    ExportNode,
    build_tree,
    half_plane_polygon,
    transforms_of,
)
from treg_gating.interchange.flowjo_parts import (
    ELLIPSE_CORNERS,
    PREFIX,
    add_keywords,
    add_scales,
    add_spillover,
    ellipse_polygon,
    sub,
)
from treg_gating.interchange.xml_text import DATA, GATING, TRANSFORMS, data, gating, number
from treg_gating.transforms import Linear, Transform

__all__ = ["RUN_NOTE", "WorkspaceExport", "export_flowjo"]

GROUP = "All Samples"
RUN_NOTE = "treg-gating run "  # what the group's annotation begins with where the run is known


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


def export_flowjo(
    results: Iterable[SampleResult], path: str | Path, files: Mapping[str, Path], *, run: str = ""
) -> WorkspaceExport:
    """Write the gates of all finished tubes into one workspace.

    Parameters
    ----------
    files : FCS file by tube_id; a sample is called by the file's $FIL, as FlowJo does.
    run : name of the run, kept with the group, so that an edited workspace can be read back as decisions on it.

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
    group = sub(
        sub(
            root.find("Groups"),
            "GroupNode",
            name=GROUP,
            annotation=f"{RUN_NOTE}{run}" if run else "",
            owningGroup=GROUP,
        ),
        "Group",
    )
    group.set("name", GROUP)
    references = sub(group, "SampleRefs")
    samples, left_out, notes = {}, [], []
    for number_of, result in enumerate(done, start=1):
        sample = _Sample(result, files[result.tube_id], str(number_of), target.parent)
        root.find("SampleList").append(sample.element)
        sub(references, "SampleRef", sampleID=str(number_of))
        samples[result.tube_id] = sample.name
        left_out += [(result.tube_id, *entry) for entry in sample.tree.left_out]
        notes += [(result.tube_id, note) for note in (*sample.tree.notes, *sample.notes)]
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.write_bytes(etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True))
    temporary.replace(target)
    return WorkspaceExport(target, samples, tuple(left_out), tuple(notes))


def _workspace_element() -> Any:
    from lxml import etree

    names = {"gating": GATING, "data-type": DATA, "transforms": TRANSFORMS}
    root = etree.Element("Workspace", nsmap=names)
    stamp = datetime.now().astimezone().strftime("%a %b %d %H:%M:%S %Z %Y")
    for key, value in {"version": "20.0", "modDate": stamp, "flowJoVersion": "10.7.1", "curGroup": GROUP}.items():
        root.set(key, value)
    for part in ("Matrices", "Groups", "SampleList"):
        sub(root, part)
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
        self.dyes = list(matrix["channels"])
        self.notes: list[str] = []
        self.paths: dict[str, tuple[str, ...]] = {}
        self.gates = 0
        self.element = etree.Element("Sample", nsmap={"gating": GATING, "data-type": DATA, "transforms": TRANSFORMS})
        uri = quote(Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix())
        sub(self.element, "DataSet", uri=uri, sampleID=identifier)
        add_scales(sub(self.element, "Transformations"), self.transforms, self.detector, self.dyes, result.file)
        add_keywords(sub(self.element, "Keywords"), self.header)
        if self.dyes:
            add_spillover(self.element, self.dyes, matrix["matrix"])
        about = {"name": self.name, "annotation": "", "owningGroup": "", "sampleID": identifier}
        node = sub(self.element, "SampleNode", **about, count=str(result.n_events))
        self.below: dict[str | None, Any] = {None: sub(node, "Subpopulations")}
        for population in self.tree.nodes:
            self._population(population)

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
        names = list(ranges)
        parts: list[tuple[str, Interval | Rectangle, bool]] = []
        for pair in (tuple(names[first : first + 2]) for first in range(0, len(names), 2)):
            low, high = zip(*(ranges[name] for name in pair), strict=True)
            gate = Rectangle(pair, low, high) if len(pair) == 2 else Interval(pair, low[0], high[0])
            parts.append((f"{CLEAN} {', '.join(pair)}", gate, True))
        for clock, begin, end in node.without:
            parts.append((f"{CLEAN} without {begin:.4g} to {end:.4g} s", Interval((clock,), begin, end), False))
        if not parts:
            self.paths[CLEAN], self.below[CLEAN] = (), self.below[None]
            return
        parent = node.parent
        for i, (name, gate, inside) in enumerate(parts, start=1):
            population = CLEAN if i == len(parts) else name
            self._drawn(population, parent, gate, inside=inside, raw=True)
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
        box = sub(holder, "Gate")
        self.gates += 1
        box.set(gating("id"), f"ID{self.identifier}{self.gates:05d}")
        kind = "PolygonGate" if isinstance(gate, Polygon) else "RectangleGate"
        shape = sub(box, gating(kind), eventsInside="1" if inside else "0", quadID="-1", gateResolution="256")
        shape.set(gating("id"), f"ID{self.identifier}{self.gates:05d}")
        names = list(gate.dims)
        if self.raw & set(names):
            msg = "in a workspace, gates on compensated detectors cannot ask for raw values"
            raise InputError(msg, file=self.result.file, where=population, found=", ".join(names))
        channels = names if raw else [self.detector[name] for name in names]
        scales: list[Transform] = [Linear() if raw else self.transforms[name] for name in names]
        for i, channel in enumerate(channels):
            dimension = sub(shape, gating("dimension"))
            if not isinstance(gate, Polygon):
                for key, bound in (("min", np.atleast_1d(gate.low)[i]), ("max", np.atleast_1d(gate.high)[i])):
                    if np.isfinite(bound):
                        dimension.set(gating(key), number(scales[i].inverse(bound).item()))
            shown = PREFIX + channel if channel in self.dyes and not raw else channel
            sub(dimension, data("fcs-dimension")).set(data("name"), shown)
        if isinstance(gate, Polygon):
            corners = np.array(gate.vertices)
            linear = np.column_stack([scale.inverse(corners[:, i]) for i, scale in enumerate(scales)])
            for corner in linear:
                vertex = sub(shape, gating("vertex"))
                for value in corner:
                    sub(vertex, gating("coordinate")).set(data("value"), number(value))

    def _node(self, kind: str, population: str, parent: str | None) -> Any:
        """The element of a population under its parent, and its own list of children."""
        path = (*self.paths.get(parent or "", ()), population.replace("/", "_"))
        self.paths[population] = path
        count = self.result.count(population)
        known = {"count": str(count.n)} if count is not None and count.n is not None else {}
        holder = sub(self._children(parent), kind, name=path[-1], annotation="", owningGroup="", expanded="1", **known)
        self.below[population] = holder
        return holder

    def _children(self, parent: str | None) -> Any:
        element = self.below[parent]
        if element.tag == "Subpopulations":
            return element
        found = element.find("Subpopulations")
        return found if found is not None else sub(element, "Subpopulations")

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
        dependents = sub(holder, "Dependents")
        for operand in operands:
            sub(dependents, "Dependent", name="/".join(self.paths[operand]))
