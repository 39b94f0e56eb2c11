"""Time and peak memory of reading an FCS file: this reader beside others and beside reading the bytes.

    python benchmarks/read_fcs.py [--events 500000 2000000] [--rounds 7] [--only FlowIO FlowCal]

All readers run in turn, round by round, in one process with BLAS at one thread; the table gives the shortest time, to
which other work on the machine adds least, the median, and their ratios to ``readinto`` of the same bytes into a buffer
that is there already. Where the two differ much, a reader is quick only when it is handed memory that was used before.
Peak memory is that of a fresh process over its baseline after imports, as a
multiple of DATA. Readers that are not installed are left out (FlowIO, FlowKit, FlowCal, fcsparser, readfcs).
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

from treg_gating import read_fcs, write_fcs
from treg_gating.fcs import read_header
from treg_gating.sample import Channel, Spillover

CHANNELS = ("FSC-A", "FSC-H", "SSC-A", "SSC-H", "SSC-W", *(f"FL{i}-A" for i in range(1, 13)), "Time")
SOME = ["FSC-A", "FL1-A", "Time"]
FLOOR = "readinto (bytes only)"
SLOW = {"FlowKit", "readfcs", "fcsparser"}  # fewer rounds

Reader = Callable[[str], object]


def data_window(path: str) -> tuple[int, int]:
    """First byte and number of values of DATA."""
    keywords = read_header(path).keywords
    return int(keywords["$BEGINDATA"]), int(keywords["$TOT"]) * int(keywords["$PAR"])


_reused: list[np.ndarray] = []


def readinto(path: str, reuse: bool) -> object:
    """DATA into a buffer: a new one, or, as the floor, the one of the last round."""
    begin, count = data_window(path)
    values = _reused.pop() if reuse and _reused else np.empty(count, "<f4")
    with Path(path).open("rb", buffering=0) as file:
        file.seek(begin)
        file.readinto(memoryview(values).cast("B"))  # type: ignore[arg-type]
    if reuse:
        _reused[:] = [values]
    return values


def fromfile(path: str) -> object:
    """Same, numpy's way."""
    begin, count = data_window(path)
    return np.fromfile(path, "<f4", count, offset=begin)


def with_hash(path: str) -> object:
    """Ours, and the hash waited for: it must not go on beside the next reader."""
    sample = read_fcs(path)
    return sample, sample.sha256


def readers() -> dict[str, Reader]:
    """Every reader that is installed."""
    found: dict[str, Reader] = {
        FLOOR: lambda path: readinto(path, reuse=True),
        "readinto a new buffer": lambda path: readinto(path, reuse=False),
        "np.fromfile (bytes only)": fromfile,
        "treg-gating, with the sha256": with_hash,
        "treg-gating, hash apart": lambda path: read_fcs(path, digest=False),
        "treg-gating, 3 of 18 channels, hash apart": lambda path: read_fcs(path, channels=SOME, digest=False),
    }
    foreign: dict[str, tuple[str, Callable[[object], Reader]]] = {
        "FlowIO, as_array": ("flowio", lambda m: lambda path: m.FlowData(path).as_array()),
        "FlowIO, events only": ("flowio", lambda m: lambda path: m.FlowData(path).events),
        "FlowKit": ("flowkit", lambda m: lambda path: m.Sample(path)),
        "FlowCal": ("FlowCal", lambda m: lambda path: m.io.FCSData(path)),
        "fcsparser": ("fcsparser", lambda m: lambda path: m.parse(path)),
        "readfcs": ("readfcs", lambda m: lambda path: m.read(path)),
    }
    for name, (module, make) in foreign.items():
        try:
            found[name] = make(importlib.import_module(module))
        except ImportError:
            print(f"({name}: not installed)", file=sys.stderr)
    return found


def make_tube(path: Path, n: int) -> None:
    """A float file as a cytometer writes it: 18 channels, spillover, Time."""
    rng = np.random.default_rng(n)
    events = rng.lognormal(6, 1, (n, len(CHANNELS))).astype("f4")
    events[:, -1] = np.sort(rng.uniform(0, n / 3000, n))
    matrix = np.eye(12) + np.where(np.eye(12), 0, 0.02)
    write_fcs(
        path,
        events,
        [Channel(name, f"marker {name}") for name in CHANNELS],
        spillover=Spillover(CHANNELS[5:17], matrix),
    )


def timed(path: str, rounds: int, only: list[str]) -> dict[str, tuple[float, float]]:
    """Fewest and median seconds of every reader, all in turn; of the floor and those that begin with one of `only`."""
    known = {name: way for name, way in readers().items() if name == FLOOR or name.startswith(tuple(only))}
    seconds: dict[str, list[float]] = {name: [] for name in known}
    for turn in range(rounds):
        for name, reader in known.items():
            if name in SLOW and turn >= 3:
                continue
            gc.collect()
            begun = time.perf_counter()
            result = reader(path)
            seconds[name].append(time.perf_counter() - begun)
            del result
    return {name: (min(values), statistics.median(values)) for name, values in seconds.items()}


def high_water(reset: bool = False) -> int:
    """Peak resident bytes of this process, since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def peak(path: str, name: str) -> float:
    """Peak memory of one reading in a fresh process, over its baseline, in bytes."""
    command = [sys.executable, __file__, "--peak", name, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def report(n: int, rounds: int, only: list[str], folder: Path) -> None:
    """One table."""
    path = folder / f"{n}.fcs"
    make_tube(path, n)
    size = n * len(CHANNELS) * 4
    found = timed(str(path), rounds, only)
    floor, usual_floor = found[FLOOR]
    _reused.clear()
    print(f"\n### {n:,} events × {len(CHANNELS)} channels, float32, {size / 1e6:.0f} MB\n")
    print("| reader | ms, fewest | × readinto | ms, median | × readinto | peak memory, × DATA |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, (least, usual) in sorted(found.items(), key=lambda item: item[1]):
        memory = peak(str(path), name) / size
        ratios = least / floor, usual / usual_floor
        print(f"| {name} | {least * 1e3:.1f} | {ratios[0]:.1f} | {usual * 1e3:.1f} | {ratios[1]:.1f} | {memory:.2f} |")


def main() -> None:
    """Make tubes, time all readers, print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, nargs="+", default=[500_000, 2_000_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="readers whose names begin so")
    parser.add_argument("--peak", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.peak:
        reader = readers()[options.peak[0]]
        before = high_water(reset=True)
        result = reader(options.peak[1])
        print(json.dumps(high_water() - before))
        del result
        return
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        for n in options.events:
            report(n, options.rounds, options.only, Path(folder))


if __name__ == "__main__":
    main()
