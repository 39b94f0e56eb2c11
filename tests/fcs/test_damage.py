"""Random damage to HEADER and TEXT: nothing but FCSError escapes, and hardly anything is read wrong unseen."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from treg_gating import FCSError, Sample, read_fcs, write_fcs
from treg_gating.sample import Channel, Spillover

DAMAGES = 5000
ALLOWED = 0.015
MARKERS = {"B515-A": "CD25 PE", "R660-A": "CD127 AF647", "V450-A": "CD4 BV421", "G560-A": "FOXP3 AF488"}
CHANNELS = tuple(Channel(name, MARKERS.get(name, "")) for name in ("FSC-A", "FSC-H", "SSC-A", *MARKERS, "Time"))


def damaged(raw: bytes, end: int, rng: np.random.Generator) -> bytes:
    """One fault somewhere before `end`."""
    b = bytearray(raw)
    at = int(rng.integers(0, end))
    length = int(rng.integers(1, 12))
    kind = int(rng.integers(0, 9))
    if kind == 0:
        b[at] = int(rng.integers(0, 256))
    elif kind == 1:
        b[at] ^= 1 << int(rng.integers(0, 8))
    elif kind == 2:
        del b[at]
    elif kind == 3:
        b.insert(at, int(rng.integers(32, 127)))
    elif kind == 4:
        b[at], b[at + 1] = b[at + 1], b[at]
    elif kind == 5:
        b[at : at + length] = bytes(min(length, end - at))
    elif kind == 6:
        b[at:at] = b[at : at + length]
    elif kind == 7:
        del b[at : at + length]
    else:
        digits = [i for i in range(end) if 48 <= b[i] < 58]
        b[digits[int(rng.integers(0, len(digits)))]] = int(rng.integers(48, 58))
    return bytes(b)


def keeps_contract(sample: Sample, truth: Sample) -> bool:
    """What a study knows beforehand: channels, markers, and the matrix of the batch."""
    return (
        sample.channel_names == truth.channel_names
        and [channel.marker for channel in sample.channels] == [channel.marker for channel in truth.channels]
        and sample.spillover is not None
        and sample.spillover.channels == truth.spillover.channels
        and np.array_equal(sample.spillover.matrix, truth.spillover.matrix)
    )


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    events = rng.lognormal(6, 1.5, (500, 8)).astype("f4")
    events[:, 7] = np.sort(rng.uniform(0, 60, 500))
    matrix = np.eye(4) + np.where(np.eye(4), 0, rng.uniform(0.001, 0.25, (4, 4)).round(4))
    path = tmp_path_factory.mktemp("damage") / "intact.fcs"
    spillover = Spillover(tuple(channel.name for channel in CHANNELS[3:7]), matrix)
    write_fcs(
        path, events, CHANNELS, spillover=spillover, keywords={"$CYT": "Sim", "$FIL": "x.fcs", "$DATE": "12-MAR-2025"}
    )
    return path


def test_random_damage(intact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, raw = read_fcs(intact), intact.read_bytes()
    rng = np.random.default_rng(11)
    fd = os.memfd_create("damaged")
    path = f"/proc/self/fd/{fd}"  # a file that no disk slows down
    refused = warned = silent = harmless = 0
    for _ in range(DAMAGES):
        os.ftruncate(fd, 0)
        os.pwrite(fd, damaged(raw, int(raw[18:26]) + 1, rng), 0)
        try:
            sample = read_fcs(path)
        except FCSError:
            refused += 1
            continue
        same = sample.events.shape == truth.events.shape and np.array_equal(sample.events, truth.events)
        if same or not keeps_contract(sample, truth):
            harmless += 1
        elif sample.warnings:
            warned += 1
        else:
            silent += 1
    report = (
        f"{refused} refused, {harmless} equal or against the panel, {warned} wrong with a warning, {silent} in silence"
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{DAMAGES} damages: {report}\n")
    assert refused > DAMAGES / 2
    assert (silent + warned) / DAMAGES <= ALLOWED
