"""Quadrant: four corners of one cross, as rectangles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from treg_gating.errors import GateFitError
from treg_gating.gate_interval import _shifted
from treg_gating.gating.gates import Rectangle
from treg_gating.gating.hierarchy import fit_sample
from treg_gating.gating.method import FitContext
from treg_gating.gating.methods.quadrant import CORNERS, Quadrant
from treg_gating.gating.methods.valley import Valley
from treg_gating.gating.template import GatingTemplate

Make = Callable[..., FitContext]
SHARES = {"--": 4_000, "+-": 3_000, "-+": 2_000, "++": 1_000}


@pytest.fixture(scope="module")
def events() -> np.ndarray:
    """Four normal clouds of SD 0.05 at 0.3 and 0.8."""
    rng = np.random.default_rng(8)
    where = {"-": 0.3, "+": 0.8}
    parts = [rng.normal([where[c[0]], where[c[1]]], 0.05, (n, 2)) for c, n in SHARES.items()]
    return np.concatenate(parts)


@pytest.mark.parametrize("corner", CORNERS)
def test_a_corner_holds_its_cloud(corner: str, events: np.ndarray, context: Make) -> None:
    fit = Quadrant(corner=corner).fit(context(events))
    assert isinstance(fit.gate, Rectangle)
    assert fit.gate.contains(events).sum() == pytest.approx(SHARES[corner], abs=10)
    assert np.isfinite([*fit.gate.low, *fit.gate.high]).sum() == 2
    assert len(fit.standard_error) == 2
    assert fit.reason.startswith("x: valley at 0.5")


def test_the_cuts_are_those_of_the_valleys(events: np.ndarray, context: Make) -> None:
    gate = Quadrant(corner="+-").fit(context(events)).gate
    cuts = [Valley().fit(context(events[:, at])).gate.low for at in (0, 1)]  # type: ignore[attr-defined]
    assert gate == Rectangle(("x", "y"), (cuts[0], -np.inf), (np.inf, cuts[1]))


def test_four_corners_hold_every_event_once(
    events: np.ndarray, make_template: Callable[..., GatingTemplate], make_view: Any
) -> None:
    rows = [f"q{i},clean,A;B,+,quadrant,corner={corner},own," for i, corner in enumerate(CORNERS)]
    walk = fit_sample(make_template(*rows), make_view(A=events[:, 0], B=events[:, 1]), batch="")
    held = np.concatenate([walk.rows[f"q{i}"] for i in range(4)])  # type: ignore[list-item]
    assert sorted(held) == list(range(len(events)))


def test_one_peak_on_either_side_is_refused_with_its_name(context: Make) -> None:
    rng = np.random.default_rng(2)
    two = np.concatenate([rng.normal(0.3, 0.05, 2_000), rng.normal(0.8, 0.05, 2_000)])
    with pytest.raises(GateFitError, match=r"^y: .*no acceptable valley"):
        Quadrant().fit(context(np.column_stack([two, rng.normal(0.5, 0.05, 4_000)])))
    with pytest.raises(ValueError, match=r"corner is '\+'"):
        Quadrant(corner="+")


def test_a_corner_that_moves_by_its_errors_grows_on_both_sides(events: np.ndarray, context: Make) -> None:
    from treg_gating.gating.results import FittedGate, GateStatus

    fit = Quadrant(corner="-+").fit(context(events))
    gate = FittedGate("q", "clean", "+", fit.gate, GateStatus.FITTED, "quadrant", "", (0.1, 0.2))
    wide = _shifted(gate, 1.0)
    assert isinstance(wide, Rectangle)
    assert isinstance(fit.gate, Rectangle)
    assert wide.low == (-np.inf, fit.gate.low[1] - 0.1)  # the first error is that of the lower bound
    assert wide.high == (fit.gate.high[0] + 0.2, np.inf)
