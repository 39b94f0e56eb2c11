"""Modes that look at one tube: fixed gates, the reader, the adaptive pipeline, cold start, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speed import fixed_pipelines as fixed
from speed.fixed_gates import FixedGates, make_fixed_gates
from speed.measure import high_water, in_fresh_process, in_turn, medians
from speed.tubes import CHANNELS, make_cohort, make_tube
from treg_gating import pipeline, read_fcs
from treg_gating.gating.template import load_template
from treg_gating.samplesheet import Tube
from treg_gating.study import default_study

__all__ = ["INSIDE", "adaptive", "adaptive_way", "cold", "decisions", "fixed_gates", "memory", "prepared", "reader"]

ADAPTIVE = "treg-gating, adaptive, both passes"
IN_COHORT = "treg-gating, adaptive, both passes, in a cohort of five"
_SLOW = (fixed.FLOWKIT, fixed.SESSION, fixed.BY_HAND)


def prepared(data: Path) -> FixedGates:
    """The fixed gates, placed on a small tube."""
    return make_fixed_gates(make_tube(data / "20000.fcs", 20_000), data / "fixed_gates.xml")


def fixed_gates(data: Path, sizes: list[int], rounds: int) -> list[dict[str, Any]]:
    """Every program on the same file and gates; the counts must agree."""
    gates = prepared(data)
    return [_one_size(data, gates, n, rounds) for n in sizes]


def _one_size(data: Path, gates: FixedGates, n: int, rounds: int) -> dict[str, Any]:
    path = make_tube(data / f"{n}.fcs", n)
    ways = fixed.pipelines(gates)
    counts = {name: sorted(v for k, v in way(path).items() if k not in {"root", "clean"}) for name, way in ways.items()}
    found = {name: values for name, values in counts.items() if values}
    if len({tuple(values) for values in found.values()}) != 1:
        msg = f"{n:,} events: the programs do not count alike: {found}"
        raise AssertionError(msg)
    fewer = dict.fromkeys(_SLOW, max(1, rounds // 2 if n >= 500_000 else rounds))
    seconds = in_turn({name: lambda way=way: way(path) for name, way in ways.items()}, rounds, fewer=fewer)
    return {"events": n, "bytes": path.stat().st_size, "seconds": medians(seconds), "all": seconds}


def decisions(data: Path, sizes: list[int]) -> dict[str, Any]:
    """Events on which FlowKit and we differ, over every gate."""
    gates = prepared(data)
    total = differ = 0
    by_gate = dict.fromkeys(gates.populations, 0)
    for n in sizes:
        path = make_tube(data / f"{n}.fcs", n)
        ours, theirs = fixed.our_masks(path, gates), fixed.flowkit_masks(path, gates)
        for name in gates.populations:
            odd = int((ours[name] != theirs[name]).sum())
            by_gate[name] += odd
            differ += odd
            total += n
    return {"decisions": total, "differ": differ, "by_gate": by_gate}


def reader(data: Path, n: int, rounds: int) -> dict[str, Any]:
    """Our strict reader beside FlowIO's."""
    import flowio

    path = make_tube(data / f"{n}.fcs", n)
    floor = fixed.pipelines(prepared(data))[fixed.FLOOR]
    seconds = in_turn(
        {
            fixed.FLOOR: lambda: floor(path),
            "treg-gating": lambda: read_fcs(path).sha256,  # waited for: it must not run beside the next way
            "treg-gating, hash apart": lambda: read_fcs(path, digest=False),
            "FlowIO, as_array": lambda: flowio.FlowData(str(path)).as_array(),
            "FlowIO, events only": lambda: flowio.FlowData(str(path)).events,
        },
        rounds,
    )
    return {"events": n, "seconds": medians(seconds), "all": seconds}


def adaptive_way(path: Path) -> Callable[[], dict[str, int]]:
    """The full pipeline on one tube alone: strict read, hash, quality control, fits with their errors, two passes."""
    settings = pipeline.RunSettings(load_template("treg_foxp3"), default_study(["Baseline"]))
    tube = Tube(path.stem, path.name, path, "S", "Baseline", "1")

    def run() -> dict[str, int]:
        fit = pipeline.first_pass(tube, settings)
        cohort = pipeline.between_passes([tube], {tube.tube_id: fit}, settings)
        result = pipeline.second_pass(tube, settings, cohort, fit)
        return {count.population: count.n for count in result.counts if count.n is not None}

    return run


def adaptive(data: Path, sizes: list[int], rounds: int) -> list[dict[str, Any]]:
    """Both passes, and what lies between for one tube apart, against FlowKit on fixed gates.

    The cohort is the tube alone and, beside it, the tube and four of other persons: a tube that is not the cohort
    lies apart from it, and its mixtures take longer to be placed.
    """
    flowkit = fixed.pipelines(prepared(data))[fixed.FLOWKIT]
    settings = pipeline.RunSettings(load_template("treg_foxp3"), default_study(["Baseline"]))
    make_cohort(data / "four-others", 4, 60_000, seed=2)
    files = sorted((data / "four-others" / "fcs").glob("*.fcs"))
    others = [Tube(f"other {path.stem}", path.name, path, path.stem, "Baseline", "1") for path in files]
    known = {tube.tube_id: pipeline.first_pass(tube, settings) for tube in others}
    rows = []
    for n in sizes:
        path = make_tube(data / f"{n}.fcs", n)
        tube = Tube(path.stem, path.name, path, "S", "Baseline", "1")
        fit = pipeline.first_pass(tube, settings)
        cohort = pipeline.between_passes([tube], {tube.tube_id: fit}, settings)
        five = pipeline.between_passes([tube, *others], {**known, tube.tube_id: fit}, settings)
        seconds = in_turn(
            {
                "pass 1": lambda tube=tube: pipeline.first_pass(tube, settings),
                "pass 2": lambda tube=tube, cohort=cohort, fit=fit: pipeline.second_pass(tube, settings, cohort, fit),
                "pass 2 in a cohort of five": lambda tube=tube, five=five, fit=fit: pipeline.second_pass(
                    tube, settings, five, fit
                ),
                "learning from one tube": lambda tube=tube, fit=fit: pipeline.between_passes(
                    [tube], {tube.tube_id: fit}, settings
                ),
                fixed.FLOWKIT: lambda path=path: flowkit(path),
            },
            rounds,
            fewer={fixed.FLOWKIT: max(1, rounds // 2)},
        )
        found = medians(seconds)
        found[ADAPTIVE] = found["pass 1"] + found["pass 2"]
        found[IN_COHORT] = found["pass 1"] + found["pass 2 in a cohort of five"]
        rows.append({"events": n, "seconds": found, "all": seconds})
    return rows


def memory(data: Path, n: int) -> dict[str, float]:
    """Peak over the import baseline in a fresh process, as a multiple of DATA."""
    path = make_tube(data / f"{n}.fcs", n)
    size = n * CHANNELS * 4
    prepared(data)
    ways = ("fixed gates", "adaptive, both passes", fixed.FLOWKIT, fixed.BY_HAND)
    return {way: in_fresh_process("peak", str(data), str(path), way) / size for way in ways}


def _peak(data: str, path: str, way: str) -> int:
    """Bytes above what the process holds after it has worked on a small tube."""
    gates, small = prepared(Path(data)), make_tube(Path(data) / "20000.fcs", 20_000)
    known: dict[str, Callable[[Path], object]] = {
        "fixed gates": lambda p: fixed.walk_fixed(p, gates),
        "adaptive, both passes": lambda p: adaptive_way(p)(),
    }
    run = known.get(way) or fixed.pipelines(gates)[way]
    run(small)
    before = _resident()
    high_water(reset=True)
    run(Path(path))
    return high_water() - before


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


COLD_FLOWKIT = "FlowKit, fixed gates"
COLD = {
    "adaptive": "treg-gating run, adaptive",
    "kept": "treg-gating run, fixed gates kept as a template",
    "gatingml": "treg-gating run, fixed gates from Gating-ML, read through FlowKit",
}
_SCRIPT = """
import flowkit, sys, time
strategy = flowkit.parse_gating_xml(sys.argv[1])
print(strategy.gate_sample(flowkit.Sample(sys.argv[2])).report["count"].tolist())
print(time.time(), flush=True)
"""


def cold(data: Path, n: int, rounds: int) -> dict[str, Any]:
    """From the start of the program to the first tube done: our command beside FlowKit's shortest script.

    FlowKit's tube is done when its counts are there; ours, when its result stands in the ledger. Both start as
    installed programs do: from bytecode, which the round that does not count has written.
    """
    path = make_tube(data / f"{n}.fcs", n)
    prepared(data)
    folder = data / "cold"
    folder.mkdir(exist_ok=True)
    (folder / "samples.csv").write_text(f"file,subject,visit\n{path.name},S1,Baseline\n", encoding="utf-8")
    gates, kept = data / "fixed_gates.xml", folder / "fixed.gates.json"
    kept.unlink(missing_ok=True)
    _treg_gating("templates", "import", str(gates), str(kept))
    turns = iter(range(10_000))
    done: dict[str, list[float]] = {name: [] for name in (*COLD.values(), COLD_FLOWKIT)}

    def ours(name: str, *more: str) -> None:
        out, begun = folder / f"out-{os.getpid()}-{next(turns)}", time.time()
        _treg_gating("run", str(folder / "samples.csv"), "--data", str(data), "--quiet", "-o", str(out), *more)
        done[name].append(_first_done(out) - begun)

    def flowkit() -> None:
        begun = time.time()
        said = _program("-W", "ignore", "-c", _SCRIPT, str(gates), str(path)).stdout
        done[COLD_FLOWKIT].append(float(said.split()[-1]) - begun)

    ways = {"adaptive": (), "kept": ("-t", str(kept)), "gatingml": ("-t", str(gates))}
    seconds = in_turn(
        {
            **{COLD[way]: lambda name=COLD[way], more=more: ours(name, *more) for way, more in ways.items()},
            COLD_FLOWKIT: flowkit,
        },
        rounds,
    )
    first = {name: values[1:] for name, values in done.items()}
    return {"events": n, "seconds": medians(first), "to_the_end": medians(seconds), "all": first}


def _program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Python as it is here, with bytecode, whatever the caller's surroundings say."""
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run([sys.executable, *arguments], check=False, capture_output=True, text=True, env=surroundings)


def _treg_gating(*arguments: str) -> None:
    done = _program("-m", "treg_gating", *arguments)
    if done.returncode not in {0, 4}:
        msg = f"treg-gating {arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}"
        raise RuntimeError(msg)


def _first_done(out: Path) -> float:
    """When the log says that the first tube came out of pass 2, as seconds since the epoch."""
    from datetime import datetime

    for line in (out / "run.log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry.get("stage") == "second":
            return datetime.fromisoformat(entry["utc"]).timestamp()
    msg = f"{out}: no tube came out of pass 2"
    raise RuntimeError(msg)


def _inside_peak(*arguments: str) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _peak(*arguments)


INSIDE: dict[str, Callable[..., Any]] = {"peak": _inside_peak}
