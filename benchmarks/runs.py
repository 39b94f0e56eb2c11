"""What reliability costs: a process of its own for each tube, and a run that finds nothing to do.

    python benchmarks/runs.py                     # both
    python benchmarks/runs.py --only resume --tubes 100 --events 500

Isolation: tubes that keep a core busy for 50 ms, in this process, in one process of their own, and in two by Dask, in
turn; the bar is 20 %. Processor time beyond the work hardly depends on what else runs on the computer (the least of the
rounds counts); time on the clock, by tube and process, does.

No-op resume: 400 simulated tubes are run once, then the same command is given again in the same process, so that
imports do not count; the bar is 1 s. Resume is by content, so every byte is read and hashed: what that takes is told
beside it, on one thread (a run uses all cores). Figures come as JSON on standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from treg_gating.gating.results import SampleFit
from treg_gating.run.child import Limits
from treg_gating.run.engine import open_engine, run_stage
from treg_gating.run.job import Job, Shared
from treg_gating.samplesheet import Tube

_WORK = 0.05


def first_pass(tube: Tube, settings: object) -> SampleFit:
    """Busy for 50 ms of this process's own time; the engine calls it by this module's name."""
    end = time.process_time() + _WORK
    while time.process_time() < end:
        pass
    return SampleFit(tube.tube_id, "0" * 64, {}, {})


_WAYS = {"in this process": 0, "one process of its own": 1, "two processes, by Dask": 2}


def isolation(tubes: int, rounds: int) -> dict[str, object]:
    """What tubes cost beyond their work, by turns: processor time of all processes, and time on the clock."""
    jobs = [Job(Tube(f"T{i}", "t.fcs", Path("t.fcs"), "S", "V", "1"), "first") for i in range(tubes)]
    shared = Shared("benchmarks.runs", SimpleNamespace())
    clock: dict[str, list[float]] = {way: [] for way in _WAYS}
    processor: dict[str, list[float]] = {way: [] for way in _WAYS}
    for _ in range(rounds):
        for way, workers in _WAYS.items():
            with open_engine("bench", tubes, workers=workers, scheduler="") as engine:
                list(run_stage(engine, jobs[:4], shared, Limits(60)))  # the processes have started
                begun, spent = time.perf_counter(), _processor_time()
                outcomes = [outcome for some in run_stage(engine, jobs, shared, Limits(60)) for outcome in some]
                clock[way].append((time.perf_counter() - begun) / tubes * max(1, workers))
                processor[way].append((_processor_time() - spent) / tubes)
            assert {outcome.kind for outcome in outcomes} == {"done"}
    bare = sum(clock["in this process"])
    return {
        "tubes": tubes,
        "work_ms": 1e3 * _WORK,
        "processor_overhead": {way: min(found) / _WORK - 1 for way, found in processor.items()},
        "clock_overhead": {way: sum(found) / bare - 1 for way, found in clock.items()},
        "clock_seconds_a_tube_and_process": clock,
        "bar": 0.2,
    }


def _processor_time() -> float:
    """Seconds of processor that this process and its children have taken."""
    import psutil

    used = [process.cpu_times() for process in (psutil.Process(), *psutil.Process().children())]
    return sum(times.user + times.system for times in used)


def resume(tubes: int, events: int, folder: Path) -> dict[str, object]:
    """Seconds of a run that finds nothing to do, and of reading and hashing the files alone."""
    from treg_gating.cli.main import cli
    from treg_gating.run.keys import file_sha256
    from treg_gating.simulate import simulate_to_folder

    def command(words: Sequence[str]) -> tuple[float, int]:
        begun = time.perf_counter()
        code = cli.main(list(words), standalone_mode=False)
        return time.perf_counter() - begun, int(code or 0)

    study = folder / "study"
    if not study.exists():
        simulate_to_folder("foxp3", study, seed=1, subjects=-(-tubes // 4), events=events)
    words = ["run", str(study / "samples.csv"), "-o", str(folder / "out"), "--quiet"]
    first, code = command(words)
    again = [command(words) for _ in range(3)]
    files = sorted(study.glob("fcs/*.fcs"))
    begun = time.perf_counter()
    for path in files:
        file_sha256(path)
    hashing = time.perf_counter() - begun
    assert {found for _, found in again} == {code}
    return {
        "files": len(files),
        "megabytes": sum(path.stat().st_size for path in files) / 1e6,
        "first_seconds": first,
        "again_seconds": [seconds for seconds, _ in again],
        "hashing_seconds_one_thread": hashing,
        "bar": 1.0,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("isolation", "resume"))
    parser.add_argument("--tubes", type=int, default=400)
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--keep", type=Path, help="folder for the study and its run; what is there already is used")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found: dict[str, object] = {}
    if asked.only != "resume":
        found["isolation"] = isolation(40, asked.rounds)
    if asked.only != "isolation":
        with nullcontext(asked.keep) if asked.keep else tempfile.TemporaryDirectory() as folder:
            found["resume"] = resume(asked.tubes, asked.events, Path(folder))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
