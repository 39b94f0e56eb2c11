"""What fitting and applying a template leaves behind: fitted gates, counts, flags. Plain and picklable."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.flags import Flag, FlagLevel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treg_gating.gating.gates import Gate

__all__ = [
    "FittedGate",
    "Flag",
    "FlagLevel",
    "GatePicture",
    "GateStatus",
    "PopulationCount",
    "SampleFit",
    "SampleResult",
    "TubeReview",
]


class GateStatus(StrEnum):
    """Where a final gate came from."""

    FITTED = "fitted"  # the template's own method, on this sample (or this sample and its cohort)
    FALLBACK = "fallback"  # a later rule of the template's chain
    CONSENSUS = "consensus"  # the cohort's gate: the sample's own was absent or an outlier
    FIXED = "fixed"  # numbers written in the template or imported
    OVERRIDDEN = "overridden"  # by a person, with a reason
    NOT_STAINED = "not_stained"  # the template marks the marker optional and the tube does not have it
    FAILED = "failed"  # no rule of the chain held; the population and all below it are not estimable


@dataclass(frozen=True, slots=True)
class FittedGate:
    """One gate of one sample.

    Parameters
    ----------
    population, parent : names in the template.
    sign : "+" for the events inside the gate, "-" for those outside.
    gate : numbers, in the template's units; None when failed, not stained or combined.
    status, rule, reason : where it came from, which rule fired, and why (in words).
    standard_error : of each free number of the gate, same units; empty where not estimated.
    own : the sample's own estimate where the final gate differs from it (shrunk or consensus); of an overridden gate,
        the one that the person's replaced.
    n_events : events of the parent the gate was fitted on.
    expression : for combined populations, the boolean expression over populations.
    caution : why a person must look at a fitted gate; empty where nothing is known against it.
    """

    population: str
    parent: str
    sign: str
    gate: Gate | None
    status: GateStatus
    rule: str
    reason: str = ""
    standard_error: tuple[float, ...] = ()
    own: Gate | None = None
    n_events: int = 0
    expression: str = ""
    caution: str = ""


@dataclass(frozen=True, slots=True)
class PopulationCount:
    """Events of one population in one sample.

    Parameters
    ----------
    population, parent : names in the template.
    n, n_parent : events; None where not estimable.
    status : "ok", "not_stained" or "not_estimable".
    reason : why it is not "ok".
    mfi : median fluorescence of markers on this population, in compensated linear units.
    reference : events counted by the program that imported gates come from; None for gates of our own.
    """

    population: str
    parent: str
    n: int | None
    n_parent: int | None
    status: str = "ok"
    reason: str = ""
    mfi: Mapping[str, float] = field(default_factory=dict)
    reference: int | None = None


@dataclass(frozen=True, eq=False)
class GatePicture:
    """The density a gate was drawn on: enough to plot it, never the events.

    Parameters
    ----------
    population, parent : the gate's population, and the population whose events are drawn.
    dims : one or two dimensions, by name.
    low, high : axis limits, in gate units, one a dimension (the same for every sample of a run).
    counts : events per bin, shape (bins,) or (bins_x, bins_y), unsigned integers; events beyond the
        limits are counted in the outermost bins. Of a parent of 100,000 events or more: of every second, third, …
    control : the same axis for the control tubes (FMO) of the batch, with their events of the population that the gate
        is fitted on; None where there are none.
    """

    population: str
    parent: str
    dims: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    counts: NDArray[np.unsignedinteger[Any]]
    control: NDArray[np.unsignedinteger[Any]] | None = None


@dataclass(frozen=True, slots=True)
class TubeReview:
    """What persons decided on one tube.

    Parameters
    ----------
    verdict : "accepted", "overridden" or "excluded"; "reviewed" where gates were accepted, but not the tube; empty
        where nothing that was decided holds.
    by, reason : who signed (with the day), and why, in words; several are joined by "; ".
    tube_accepted : whether a person accepted the tube as it is counted now, its overrides included.
    overridden : populations whose gates a person set.
    stale : sentences on decisions that no longer hold and were not applied.
    fitted : counts before the overrides; empty where there are none.
    fitted_key : key in the ledger of the result that the decisions were applied to.
    """

    verdict: str = ""
    by: str = ""
    reason: str = ""
    tube_accepted: bool = False
    overridden: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    fitted: tuple[PopulationCount, ...] = ()
    fitted_key: str = ""

    def fitted_count(self, population: str) -> PopulationCount | None:
        """The count of a population before the overrides."""
        return next((count for count in self.fitted if count.population == population), None)


@dataclass(frozen=True, eq=False)
class SampleFit:
    """What pass 1 learns from one tube: its own gates, and small summaries for the cohort. Never events.

    Parameters
    ----------
    tube_id : the tube in the sheet.
    sha256 : digest of the bytes that were read. crc32 : their checksum; pass 2 must meet the same.
    gates : own estimates, by population, in the template's order.
    summaries : by population, whatever the gate's method wants from every sample (binned densities,
        control quantiles); picklable and small.
    widths : logicle width this tube asks for, by marker, in decades; absent where its data do not say.
    """

    tube_id: str
    sha256: str
    gates: Mapping[str, FittedGate]
    summaries: Mapping[str, Any] = field(default_factory=dict)
    widths: Mapping[str, float] = field(default_factory=dict)
    crc32: str = ""


@dataclass(frozen=True, eq=False)
class SampleResult:
    """What pass 2 says of one tube; everything the tables and the report are made from.

    Parameters
    ----------
    tube_id, file, subject, visit, batch, role : identity, as the sheet gives it.
    status : "done" or "failed".
    stage, code, reason : for a failed tube, where it failed, a stable code, and the whole message.
    sha256, n_events : digest of the bytes read, and events in the file.
    acquired, cytometer : $DATE and $BTIM as one text, and $CYT; empty where the file does not say.
    panel : rows (marker, channel, how it was found); "raw" for a dimension of imported gates that means raw values of
        a detector that is compensated for others.
    compensation : what was used, in words ("$SPILLOVER of the file", a CSV's name, "none: already compensated").
    spillover : the matrix used, as ``{"channels": [...], "matrix": [[...]]}``, or None.
    transforms : by dimension, as :func:`treg_gating.transforms.transform_to_dict` gives them.
    warnings : readable oddities met while reading.
    counts, gates, flags, pictures : one entry a population, gate, flag, picture, in the template's order.
    gate_interval : by population, % of the endpoint's denominator when each gate on its path moves by its
        standard error: (low, high).
    quality : numbers of the quality control ("margin_pct", "time_removed_pct", "singlet_pct" ...), percent.
    margins : raw range low ≤ x < high outside which an event is not ``clean``, by $PnN.
    ends : percent of events at the lowest value and beyond the top of the range, by $PnN.
    removed : stretches of time (first, last second) that quality control removed, ascending.
    clock : $PnN of the channel that counts time; empty without one.
    timeline : small arrays to draw: ``seconds`` (n + 1 edges), and by stretch ``rate`` (events per second),
        ``fluorescence`` and ``scatter`` (shift against the tube, decades), ``removed`` (0 or 1); empty without Time.
    review : what persons decided; None where nobody did.
    instrument : settings as the file states them, see :func:`treg_gating.instrument.instrument_settings`.
    """

    tube_id: str
    file: str
    subject: str
    visit: str
    batch: str
    role: str
    status: str
    stage: str = ""
    code: str = ""
    reason: str = ""
    sha256: str = ""
    n_events: int = 0
    acquired: str = ""
    cytometer: str = ""
    panel: tuple[tuple[str, str, str], ...] = ()
    compensation: str = ""
    spillover: Mapping[str, Any] | None = None
    transforms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    counts: tuple[PopulationCount, ...] = ()
    gates: tuple[FittedGate, ...] = ()
    flags: tuple[Flag, ...] = ()
    pictures: tuple[GatePicture, ...] = ()
    gate_interval: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    quality: Mapping[str, float] = field(default_factory=dict)
    margins: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    removed: tuple[tuple[float, float], ...] = ()
    clock: str = ""
    timeline: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    review: TubeReview | None = None
    instrument: Mapping[str, str] = field(default_factory=dict)

    def count(self, population: str) -> PopulationCount | None:
        """The count of a population, or None where the template has no such population."""
        return next((count for count in self.counts if count.population == population), None)
