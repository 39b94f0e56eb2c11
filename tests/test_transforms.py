"""Display transforms: there and back, in order, and against their published formulas."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from treg_gating.errors import InputError
from treg_gating.transforms import (
    Asinh,
    Linear,
    Logicle,
    Transform,
    estimate_logicle_width,
    transform_from_dict,
    transform_to_dict,
)

TRANSFORMS: list[Transform] = [
    Linear(),
    Asinh(),
    Asinh(5.0, 2.0),
    Logicle(),
    Logicle(w=0.0),
    Logicle(w=2.25),
    Logicle(a=0.5),
]
INTENSITY = st.floats(-10_000, 262_144, width=32)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
@given(values=st.lists(INTENSITY, max_size=30))
def test_there_and_back(transform: Transform, values: list[float]) -> None:
    array = np.array(values)
    array.setflags(write=False)
    before = array.copy()
    back = transform.inverse(transform.apply(array))
    assert back.shape == array.shape
    np.testing.assert_allclose(back, array, rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
@given(values=st.lists(INTENSITY, min_size=2, max_size=30, unique=True))
def test_order_is_kept(transform: Transform, values: list[float]) -> None:
    array = np.sort(np.array(values))
    array = array[np.append(True, np.diff(array) > 1e-3)]
    assert (np.diff(transform.apply(array)) > 0).all()


def logicle_inverse(x: np.ndarray, t: float, w: float, m: float, a: float) -> np.ndarray:
    """Moore & Parks, Cytometry A 81 (2012) 273: a·exp(bx) − c·exp(−dx) + f, the coefficients by root finding."""
    b = (m + a) * np.log(10)
    width = w / (m + a)
    x2 = a / (m + a)
    x1, x0 = x2 + width, x2 + 2 * width
    d = b if w == 0 else brentq(lambda d: 2 * (np.log(d) - np.log(b)) + width * (b + d), 1e-12, b, xtol=1e-14)
    c_a = np.exp(x0 * (b + d))
    f_a = np.exp(b * x1) - c_a * np.exp(-d * x1)
    first = t / (np.exp(b) - f_a - c_a * np.exp(-d))
    above = x1 + np.abs(x - x1)  # odd about zero, which lies at x1
    return np.sign(x - x1) * first * (np.exp(b * above) - c_a * np.exp(-d * above) - f_a)


@pytest.mark.parametrize(("w", "a"), [(0.0, 0.0), (0.5, 0.0), (0.6, 0.0), (1.5, 0.0), (0.5, 1.0)])
def test_logicle_against_its_formula(w: float, a: float) -> None:
    x = np.linspace(0.0, 1.0, 41)
    linear = logicle_inverse(x, 262144.0, w, 4.5, a)
    logicle = Logicle(w=w, a=a)
    np.testing.assert_allclose(logicle.inverse(x), linear, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(logicle.apply(linear), x, atol=1e-8)


def test_fixed_points() -> None:
    assert Logicle().apply(262144.0) == pytest.approx(1.0)
    assert Logicle(w=0.5).apply(0.0) == pytest.approx(0.5 / 4.5)
    assert Asinh().apply([0.0, 150.0]).tolist() == pytest.approx([0.0, np.arcsinh(1) / 9])
    assert Linear().apply([1, 2]).dtype == np.float64


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_shapes_types_and_travel(transform: Transform) -> None:
    for shape in ((), (0,), (4,), (2, 3)):
        assert transform.apply(np.ones(shape, np.float32)).shape == shape
        assert transform.apply(np.ones(shape, np.float32)).dtype == np.float64
    plain: dict[str, Any] = json.loads(json.dumps(transform_to_dict(transform)))
    assert transform_from_dict(plain) == transform
    assert pickle.loads(pickle.dumps(transform)) == transform


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
def test_what_is_no_number_stays_none(transform: Transform) -> None:
    for function in (transform.apply, transform.inverse):
        result = function(np.array([np.nan, 0.5, np.inf, -np.inf]))
        assert np.isnan(result[0])
        assert np.isfinite(result[1])
        assert result[2:].tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Asinh(cofactor=0), "asinh cofactor must be positive; found 0"),
        (lambda: Asinh(scale=-1), "asinh scale must be positive; found -1"),
        (lambda: Asinh(cofactor=np.inf), "found inf"),
        (lambda: Logicle(t=np.nan), "logicle t must be positive; found nan"),
        (lambda: Logicle(m=0), "logicle m must be positive"),
        (lambda: Logicle(w=2.3), "width is out of its range; found w = 2.3; expected 0 to m/2 = 2.25"),
        (lambda: Logicle(w=-0.1), "width is out of its range"),
        (lambda: Logicle(w=np.nan), "width is out of its range"),
        (lambda: Logicle(a=np.nan), "additional negative decades are out of their range; found a = nan"),
        (lambda: Logicle(w=0.5, a=4.0), "additional negative decades are out of their range; found a = 4"),
    ],
)
def test_parameters_that_make_no_scale(make: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()  # type: ignore[operator]


def test_width_from_negative_values_by_hand() -> None:
    """5 % quantile of 101 values from −1000 to 0 is −950: w = (4.5 − log10(262144 / 950)) / 2."""
    negative = np.arange(-1000.0, 1.0, 10)[:-1]
    values = np.concatenate([negative, [5.0, 100.0, np.nan]])
    r = abs(np.quantile(negative, 0.05))
    assert estimate_logicle_width(values) == pytest.approx((4.5 - np.log10(262144 / r)) / 2)
    assert estimate_logicle_width(np.concatenate([np.full(19, -5.0), np.ones(1000)])) is None
    assert estimate_logicle_width(np.full(50, -1e-6)) == 0.0
    assert estimate_logicle_width(np.full(50, -1e9)) == 2.25
