"""Timing in turn, peak memory in a fresh process, and what machine this is."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from treg_gating.run.processes import LITTLE_MEMORY

__all__ = ["LIBRARIES", "high_water", "in_fresh_process", "in_turn", "machine"]

LIBRARIES = ("treg-gating", "numpy", "scipy", "dask", "distributed", "flowkit", "flowio", "flowutils")


def in_turn(
    ways: Mapping[str, Callable[[], object]], rounds: int, *, fewer: Mapping[str, int] | None = None
) -> dict[str, list[float]]:
    """Seconds of every way, round by round, all in turn after one round that does not count.

    Parameters
    ----------
    fewer : rounds of the slow ones, where they are to have fewer.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            if turn > (fewer or {}).get(name, rounds):
                continue
            gc.collect()
            begun = time.perf_counter()
            result = way()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
            del result
    return seconds


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Median of each."""
    return {name: statistics.median(values) for name, values in seconds.items()}


def high_water(*, reset: bool = False) -> int:
    """Peak resident bytes of this process, since the last reset (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def in_fresh_process(*arguments: str) -> Any:
    """What ``throughput.py --inside ARGUMENTS`` prints as its last line, as JSON; in the surroundings of a worker."""
    script = Path(__file__).parents[1] / "throughput.py"
    command = [sys.executable, str(script), "--inside", *arguments]
    surroundings = {**LITTLE_MEMORY, **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)
    if done.returncode:
        msg = f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}"
        raise RuntimeError(msg)
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> dict[str, Any]:
    """Processor, memory, versions, and how fast this processor hashes."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "sha256_mb_per_s": round(_hash_rate()),
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        **{name: metadata.version(name) for name in LIBRARIES},
    }


def _hash_rate() -> float:
    block = bytes(1 << 25)
    begun = time.perf_counter()
    hashlib.sha256(block).hexdigest()
    return len(block) / 1e6 / (time.perf_counter() - begun)
