"""What the page is told of a run and of a tube, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from treg_gating.errors import TregGatingError
from treg_gating.gating.gates import Gate
from treg_gating.gating.results import GatePicture, GateStatus, SampleResult
from treg_gating.proportion import wilson
from treg_gating.report.axes import intensity_axis
from treg_gating.report.levels import flag_level, headline, sample_level
from treg_gating.report.raster import display_histogram
from treg_gating.report.view import STATUS_WORDS
from treg_gating.report.wording import population_name
from treg_gating.reviewing.desk import Desk, Seat, record_title
from treg_gating.reviewing.shapes import shape_of
from treg_gating.run.decisions import GATE_REASONS, TUBE_REASONS, Decision

__all__ = ["look_view", "run_view", "tube_view"]


def run_view(desk: Desk) -> dict[str, Any]:
    """The list of tubes."""
    return {
        "title": desk.scrub(record_title(desk.record, desk.study)),
        "run": desk.run,
        "blinded": desk.blinded,
        "endpoint": {"label": desk.record.template.label, "top": desk.endpoint[0], "bottom": desk.endpoint[1]},
        "reasons": {"gate": dict(GATE_REASONS), "tube": dict(TUBE_REASONS)},
        "tubes": [_line(desk, seat) for seat in desk.seats.values()],
    }


def _line(desk: Desk, seat: Seat) -> dict[str, Any]:
    level = sample_level(seat.fitted, desk.endpoint[0])
    standing = desk.standing(seat)
    return {
        "name": seat.name,
        "about": ""
        if desk.blinded
        else " · ".join(filter(None, (seat.tube.subject, seat.tube.visit, seat.tube.batch))),
        "level": level.key,
        "word": level.word,
        "decided": _state(standing),
        "stale": bool(desk.stale(seat)),
        "value": _percent(seat.fitted, desk.endpoint),
    }


def _state(standing: Mapping[str, Decision]) -> str:
    whole = standing.get("")
    if whole is not None:
        return {"accept": "accepted", "exclude": "excluded"}[whole.action]
    if any(decision.action == "override" for decision in standing.values()):
        return "overridden"
    return "begun" if standing else ""


def _percent(result: SampleResult, endpoint: tuple[str, str]) -> float | None:
    top, bottom = (result.count(name) for name in endpoint)
    return None if top is None or bottom is None or top.n is None or not bottom.n else 100 * top.n / bottom.n


def tube_view(desk: Desk, seat: Seat) -> dict[str, Any]:
    """Everything the page shows of one tube before its events are read."""
    result = seat.fitted
    standing = desk.standing(seat)
    pictures = {picture.population: picture for picture in result.pictures}
    return {
        **_line(desk, seat),
        "role": result.role,
        "why": desk.scrub(headline(result, desk.endpoint[0])),
        "flags": [
            {
                "word": flag_level(flag.level).word,
                "level": flag_level(flag.level).key,
                "code": flag.code,
                "text": desk.scrub(flag.text),
                "population": flag.population,
            }
            for flag in result.flags
        ],
        "stale_decisions": [desk.scrub(text) for text in desk.stale(seat)],
        "numbers": {count.population: count.n for count in result.counts},
        "parents": {count.population: count.parent for count in result.counts},
        "names": {c.population: population_name(c.population) if c.parent else "all events" for c in result.counts},
        "gates": [_gate(desk, seat, gate, pictures.get(gate.population)) for gate in result.gates],
        "decisions": {name: _decision(decision) for name, decision in standing.items()},
        **_value(result, desk.endpoint),
    }  # fmt: skip


def _decision(decision: Decision) -> dict[str, str]:
    return {"action": decision.action, "why": decision.why, "signed": decision.signed}


def _value(result: SampleResult, endpoint: tuple[str, str]) -> dict[str, Any]:
    top, bottom = (result.count(name) for name in endpoint)
    interval = result.gate_interval.get(endpoint[0])
    return {
        **_share(top.n if top else None, bottom.n if bottom else None),
        "gate_interval": None if interval is None else list(interval),
    }


def _share(k: int | None, n: int | None) -> dict[str, Any]:
    if k is None or not n:
        return {"value": None, "interval": None}
    bounds = wilson(k, n)
    return {"value": 100 * k / n, "interval": None if bounds is None else [100 * bound for bound in bounds]}


def _gate(desk: Desk, seat: Seat, gate: Any, picture: GatePicture | None) -> dict[str, Any]:
    settable = not gate.expression and gate.status is not GateStatus.NOT_STAINED
    override = desk.overrides(seat).get(gate.population)
    return {
        "population": gate.population,
        "title": population_name(gate.population),
        "parent": gate.parent,
        "parent_title": population_name(gate.parent),
        "sign": gate.sign,
        "status": gate.status.value,
        "status_word": STATUS_WORDS[gate.status],
        "rule": gate.rule,
        "reason": desk.scrub(gate.reason),
        "expression": gate.expression,
        "settable": settable and picture is not None,
        "fitted": shape_of(gate.gate),
        "suggested": shape_of(desk.suggestion(gate.population)) if settable and gate.gate is None else None,
        "override": shape_of(override),
        "error": list(gate.standard_error),
        "picture": _picture(picture, seat.fitted) if picture is not None else None,
    }


def _picture(picture: GatePicture, result: SampleResult) -> dict[str, Any]:
    channels = {marker: channel for marker, channel, _ in result.panel}
    axes = [
        intensity_axis(dim, low, high, result.transforms.get(dim), channels.get(dim, ""))
        for dim, low, high in zip(picture.dims, picture.low, picture.high, strict=True)
    ]
    return {
        "dims": list(picture.dims),
        "axes": [
            {
                "title": axis.title,
                "low": axis.low,
                "high": axis.high,
                "ticks": [[tick.fraction, tick.label, tick.power, tick.major] for tick in axis.ticks],
            }
            for axis in axes
        ],
        **_density(picture),
    }


def _density(picture: GatePicture) -> dict[str, Any]:
    """One dimension: the smoothed curve, fractions of its peak. Two: events a bin, rows of y from below."""
    counts = np.asarray(picture.counts)
    if counts.ndim == 1:
        control = picture.control
        return {
            "curve": [round(float(v), 4) for v in display_histogram(counts)],
            "control": None if control is None or not control.sum()
            else [round(float(v), 4) for v in display_histogram(control)],
        }  # fmt: skip
    return {"bins": list(counts.shape), "counts": counts.T.ravel().tolist()}


def look_view(desk: Desk, seat: Seat, gates: Mapping[str, Gate], draw: str) -> dict[str, Any]:
    """Counts with a person's gates, and the density of one gate's parent.

    Raises
    ------
    TregGatingError : the events cannot be read.
    """
    try:
        look = desk.events(seat).look(gates, (draw,) if draw else ())
    except TregGatingError as error:
        if not desk.blinded:
            raise
        raise TregGatingError(desk.scrub(_without_place(error))) from None
    picture = look.pictures.get(draw)
    top, bottom = (look.numbers.get(name) for name in desk.endpoint)
    return {
        "numbers": dict(look.numbers),
        "picture": None if picture is None else {"population": draw, **_density(picture)},
        **_share(top, bottom),
    }


def _without_place(error: TregGatingError) -> str:
    """What is wrong, without the name of the file it is wrong with."""
    return str(getattr(error, "problem", "") or error)
