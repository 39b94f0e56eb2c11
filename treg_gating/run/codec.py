"""Results as bytes and back: JSON for plain values, one compressed block for arrays. Nothing is unpickled.

A value is encoded with tags for what JSON cannot say: ``{"$": "tuple" | "set" | "map" | "array" | "float" | "path" |
"enum" | <class>, ...}``. Only the classes of `CLASSES` (or those a caller names) and `ENUMS` are ever built when
reading.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from treg_gating.errors import RunStateError
from treg_gating.flags import Flag, FlagLevel
from treg_gating.gating.gates import GATES
from treg_gating.gating.results import (
    FittedGate,
    GatePicture,
    GateStatus,
    PopulationCount,
    SampleFit,
    SampleResult,
    TubeReview,
)
from treg_gating.quality import QualityReport
from treg_gating.run.record import StudySummary, TemplateRow, TemplateSummary
from treg_gating.study import Endpoint, Limits, Statistics, Study, Visit
from treg_gating.tube import Role, Tube

__all__ = ["CLASSES", "ENUMS", "Payload", "decode", "encode"]

_RESULTS = (FittedGate, Flag, GatePicture, PopulationCount, QualityReport, SampleFit, SampleResult, TubeReview)
_PLANS = (Tube, Study, Visit, Endpoint, Limits, Statistics, StudySummary, TemplateSummary, TemplateRow)
CLASSES: dict[str, type[Any]] = {kind.__name__: kind for kind in (*_RESULTS, *_PLANS, *GATES.values())}
ENUMS: dict[str, type[Enum]] = {kind.__name__: kind for kind in (FlagLevel, GateStatus, Role)}
Fields = dict[type[Any], tuple[str, ...]]


def _fields_of(classes: Mapping[str, type[Any]]) -> Fields:
    return {kind: tuple(item.name for item in fields(kind)) for kind in classes.values()}


_FIELDS = _fields_of(CLASSES)
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


@dataclass(frozen=True, slots=True)
class Payload:
    """An encoded value.

    Parameters
    ----------
    text : JSON.
    arrays : zlib-compressed concatenation of the arrays, little-endian, C order; empty where there are none.
    """

    text: str
    arrays: bytes = b""

    @property
    def digest(self) -> str:
        """Hexadecimal sha256 of text and arrays."""
        return hashlib.sha256(self.text.encode() + b"\0" + self.arrays).hexdigest()


def encode(value: Any, classes: Mapping[str, type[Any]] = CLASSES) -> Payload:
    """Plain form of a result, fit or plan; equal values give equal bytes.

    Parameters
    ----------
    classes : dataclasses that may be in it, by name.

    Raises
    ------
    TypeError : a value of a kind that is not known here (a bug in the caller).
    """
    arrays = bytearray()
    plain = _Encoder(arrays, _FIELDS if classes is CLASSES else _fields_of(classes)).plain(value)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Payload(text, zlib.compress(bytes(arrays), 3) if arrays else b"")


def decode(payload: Payload, classes: Mapping[str, type[Any]] = CLASSES) -> Any:
    """Inverse of :func:`encode`.

    Raises
    ------
    RunStateError : the bytes are not what `encode` writes.
    """
    try:
        arrays = zlib.decompress(payload.arrays) if payload.arrays else b""
        return json.loads(payload.text, object_hook=_Decoder(arrays, classes).value)
    except (ValueError, KeyError, TypeError, IndexError, zlib.error) as error:
        msg = f"a stored result cannot be read ({type(error).__name__}: {error}); the ledger is damaged"
        raise RunStateError(msg) from error


class _Encoder:
    def __init__(self, arrays: bytearray, fields: Fields) -> None:
        self.arrays, self.fields = arrays, fields

    def plain(self, value: Any) -> Any:
        kind = type(value)
        if kind in _AS_THEY_ARE:
            return value
        if kind in self.fields:
            return {"$": kind.__name__, **{name: self.plain(getattr(value, name)) for name in self.fields[kind]}}
        if kind is tuple:
            return {"$": "tuple", "items": [self.plain(item) for item in value]}
        if isinstance(value, Enum):
            return {"$": "enum", "kind": type(value).__name__, "value": value.value}
        if isinstance(value, str):
            return str(value)
        if isinstance(value, int | np.integer):
            return int(value)
        if isinstance(value, float | np.floating):
            return float(value) if math.isfinite(value) else {"$": "float", "value": repr(float(value))}
        return self._compound(value)

    def _compound(self, value: Any) -> Any:
        if isinstance(value, np.bool_):
            return bool(value)
        if isinstance(value, Path):
            return {"$": "path", "value": str(value)}
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, tuple):
            return {"$": "tuple", "items": [self.plain(item) for item in value]}
        if isinstance(value, list):
            return [self.plain(item) for item in value]
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, frozenset):
            return {"$": "set", "items": [self.plain(item) for item in sorted(value)]}
        msg = f"cannot store a {type(value).__name__}"
        raise TypeError(msg)

    def _array(self, value: np.ndarray[Any, Any]) -> dict[str, Any]:
        if value.dtype.kind not in "biuf":
            msg = f"cannot store an array of {value.dtype}"
            raise TypeError(msg)
        little = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
        offset = len(self.arrays)
        self.arrays += little.tobytes()
        return {"$": "array", "dtype": little.dtype.str, "shape": list(value.shape), "offset": offset}

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        if all(isinstance(key, str) and key != "$" for key in value):
            return {str(key): self.plain(item) for key, item in value.items()}
        return {"$": "map", "items": [[self.plain(key), self.plain(item)] for key, item in value.items()]}


class _Decoder:
    """Turns the objects of the JSON text into values, inner ones first, while it is parsed."""

    def __init__(self, arrays: bytes, classes: Mapping[str, type[Any]]) -> None:
        self.arrays, self.classes = arrays, classes
        self.tags: dict[str, Callable[[dict[str, Any]], Any]] = {
            "tuple": lambda tagged: tuple(tagged["items"]),
            "set": lambda tagged: frozenset(tagged["items"]),
            "map": lambda tagged: dict(tagged["items"]),
            "float": lambda tagged: float(tagged["value"]),
            "path": lambda tagged: Path(tagged["value"]),
            "enum": lambda tagged: ENUMS[tagged["kind"]](tagged["value"]),
            "array": self._array,
        }

    def value(self, found: dict[str, Any]) -> Any:
        if "$" not in found:
            return found
        tag = found.pop("$")
        make = self.tags.get(tag)
        return make(found) if make else self.classes[tag](**found)

    def _array(self, tagged: dict[str, Any]) -> np.ndarray[Any, Any]:
        dtype, shape = np.dtype(tagged["dtype"]), tuple(tagged["shape"])
        if dtype.kind not in "biuf":
            msg = f"array of {dtype}"
            raise ValueError(msg)
        flat = np.frombuffer(self.arrays, dtype=dtype, count=math.prod(shape), offset=tagged["offset"])
        array = flat.reshape(shape).copy()
        array.setflags(write=False)
        return array
