"""Marker strings and gate definitions of a population, from the gates that one tube really had."""

from __future__ import annotations

import re
from collections.abc import Sequence

from treg_gating.gating.expression import parse_expression
from treg_gating.gating.results import FittedGate, GateStatus, SampleResult

__all__ = ["gate_definition", "marker_string", "sublineage", "whole_string"]

# The diagonal gate of Treg without FOXP3; every other gate is positive or negative by its sign.
_HIGH_LOW = ("CD25", "CD127")
_SCATTER = re.compile(r"(FSC|SSC)\b|^TIME$", re.IGNORECASE)


def marker_string(result: SampleResult, population: str, beyond: str = "", subset: str = "") -> str:
    """Markers of the gates on the population's path, viability last, without scatter and hyphens.

    Parameters
    ----------
    beyond : a population above it; only gates below that are told.
    subset : markers of a subset of the population, told after its own.

    References
    ----------
    SDTMIG 3.4, CP, assumptions 7b (viability belongs to the string) and 8 (order and signs).
    """
    gates = _path(result, population)
    names = [gate.population for gate in gates]
    if beyond in names:
        gates = gates[names.index(beyond) + 1 :]
    lineage = [_markers(result, gate) for gate in gates if not _is_viability(gate)]
    return "".join([*lineage, subset, *(_markers(result, gate) for gate in gates if _is_viability(gate))])


def whole_string(result: SampleResult, population: str) -> str:
    """The marker string of a denominator; ``FSC SSC`` where scatter alone makes it, as lymphocytes without a marker."""
    dims = [dim for gate in _path(result, population) if gate.gate is not None for dim in gate.gate.dims]
    scatter = any(dim.upper().startswith(("FSC", "SSC")) for dim in dims)
    return marker_string(result, population) or ("FSC SSC" if scatter else "")


def sublineage(result: SampleResult, population: str, of: str) -> str:
    """The markers that make a subset of `of`; a combination of signs becomes the markers it combines."""
    gate = next((gate for gate in result.gates if gate.population == population), None)
    if gate is None or not gate.expression:
        return marker_string(result, population, beyond=of)
    terms = parse_expression(gate.expression).terms
    if len(terms) != 1:
        return ""  # an alternative cannot be written as one marker string
    parts = []
    for name, wanted in terms[0]:
        if name == of:
            continue
        text = marker_string(result, name, beyond=of)
        if not wanted and len(re.findall(r"[+-]", text)) != 1:
            return ""
        parts.append(text if wanted else text.translate(str.maketrans("+-", "-+")))
    return "".join(parts)


def gate_definition(result: SampleResult, population: str) -> str:
    """Every gate from the first to the last, joined by ``|``; scatter gates by their two dimensions.

    A combination of gates is told by the markers it combines, or by its name where they make no string.
    """
    parts = []
    for gate in _path(result, population):
        markers = sublineage(result, gate.population, gate.parent) if gate.expression else _markers(result, gate)
        dims = gate.gate.dims if gate.gate is not None else ()
        parts.append(markers or " x ".join(dims) or gate.population)
    return "|".join(parts)


def _path(result: SampleResult, population: str) -> list[FittedGate]:
    by_name = {gate.population: gate for gate in result.gates}
    path: list[FittedGate] = []
    while (gate := by_name.get(population)) is not None and len(path) <= len(by_name):
        if gate.status is not GateStatus.NOT_STAINED:
            path.insert(0, gate)
        population = gate.parent
    return path


def _is_viability(gate: FittedGate) -> bool:
    dims: Sequence[str] = gate.gate.dims if gate.gate is not None else ()
    return any("viab" in dim.casefold() or "live" in dim.casefold() for dim in dims)


def _markers(result: SampleResult, gate: FittedGate) -> str:
    dims = tuple(gate.gate.dims) if gate.gate is not None else ()
    if gate.expression or not dims or any(_SCATTER.search(dim) for dim in dims):
        return ""
    if dims == _HIGH_LOW:
        return "CD25hiCD127lo"
    return "".join(f"{re.sub(r'[^A-Za-z0-9]', '', dim)}{gate.sign}" for dim in dims)
