"""What reliability costs: the process of its own for each tube, and a run that finds nothing to do.

    python benchmarks/runs.py                     # both
    python benchmarks/runs.py --only resume --tubes 100 --events 500

Isolation: tubes that keep a core busy for 50 ms, in this process and then in processes of their own, in turn; the bar
is 20 %. No-op resume: 400 simulated tubes are run once, then the same command is given again in the same process, so
that imports do not count; the bar is 1 s. Resume is by content, so every byte is read and hashed: what that takes is
told beside it, on one thread (a run uses all cores). Figures come as JSON on standard output.
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


def isolation(tubes: int, rounds: int) -> dict[str, object]:
    """Seconds a tube with and without isolation, by turns; the ratio of the sums."""
    jobs = [Job(Tube(f"T{i}", "t.fcs", Path("t.fcs"), "S", "V", "1"), "first") for i in range(tubes)]
    shared = Shared("benchmarks.runs", SimpleNamespace())
    seconds: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(rounds):
        for workers, found in seconds.items():
            with open_engine("bench", tubes, workers=workers, scheduler="") as engine:
                list(run_stage(engine, jobs[:1], shared, Limits(60)))  # the process has started
                begun = time.perf_counter()
                outcomes = list(run_stage(engine, jobs, shared, Limits(60)))
                found.append((time.perf_counter() - begun) / tubes)
            assert {outcome.kind for outcome in outcomes} == {"done"}
    bare, isolated = (sum(found) for found in seconds.values())
    return {
        "tubes": tubes,
        "seconds_in_this_process": seconds[0],
        "seconds_isolated": seconds[1],
        "overhead": isolated / bare - 1,
        "bar": 0.2,
    }


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
