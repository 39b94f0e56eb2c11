"""Figures of the accuracy benchmark, on rows made by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("accuracy_figures", BENCHMARKS / "accuracy_figures.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    return loaded


def row(truth: float, value: float, arm: str = "a", visit: str = "v", *flags: str, f1: float = 0.9) -> dict[str, Any]:
    return {
        "truth": truth, "arm": arm, "visit": visit, "flags": list(flags),
        "estimate": {"m": value}, "f1": {"m": f1},
    }  # fmt: skip


def test_a_method_that_is_right_has_no_error(module: ModuleType) -> None:
    found = module.figures([row(t, t) for t in (2.0, 4.0, 8.0)], "m", 0.9, own_flags=True)
    assert (found.cv, found.bias, found.difference) == pytest.approx((0, 0, 0), abs=1e-12)
    assert (found.slope, found.ccc, found.f1_share) == pytest.approx((1, 1, 100))
    assert (found.missing, found.absurd, found.silent) == (0, 0, 0)


def test_figures_by_hand(module: ModuleType) -> None:
    """ln ratios 0, ln 1.1, ln 1.21: mean ln 1.1, SD ln 1.1; the arms differ by 1.5 ln 1.1."""
    rows = [row(2, 2, "a"), row(4, 4.4, "b"), row(8, 9.68, "b")]
    found = module.figures(rows, "m", 1.0, own_flags=True)
    step = np.log(1.1)
    assert found.bias == pytest.approx(10)
    assert found.cv == pytest.approx(100 * step)
    assert found.difference == pytest.approx(150 * step)
    assert found.slope == pytest.approx(1 + step / np.log(2))


def test_only_an_absurd_number_without_a_flag_is_silent(module: ModuleType) -> None:
    rows = [row(4, 5), row(5, 11), row(5, 2.4, "a", "v", "FEW_CD4"), row(5, 0), row(5, np.nan), row(5, 9.9)]
    found = module.figures(rows, "m", 1.0, own_flags=True)
    assert (found.tubes, found.missing, found.flagged, found.absurd, found.silent) == (6, 1, 1, 3, 2)
    assert module.figures(rows, "m", 1.0, own_flags=False).silent == 3


def test_verdicts_hold_every_bar_of_a_kind(module: ModuleType) -> None:
    rows = [row(t, t) for t in (2.0, 4.0, 8.0)]
    found = module.figures(rows, "m", 0.94, own_flags=True)
    lines = module.verdicts("foxp3", found, 0.94)
    assert len(lines) == 8
    assert [line[0] for line in lines if not line[3]] == ["F1, share of the ceiling"]  # .9 of .94 is 95.7 %
    assert [line[0] for line in module.verdicts("few", found, 0.94)] == ["silently absurd"]
    assert not module.verdicts("foxp3", found, 0.97)[0][3]
    assert not all(met for *_, met in module.verdicts("foxp3", module.figures([], "m", 0.94, own_flags=True), 0.94))
