"""The story of one tube, on one screen: read, find the markers, compensate, check, gate, count.

Two passes, because a gate's consensus needs every tube's own estimate::

    pass 1   first_pass      each tube on its own          -> SampleFit
    between  between_passes  the cohort                    -> CohortGates
    pass 2   second_pass     each tube with its final gates -> SampleResult
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import FCSError, TregGatingError
from treg_gating.fcs import open_fcs
from treg_gating.fcs.memory import give_back
from treg_gating.flags import Flag
from treg_gating.gating.axes import Column, axis_of
from treg_gating.gating.consensus import CONTROL_DENSITIES, CohortGates, Member, learn_cohort
from treg_gating.gating.hierarchy import EventView, apply_sample, fit_sample
from treg_gating.gating.results import FittedGate, SampleFit, SampleResult
from treg_gating.gating.settling import settle
from treg_gating.gating.template import GateStep, GatingTemplate
from treg_gating.instrument import instrument_settings
from treg_gating.linear_columns import LinearColumns
from treg_gating.matrices import choose_matrix, compensation_of, odd_in_batch
from treg_gating.panel import Panel, match_panel
from treg_gating.pictures import control_densities
from treg_gating.populations import count_populations
from treg_gating.quality import QualityReport, assess
from treg_gating.review import flag_result
from treg_gating.sample import Sample, Spillover
from treg_gating.settings import RunSettings
from treg_gating.showing import Showing
from treg_gating.transforms import Linear, Logicle, Transform, transform_to_dict
from treg_gating.tube import Role, Tube
from treg_gating.unmixing import Unmixing, WholeColumns

__all__ = [
    "Prepared",
    "RunSettings",
    "axis_limits",
    "between_passes",
    "clean_values",
    "failed_result",
    "first_pass",
    "prepare",
    "second_pass",
]

# Keys among a tube's summaries, beside those of the methods:
OWN_MATRIX = "own matrix"  # the file's own spillover, where it was used
QUALITY = "quality"  # what quality control found
WARNINGS = "warnings"  # what was odd in the file

LITTLE = 1 << 26  # bytes that are kept for the next file all the same


@dataclass(frozen=True, eq=False)
class Prepared:
    """A tube ready to be gated."""

    template: GatingTemplate
    sample: Sample
    panel: Panel
    compensation: str
    spillover: Spillover | None
    quality: QualityReport
    view: EventView
    linear: Mapping[str, Column]
    raw: frozenset[str]
    flags: tuple[Flag, ...] = ()


def first_pass(tube: Tube, settings: RunSettings) -> SampleFit:
    """Fit every gate of one tube on its own.

    Raises
    ------
    TregGatingError : the file cannot be read, its markers or its matrix do not answer the template.
    """
    ready = prepare(tube, settings)
    walk = fit_sample(ready.template, ready.view, batch=tube.batch, control=tube.role is Role.FMO)
    warnings = [str(warning) for warning in ready.sample.warnings]
    summaries: dict[str, Any] = {**walk.summaries, QUALITY: ready.quality, WARNINGS: warnings}
    if tube.role is Role.FMO:
        limits = axis_limits(ready.template)
        summaries[CONTROL_DENSITIES] = control_densities(ready.template, walk, ready.view, limits, tube.control_for)
    if ready.spillover is not None and ready.spillover is ready.sample.spillover:
        summaries[OWN_MATRIX] = {"channels": ready.spillover.channels, "matrix": ready.spillover.matrix}
    sample = ready.sample
    crc32 = sample.crc32  # before the sha256: this thread helps with it
    return SampleFit(tube.tube_id, sample.sha256, walk.gates, summaries, crc32=crc32)


def between_passes(tubes: Sequence[Tube], fits: Mapping[str, SampleFit], settings: RunSettings) -> CohortGates:
    """What the cohort teaches: consensus gates and pooled models, learnt on baseline samples and control donors."""
    baselines = {visit.name for visit in settings.study.visits if visit.baseline}
    known = [tube for tube in tubes if tube.tube_id in fits]
    teaching = {
        tube.tube_id
        for tube in known
        if tube.role is Role.CONTROL or (tube.role is Role.SAMPLE and tube.visit in baselines)
    }
    members = [
        Member(
            tube_id=tube.tube_id,
            batch=tube.batch,
            role=str(tube.role),
            control_for=tube.control_for,
            learns=tube.tube_id in teaching,
            # Consensus gates are learnt from these alone, and the gates of all tubes of a large study take much memory.
            gates=fits[tube.tube_id].gates if tube.tube_id in teaching or not teaching else {},
            summaries=fits[tube.tube_id].summaries,
        )
        for tube in known
    ]
    cohort = learn_cohort(settings.template, members)
    own = [(m.tube_id, m.batch, Spillover(**m.summaries[OWN_MATRIX])) for m in members if OWN_MATRIX in m.summaries]
    odd = {tube: (flag, *cohort.flags.get(tube, ())) for tube, flag in odd_in_batch(own).items()}
    return replace(cohort, flags={**cohort.flags, **odd})


def second_pass(tube: Tube, settings: RunSettings, cohort: CohortGates, fit: SampleFit) -> SampleResult:
    """Apply the final gates to one tube, count, and keep small pictures of the densities.

    Raises
    ------
    TregGatingError : as in pass 1, and where the file is no longer the one that pass 1 read.
    """
    judged = bool(fit.crc32) and WARNINGS in fit.summaries
    ready = prepare(tube, settings, digest=not fit.crc32, judged=judged, quality=fit.summaries.get(QUALITY))
    _refuse_changed(tube, ready.sample, fit)
    give_back(LITTLE)  # of the events, which are let go
    template = ready.template

    def final(step: GateStep, own: FittedGate) -> FittedGate:
        return settle(step, own, cohort.consensus.get(step.population), tube.batch)

    controls = {name: by_batch[tube.batch] for name, by_batch in cohort.controls.items() if tube.batch in by_batch}
    showing = Showing(template, ready.view, ready.linear, axis_limits(template), controls)
    walk = apply_sample(
        template, ready.view, fit.gates, final, cohort.models, batch=tube.batch, meanwhile=showing.parts,
        held_against=showing.moved,
    )  # fmt: skip
    showing.complete(walk)
    counts, interval = count_populations(template, walk, showing.medians()), showing.interval
    return SampleResult(
        **_identity(tube),
        status="done",
        sha256=fit.sha256,
        n_events=ready.sample.n_events,
        acquired=" ".join(filter(None, (ready.sample.keywords.get(key, "").strip() for key in ("$DATE", "$BTIM")))),
        cytometer=ready.sample.keywords.get("$CYT", "").strip(),
        panel=tuple(
            (marker, channel.name, "raw" if marker in ready.raw else ready.panel.how[marker])
            for marker, channel in ready.panel.channel_of.items()
        ),
        compensation=ready.compensation,
        spillover=_plain(ready.spillover),
        transforms={marker: transform_to_dict(template.transforms[marker]) for marker in ready.panel.channel_of},
        warnings=tuple(fit.summaries[WARNINGS] if judged else map(str, ready.sample.warnings)),
        counts=counts,
        gates=tuple(walk.gates[step.population] for step in template.steps),
        flags=ready.flags
        + cohort.flags.get(tube.tube_id, ())
        + flag_result(template, settings.study, counts, tuple(walk.gates.values()), ready.quality, interval),
        pictures=showing.pictures(),
        gate_interval={} if interval is None else {template.primary.numerator: interval},
        quality=ready.quality.numbers,
        margins=ready.quality.margins,
        ends=ready.quality.ends,
        removed=ready.quality.removed,
        clock=next((channel.name for channel in ready.sample.channels if channel.is_time), ""),
        timeline=ready.quality.timeline,
        instrument=instrument_settings(
            ready.sample.keywords, ready.sample.channels, [channel.name for channel in ready.panel.channel_of.values()]
        ),
    )


def _refuse_changed(tube: Tube, sample: Sample, fit: SampleFit) -> None:
    """By the checksum of all bytes: the sha256 was taken in pass 1, and five times as long again would tell no more."""
    found, expected = (sample.crc32, fit.crc32) if fit.crc32 else (sample.sha256, fit.sha256)
    if found != expected:
        code, msg = "E_CHANGED", "the file changed while the run was going on"
        action = "Run again when nothing writes to it."
        raise FCSError(code, msg, file=str(tube.path), found=found[:12], expected=expected[:12], action=action)


def clean_values(tube: Tube, settings: RunSettings, markers: Sequence[str]) -> dict[str, NDArray[np.floating[Any]]]:
    """Compensated linear values of a tube's clean events, by marker; markers it does not measure are left out.

    Raises
    ------
    TregGatingError : as in pass 1.
    """
    ready = prepare(tube, settings)
    return {marker: ready.linear[marker](ready.view.clean) for marker in markers if marker in ready.linear}


def failed_result(tube: Tube, error: BaseException, stage: str) -> SampleResult:
    """The row of a tube that could not be processed."""
    code = getattr(error, "code", "") or (type(error).__name__ if isinstance(error, TregGatingError) else "E_BUG")
    return SampleResult(**_identity(tube), status="failed", stage=stage, code=code, reason=str(error) or repr(error))


def prepare(
    tube: Tube,
    settings: RunSettings,
    *,
    digest: bool = True,
    judged: bool = False,
    quality: QualityReport | None = None,
) -> Prepared:
    """Read a tube, find its markers, check its events and compensate them.

    Parameters
    ----------
    digest : whether the sha256 of the file is wanted beside its checksum.
    judged : the same bytes were read before, and what was odd in them is known.
    quality : what quality control found in the same bytes, where they were looked at before.
    """
    with open_fcs(tube.path, dataset=tube.dataset, ahead=not judged) as opened:
        known = opened.sample
        template = settings.template.for_file(known, tube.file)
        mapping = {} if template.imported else tube.markers  # imported gates name detectors, not markers
        panel = match_panel(template.panel, known.channels, mapping, file=tube.file)
        used = [channel.name for channel in panel.channel_of.values()]
        controls = None if template.imported else settings.matrices.get(tube.batch)  # imported gates bring theirs along
        given, doubts = choose_matrix(known, used, order=settings.order, controls=controls, table=settings.spillover)
        how, spillover = compensation_of(known, template, given, used, tube.file)
        dyes = [] if spillover is None else [name for name in used if name in spillover.channels]
        raw = template.imported.raw if template.imported else frozenset()
        gated = {name for step in template.gate_steps for name in step.dims}
        looked_at = {name: ch for name, ch in panel.channel_of.items() if name in gated or not ch.is_time}
        again, made = quality is not None, None
        if again or not template.imported:
            # Fits and medians need all events of all dyes; gates, their intervals and pictures take from these columns.
            measured = [ch.name for marker, ch in looked_at.items() if marker not in raw and ch.name not in dyes]
            made = WholeColumns(known, Unmixing(known, spillover, dyes), list(dict.fromkeys(measured)))
        if made is None or raw:
            sample, events = opened.read(digest=digest, checksum=True, judged=judged, passing=made), None
        else:
            sample, events = opened.pass_on(made, digest=digest, checksum=True, judged=judged and again)
    quality = quality or assess(sample, used, events, {} if made is None else made.as_measured)
    as_measured, compensated = LinearColumns(sample, None), LinearColumns(sample, spillover, dyes, made)
    axes = {
        marker: axis_of(as_measured if marker in raw else compensated, channel.name, template.transforms[marker])
        for marker, channel in looked_at.items()
    }
    view = EventView.of_axes(sample.n_events, quality.kept, axes)
    stains = {
        marker: axis.linear
        for marker, axis in axes.items()
        if marker not in raw and not isinstance(axis.transform, Linear)
    }
    return Prepared(template, sample, panel, how, spillover, quality, view, stains, raw, doubts)


def axis_limits(template: GatingTemplate) -> dict[str, tuple[float, float]]:
    """Axis limits by dimension, the same for every tube: the scale's own range."""
    return {marker: _limits_of(transform) for marker, transform in template.transforms.items()}


@lru_cache(maxsize=64)
def _limits_of(transform: Transform) -> tuple[float, float]:
    if isinstance(transform, Linear):
        return (0.0, 262144.0)
    low = -0.25 if isinstance(transform, Logicle) else float(transform.apply(-2000.0))
    return (low, float(transform.apply(262144.0)))


def _identity(tube: Tube) -> dict[str, Any]:
    return {
        "tube_id": tube.tube_id,
        "file": tube.file,
        "subject": tube.subject,
        "visit": tube.visit,
        "batch": tube.batch,
        "role": str(tube.role),
    }


def _plain(spillover: Spillover | None) -> dict[str, Any] | None:
    if spillover is None:
        return None
    return {"channels": list(spillover.channels), "matrix": spillover.matrix.tolist()}
