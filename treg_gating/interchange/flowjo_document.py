"""What stands in a FlowJo 10 workspace: its samples, their keywords and counts, and their gates through FlowKit."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from treg_gating.errors import InputError
from treg_gating.interchange.imported import ImportedGates
from treg_gating.interchange.strategy import take_over
from treg_gating.interchange.xml_text import DATA, TRANSFORMS, quiet, read_xml

__all__ = ["WorkspaceSample", "read_samples", "workspace_root"]

NODES = ("Population", "AndNode", "OrNode", "NotNode")
SHAPES = ("RectangleGate", "PolygonGate", "EllipsoidGate")
SCALES = ("linear", "log", "logicle", "biex", "fasinh")


@dataclass(frozen=True)
class WorkspaceSample:
    """What identifies a sample of a workspace.

    Parameters
    ----------
    name : as FlowJo shows it. fil : its $FIL. file : name of the file FlowJo read it from.
    total : $TOT. made : $DATE and $BTIM.
    markers : $PnS by $PnN.
    """

    name: str
    fil: str
    file: str
    total: str
    made: tuple[str, str]
    markers: Mapping[str, str] = field(default_factory=dict, compare=False, hash=False)

    def answers_to(self, fil: str) -> bool:
        """Whether it is the sample of a file whose $FIL is `fil`."""
        return bool(fil) and fil in (self.fil or self.name, self.name)


def workspace_root(path: str | Path) -> tuple[Any, bytes]:
    """Root element of a workspace and the bytes of the file.

    Raises
    ------
    InputError : unreadable, or not a workspace of FlowJo 10.
    """
    root, text = read_xml(path)
    version = root.get("flowJoVersion", "")
    if root.tag != "Workspace" or not version.partition(".")[0].isdigit() or int(version.partition(".")[0]) < 10:
        msg = "not a FlowJo 10 workspace"
        found = f"FlowJo {version}" if version else f"a document of type {root.tag}"
        raise InputError(msg, file=str(path), found=found, expected="a .wsp saved by FlowJo 10")
    return root, text


def read_samples(
    root: Any, document: str, *, gates: bool = True
) -> Iterator[tuple[WorkspaceSample, ImportedGates | str]]:
    """Every sample with its gates, or with the reason why it has none that can be used."""
    for element in root.iterfind("SampleList/Sample"):
        node = element.find("SampleNode")
        if node is None:
            continue
        sample = _identity(element, node)
        yield sample, _gates(root, element, sample, document) if gates else ""


def _identity(element: Any, node: Any) -> WorkspaceSample:
    words = {word.get("name", ""): word.get("value", "").strip() for word in element.iterfind("Keywords/Keyword")}
    data = element.find("DataSet")
    uri = unquote(data.get("uri", "")) if data is not None else ""
    labels = {}
    for key, detector in words.items():
        if key.startswith("$P") and key.endswith("N") and key[2:-1].isdigit():
            marker = words.get(f"{key[:-1]}S", "")
            if marker and marker != detector:
                labels[detector] = marker
    return WorkspaceSample(
        name=node.get("name", ""),
        fil=words.get("$FIL", ""),
        file=uri.replace("\\", "/").rsplit("/", 1)[-1],
        total=words.get("$TOT", ""),
        made=(words.get("$DATE", ""), words.get("$BTIM", "")),
        markers=labels,
    )


def _gates(root: Any, element: Any, sample: WorkspaceSample, document: str) -> ImportedGates | str:
    """Gates of one sample: what FlowKit cannot read is taken out and named first, so that it reads the rest."""
    source = f"{document}, {sample.name}"
    pruned = _Pruned(element)
    try:
        with quiet():
            from flowkit import Workspace

            workspace = Workspace(io.BytesIO(_alone(root, pruned.element)), load_missing_file_data=True)
            strategy = workspace.get_gating_strategy(sample.name)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError) as error:
        return f"FlowKit cannot read them: {error}"
    taken = take_over(strategy, sample.name)
    counts = {taken.names[path]: n for path, n in pruned.counts.items() if path in taken.names}
    left_out = (*(("/".join(path[1:]), reason) for path, reason in pruned.left_out.items()), *taken.left_out)
    return ImportedGates(
        source, taken.populations, left_out, taken.compensation, taken.spillover, sample.markers, counts
    )


def _alone(root: Any, sample: Any) -> bytes:
    """A workspace that holds one sample."""
    from lxml import etree

    alone = etree.Element(root.tag, attrib=dict(root.attrib), nsmap=root.nsmap)
    etree.SubElement(alone, "Groups")
    etree.SubElement(alone, "SampleList").append(sample)
    return bytes(etree.tostring(alone))


class _Pruned:
    """A copy of a sample without what FlowKit cannot read, or would read otherwise than FlowJo means.

    Attributes
    ----------
    left_out : reason by path of every population taken out. counts : FlowJo's count by path.
    """

    def __init__(self, element: Any) -> None:
        self.element = deepcopy(element)
        self.left_out: dict[tuple[str, ...], str] = {}
        self.counts: dict[tuple[str, ...], int] = {}
        matrix = self.element.find(f"{{{TRANSFORMS}}}spilloverMatrix")
        self.prefix = "" if matrix is None else matrix.get("prefix", "")
        names = () if matrix is None else matrix.iterfind(f"{{{DATA}}}parameters/{{{DATA}}}parameter")
        self.dyes = {name.get(f"{{{DATA}}}name", "") for name in names}
        self.odd_scales = self._scales()
        subpopulations = self.element.find("SampleNode/Subpopulations")
        if subpopulations is not None:
            self._prune(subpopulations, ("root",))

    def _scales(self) -> dict[str, str]:
        """Take out scales FlowKit does not know; let the scale of a compensated parameter stand for its detector."""
        odd: dict[str, str] = {}
        scales: dict[str, Any] = {}
        parent = self.element.find("Transformations")
        for scale in list(parent) if parent is not None else []:
            kind, parameter = _local(scale), scale.find(f"{{{DATA}}}parameter")
            name = parameter.get(f"{{{DATA}}}name", "") if parameter is not None else ""
            if kind not in SCALES or (kind == "biex" and scale.get(f"{{{TRANSFORMS}}}length") != "256"):
                odd[name] = f"FlowJo's {kind} scale of {name}"
                parent.remove(scale)
            else:
                scales[name] = (scale, parameter)
        for name, (_, parameter) in scales.items():
            detector = name.removeprefix(self.prefix)
            if detector != name and detector in self.dyes:
                if detector in scales:
                    parent.remove(scales[detector][0])
                parameter.set(f"{{{DATA}}}name", detector)
        return odd

    def _prune(self, subpopulations: Any, above: tuple[str, ...]) -> None:
        for node in list(subpopulations):
            kind, name = _local(node), node.get("name")
            if name is None or kind == "Statistic":
                continue
            path = (*above, name)
            reason = self._fault(node, kind)
            if reason:
                self._drop(node, path, reason)
                subpopulations.remove(node)
                continue
            if node.get("count", "").isdigit():
                self.counts[path] = int(node.get("count"))
            below = node.find("Subpopulations")
            if below is not None:
                self._prune(below, path)

    def _drop(self, node: Any, path: tuple[str, ...], reason: str) -> None:
        self.left_out[path] = reason
        for child in node.iterfind("Subpopulations/*"):
            if child.get("name") is not None and _local(child) != "Statistic":
                self._drop(child, (*path, child.get("name")), f"its parent {path[-1]} is not taken over")

    def _fault(self, node: Any, kind: str) -> str:
        """Why a population cannot be taken over; empty where it can."""
        if kind not in NODES:
            return f"a {kind}"
        if kind != "Population":
            return ""
        shapes = list(node.iterfind("Gate/*"))
        if len(shapes) != 1 or _local(shapes[0]) not in SHAPES:
            return f"a {_local(shapes[0])}" if shapes else "no gate (made by a plug-in)"
        for dimension in shapes[0].iter(f"{{{DATA}}}fcs-dimension"):
            name = dimension.get(f"{{{DATA}}}name", "")
            if name in self.odd_scales:
                return self.odd_scales[name]
            if self.prefix and name in self.dyes:
                return f"{name} uncompensated, in a sample that has a compensation matrix"
        if any(_local(part) == "new-dimension" for part in shapes[0].iter()):
            return "a derived parameter"
        return ""


def _local(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else "comment"
