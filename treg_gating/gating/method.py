"""What a gating method is: parameters, and a fit from events to a gate.

A method (parameters and ``fit(context) -> MethodFit``) is not a gate (numbers and ``contains``). Some methods
learn from the cohort before they fit a sample: they also have ``summarise`` (what one tube tells the cohort)
and ``pool`` (what the cohort makes of it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Any, ClassVar, Protocol, get_type_hints, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError, InputError
from treg_gating.gating.bins import Binned, bin_events
from treg_gating.gating.gates import Gate

__all__ = [
    "UNTOLD",
    "CohortMethod",
    "Counted",
    "FitContext",
    "GatingMethod",
    "Learner",
    "MethodFit",
    "argument",
    "describe",
    "parse_arguments",
    "within",
]

ENOUGH = 100_000  # events
UNTOLD = "untold"  # key among a tube's summaries, behind population/rule, where a method could not summarise the tube

Events = NDArray[np.floating[Any]]  # float32 where the file has it
Model = Mapping[str, Any]
Counted = tuple[NDArray[np.float64], NDArray[np.int64]]  # values, and events that have each


class Looks(Protocol):
    """Quick looks at the events that a gate is fitted on; each tells what it can be told from a table."""

    def counted(self, name: str, step: int) -> Counted:
        """As :meth:`FitContext.counted`."""

    def beyond(self, name: str, cut: float, step: int) -> NDArray[np.bool_]:
        """As :meth:`FitContext.beyond`."""

    def highest(self, name: str) -> float:
        """As :meth:`FitContext.highest`."""

    def binned(self, names: Sequence[str], width: float) -> Binned:
        """As :meth:`FitContext.binned`."""

    def measures(self, name: str) -> bool:
        """As :meth:`FitContext.measures`."""

    def fetch_every(self, step: int, names: Sequence[str]) -> Events:
        """As :meth:`FitContext.fetch_every`."""

    def fetch_inside(self, names: Sequence[str]) -> Events:
        """As :meth:`FitContext.fetch_inside`."""


@dataclass(frozen=True, eq=False)
class FitContext:
    """What a method may look at.

    Parameters
    ----------
    dims : the step's dimensions, by name.
    source : the events of the population the gate is fitted on, in gate units, or what gives them; to be read as
        :attr:`events`.
    fetch : more columns of the same events: ``fetch(names)`` gives shape (n, len(names)); raises
        GateFitError where a name is not measured in this tube.
    model : what the cohort taught (cohort methods in pass 2), or None.
    inside : mask of shape (n,): which of these events are in the step's parent (all, unless the gate is fitted
        on another population than its parent); where there are `looks`, they know.
    base : name of the population these events are.
    looks : ways to what is asked of these events that do not fetch them; None where there are none.
    memo : shared by the steps of one tube, for what several of them would compute alike.
    size : number of these events where `source` gives them only when asked.
    """

    dims: tuple[str, ...]
    source: Events | Callable[[], Events]
    fetch: Callable[[Sequence[str]], Events]
    model: Model | None = None
    batch: str = ""
    inside: NDArray[np.bool_] | None = None
    memo: dict[Any, Any] = field(default_factory=dict)
    size: int | None = None
    base: str = ""
    looks: Looks | None = None

    @cached_property
    def events(self) -> Events:
        """Shape (n, len(dims)), transformed when a method first looks at them."""
        return self.source() if callable(self.source) else self.source

    @property
    def n_events(self) -> int:
        """Number of these events."""
        return len(self.events) if self.size is None else self.size

    @property
    def every(self) -> int:
        """Every so many-th event of a large population is enough for a gate whose own error stays negligible."""
        return max(1, self.n_events // ENOUGH)

    def fetch_every(self, step: int, names: Sequence[str]) -> Events:
        """As `fetch`, of every `step`-th event."""
        return self.fetch(names)[::step] if self.looks is None else self.looks.fetch_every(step, names)

    def fetch_inside(self, names: Sequence[str]) -> Events:
        """As `fetch`, of the events that are in the step's parent."""
        if self.looks is not None:
            return self.looks.fetch_inside(names)
        return self.fetch(names) if self.inside is None else self.fetch(names)[self.inside]

    def counted(self, name: str, step: int = 1) -> Counted:
        """Finite values of a dimension, ascending, to within 2 · 10⁻⁴ gate units, and how many events have each.

        Of every `step`-th event.
        """
        if self.looks is not None:
            return self.looks.counted(name, step)
        values = np.sort(self.fetch((name,))[::step, 0].astype(np.float64))
        values = values[np.isfinite(values)]
        return values, np.ones(len(values), np.int64)

    def beyond(self, name: str, cut: float, step: int = 1) -> NDArray[np.bool_]:
        """Mask, of every `step`-th event, of those that lie at `cut` or beyond it on a dimension."""
        if self.looks is not None:
            return self.looks.beyond(name, cut, step)
        return np.asarray(self.fetch_every(step, (name,))[:, 0] >= cut)

    def highest(self, name: str) -> float:
        """The greatest finite value of a dimension, in the whole tube where that is known."""
        if self.looks is not None:
            return self.looks.highest(name)
        values = self.fetch((name,))
        return float(values[np.isfinite(values)].max())

    def binned(self, names: Sequence[str], width: float) -> Binned:
        """Sparse histogram of the events that are finite on all these dimensions, in bins of `width` gate units.

        Raises
        ------
        GateFitError : a dimension is not measured; or as :func:`treg_gating.gating.bins.bin_events`.
        """
        return bin_events(self.fetch(names), width) if self.looks is None else self.looks.binned(names, width)

    def measures(self, name: str) -> bool:
        """Whether the tube has this dimension."""
        if self.looks is not None:
            return self.looks.measures(name)
        try:
            self.fetch((name,))
        except GateFitError:
            return False
        return True

    def with_model(self, model: Model | None) -> FitContext:
        """The same events beside what the cohort taught."""
        return replace(self, source=lambda: self.events, model=model, size=self.n_events)


@dataclass(frozen=True, slots=True)
class MethodFit:
    """A gate fitted by a method.

    Parameters
    ----------
    gate : the numbers.
    reason : what the method saw, in words and numbers.
    standard_error : of each free number of the gate, same units; empty where not estimated.
    caution : why a person must look at this gate although it was fitted; empty where nothing is known against it.
    """

    gate: Gate
    reason: str = ""
    standard_error: tuple[float, ...] = ()
    caution: str = ""


@dataclass(frozen=True, eq=False)
class Learner:
    """One tube's contribution to what a cohort method learns."""

    tube_id: str
    batch: str
    role: str
    control_for: str
    summary: Mapping[str, Any]


class GatingMethod(Protocol):
    """Parameters in a frozen dataclass, and a fit.

    What a template may write beside a method is asked of optional attributes: ``dimensions`` (how many it takes;
    else one or two), ``can_be_shared`` (False where its gates have no consensus), ``markers`` (columns it fetches, in
    their order), ``control`` (the marker its control tube leaves out) and ``blind`` (the gate, where it is the same
    whatever the events are).
    """

    def fit(self, context: FitContext) -> MethodFit:
        """Gate for these events; GateFitError where they do not support one."""


@runtime_checkable
class CohortMethod(Protocol):
    """A method that learns from the cohort first."""

    learns_from: ClassVar[str]  # "samples" (baseline and control donors) or "controls" (FMO tubes)

    def fit(self, context: FitContext) -> MethodFit:
        """Gate for these events given ``context.model``; GateFitError where that is None or does not fit."""

    def summarise(self, context: FitContext) -> Mapping[str, Any]:
        """What this tube tells the cohort: arrays and plain values only, small, independent of event order.

        GateFitError where it can tell nothing: the cohort then learns without it.
        """

    def pool(self, learners: Sequence[Learner]) -> Model:
        """What the cohort teaches; GateFitError where it teaches nothing."""


def argument(default: Any, meaning: str, unit: str = "") -> Any:
    """Dataclass field of a method: its default, meaning and unit, for the parser and for `treg-gating methods`."""
    return field(default=default, metadata={"meaning": meaning, "unit": unit})


def parse_arguments(kind: type[Any], text: str, *, file: str = "", where: str = "") -> Any:
    """Build a method from ``"key=value; key=value"``; never evaluates anything.

    Raises
    ------
    InputError : not key=value, unknown key, given twice, or a value that is not of the argument's type.
    """
    types = get_type_hints(kind)
    known = {item.name for item in fields(kind)}
    values: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            msg = f"argument {part!r} is not key=value"
            raise InputError(msg, file=file, where=where, expected="key=value; key=value")
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else ""
            msg = f"unknown argument {key!r}"
            raise InputError(msg, file=file, where=where, expected=", ".join(sorted(known)) or "none", action=hint)
        if key in values:
            msg = f"argument {key!r} is given twice"
            raise InputError(msg, file=file, where=where)
        values[key] = _convert(value, types[key], key, file, where)
    missing = [item.name for item in fields(kind) if item.default is MISSING and item.name not in values]
    if missing:
        msg = f"argument {missing[0]!r} is missing"
        raise InputError(msg, file=file, where=where, expected="; ".join(f"{name}=…" for name in missing))
    try:
        return kind(**values)
    except InputError as error:
        place = {"file": file, "where": where}
        raise InputError(
            error.problem, **place, found=error.found, expected=error.expected, action=error.action
        ) from None
    except ValueError as error:
        raise InputError(str(error), file=file, where=where, found=text) from None


def _convert(value: str, kind: Any, key: str, file: str, where: str) -> Any:
    converters: dict[Any, Callable[[str], Any]] = {
        float: _number,
        int: int,
        str: str,
        bool: lambda text: {"true": True, "yes": True, "false": False, "no": False}[text.lower()],
        tuple[str, ...]: lambda text: tuple(filter(None, (name.strip() for name in text.split(",")))),
    }
    try:
        return converters[kind](value)
    except (ValueError, KeyError):
        name = getattr(kind, "__name__", str(kind))
        msg = f"argument {key!r} cannot be read"
        raise InputError(msg, file=file, where=where, found=repr(value), expected=name) from None


def _number(text: str) -> float:
    value = float(text)
    if np.isnan(value):
        raise ValueError(text)  # every comparison with it would be false
    return value


def within(method: Any, **limits: tuple[float, float]) -> None:
    """Refuse a method some of whose arguments lie outside their limits, which belong to what is allowed.

    Raises
    ------
    ValueError : with every argument that does.
    """
    wrong = [
        f"{name} is {getattr(method, name):g}; expected {low:g} to {high:g}"
        for name, (low, high) in limits.items()
        if not low <= getattr(method, name) <= high
    ]
    if wrong:
        raise ValueError("; ".join(wrong))


def describe(kind: type[Any]) -> list[tuple[str, str, str, str]]:
    """Rows (argument, default, unit, meaning) of a method, from its dataclass fields."""
    return [
        (
            item.name,
            "required" if item.default is MISSING else _shown(item.default),
            str(item.metadata.get("unit", "")),
            str(item.metadata.get("meaning", "")),
        )
        for item in fields(kind)
    ]


def _shown(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
