"""Gating-ML export: FlowKit, applying the document, selects the same events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treg_gating.errors import InputError
from treg_gating.fcs import read_fcs, write_fcs
from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Polygon, Rectangle
from treg_gating.gating.results import FittedGate, GateStatus, PopulationCount, SampleResult
from treg_gating.interchange.export_tree import half_plane_polygon
from treg_gating.interchange.gatingml import GateExport, export_gatingml, export_run, safe_file_name
from treg_gating.sample import Channel
from treg_gating.transforms import Asinh, Linear, Logicle, transform_to_dict

SCALES = {"A": Linear(), "B": Linear(), "C": Logicle(w=0.7), "D": Asinh(cofactor=120.0)}
CROSSED = ((10.0, 10.0), (200.0, 190.0), (200.0, 10.0), (10.0, 190.0))


def fitted(name: str, gate: Gate | None, *, parent: str = "root", sign: str = "+", **more: Any) -> FittedGate:
    status = more.pop("status", GateStatus.FIXED)
    return FittedGate(name, parent, sign, gate, status, "fixed", **more)


def finished(gates: list[FittedGate], **more: Any) -> SampleResult:
    panel = tuple((name, f"{name}-det", "$PnN") for name in SCALES)
    scales = {name: transform_to_dict(scale) for name, scale in SCALES.items()}
    about = {"file": "t.fcs", "subject": "1", "visit": "v", "batch": "", "role": "sample", "status": "done"}
    values = {"tube_id": "t", **about, "panel": panel, "transforms": scales, "gates": tuple(gates), **more}
    return SampleResult(**values)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole numbers on A and B, so that events lie on edges and bounds; C and D as dyes are."""
    rng = np.random.default_rng(5)
    events = np.column_stack(
        [rng.integers(0, 220, 6000), rng.integers(0, 220, 6000), rng.normal(0, 3000, 6000), rng.normal(0, 900, 6000)]
    )
    path = tmp_path_factory.mktemp("grid") / "t.fcs"
    channels = tuple(Channel(f"{name}-det", name, 262144.0) for name in SCALES)
    write_fcs(path, events.astype(np.float32), channels)
    return path


def ours(path: Path, gate: Gate, sign: str = "+") -> np.ndarray[Any, Any]:
    sample = read_fcs(path)
    values = np.column_stack([SCALES[name].apply(sample.column(f"{name}-det")) for name in gate.dims])
    return gate.contains(values) if sign == "+" else ~gate.contains(values)


def agree(tube: Any, document: Path, apply: Any) -> tuple[GateExport, dict[str, int]]:
    """Events that only one of the two programs selects, by population."""
    export = export_gatingml(tube.result, document)
    mask_of = apply(document, tube.path)
    odd = {}
    for population, identifier in export.populations.items():
        known = tube.masks[population]
        odd[population] = int((known != (mask_of(identifier) if identifier else True)).sum())
    return export, odd


def test_simulated_tubes_event_by_event(simulated: Any, tmp_path: Path, flowkit_masks: Any) -> None:
    for tube in simulated:
        export, odd = agree(tube, tmp_path / "gates.xml", flowkit_masks)
        assert set(odd) == set(tube.masks)
        assert odd == dict.fromkeys(odd, 0)
        assert export.left_out == ()
        assert 0 < tube.result.count("clean").n < tube.result.n_events
        assert export.notes == ()
    assert any(tube.result.removed for tube in simulated)  # stretches of time are among what was compared


def test_real_tubes_event_by_event(flowatlas: Any, tmp_path: Path, flowkit_masks: Any) -> None:
    assert len(flowatlas) == 7
    for tube in flowatlas:
        export, odd = agree(tube, tmp_path / "gates.xml", flowkit_masks)
        assert odd == dict.fromkeys(odd, 0)
        # What failed is named, and nothing else is missing.
        assert set(odd) == set(tube.masks)
        assert {name for name, _ in export.left_out} == {c.population for c in tube.result.counts} - set(tube.masks)
    assert any(len(tube.masks) > 8 for tube in flowatlas)


@pytest.mark.parametrize("sign", ["+", "-"])
@pytest.mark.parametrize(
    "gate",
    [
        Interval(("A",), low=50.0),
        Interval(("A",), low=50.0, high=100.0),
        Interval(("C",), high=0.4),
        Rectangle(("A", "D"), (50.0, -np.inf), (100.0, 0.2)),
        Polygon(("A", "B"), ((10.0, 10.0), (200.0, 10.0), (200.0, 190.0))),
        Polygon(("A", "B"), CROSSED),
        Ellipse(("C", "D"), (0.3, 0.1), ((0.02, 0.01), (0.01, 0.03)), 3.0),
        HalfPlane(("C", "D"), (0.6, 0.8), 0.35),
        HalfPlane(("A", "B"), (-0.6, 0.8), 12.1),
        HalfPlane(("A", "C"), (np.cos(1.57), np.sin(1.57)), 0.45),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{type(value).__name__}-{'-'.join(value.dims)}",
)
def test_every_kind_of_gate(gate: Gate, sign: str, grid: Path, tmp_path: Path, flowkit_masks: Any) -> None:
    known = ours(grid, gate, sign)
    assert 0 < known.sum() < len(known)
    export = export_gatingml(finished([fitted("p", gate, sign=sign)]), tmp_path / "g.xml")
    np.testing.assert_array_equal(flowkit_masks(export.path, grid)(export.populations["p"]), known)


def test_combinations_and_gates_that_were_not_stained(grid: Path, tmp_path: Path, flowkit_masks: Any) -> None:
    first, second = Interval(("A",), low=80.0), Interval(("C",), low=0.4)
    gates = [
        fitted("a b", first),
        fitted("nothing", None, parent="a b", status=GateStatus.NOT_STAINED, reason="X not stained"),
        fitted("c+", second, parent="nothing"),
        fitted("c-", second, parent="nothing", sign="-"),
        fitted("only", None, parent="a b", expression="!c+"),
        fitted("either", None, expression="a b & c+ | c- & !c+".replace("a b", "nothing")),
    ]
    export = export_gatingml(finished(gates), tmp_path / "g.xml")
    mask_of = flowkit_masks(export.path, grid)
    a, c = ours(grid, first), ours(grid, second)
    expected = {"a b": a, "nothing": a, "c+": a & c, "c-": a & ~c, "only": a & ~c, "either": a}
    assert export.left_out == ()
    for name, mask in expected.items():
        np.testing.assert_array_equal(mask_of(export.populations[name]), mask, err_msg=name)
    assert export.populations["nothing"] == export.populations["a b"]
    assert any("X not stained" in note for note in export.notes)
    assert "X not stained" in export.path.read_text(encoding="utf-8")


def test_gates_that_failed_are_named_with_all_below_them(tmp_path: Path) -> None:
    gates = [
        fitted("cd4", None, status=GateStatus.FAILED, reason="no valley"),
        fitted("treg", Interval(("C",), low=0.4), parent="cd4"),
        fitted("other", Interval(("C",), low=0.4)),
        fitted("both", None, expression="other & treg"),
    ]
    export = export_gatingml(finished(gates), tmp_path / "g.xml")
    assert dict(export.left_out) == {
        "cd4": "no gate: no valley",
        "treg": "its parent cd4 is not written",
        "both": "treg is not written",
    }
    assert set(export.populations) == {"root", "clean", "other"}


def test_events_removed_by_time_are_said_and_margins_are_written(
    grid: Path, tmp_path: Path, flowkit_masks: Any
) -> None:
    sample = read_fcs(grid)
    margin = (sample.column("A-det") > 0) & (sample.column("A-det") < 200)
    counts = (PopulationCount("clean", "root", int(margin.sum()) - 7, sample.n_events),)
    quality: Mapping[str, float] = {"margin_pct": 100 * float(1 - margin.mean())}
    gates = [fitted("c", Interval(("C",), low=0.4), parent="clean")]
    result = finished(
        gates, counts=counts, quality=quality, n_events=sample.n_events, margins={"A-det": (1e-38, 200.0)}
    )
    export = export_gatingml(result, tmp_path / "g.xml")
    mask_of = flowkit_masks(export.path, grid)
    np.testing.assert_array_equal(mask_of(export.populations["clean"]), margin)
    np.testing.assert_array_equal(mask_of(export.populations["c"]), margin & ours(grid, gates[0].gate))
    assert export.notes[0].startswith("quality control left out 7 events that no gate on values can express")


def test_numbers_keep_every_digit(tmp_path: Path) -> None:
    cut = 0.1 + 0.2
    export = export_gatingml(finished([fitted("p", Interval(("C",), low=cut))]), tmp_path / "g.xml")
    assert f'min="{cut!r}"' in export.path.read_text(encoding="utf-8")


def test_a_line_far_outside_all_data_is_refused() -> None:
    assert len(half_plane_polygon(HalfPlane(("C", "D"), (1.0, 0.0), 0.5), [Logicle(), Asinh()]).vertices) == 4
    with pytest.raises(ValueError, match="beyond every possible event"):
        half_plane_polygon(HalfPlane(("C", "D"), (1.0, 0.0), 50.0), [Logicle(), Asinh()])


def test_a_run_has_one_document_a_tube_under_safe_names(tmp_path: Path) -> None:
    gates = [fitted("p", Interval(("C",), low=0.4))]
    results = [finished(gates, tube_id=name) for name in ("a/b", "a:b", "../up", "con", "plain")]
    results.append(replace(results[0], tube_id="failed", status="failed", reason="not an FCS file"))
    exports = export_run(results, tmp_path / "gates")
    files = sorted(path.name for path in (tmp_path / "gates").iterdir())
    assert len(exports) == len(files) == 5
    assert "plain.xml" in files
    assert all(export.path.parent == tmp_path / "gates" and export.path.is_file() for export in exports)
    assert len({name.lower() for name in files}) == 5
    assert safe_file_name("x" * 300).startswith("x" * 80 + "-")
    with pytest.raises(InputError, match="has no gates: not an FCS file"):
        export_gatingml(results[-1], tmp_path / "failed.xml")
