"""FCS files made by hand, byte by byte, for the reader's tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from treg_gating import Sample, read_fcs

NAMES = ("FSC-A", "SSC-A", "FL1-A", "FL2-A", "Time")


def keywords_for(names: tuple[str, ...], n: int, **more: str) -> dict[str, str]:
    """Keywords of a float file; ``P3G="2"`` and the like add or replace, None drops."""
    pairs = {
        "$BYTEORD": "1,2,3,4", "$DATATYPE": "F", "$MODE": "L", "$NEXTDATA": "0",
        "$PAR": str(len(names)), "$TOT": str(n),
        "$BEGINANALYSIS": "0", "$ENDANALYSIS": "0", "$BEGINSTEXT": "0", "$ENDSTEXT": "0", "$TIMESTEP": "0.01",
    }  # fmt: skip
    for i, name in enumerate(names, start=1):
        pairs |= {f"$P{i}N": name, f"$P{i}B": "32", f"$P{i}E": "0,0", f"$P{i}R": "262144"}
    for key, value in more.items():
        pairs[key if key == "SPILL" else f"${key}"] = value
    return {key: value for key, value in pairs.items() if value is not None}


def assemble(
    pairs: Mapping[str, str], data: bytes, *, delim: str = "/", version: str = "FCS3.1", tail: bytes = b""
) -> bytes:
    """HEADER, TEXT and DATA with the right offsets, and `tail` behind."""
    raw = delim + "".join(f"{k}{delim}{v.replace(delim, 2 * delim)}{delim}" for k, v in pairs.items())
    length = len(raw.encode()) + len(f"$BEGINDATA{delim}{0:8d}{delim}$ENDDATA{delim}{0:8d}{delim}")
    begin = 58 + length
    end = begin + len(data) - 1
    text = (raw + f"$BEGINDATA{delim}{begin:8d}{delim}$ENDDATA{delim}{end:8d}{delim}").encode()
    head = version + "    " + "".join(f"{offset:8d}" for offset in (58, begin - 1, begin, end, 0, 0))
    return head.encode() + text + data + tail


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240)


@pytest.fixture
def floats(rng: np.random.Generator) -> np.ndarray:
    """200 plausible events of NAMES, Time in ticks going up."""
    events = rng.lognormal(6, 1, (200, len(NAMES))).astype("f4")
    events[:, -1] = np.sort(rng.integers(0, 6000, 200))
    return events


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Sample]:
    """Read bytes as if they were a file."""

    def read_bytes(raw: bytes, *args: object, **kwargs: object) -> Sample:
        path = tmp_path / "x.fcs"
        path.write_bytes(raw)
        return read_fcs(path, *args, **kwargs)

    return read_bytes


@pytest.fixture
def build() -> Callable[..., bytes]:
    """``build(events, P3G="2", delim="|")``: a float file of NAMES, or of ``names=``."""

    def make(events: np.ndarray, names: tuple[str, ...] = NAMES, **more: object) -> bytes:
        layout = {key: more.pop(key) for key in ("delim", "version", "tail") if key in more}
        order = ">" if str(more.get("BYTEORD", "")).startswith("4") else "<"
        return assemble(keywords_for(names, len(events), **more), events.astype(order + "f4").tobytes(), **layout)

    return make
