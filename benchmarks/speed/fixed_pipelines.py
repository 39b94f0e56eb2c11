"""Each program's way from a file to the events of eight fixed gates. Every function takes a path, gives counts."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from speed.fixed_gates import GATES, FixedGates
from treg_gating.fcs import read_fcs, read_header
from treg_gating.gating.axes import axis_of
from treg_gating.gating.gates import Interval, Polygon
from treg_gating.gating.hierarchy import EventView, Walk, fit_sample
from treg_gating.linear_columns import LinearColumns
from treg_gating.panel import match_panel

__all__ = ["FLOOR", "FLOWKIT", "OURS", "OURS_NO_HASH", "flowkit_masks", "our_masks", "pipelines"]

FLOOR, FLOOR_HASH = "readinto (bytes only)", "readinto and sha256"
OURS, OURS_NO_HASH = "treg-gating", "treg-gating, hash apart"
FLOWKIT, SESSION, BY_HAND = "FlowKit, load + gate_sample", "FlowKit, Session", "FlowIO + flowutils by hand"

Pipeline = Callable[[Path], dict[str, int]]


def pipelines(gates: FixedGates) -> dict[str, Pipeline]:
    """Every way, by name; the floor gives no counts."""
    floor = _Floor()
    foreign = _FlowKit(gates)
    return {
        FLOOR: floor.read,
        FLOOR_HASH: floor.read_and_hash,
        OURS: lambda path: _counts(walk_fixed(path, gates)),
        OURS_NO_HASH: lambda path: _counts(walk_fixed(path, gates, digest=False)),
        FLOWKIT: foreign.gate_sample,
        SESSION: foreign.session,
        BY_HAND: lambda path: by_hand(path, gates),
    }


def walk_fixed(path: Path, gates: FixedGates, *, digest: bool = True) -> Walk:
    """Ours: strict read, the markers' channels, compensation, gates; no quality control and no pictures."""
    sample = read_fcs(path, digest=digest)
    template = gates.template.for_file(sample, path.name)
    panel = match_panel(template.panel, sample.channels, {}, file=path.name)
    matrix = template.imported.spillover if template.imported else None
    dyes = [c.name for c in panel.channel_of.values() if matrix is not None and c.name in matrix.channels]
    columns = LinearColumns(sample, matrix, dyes)
    axes = {
        name: axis_of(columns, channel.name, template.transforms[name]) for name, channel in panel.channel_of.items()
    }
    view = EventView.of_axes(sample.n_events, np.ones(sample.n_events, bool), axes)
    walk = fit_sample(template, view, batch="")
    assert bool(sample.sha256) == digest  # waited for: it belongs to this way, and must not run beside the next
    return walk


def _counts(walk: Walk) -> dict[str, int]:
    return {name: n for name in walk.rows if (n := walk.rows.count(name)) is not None}


class _Floor:
    """The bytes of the file into a buffer that is there already."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def read(self, path: Path) -> dict[str, int]:
        size = path.stat().st_size
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        with path.open("rb", buffering=0) as file:
            file.readinto(memoryview(self._buffer)[:size])  # type: ignore[arg-type]
        return {}

    def read_and_hash(self, path: Path) -> dict[str, int]:
        self.read(path)
        hashlib.sha256(memoryview(self._buffer)[: path.stat().st_size]).hexdigest()
        return {}


class _FlowKit:
    """FlowKit as its documentation shows it; the strategy is parsed once, outside the timing."""

    def __init__(self, gates: FixedGates) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import flowkit
        self._flowkit = flowkit
        self._strategy = flowkit.parse_gating_xml(str(gates.document))

    def gated(self, path: Path) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._strategy.gate_sample(self._flowkit.Sample(str(path)))

    def gate_sample(self, path: Path) -> dict[str, int]:
        return _report(self.gated(path).report)

    def session(self, path: Path) -> dict[str, int]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session = self._flowkit.Session(self._strategy, fcs_samples=[str(path)])
            session.analyze_samples(use_mp=False)
        return _report(session.get_analysis_report())


def _report(table: Any) -> dict[str, int]:
    return {str(name): int(count) for name, count in zip(table["gate_name"], table["count"], strict=True)}


def by_hand(path: Path, gates: FixedGates) -> dict[str, int]:
    """What a careful analyst writes: whole columns, each dye transformed once, masks combined."""
    import flowio
    import flowutils

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = flowio.FlowData(str(path))
        events = data.as_array()
    names = list(data.pnn_labels)
    matrix = gates.template.imported.spillover if gates.template.imported else None
    assert matrix is not None
    events = flowutils.compensate.compensate(events, matrix.matrix, [names.index(name) for name in matrix.channels])
    place = {marker: names.index(detector) for marker, detector in gates.detector.items() if detector in names}
    used = sorted({place[name] for _, gate in GATES.values() for name in gate.dims if "SC-" not in name})
    events = flowutils.transforms.logicle(events, used, t=262144, m=4.5, w=0.6, a=0)
    masks: dict[str, Any] = {"root": np.ones(len(events), bool)}
    for name, (parent, gate) in GATES.items():
        values = np.ascontiguousarray(events[:, [place[dim] for dim in gate.dims]])
        if isinstance(gate, Polygon):
            inside = flowutils.gating.points_in_polygon(np.array(gate.vertices), values)
        elif isinstance(gate, Interval):
            inside = (values[:, 0] >= gate.low) & (values[:, 0] < gate.high)
        else:
            inside = np.all((values >= gate.low) & (values < gate.high), axis=1)  # type: ignore[attr-defined]
        masks[name] = masks[parent] & inside
    return {name: int(mask.sum()) for name, mask in masks.items()}


def our_masks(path: Path, gates: FixedGates) -> dict[str, np.ndarray]:
    """Which events each gate holds, ours, by identifier in the document."""
    walk, n = walk_fixed(path, gates, digest=False), read_header(path).n_events
    masks = {}
    for identifier, population in zip(gates.populations, (s.population for s in gates.template.steps), strict=True):
        masks[identifier] = np.zeros(n, bool)
        masks[identifier][walk.rows[population]] = True
    return masks


def flowkit_masks(path: Path, gates: FixedGates) -> dict[str, np.ndarray]:
    """The same, FlowKit's."""
    gated = _FlowKit(gates).gated(path)
    return {name: np.asarray(gated.get_gate_membership(name)) for name in gates.populations}
