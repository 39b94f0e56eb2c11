"""Gates as the page and the workbook have them, and back: every number is checked on its way in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from treg_gating.errors import InputError
from treg_gating.gating.gates import GATES, Ellipse, Gate, HalfPlane, Interval, gate_from_dict, gate_to_dict

__all__ = ["gate_of_shape", "shape_of", "typical_gate"]

_MOST_CORNERS = 600
_LARGEST = 1e9


def shape_of(gate: Gate | None) -> dict[str, Any] | None:
    """Plain values for the page; an open end of an interval is None, because JSON has no infinity."""
    if gate is None:
        return None
    plain = gate_to_dict(gate)
    if isinstance(gate, Interval):
        plain.update({end: value if math.isfinite(value) else None for end, value in _ends(gate).items()})
    return plain


def _ends(gate: Interval) -> dict[str, float]:
    return {"low": gate.low, "high": gate.high}


def gate_of_shape(shape: Any, dims: Sequence[str]) -> Gate:
    """A gate from what the page sends.

    Parameters
    ----------
    dims : the dimensions the gate has to be on.

    Raises
    ------
    InputError : it is no gate on them, or its numbers are not.
    """
    problem = "this is no gate"
    if not isinstance(shape, Mapping) or shape.get("gate") not in GATES:
        raise InputError(problem, found=str(shape)[:80], expected=", ".join(GATES))
    plain = dict(shape)
    if plain["gate"] == "Interval":
        for end, open_end in (("low", -math.inf), ("high", math.inf)):
            if plain.get(end) is None:
                plain[end] = open_end
    if len(plain.get("vertices") or ()) > _MOST_CORNERS:
        raise InputError(problem, found=f"{len(plain['vertices'])} corners", expected=f"{_MOST_CORNERS} or fewer")
    try:
        _check_numbers({key: value for key, value in plain.items() if key not in ("gate", "dims")})
        gate = gate_from_dict(plain)
    except (TypeError, ValueError) as error:
        raise InputError(problem, found=str(error)) from error
    if tuple(gate.dims) != tuple(dims):
        msg = "the gate is on other dimensions"
        raise InputError(msg, found=", ".join(map(str, gate.dims)), expected=", ".join(dims))
    return gate


def _check_numbers(value: Any) -> None:
    if isinstance(value, Mapping):
        for item in value.values():
            _check_numbers(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_numbers(item)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{str(value)[:40]!r} is not a number"
        raise TypeError(msg)
    elif math.isnan(value) or (math.isfinite(value) and abs(value) > _LARGEST):
        msg = f"{value} is out of range"
        raise ValueError(msg)


def typical_gate(gates: Sequence[Gate]) -> Gate | None:
    """Where the gate of the other tubes lies, by the median of its numbers: a place to begin for one that has none."""
    if not gates:
        return None
    kind = type(gates[0])
    alike = [gate for gate in gates if type(gate) is kind and gate.dims == gates[0].dims]
    if kind is Interval:
        low, high = (median(_ends(gate)[end] for gate in alike) for end in ("low", "high"))  # type: ignore[arg-type]
        return Interval(gates[0].dims, low, high) if low < high else gates[0]
    if kind is HalfPlane:
        angle = median(math.atan2(gate.normal[1], gate.normal[0]) for gate in alike)  # type: ignore[attr-defined]
        offset = median(gate.offset for gate in alike)  # type: ignore[attr-defined]
        return HalfPlane(gates[0].dims, (math.cos(angle), math.sin(angle)), offset)
    if kind is Ellipse:
        middle = median(gate.mean[0] for gate in alike)  # type: ignore[attr-defined]
        return min(alike, key=lambda gate: abs(gate.mean[0] - middle))  # type: ignore[attr-defined]
    return alike[len(alike) // 2]
