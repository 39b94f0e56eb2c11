"""Parts of a FlowJo workspace that are written the same for every sample: scales, keywords, matrix, ellipses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from treg_gating.errors import InputError
from treg_gating.fcs import FCSHeader
from treg_gating.foreign_scales import Biex, FlowJoLog
from treg_gating.gating.gates import Ellipse, Polygon
from treg_gating.interchange.xml_text import data, number, printable, transforms
from treg_gating.transforms import Asinh, Linear, Logicle, Transform

__all__ = ["ELLIPSE_CORNERS", "PREFIX", "add_keywords", "add_scales", "add_spillover", "ellipse_polygon", "sub"]

ELLIPSE_CORNERS = 512
PREFIX = "Comp-"


def sub(parent: Any, tag: str, **attributes: str) -> Any:
    """A child element."""
    from lxml import etree

    return etree.SubElement(parent, tag, attributes)


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


def add_scales(
    parent: Any, scales: Mapping[str, Transform], detector: Mapping[str, str], dyes: Sequence[str], file: str
) -> None:
    """The scale of every dimension, for its detector and for the compensated parameter FlowJo makes of it.

    Raises
    ------
    InputError : FlowJo has no such scale.
    """
    for name, scale in scales.items():
        if isinstance(scale, Linear):
            continue
        kind, numbers = _scale(scale, file)
        channel = detector[name]
        for parameter in (channel, PREFIX + channel) if channel in dyes else (channel,):
            element = sub(parent, transforms(kind))
            for key, value in {"length": "256", **numbers}.items():
                element.set(transforms(key), value)
            sub(element, data("parameter")).set(data("name"), parameter)


def _scale(scale: Transform, file: str) -> tuple[str, dict[str, str]]:
    """FlowJo's element for a scale, and its attributes."""
    if isinstance(scale, Logicle):
        numbers = {"T": scale.t, "W": scale.w, "M": scale.m, "A": scale.a}
        return "logicle", {key: number(value) for key, value in numbers.items()}
    if isinstance(scale, Asinh):
        top = scale.cofactor * float(np.sinh(scale.scale))
        numbers = {"T": top, "M": scale.scale / float(np.log(10)), "A": 0.0, "W": 0.0, "maxRange": top}
        return "fasinh", {key: number(value) for key, value in numbers.items()}
    if isinstance(scale, Biex):
        numbers = {"maxRange": scale.top, "neg": scale.negative, "width": scale.width, "pos": scale.positive}
        return "biex", {key: number(value) for key, value in numbers.items()}
    if isinstance(scale, FlowJoLog):
        return "log", {"offset": number(scale.offset), "decades": number(scale.decades)}
    msg = f"FlowJo has no scale like {type(scale).__name__}"
    raise InputError(msg, file=file)


def add_keywords(parent: Any, header: FCSHeader) -> None:
    """The keywords of the file, by which FlowJo and FlowKit know it."""
    words = {"FJ_FCS_VERSION": header.version.removeprefix("FCS")[:1], **header.keywords}
    for key, value in words.items():
        sub(parent, "Keyword", name=printable(key), value=printable(value))


def add_spillover(parent: Any, dyes: Sequence[str], matrix: Sequence[Sequence[float]]) -> None:
    """The matrix that was used; rows are dyes, columns detectors."""
    about = {"spectral": "0", "prefix": PREFIX, "suffix": "", "name": "treg-gating", "version": "FlowJo-10.7.1"}
    element = sub(parent, transforms("spilloverMatrix"), **about)
    names = sub(element, data("parameters"))
    for dye in dyes:
        sub(names, data("parameter"), userProvidedCompInfix=PREFIX + dye).set(data("name"), dye)
    for dye, row in zip(dyes, matrix, strict=True):
        spill = sub(element, transforms("spillover"), userProvidedCompInfix=PREFIX + dye)
        spill.set(data("parameter"), dye)
        for detector, value in zip(dyes, row, strict=True):
            coefficient = sub(spill, transforms("coefficient"))
            coefficient.set(data("parameter"), detector)
            coefficient.set(transforms("value"), number(value))
