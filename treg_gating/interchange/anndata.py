"""One tube's events with the run's gates as an AnnData object, for people who go on in scverse."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from treg_gating.compensation import compensate
from treg_gating.errors import InputError
from treg_gating.fcs import read_fcs
from treg_gating.gating.expression import parse_expression
from treg_gating.gating.results import FittedGate, GateStatus, SampleResult
from treg_gating.quality import assess
from treg_gating.sample import Sample, Spillover
from treg_gating.transforms import transform_from_dict
from treg_gating.tube import Tube

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["population_masks", "sample_to_anndata"]

Mask = NDArray[np.bool_]


def sample_to_anndata(result: SampleResult, tube: Tube, path: Path) -> AnnData:
    """Events of a finished tube.

    ``X`` holds linear values, compensated where the run compensated (n_events, n_channels); the layer ``transformed``
    the gates' own scale for the markers of the panel and NaN elsewhere; ``obs`` one column a population, True for its
    events; ``var`` channel, marker; ``uns`` where it all comes from.

    Raises
    ------
    InputError : the tube failed, the file is not the one that the run read, the events do not give the run's counts,
        or anndata is not installed.
    """
    try:
        from anndata import AnnData
    except ImportError:
        problem = "anndata is not installed"
        raise InputError(problem, action="Install it: pip install 'treg-gating[anndata]'") from None
    import pandas as pd

    if result.status != "done":
        problem = "the tube failed in the run, so that there are no gates"
        raise InputError(problem, file=tube.file, found=result.reason)
    sample = read_fcs(path, dataset=tube.dataset)
    if sample.sha256 != result.sha256:
        problem = "the file is not the one that the run read"
        raise InputError(problem, file=str(path), found=sample.sha256[:12], expected=result.sha256[:12])
    compensated = _compensated(sample, result)
    masks = population_masks(sample, compensated, result)
    marker_of = {channel: marker for marker, channel, _ in result.panel}
    names = list(compensated.channel_names)
    transformed = np.full(compensated.events.shape, np.nan, dtype=np.float32)
    for at, name in enumerate(names):
        if name in marker_of:
            transformed[:, at] = _transformed(sample, compensated, result, marker_of[name])
    return AnnData(
        X=np.asarray(compensated.events, dtype=np.float32),
        obs=pd.DataFrame(masks, index=[str(number) for number in range(sample.n_events)]),
        var=pd.DataFrame({"marker": [marker_of.get(name, "") for name in names]}, index=names),
        layers={"transformed": transformed},
        uns={
            "treg_gating": {
                **{key: getattr(result, key) for key in ("tube_id", "subject", "visit", "batch", "sha256")},
                "compensation": result.compensation,
                "scale_of_X": "linear, compensated",
            }
        },
    )


def _compensated(sample: Sample, result: SampleResult) -> Sample:
    if result.spillover is None:
        return sample
    plain: Mapping[str, Any] = result.spillover
    spillover = Spillover(tuple(plain["channels"]), np.array(plain["matrix"]), "of the run")
    used = {channel for _, channel, _ in result.panel}
    return compensate(sample, spillover, channels=[name for name in spillover.channels if name in used])


def _transformed(sample: Sample, compensated: Sample, result: SampleResult, marker: str) -> NDArray[np.float64]:
    channel, how = next((channel, how) for name, channel, how in result.panel if name == marker)
    source = sample if how == "raw" else compensated
    transform = transform_from_dict(dict(result.transforms[marker]))
    return np.asarray(transform.apply(source.column(channel)), dtype=np.float64)


def population_masks(sample: Sample, compensated: Sample, result: SampleResult) -> dict[str, Mask]:
    """Events of every population by the run's final gates; held against the run's counts.

    Raises
    ------
    InputError : a population has another number of events than in the run.
    """
    used = [channel for _, channel, _ in result.panel]
    masks: dict[str, Mask] = {"clean": np.asarray(assess(sample, used).kept, dtype=bool)}
    columns: dict[str, NDArray[np.float64]] = {}
    for gate in result.gates:
        parent = masks.get(gate.parent)
        if gate.parent == "root":
            parent = np.ones(sample.n_events, dtype=bool)
        if parent is None or gate.status is GateStatus.FAILED:
            continue
        found = _mask(sample, compensated, result, gate, parent, masks, columns)
        if found is not None:
            masks[gate.population] = found
    for name, mask in masks.items():
        count = result.count(name)
        if count is not None and count.n is not None and count.n != int(mask.sum()):
            problem = f"population {name} does not come out as in the run"
            action = "Use the version of treg-gating that made the run, or run again"
            raise InputError(
                problem, file=result.file, found=str(int(mask.sum())), expected=str(count.n), action=action
            )
    return masks


def _mask(
    sample: Sample,
    compensated: Sample,
    result: SampleResult,
    gate: FittedGate,
    parent: Mask,
    masks: Mapping[str, Mask],
    columns: dict[str, NDArray[np.float64]],
) -> Mask | None:
    if gate.expression:
        expression = parse_expression(gate.expression)
        if any(name not in masks for name in expression.names):
            return None
        return np.asarray(parent & expression.evaluate(lambda name: masks[name]), dtype=bool)
    if gate.status is GateStatus.NOT_STAINED:
        count = result.count(gate.population)
        return parent.copy() if count is not None and count.n is not None else None
    if gate.gate is None:
        return None
    for dim in gate.gate.dims:
        if dim not in columns:
            columns[dim] = _transformed(sample, compensated, result, dim)
    inside = np.asarray(gate.gate.contains(np.column_stack([columns[dim] for dim in gate.gate.dims])), dtype=bool)
    return np.asarray(parent & (inside if gate.sign == "+" else ~inside), dtype=bool)
