"""Integers: widths, byte orders, scales, ranges and the marks above them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from treg_gating import FCSError, Sample

Build, Read = Callable[..., bytes], Callable[..., Sample]
NAMES = ("FSC-A", "FL1-A", "Time")


@pytest.fixture
def stored(rng: np.random.Generator) -> np.ndarray:
    events = rng.integers(1, 1000, (100, 3))
    events[:, 2] = np.arange(100)
    return events


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch, build: Build) -> Callable[..., bytes]:
    """A file of integers: most significant bit first for ``4,3,2,1``, bytes turned round for ``1,2,3,4``."""

    def make(events: np.ndarray, bits: list[int], order: str = "4,3,2,1", **more: str) -> bytes:
        digits = ["".join(f"{int(v):0{b}b}" for v, b in zip(row, bits, strict=True)) for row in events]
        stream = "".join(digits)
        stream += "0" * (-len(stream) % 8)
        data = bytes(int(stream[i : i + 8], 2) for i in range(0, len(stream), 8))
        if order.startswith("1"):
            data = b"".join(int(v).to_bytes(b // 8, "little") for row in events for v, b in zip(row, bits, strict=True))
        keys = {f"P{i}B": str(b) for i, b in enumerate(bits, start=1)} | {f"P{i}R": "1024" for i in (1, 2, 3)}
        raw = build(np.empty((0, 3)), NAMES, BYTEORD=order, DATATYPE="I", **keys | {"TOT": str(len(events))} | more)
        begin = raw.rindex(b"$BEGINDATA/") + 11
        end = b"%8d" % (int(raw[begin : begin + 8]) + len(data) - 1)
        return raw[:34] + end + raw[42 : begin + 18] + end + raw[begin + 26 :] + data

    return make


@pytest.mark.parametrize("order", ["4,3,2,1", "1,2,3,4"])
@pytest.mark.parametrize("bits", [[16] * 3, [32] * 3, [64] * 3, [24] * 3, [16, 24, 32], [40, 16, 64]])
def test_widths_and_orders(read: Read, pack: Build, stored: np.ndarray, bits: list[int], order: str) -> None:
    sample = read(pack(stored, bits, order, TIMESTEP="1"))
    np.testing.assert_array_equal(sample.events, stored)
    odd = any(b not in {8, 16, 32, 64} for b in bits)
    assert ("W_WIDTH" in {warning.code for warning in sample.warnings}) == odd


@pytest.mark.parametrize("bits", [[10] * 3, [10, 12, 17], [11, 13, 16]])
def test_packed_bits(read: Read, pack: Build, stored: np.ndarray, bits: list[int]) -> None:
    np.testing.assert_array_equal(read(pack(stored, bits, TIMESTEP="1")).events, stored)
    some = read(pack(stored, bits, TIMESTEP="1"), channels=["FL1-A"])
    np.testing.assert_array_equal(some.events, stored[:, 1:2])


def test_packed_bits_across_chunks(
    read: Read, pack: Build, stored: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 64)
    np.testing.assert_array_equal(read(pack(stored, [10, 12, 17], TIMESTEP="1")).events, stored)


def test_packed_bits_of_little_endian_files_are_undefined(read: Read, pack: Build, stored: np.ndarray) -> None:
    raw = pack(stored, [10] * 3).replace(b"4,3,2,1", b"1,2,3,4")
    with pytest.raises(FCSError, match="E_DATATYPE"):
        read(raw)


@pytest.mark.parametrize("bits", ["7", "0", "65", "99"])
def test_widths_that_are_refused(read: Read, pack: Build, stored: np.ndarray, bits: str) -> None:
    with pytest.raises(FCSError, match="E_DATATYPE"):
        read(pack(stored, [16] * 3).replace(b"$P2B/16", b"$P2B/" + bits.encode()))


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize(("scale", "decades", "zero"), [("4,1", 4, 1), ("3.5,0.1", 3.5, 0.1), ("4,0", 4, 1)])
def test_log_scale(
    read: Read, pack: Build, stored: np.ndarray, bits: int, scale: str, decades: float, zero: float
) -> None:
    sample = read(pack(stored, [bits] * 3, P2E=scale))
    np.testing.assert_array_equal(sample.events[:, 1], (10 ** (decades * stored[:, 1] / 1024) * zero).astype("f4"))
    np.testing.assert_array_equal(sample.events[:, 0], stored[:, 0])


def test_gain_on_a_log_scale_contradicts_the_standard(read: Read, pack: Build, stored: np.ndarray) -> None:
    with pytest.raises(FCSError) as caught:
        read(pack(stored, [16] * 3, P2E="4,1", P2G="2"))
    assert (caught.value.code, caught.value.where) == ("E_KEYWORD", "$P2G")


@pytest.mark.parametrize("version", ["FCS2.0", "FCS3.1"])
@pytest.mark.parametrize("dropped", [["P2E"], ["P1E", "P2E", "P3E"]])
def test_integers_without_scale(read: Read, pack: Build, stored: np.ndarray, version: str, dropped: list[str]) -> None:
    """A guess between linear and logarithmic is only made where FCS 2.0 leaves no other way, and said."""
    raw = version.encode() + pack(stored, [16] * 3, **dict.fromkeys(dropped))[6:]
    if version == "FCS2.0" and len(dropped) == 3:
        assert "W_AMPLIFICATION" in {warning.code for warning in read(raw).warnings}
    else:
        with pytest.raises(FCSError, match="without their amplification"):
            read(raw)


@pytest.mark.parametrize("highest", [1024, 1025, 40000])
def test_value_beyond_its_range(read: Read, pack: Build, stored: np.ndarray, highest: int) -> None:
    """1025 & 1023 is 1: masking would turn the brightest event into the dimmest."""
    stored[50, 1] = highest
    with pytest.raises(FCSError) as caught:
        read(pack(stored, [16] * 3))
    assert (caught.value.code, caught.value.where, caught.value.found) == ("E_RANGE", "$P2R", str(highest))


def test_value_between_range_and_mask_is_kept(read: Read, pack: Build, stored: np.ndarray) -> None:
    stored[50, 1] = 1010
    sample = read(pack(stored, [16] * 3, P2R="1001"))
    assert sample.events[50, 1] == 1010
    assert "W_RANGE" in {warning.code for warning in sample.warnings}


def test_all_channels_beyond_their_range_are_no_marks(read: Read, pack: Build, stored: np.ndarray) -> None:
    stored[::2] += 1024
    stored[:, 2] = np.arange(100)
    with pytest.raises(FCSError, match="E_RANGE"):
        read(pack(stored, [16] * 3))


@pytest.mark.parametrize("channels", [None, ["FL1-A"]])
@pytest.mark.parametrize("kind", ["label", "alternating label", "counter"])
def test_marks_above_the_range_are_masked(
    read: Read, pack: Build, stored: np.ndarray, kind: str, channels: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Beckman Coulter's list mode files have them."""
    monkeypatch.setattr("treg_gating.fcs.segment.CHUNK_BYTES", 400)
    marks = np.broadcast_to([1, 2, 3], stored.shape).astype(np.int64)
    if kind == "alternating label":
        marks = marks + 2048 * (np.arange(100)[:, np.newaxis] % 2)
    if kind == "counter":
        marks = np.broadcast_to(np.arange(100)[:, np.newaxis] % 64, stored.shape)
    sample = read(pack(stored + marks * 2**20, [32] * 3, TIMESTEP="1"), channels=channels)
    np.testing.assert_array_equal(sample.events, stored if channels is None else stored[:, 1:2])
    assert "W_MASK" in {warning.code for warning in sample.warnings}


def test_large_integers_keep_their_digits(read: Read, pack: Build, stored: np.ndarray) -> None:
    stored[7, 1] = 2**31 + 1
    sample = read(pack(stored, [32] * 3, P2R=str(2**32)))
    assert sample.events.dtype == np.float64
    assert sample.events[7, 1] == 2**31 + 1


def test_integers_no_float_holds(read: Read, pack: Build, stored: np.ndarray) -> None:
    stored[7, 1] = 2**53 + 4
    with pytest.raises(FCSError, match="E_RANGE"):
        read(pack(stored, [64] * 3, P2R=str(2**60)))


def test_mixed_types_of_32(read: Read, build: Build, rng: np.random.Generator) -> None:
    kinds = np.dtype([("a", "<f4"), ("b", "<u2"), ("t", "<f8")])
    events = np.zeros(60, kinds)
    events["a"], events["b"], events["t"] = rng.normal(500, 50, 60), rng.integers(0, 1000, 60), np.arange(60.0)
    more = {"P2DATATYPE": "I", "P2B": "16", "P2R": "1024", "P3DATATYPE": "D", "P3B": "64", "TIMESTEP": "0.5"}
    empty = build(np.empty((0, 3)), NAMES, version="FCS3.2", **more | {"TOT": "60"})
    begin = empty.rindex(b"$BEGINDATA/") + 11
    end = b"%8d" % (int(empty[begin : begin + 8]) + 60 * 14 - 1)
    sample = read(empty[:34] + end + empty[42 : begin + 18] + end + empty[begin + 26 :] + events.tobytes())
    np.testing.assert_array_equal(sample.events, np.column_stack([events["a"], events["b"], events["t"] / 2]))
    assert sample.warnings == ()
