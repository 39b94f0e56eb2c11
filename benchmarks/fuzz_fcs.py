"""Coverage-guided fuzzing of the FCS reader (needs atheris: ``pip install -e '.[fuzz]'``).

    python benchmarks/fuzz_fcs.py [CORPUS] -max_total_time=3600 -timeout=10 -rss_limit_mb=1024

Half of the inputs are whole files as the fuzzer mutates them; half are files assembled from a HEADER, keywords and data
that it chooses. Anything but FCSError or OSError is a find; so is a file that is read in two ways: the header alone
against the whole, some channels against all, what passes while it is read against what is kept, twice the same, the
hash and the checksum against the bytes.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
import warnings
import zlib
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["treg_gating.fcs", "treg_gating.sample"]):
    from treg_gating.errors import FCSError
    from treg_gating.fcs import open_fcs, read_fcs, read_header
    from treg_gating.sample import Sample

SLOW_SECONDS = 3.0
MAX_BYTES = 1 << 24
SCRATCH = Path("/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()) / f"fuzz-{os.getpid()}.fcs"
_KEYS = """
$BEGINDATA $ENDDATA $BEGINSTEXT $ENDSTEXT $BEGINANALYSIS $ENDANALYSIS $BYTEORD $DATATYPE $MODE $NEXTDATA $PAR $TOT
$TIMESTEP $SPILLOVER SPILL $COMP $P1N $P2N $P1B $P2B $P1E $P2E $P1R $P2R $P1G $P2G $P1S $P2S $P1DATATYPE VENDOR"""
_VALUES = """
0 1 2 8 10 16 24 32 64 -1 99999999 1e300 nan inf 1024 1024.0 262144 1,2,3,4 4,3,2,1 2,1 1 3,4,1,2 F D I A L C H 0,0
4,1 4,0 4.0,0.1 Time FSC-A FL1-A 2,FSC-A,Time,1,0.1,0.1,1 2,1,2,1,0,0,1 2,FSC-A,Time 2,1,0,0,1 é // / $P1N x"""
_KINDS = [("F", 32), ("D", 64), *(("I", bits) for bits in (8, 10, 16, 24, 32, 64)), ("A", 32), ("A", 24)]


def assembled(data: bytes) -> bytes:
    """A file whose parts the fuzzer chose; offsets are right unless it says otherwise."""
    provider = atheris.FuzzedDataProvider(data)
    version = provider.PickValueInList(["FCS2.0", "FCS3.0", "FCS3.1", "FCS3.2"])
    delim = provider.PickValueInList(["/", "|", "\x0c", "\\", provider.ConsumeUnicodeNoSurrogates(1) or "/"])
    kind, bits = provider.PickValueInList(_KINDS)
    channels, events = provider.ConsumeIntInRange(1, 3), provider.ConsumeIntInRange(0, 40)
    size = (channels * events * bits + 7) // 8
    width = {("A", 32): "4", ("A", 24): "*"}.get((kind, bits), str(bits))
    pairs = {
        "$BYTEORD": provider.PickValueInList(["1,2,3,4", "4,3,2,1"]), "$DATATYPE": kind, "$MODE": "L", "$NEXTDATA": "0",
        "$PAR": str(channels), "$TOT": str(events), "$TIMESTEP": "0.01", "$BEGINDATA": "@B", "$ENDDATA": "@E",
    }  # fmt: skip
    for i in range(1, channels + 1):
        name = ["FSC-A", "Time", "FL1-A"][i - 1]
        pairs |= {f"$P{i}N": name, f"$P{i}B": width, f"$P{i}E": "0,0", f"$P{i}R": "1048576"}
    for _ in range(provider.ConsumeIntInRange(0, 4)):
        key = provider.PickValueInList(_KEYS.split())
        value = provider.PickValueInList([*_VALUES.split(), "", provider.ConsumeUnicodeNoSurrogates(12)])
        if provider.ConsumeBool():
            pairs[key] = value
        else:
            pairs.pop(key, None)
    raw = delim + "".join(f"{key}{delim}{value}{delim}" for key, value in pairs.items())
    length = len(raw.replace("@B", "0" * 8).replace("@E", "0" * 8).encode())
    begin = 58 + length + provider.PickValueInList([0, 0, 0, 1, 10])
    text = raw.replace("@B", f"{begin:8d}").replace("@E", f"{begin + size - 1:8d}").encode()
    shift = provider.PickValueInList([0, 0, 0, 1, -1, 4])
    offsets = (58, 58 + length - 1, begin, begin + size - 1 + shift, 0, 0)
    body = provider.ConsumeBytes(size)
    if kind == "A" and provider.ConsumeBool():  # mostly digits, so that it is read to its end
        body = bytes(b"0123456789  \t,"[byte % 14] for byte in body)
    head = (version + "    " + "".join(f"{o:8d}"[-8:] for o in offsets)).encode()
    return (head + text).ljust(begin) + body.ljust(size, b"\x41") + provider.ConsumeBytes(30)


class Passing:
    """Keeps what passes, in the type of the sample: a signalling NaN must not be cast."""

    def __init__(self, sample: Sample) -> None:
        self.channels, self.events = sample.channel_names, np.zeros_like(sample.events)

    def take(self, first: int, events: np.ndarray) -> None:
        """Keep these."""
        self.events[first : first + len(events)] = events


def check_kept(raw: bytes, sample: Sample) -> None:
    """Events of which nobody looks at Time: the others are the sample's, Time comes apart, the hash is right."""
    clock = next((i for i, channel in enumerate(sample.channels) if channel.is_time), None)
    passing = Passing(sample)
    passing.channels = tuple(name for i, name in enumerate(sample.channel_names) if i != clock)
    with open_fcs(SCRATCH, max_bytes=MAX_BYTES, ascii=True) as file:
        again, stored = file.pass_on(passing)
    assert again.sha256 == hashlib.sha256(raw).hexdigest()
    others = [i for i in range(len(sample.channels)) if i != clock]
    assert np.array_equal(stored.values[:, others], sample.events[:, others], equal_nan=True)
    assert np.array_equal(passing.events[:, others], sample.events[:, others], equal_nan=True)
    assert (stored.seconds is None) == (clock is None)
    assert clock is None or np.array_equal(stored.seconds, sample.events[:, clock], equal_nan=True)


def check(raw: bytes) -> None:
    """Read `raw` in every way; the readings must agree."""
    SCRATCH.write_bytes(raw)
    try:
        header = read_header(SCRATCH, max_bytes=MAX_BYTES, ascii=True)
    except FCSError:
        header = None
    try:
        sample = read_fcs(SCRATCH, max_bytes=MAX_BYTES, ascii=True)
    except FCSError as error:
        if not (str(error).startswith(f"[{error.code}]") and error.action):
            raise AssertionError("an error without code or action") from error
        return
    assert header is not None, "the whole is read, the header alone is not"
    assert (header.n_events, header.channels) == (sample.n_events, sample.channels)
    assert sample.sha256 == hashlib.sha256(raw).hexdigest()
    passing = Passing(sample)
    with open_fcs(SCRATCH, max_bytes=MAX_BYTES, ascii=True) as file:
        again, _ = file.pass_on(passing, digest=False, checksum=True, judged=True)
    assert again.crc32 == f"{zlib.crc32(raw):08x}"
    assert np.array_equal(passing.events, sample.events, equal_nan=True)
    check_kept(raw, sample)
    for i, name in enumerate(sample.channel_names[:2]):
        try:
            one = read_fcs(SCRATCH, channels=[name], digest=False, ascii=True)
        except FCSError as error:
            if error.code == "E_VALUES":  # the share of bad values in one channel is not that in all
                continue
            raise AssertionError("some channels are refused, all are not") from error
        with np.errstate(invalid="ignore"):
            assert np.array_equal(one.events[:, 0].astype("f8"), sample.events[:, i].astype("f8"), equal_nan=True)


def one_input(data: bytes) -> None:
    """One input of the fuzzer."""
    warnings.simplefilter("error")
    raw = assembled(data[1:]) if data[:1] < b"\x80" else data[1:]
    begun = time.process_time()  # a busy machine makes no find
    check(raw)
    assert time.process_time() - begun < SLOW_SECONDS, "too slow"


def main() -> None:
    """Hand the arguments to libFuzzer."""
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
