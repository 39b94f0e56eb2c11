"""Throughput of this package beside FlowKit, FlowIO and reading the bytes, on identical files and gates.

    python benchmarks/throughput.py                          every mode; the cohort up to 1,000 tubes
    python benchmarks/throughput.py fixed reader --quick     small sizes, few rounds
    python benchmarks/throughput.py cohort --tubes 100 1000 10000

Modes: ``fixed`` (eight fixed gates, every program in turn), ``decisions`` (event by event against FlowKit), ``reader``,
``adaptive`` (both passes against FlowKit's fixed gates), ``memory`` (peak of a fresh process), ``cold`` (start of the
program to the first tube), ``workers`` (a whole run with one process and with two), ``dask`` (overhead of Dask and
ledger; threads with child processes, and a cluster of processes on loopback), ``accuracy`` (the accuracy benchmark on
small cohorts, by the same code with its shortcuts and without them), ``cohort`` (the coordinator's memory and the time
per tube as the cohort grows; with --replay no tube is read, which shows 10,000 tubes in minutes).

Everything runs in turn in one process with BLAS at one thread; figures are medians, and only ratios count. Tubes come
from the package's simulator (``benchmarks/speed/tubes.py``) and are kept in --data. Leaves throughput.json,
throughput.md and pictures in --out; a mode that is not run again keeps its figures of the last time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from speed import cohorts, single
from speed.measure import machine
from speed.plots import draw
from speed.runs import timed_run
from speed.table import markdown

INSIDE = {**single.INSIDE, "run": timed_run}
SIZES = [20_000, 100_000, 500_000, 2_000_000]
QUICK_SIZES = [20_000, 100_000]


def main() -> None:
    options = _options()
    data, out = options.data.resolve(), options.out.resolve()
    data.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "throughput.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for mode in options.modes or list(_MODES):
        begun = time.monotonic()
        print(f"{mode} ...", end=" ", file=sys.stderr, flush=True)
        results[mode] = _MODES[mode](options, data)
        results.setdefault("machine", {})[mode] = machine()
        print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
        kept.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    table = markdown(results)
    (out / "throughput.md").write_text(table, encoding="utf-8")
    draw(results, out)
    if options.docs:
        _refresh_docs(results, table)
    print(table)


def _refresh_docs(results: dict[str, Any], table: str) -> None:
    """What docs/performance.md includes."""
    docs = Path(__file__).parents[1] / "docs"
    pictures = draw(results, docs / "images", prefix="performance-")
    body = table.partition("\n")[2].replace("\n### ", "\n#### ").replace("\n## ", "\n### ")
    shown = "\n\n".join(f"![{path.stem}](images/{path.name})" for path in pictures)
    (docs / "performance_results.md").write_text(f"{body.strip()}\n\n{shown}\n", encoding="utf-8")


def _sizes(options: argparse.Namespace) -> list[int]:
    return options.events or (QUICK_SIZES if options.quick else SIZES)


def _events(options: argparse.Namespace, usual: int, quick: int) -> int:
    return options.events[0] if options.events else quick if options.quick else usual


def _tubes(options: argparse.Namespace, usual: int, quick: int, *more: int) -> list[int]:
    return options.tubes or ([quick] if options.quick else [usual, *more])


def _rounds(options: argparse.Namespace, usual: int, quick: int) -> int:
    return options.rounds or (quick if options.quick else usual)


_MODES: dict[str, Callable[[argparse.Namespace, Path], Any]] = {
    "fixed": lambda o, data: single.fixed_gates(data, _sizes(o), _rounds(o, 7, 3)),
    "decisions": lambda o, data: single.decisions(data, _sizes(o)),
    "reader": lambda o, data: single.reader(data, 100_000 if o.quick else 500_000, _rounds(o, 9, 5)),
    "adaptive": lambda o, data: single.adaptive(data, [n for n in _sizes(o) if n <= 500_000], _rounds(o, 5, 3)),
    "memory": lambda o, data: single.memory(data, 100_000 if o.quick else 2_000_000),
    "cold": lambda o, data: single.cold(data, 100_000, _rounds(o, 5, 3)),
    "workers": lambda o, data: cohorts.workers(data, _tubes(o, 64, 16)[0], _events(o, 500_000, 20_000)),
    "dask": lambda o, data: cohorts.dask(data, _tubes(o, 64, 16)[0], _events(o, 100_000, 20_000)),
    "accuracy": lambda o, data: _accuracy(o, data),
    "cohort": lambda o, data: cohorts.cohort(
        data, _tubes(o, 100, 100, 1_000), _events(o, 5_000, 5_000), real=not o.replay
    ),
}


def _accuracy(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    """The accuracy benchmark on small cohorts, by this code and by the same without its shortcuts.

    So one command shows whether accuracy is unchanged by the speed-up, beside the speed of the same code.
    """
    subjects, events = ("3", "20000") if options.quick else ("6", "60000")
    kinds, seed = "foxp3" if options.quick else "foxp3,surface", "21"
    script = str(Path(__file__).with_name("accuracy.py"))
    found = {}
    for name, more in {"as it is": [], "the long way": ["--long-way"]}.items():
        stem = data / f"accuracy-{name.replace(' ', '-')}"
        command = [sys.executable, script, "--kinds", kinds, "--seeds", seed, "--subjects", subjects, "--methods",
                   "none", "--events", events, "--ceiling-tubes", "0", "--out", str(stem), *more]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in {0, 1}:  # 1: a bar is missed, which the table says
            raise RuntimeError(done.stderr[-2000:])
        found[name] = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
    what = f"seed {seed}, {subjects} subjects, {events} events a tube"
    return {"what": what, "kinds": [_beside(*cohorts) for cohorts in zip(*found.values(), strict=True)]}


def _beside(short: dict[str, Any], long: dict[str, Any]) -> dict[str, Any]:
    """Figures of one cohort both ways, and how far its tubes' Treg percentages lie apart, percent of themselves."""
    pairs = [[row["estimate"]["treg-gating"] for row in cohort["tubes"]] for cohort in (short, long)]
    apart = [100 * abs(a / b - 1) for a, b in zip(*pairs, strict=True) if a and b and a == a and b == b]
    both = {name: cohort["figures"]["treg-gating"] for name, cohort in (("short", short), ("long", long))}
    return {"kind": short["kind"], **both, "median_apart": statistics.median(apart), "most_apart": max(apart)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modes", nargs="*", metavar="MODE", help=f"{', '.join(_MODES)}; all by default")
    parser.add_argument("--events", type=int, nargs="+", help=f"events a tube; {SIZES} by default")
    parser.add_argument("--tubes", type=int, nargs="+", help="tubes of workers, dask (one number) and cohort")
    parser.add_argument("--replay", action="store_true", help="cohort: answers from a store instead of real work")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds")
    parser.add_argument("--docs", action="store_true", help="refresh docs/performance_results.md and its pictures")
    parser.add_argument("--data", type=Path, default=Path("build/throughput"), help="where simulated tubes are kept")
    parser.add_argument("--out", type=Path, default=Path("build/throughput"), help="where the results go")
    options = parser.parse_args()
    unknown = [mode for mode in options.modes if mode not in _MODES]
    if unknown:
        parser.error(f"no mode {', '.join(unknown)}; there are {', '.join(_MODES)}")
    return options


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["--inside"]:
        print(json.dumps(INSIDE[sys.argv[2]](*sys.argv[3:])))
    else:
        main()
