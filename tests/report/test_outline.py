"""Lines drawn for a gate are the gate's own edge."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Polygon, Rectangle
from treg_gating.report import outline

BOX = ((0.0, 0.0), (1.0, 1.0))
DIMS = ("x", "y")
SHAPES = [
    Polygon(DIMS, ((0.2, 0.2), (0.8, 0.3), (0.5, 0.9))),
    Rectangle(DIMS, (0.2, 0.3), (0.6, 0.9)),
    Ellipse(DIMS, (0.5, 0.4), ((0.02, 0.008), (0.008, 0.01)), 2.3),
]


@pytest.mark.parametrize("gate", SHAPES, ids=lambda gate: type(gate).__name__)
def test_closed_outline_separates_inside_from_outside(gate: Gate) -> None:
    ((points, closed),) = outline.outline(gate, DIMS, BOX)
    assert closed
    middle = points.mean(axis=0)
    assert gate.contains(middle + (points - middle) * 0.99).all()
    assert not gate.contains(middle + (points - middle) * 1.01).any()


def test_swapped_dimensions_swap_the_drawing() -> None:
    for gate in (*SHAPES, HalfPlane(DIMS, (0.6, 0.8), 0.5)):
        ((straight, _),) = outline.outline(gate, DIMS, BOX)
        ((swapped, _),) = outline.outline(gate, ("y", "x"), BOX)
        if isinstance(gate, HalfPlane):
            assert swapped[:, ::-1] @ gate.normal == pytest.approx([gate.offset] * 2)
        else:
            assert swapped[:, ::-1] == pytest.approx(straight)


def test_half_plane_line_and_band() -> None:
    gate = HalfPlane(DIMS, (0.6, -0.8), 0.1)
    ((line, closed),) = outline.outline(gate, DIMS, BOX)
    assert not closed
    assert line @ gate.normal == pytest.approx([0.1, 0.1])
    assert np.ptp(line, axis=0).max() > 1  # reaches across the plot
    (band,) = outline.bands(gate, (0.02,), DIMS, BOX)
    assert sorted(band @ gate.normal) == pytest.approx([0.08, 0.08, 0.12, 0.12])


def test_interval_in_a_two_dimensional_plot() -> None:
    ((line, _),) = outline.outline(Interval(("y",), low=0.4), DIMS, BOX)
    assert line.tolist() == [[0.0, 0.4], [1.0, 0.4]]
    (band,) = outline.bands(Interval(("y",), low=0.4), (0.1,), DIMS, BOX)
    assert sorted({round(y, 6) for y in band[:, 1]}) == [0.3, 0.5]


def test_ellipse_band_holds_the_outline() -> None:
    gate = Ellipse(DIMS, (0.5, 0.4), ((0.02, 0.0), (0.0, 0.01)), 1.0)
    (ring,) = outline.bands(gate, (0.01, 0.02), DIMS, BOX)
    x = ring[:, 0].max() - 0.5
    assert x == pytest.approx(np.sqrt(0.02) + 0.01)
    assert outline.bands(gate, (), DIMS, BOX) == []


def test_segments_of_both_signs() -> None:
    gate = Interval(("x",), low=0.3, high=0.6)
    assert outline.segments(gate, "+", 0, 1) == [(0.3, 0.6)]
    assert outline.segments(gate, "-", 0, 1) == [(0, 0.3), (0.6, 1)]
    assert outline.segments(Interval(("x",), low=0.3), "-", 0, 1) == [(0, 0.3)]
    assert outline.segments(Interval(("x",), low=1.3), "+", 0, 1) == []


def test_cut_errors_fit_the_cuts() -> None:
    both = Interval(("x",), low=0.3, high=0.6)
    assert outline.cut_errors(both, (0.1,)) == (0.1, 0.1)
    assert outline.cut_errors(both, (0.1, 0.2)) == (0.1, 0.2)
    assert np.isnan(outline.cut_errors(both, ())).all()
    assert outline.cuts(Interval(("x",), high=0.6)) == (0.6,)


def test_a_gate_on_other_dimensions_is_not_drawable() -> None:
    assert not outline.drawable(Interval(("z",), low=0.3), DIMS)
    assert not outline.drawable(Ellipse(("x", "y", "z"), (0, 0, 0), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), 1), DIMS)
    assert outline.drawable(Interval(("y",), low=0.3), DIMS)
