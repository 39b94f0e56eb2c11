"""What one FCS data set holds: channels, events, spillover. Immutable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from treg_gating.errors import CompensationError
from treg_gating.folding import Extremes

__all__ = ["Channel", "EventState", "Sample", "SampleWarning", "Spillover", "StoredEvents", "absent_events"]

MAX_CONDITION = 1e4
NEAR_IDENTITY = 0.9  # of what is off the diagonal; then the condition number is below 1.901 / 0.099
MAX_OFF_DIAGONAL = 5.0
DIAGONAL_TOLERANCE = 1e-3


class Awaited(Protocol):
    """A hash that is on its way."""

    def result(self) -> str:
        """What it is, when it is known."""


class EventState(StrEnum):
    """How far the events of a sample have been processed."""

    RAW = "raw"
    COMPENSATED = "compensated"
    TRANSFORMED = "transformed"


@dataclass(frozen=True, slots=True)
class Channel:
    """One measured parameter.

    Parameters
    ----------
    name : $PnN, the detector, unique in its file.
    marker : $PnS, what was stained there; empty where the file names nothing.
    range : $PnR, the largest value the instrument writes plus one; None where not given.
    """

    name: str
    marker: str = ""
    range: float | None = None

    @property
    def is_scatter(self) -> bool:
        """Forward or side scatter, by the conventional name."""
        return self.name.upper().startswith(("FSC", "SSC", "FS ", "SS ", "FS-", "SS-", "FS_", "SS_"))

    @property
    def is_time(self) -> bool:
        """Acquisition time, by the name the FCS standard prescribes."""
        return self.name.strip().lower() in {"time", "hdr-t"}


@dataclass(frozen=True, slots=True)
class SampleWarning:
    """A readable oddity of a file.

    Parameters
    ----------
    code : stable identifier such as ``W_TIMESTEP``.
    text : what was found and how it was read.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return f"[{self.code}] {self.text}"


@dataclass(frozen=True, eq=False)
class Spillover:
    """A spillover matrix: row i holds what dye i puts into each detector.

    Parameters
    ----------
    channels : detector names ($PnN), one a row and column.
    matrix : shape (n, n); unit diagonal; fractions, not percent.
    source : where it came from ("$SPILLOVER", a file name, "single stains").

    Raises
    ------
    CompensationError : not square, not finite, diagonal not 1 ± 0.001, an off-diagonal element
        beyond ± 5, or a condition number of 10⁴ or more.
    """

    channels: tuple[str, ...]
    matrix: NDArray[np.float64]
    source: str = ""

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        object.__setattr__(self, "channels", tuple(self.channels))
        _check_spillover(self.channels, matrix)
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    @property
    def inverse(self) -> NDArray[np.float64]:
        """Compensation matrix: raw row vector @ inverse = compensated row vector."""
        return np.asarray(np.linalg.inv(self.matrix), dtype=np.float64)

    @property
    def condition(self) -> float:
        """2-norm condition number."""
        return float(np.linalg.cond(self.matrix))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Spillover, (self.channels, np.array(self.matrix), self.source))


def _check_spillover(channels: Sequence[str], matrix: NDArray[np.float64]) -> None:
    n = len(channels)
    if matrix.shape != (n, n) or n == 0:
        msg = f"spillover matrix has shape {matrix.shape} for {n} channels; expected ({n}, {n})"
        raise CompensationError(msg)
    if len(set(channels)) != n:
        twice = sorted({name for name in channels if list(channels).count(name) > 1})
        msg = f"spillover matrix names {', '.join(twice)} more than once"
        raise CompensationError(msg)
    if not np.isfinite(matrix).all():
        msg = "spillover matrix holds values that are not finite numbers"
        raise CompensationError(msg)
    diagonal = np.diag(matrix)
    if (np.abs(diagonal - 1) > DIAGONAL_TOLERANCE).any():
        worst = int(np.argmax(np.abs(diagonal - 1)))
        msg = (
            f"spillover matrix has {diagonal[worst]:g} on its diagonal for {channels[worst]}; expected 1 "
            "(fractions, not percent)"
        )
        raise CompensationError(msg)
    off = np.abs(matrix - np.diag(diagonal))
    if off.max(initial=0) > MAX_OFF_DIAGONAL:
        row, column = (int(index) for index in np.unravel_index(int(np.argmax(off)), off.shape))
        msg = (
            f"spillover of {channels[row]} into {channels[column]} is {matrix[row, column]:g}; "
            f"expected within ±{MAX_OFF_DIAGONAL:g}"
        )
        raise CompensationError(msg)
    reach = max(off.sum(axis=0).max(), off.sum(axis=1).max())  # no less than the 2-norm of what is off the diagonal
    if reach < NEAR_IDENTITY:
        return
    condition = np.linalg.cond(matrix)
    if not condition < MAX_CONDITION:
        msg = (
            f"spillover matrix is (nearly) singular: condition number {condition:.3g}; expected below {MAX_CONDITION:g}"
        )
        raise CompensationError(msg)


@dataclass(frozen=True, eq=False)
class Sample:
    """The events of one FCS data set with what is known of them.

    Parameters
    ----------
    events : shape (n_events, n_channels), float32 or float64, read-only.
    channels : one a column.
    state : raw (as the instrument measured, on linear scale), compensated, or transformed.
    spillover : the file's own matrix, or None.
    keywords : the TEXT segment, keys in upper case with their ``$``.
    warnings : readable oddities met on the way.
    path : the file it came from; empty for data made in memory.
    digest : sha256 of the very bytes that were parsed, or what it will be; to be read as :attr:`sha256`.
    version : "FCS3.1" and so on.
    checksum : CRC-32 of these bytes in hexadecimal, or what it will be; to be read as :attr:`crc32`.
    """

    events: NDArray[np.floating[Any]]
    channels: tuple[Channel, ...]
    state: EventState = EventState.RAW
    spillover: Spillover | None = None
    keywords: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[SampleWarning, ...] = ()
    path: str = ""
    digest: str | Awaited = ""
    version: str = ""
    checksum: str | Awaited = ""

    def __post_init__(self) -> None:
        if self.events.ndim != 2 or self.events.shape[1] != len(self.channels):
            msg = f"events of shape {self.events.shape} for {len(self.channels)} channels"
            raise ValueError(msg)
        view = self.events.view()
        view.setflags(write=False)
        object.__setattr__(self, "events", view)
        object.__setattr__(self, "keywords", MappingProxyType(dict(self.keywords)))

    def __reduce__(self) -> tuple[Any, ...]:
        values = (self.events, self.channels, self.state, self.spillover, dict(self.keywords), self.warnings)
        return (Sample, (*values, self.path, self.sha256, self.version, self.crc32))

    @property
    def sha256(self) -> str:
        """Hexadecimal sha256 of the very bytes that were parsed; empty where it was not asked for."""
        return self.digest if isinstance(self.digest, str) else self.digest.result()

    @property
    def crc32(self) -> str:
        """CRC-32 of the very bytes that were parsed, eight hexadecimal digits; empty where it was not asked for."""
        return self.checksum if isinstance(self.checksum, str) else self.checksum.result()

    @property
    def n_events(self) -> int:
        """Number of events."""
        return int(self.events.shape[0])

    @property
    def channel_names(self) -> tuple[str, ...]:
        """$PnN of every column."""
        return tuple(channel.name for channel in self.channels)

    def index(self, name: str) -> int:
        """Column of the channel whose $PnN is `name`; KeyError where there is none."""
        try:
            return self.channel_names.index(name)
        except ValueError:
            msg = f"no channel {name!r} in {self.path or 'sample'}; it has {', '.join(self.channel_names)}"
            raise KeyError(msg) from None

    def column(self, name: str) -> NDArray[np.floating[Any]]:
        """Values of the channel whose $PnN is `name`, shape (n_events,), a read-only view."""
        return self.events[:, self.index(name)]

    def with_events(self, events: NDArray[np.floating[Any]], state: EventState) -> Sample:
        """The same sample with other values and another state."""
        return replace(self, events=events, state=state)


@dataclass(frozen=True, eq=False)
class StoredEvents:
    """Raw events of a tube for those who know what they look at: not every column is on a linear scale.

    Parameters
    ----------
    values : shape (n_events, n_channels); columns that nobody was to look at may be as they are stored, mostly Time.
    seconds : Time, shape (n_events,); None where there is none.
    extremes : what all of `values` have shown already; None where nobody looked.
    """

    values: NDArray[np.floating[Any]]
    seconds: NDArray[np.floating[Any]] | None
    extremes: Extremes | None = None

    @classmethod
    def of(cls, sample: Sample) -> StoredEvents:
        """All of a sample's, which are on a linear scale."""
        clock = next((i for i, channel in enumerate(sample.channels) if channel.is_time), None)
        return cls(sample.events, None if clock is None else np.ascontiguousarray(sample.events[:, clock]))


def absent_events(shape: tuple[int, ...], kind: DTypeLike = np.float32) -> NDArray[np.floating[Any]]:
    """What stands for events that are not there: NaN, in no memory."""
    return np.broadcast_to(np.array(np.nan, kind), shape)
