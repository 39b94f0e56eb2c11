"""Scales of other programs against FlowKit's, and back."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from treg_gating.foreign_scales import Biex, FAsinh, FLin, FLog, FlowJoLog, Hyperlog
from treg_gating.transforms import transform_from_dict, transform_to_dict

LINEAR = np.array([-1500.0, -100.0, -1.0, 0.0, 0.5, 1.0, 30.0, 1000.0, 54321.0, 262143.0])
SCALES = {
    "biex": (
        Biex(0.0, -100.0, 4.418539922, 262144.0),
        lambda t: t.WSPBiexTransform(0.0, -100.0, 4.418539922, 262144.0),
    ),
    "log": (FlowJoLog(12.0, 4.3), lambda t: t.WSPLogTransform(12.0, 4.3)),
    "flin": (FLin(262144.0, 100.0), lambda t: t.LinearTransform(262144.0, 100.0)),
    "flog": (FLog(262144.0, 4.5), lambda t: t.LogTransform(262144.0, 4.5)),
    "fasinh": (FAsinh(262144.0, 4.5, 1.0), lambda t: t.AsinhTransform(262144.0, 4.5, 1.0)),
    "hyperlog": (Hyperlog(262144.0, 0.5, 4.5, 0.0), lambda t: t.HyperlogTransform(262144.0, 0.5, 4.5, 0.0)),
}


@pytest.mark.parametrize("name", SCALES)
def test_places_are_flowkits(name: str, flowkit: Any) -> None:
    ours, make = SCALES[name]
    values = LINEAR[LINEAR > 0] if name in {"log", "flog"} else LINEAR
    theirs = make(flowkit.transforms).apply(values.reshape(-1, 1)).ravel()
    np.testing.assert_allclose(ours.apply(values), theirs, rtol=1e-13, atol=1e-15)
    assert np.isfinite(theirs).all()


@pytest.mark.parametrize("name", SCALES)
def test_inverse_gives_the_values_back(name: str) -> None:
    scale, _ = SCALES[name]
    values = LINEAR[LINEAR >= 30] if name in {"log", "flog"} else LINEAR
    before = values.copy()
    np.testing.assert_allclose(scale.inverse(scale.apply(values)), values, rtol=1e-7, atol=1e-6)
    np.testing.assert_array_equal(values, before)
    assert scale.apply(values.reshape(2, -1) if len(values) % 2 == 0 else values.reshape(1, -1)).ndim == 2
    assert transform_from_dict(transform_to_dict(scale)) == scale == pickle.loads(pickle.dumps(scale))


def test_biex_is_constant_beyond_its_ends() -> None:
    scale, _ = SCALES["biex"]
    assert scale.apply([1e6, 1e9]).tolist() == [4096.0, 4096.0]
    assert scale.apply([-1e6]).tolist() == [0.0]
    assert np.isnan(scale.apply([np.nan])[0])
