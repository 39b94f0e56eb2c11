"""What the fuzzer found, and what reviewing the reader for its sake found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from treg_gating import FCSError, Sample

Build, Read = Callable[..., bytes], Callable[..., Sample]


def test_masks_reach_time_when_it_is_not_asked_for(read: Read, build: Build) -> None:
    """Time carried marks; masked when all channels were read, not when one was, and so ran backwards there."""
    stored = np.column_stack([np.full(8, 500), np.arange(8)]).astype("<u4")
    stored[::2] |= 1 << 20
    stored[1::2] |= 1 << 21
    more = {"DATATYPE": "I", "P1R": "1024", "P2R": "1024"}
    raw = build(stored.view("<f4"), names=("FSC-A", "Time"), **more)
    np.testing.assert_array_equal(read(raw).events[:, 0], 500)
    np.testing.assert_array_equal(read(raw, channels=["FSC-A"]).events[:, 0], 500)


def test_log_table_ends_at_the_range(read: Read, build: Build) -> None:
    """16 bits with a range of 8 and 10 decades: the table of all 16-bit values overflowed."""
    stored = np.array([[3, 1], [4, 2]], "<u4")
    sample = read(build(stored.view("<f4"), names=("A", "B"), DATATYPE="I", P1R="8", P2R="8", P1E="10,1"))
    np.testing.assert_allclose(sample.events[:, 0], 10 ** (10 * np.array([3, 4]) / 8), rtol=1e-6)


@pytest.mark.parametrize("name", ["FSC-A", "Time"])
def test_digits_do_not_depend_on_the_channels_asked_for(read: Read, build: Build, name: str) -> None:
    """Time alone was float32; beside a channel of more than 24 bits it was float64, with more digits of its seconds."""
    stored = np.array([[21053761, 82241], [21053763, 82242]], "<u4")
    more = {"DATATYPE": "I", "P1R": "99999999", "P2R": "1048576", "TIMESTEP": "0.01"}
    raw = build(stored.view("<f4"), names=("FSC-A", "Time"), **more)
    whole, one = read(raw), read(raw, channels=[name])
    np.testing.assert_array_equal(one.events[:, 0], whole.events[:, whole.channel_names.index(name)])
    assert whole.events[1, 0] == 21053763  # which float32 cannot tell from its neighbours


@pytest.mark.parametrize("scale", ["11,1", "4,1e9"])
def test_impossible_scales(read: Read, build: Build, scale: str) -> None:
    with pytest.raises(FCSError, match="not an amplification"):
        read(build(np.ones((2, 2)), names=("A", "B"), P1E=scale))


@pytest.mark.parametrize("field", [b" \x1e     0", b"\x1c\x1d      ", b"     \xb9\xb2 ", b"      -1"])
def test_odd_analysis_offsets(read: Read, build: Build, floats: np.ndarray, field: bytes) -> None:
    """str.strip takes more for blanks than int does."""
    raw = build(floats)
    sample = read(raw[:42] + field + raw[50:])
    assert {warning.code for warning in sample.warnings} <= {"W_ANALYSIS"}


def test_ten_thousand_parameters_take_linear_time(read: Read, build: Build) -> None:
    names = tuple(f"c{i}" for i in range(3000))
    events = np.arange(6000.0).reshape(2, 3000) + 1
    np.testing.assert_array_equal(read(build(events, names=names), channels=["c2999"]).events[:, 0], events[:, 2999])
