"""Results to bytes and back."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treg_gating.errors import RunStateError
from treg_gating.gating.gates import Ellipse, HalfPlane, Interval, Polygon
from treg_gating.gating.results import (
    FittedGate,
    Flag,
    FlagLevel,
    GatePicture,
    GateStatus,
    PopulationCount,
    SampleFit,
    SampleResult,
)
from treg_gating.run.codec import Payload, decode, encode
from treg_gating.samplesheet import Role, Tube
from treg_gating.study import Study, Visit

GATES = [
    Interval(("CD3",), 0.4),
    Polygon(("FSC-A", "FSC-H"), ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))),
    Ellipse(("A", "B"), (0.1, 0.2), ((1.0, 0.1), (0.1, 2.0)), 5.99),
    HalfPlane(("CD25", "CD127"), (0.6, -0.8), 0.3),
]
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def same(a: object, b: object) -> bool:
    """Equality that takes NaN for itself and tells a tuple from a list, True from 1."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return a == b


@given(plain)
def test_plain_values_come_back_the_same(value):
    payload = encode(value)
    assert same(decode(payload), value)
    assert encode(decode(payload)) == payload


@pytest.mark.parametrize("dtype", ["u4", ">u2", "f8", "f4", "i8", "?"])
@pytest.mark.parametrize("shape", [(0,), (5,), (3, 4), ()])
def test_arrays_come_back_the_same_and_read_only(dtype, shape):
    array = np.arange(math.prod(shape)).astype(dtype).reshape(shape)
    back = decode(encode({"a": array, "b": (array, array[..., :0] if shape else array)}))
    np.testing.assert_array_equal(back["a"], array)
    assert back["a"].shape == shape
    assert back["a"].dtype == array.dtype.newbyteorder("<")
    assert not back["a"].flags.writeable


def test_a_whole_result_comes_back():
    gates = tuple(
        FittedGate("p", "root", "+", gate, GateStatus.FITTED, "valley", "why", (0.01,), GATES[0], 10) for gate in GATES
    )
    result = SampleResult(
        "T1", "t.fcs", "001", "Baseline", "B1", "sample", "done", sha256="ab", n_events=7,
        panel=(("CD3", "FITC-A", "$PnS"),), spillover={"channels": ["FITC-A"], "matrix": [[1.0]]},
        transforms={"CD3": {"transform": "logicle", "t": 262144.0}}, gates=gates,
        counts=(PopulationCount("p", "root", None, 0, "not_estimable", "no events", {"CD25": math.nan}),),
        flags=(Flag("FEW_CD4", FlagLevel.REVIEW, "few"),), gate_interval={"p": (1.0, math.inf)},
        quality={"margin_pct": 0.5},
    )  # fmt: skip
    back = decode(encode(result))
    assert back.gates == result.gates
    assert back.flags == result.flags
    assert back.counts[0].reason == "no events"
    assert math.isnan(back.counts[0].mfi["CD25"])
    assert back.gate_interval == {"p": (1.0, math.inf)}
    assert encode(back) == encode(result)


def test_fit_and_picture_carry_arrays():
    picture = GatePicture("p", "root", ("CD3",), (0.0,), (1.0,), np.arange(160, dtype=np.uint32))
    fit = SampleFit("T", "ab", {}, {"p": {"bins": np.ones((4, 4)), "n": np.int64(4), "q": (1, np.float32(0.5))}})
    back_picture, back_fit = decode(encode((picture, fit)))
    np.testing.assert_array_equal(back_picture.counts, picture.counts)
    np.testing.assert_array_equal(back_fit.summaries["p"]["bins"], np.ones((4, 4)))
    assert back_fit.summaries["p"]["n"] == 4
    assert back_fit.summaries["p"]["q"] == (1, 0.5)


def test_tube_and_study_come_back():
    tube = Tube("T", "t.fcs", Path("/d/t.fcs"), "001", "Baseline", "B", Role.CONTROL, markers={"FITC-A": "CD3"}, day=3)
    study = Study("NCT", visits=(Visit("Baseline", 0, (-14, 0), baseline=True),))
    assert decode(encode((tube, study))) == (tube, study)


@pytest.mark.parametrize(
    "payload",
    [
        Payload("{"),
        Payload('{"$":"Popen","args":["true"]}'),
        Payload('{"$":"enum","kind":"GateStatus","value":"nonsense"}'),
        Payload('{"$":"array","dtype":"|O","shape":[1],"offset":0}', encode(np.ones(2)).arrays),
        Payload('{"$":"array","dtype":"<f8","shape":[9],"offset":0}', encode(np.ones(2)).arrays),
        Payload("{}", b"not zlib"),
        Payload('{"$":"Flag","code":"A"}'),
    ],
)
def test_bytes_that_were_never_written_are_refused(payload):
    with pytest.raises(RunStateError, match="ledger is damaged"):
        decode(payload)


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array(["a"]), 1j])
def test_unknown_kinds_are_a_bug_of_the_caller(value):
    with pytest.raises(TypeError, match="cannot store"):
        encode(value)


def test_text_is_json():
    assert json.loads(encode({"a": (1, None)}).text) == {"a": {"$": "tuple", "items": [1, None]}}
