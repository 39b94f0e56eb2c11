"""Ticks stand where the intensities they name lie."""

from __future__ import annotations

import math

import numpy as np
import pytest

from treg_gating.report.axes import close_axis, intensity_axis, log_axis
from treg_gating.transforms import Logicle, transform_to_dict

LOGICLE = Logicle(t=262144, w=0.6, m=4.5, a=0)


def value_of(label: str, power: str) -> float:
    sign = -1 if label.startswith("−") else 1
    return 0.0 if label == "0" else sign * 10.0 ** int(power)


def test_logicle_ticks_name_the_intensity_under_them() -> None:
    axis = intensity_axis("CD25", -0.25, 1.0, transform_to_dict(LOGICLE), "PE-A")
    labelled = [tick for tick in axis.ticks if tick.label]
    names = [tick.label + tick.power for tick in labelled]
    assert names == ["−103", "0", "103", "104", "105"]
    at = [-0.25 + tick.fraction * 1.25 for tick in labelled]
    expected = [value_of(tick.label, tick.power) for tick in labelled]
    assert LOGICLE.inverse(at) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert axis.title == "CD25 · PE-A"


def test_labels_keep_their_distance_and_ticks_are_in_order() -> None:
    for low in (-0.3, -0.05, 0.0, 0.3):
        ticks = intensity_axis("CD4", low, 1.0, transform_to_dict(LOGICLE)).ticks
        fractions = [tick.fraction for tick in ticks]
        assert fractions == sorted(fractions)
        assert 0 <= fractions[0] <= fractions[-1] <= 1
        labelled = [tick.fraction for tick in ticks if tick.label]
        assert np.diff(labelled).min() >= 0.125


def test_scatter_is_labelled_in_thousands() -> None:
    axis = intensity_axis("FSC-A", 0, 262144, transform_to_dict_linear())
    assert axis.title == "FSC-A (×10³)"
    assert [tick.label for tick in axis.ticks] == ["0", "100", "200"]
    assert axis.ticks[1].fraction == pytest.approx(100_000 / 262144)


def transform_to_dict_linear() -> dict[str, object]:
    return {"transform": "linear"}


def test_close_axis_names_round_intensities() -> None:
    low, high = (float(v) for v in LOGICLE.apply([1180, 1930]))
    axis = close_axis("CD3", low, high, transform_to_dict(LOGICLE))
    assert [tick.label for tick in axis.ticks] == ["1,200", "1,400", "1,600", "1,800"]
    at = LOGICLE.inverse([low + tick.fraction * (high - low) for tick in axis.ticks])
    assert at == pytest.approx([1200, 1400, 1600, 1800], rel=1e-6)


def test_log_axis_holds_its_values_with_air_on_both_sides() -> None:
    axis = log_axis("Treg, %", 2.4, 17.0)
    assert 0 < axis.fraction(math.log10(2.4)) < axis.fraction(math.log10(17.0)) < 1
    assert [tick.label for tick in axis.ticks] == ["3", "5", "7", "10", "15"]
    assert axis.ticks[0].fraction == pytest.approx(axis.fraction(math.log10(3)))


def test_log_axis_of_one_value_is_an_axis() -> None:
    axis = log_axis("Treg, %", 5.0, 5.0)
    assert axis.fraction(math.log10(5.0)) == pytest.approx(0.5)
    assert "5" in [tick.label for tick in axis.ticks]
