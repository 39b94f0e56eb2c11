"""Time and flow-rate quality control against simulated truth, beside PeacoQC (extra ``[bench]``).

    python benchmarks/quality.py [--tubes 12] [--events 60000] [--treg] [--time]

Tubes of a cohort get one disturbance each, 3 to 15 % of their time, or none. Per kind: share of disturbed events that
were excluded (median, lowest tube), share of good events that were lost (median, highest tube). With ``--treg`` each
tube is also gated with the shipped template, and its Treg % is compared with the truth among its undisturbed events.
With ``--time`` the cost is set beside both passes at 500,000 events. PeacoQC gets the same events on arcsinh(x / 150),
scatter divided by its range, and its own defaults; margins are left to neither.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

for variable in (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
):
    os.environ.setdefault(variable, "1")

import numpy as np

from treg_gating.fcs import read_fcs, write_fcs
from treg_gating.quality import assess
from treg_gating.simulate import PRESETS, Disturbance, SimulatedTube, TubePlan, plan_cohort, simulate_tube
from treg_gating.simulate.disturbances import KINDS

SHARES = (0.03, 0.06, 0.10, 0.15)
Verdict = Callable[[SimulatedTube], np.ndarray]


def ours(tube: SimulatedTube) -> np.ndarray:
    """Events that time and flow rate exclude; margin events are not counted for or against."""
    sample = tube.sample()
    seconds, gone = sample.column("Time"), np.zeros(sample.n_events, dtype=bool)
    for first, last in assess(sample, sample.channel_names).removed:
        gone |= (seconds >= first) & (seconds < last)
    return gone


def peacoqc() -> Verdict | None:
    """PeacoQC's verdict, if the package is there."""
    try:
        import peacoqc as package
        import polars
    except ImportError:
        return None

    def verdict(tube: SimulatedTube) -> np.ndarray:
        names = [channel.name for channel in tube.channels if not channel.is_time]
        columns = {}
        for i, name in enumerate(names):
            values = tube.events[:, i].astype(np.float64)
            columns[name] = values / 262144 * 8 if name.startswith(("FSC", "SSC")) else np.arcsinh(values / 150)
        ranges = {name: (float(values.min()), float(values.max())) for name, values in columns.items()}
        result = package.run_qc(polars.DataFrame(columns), channels=names, channel_ranges=ranges)
        return ~np.asarray(result.good_cells, dtype=bool)

    return verdict


def plans(tubes: int, events: int, preset: str) -> list[TubePlan]:
    """Sample tubes spread over a cohort."""
    found = [plan for plan in plan_cohort(PRESETS[preset]) if plan.role == "sample"]
    return [replace(plan, n_events=events, disturbances=()) for plan in found[:: max(1, len(found) // tubes)][:tubes]]


def disturbed(base: list[TubePlan], kind: str) -> Iterator[TubePlan]:
    """The same tubes with one disturbance each."""
    for i, plan in enumerate(base):
        what = () if kind == "none" else (Disturbance(kind, SHARES[i % len(SHARES)]),)
        yield replace(plan, disturbances=what)


def compare(base: list[TubePlan], methods: dict[str, Verdict]) -> None:
    """Excluded and lost, by kind and method."""
    print("| disturbance | method | disturbed excluded, median (lowest) | good lost %, median (highest) | ms |")
    print("| --- | --- | --- | --- | --- |")
    for kind in (*KINDS, "none"):
        rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in methods}
        for plan in disturbed(base, kind):
            tube = simulate_tube(plan)
            bad = tube.truth.disturbed
            for name, verdict in methods.items():
                begun = time.perf_counter()
                gone = verdict(tube)
                spent = time.perf_counter() - begun
                found = float(gone[bad].mean()) if bad.any() else float("nan")
                rows[name].append((found, 100 * float(gone[~bad].mean()), 1000 * spent))
        for name, values in rows.items():
            found, lost, spent = zip(*values, strict=True)
            shown = "" if kind == "none" else f"{statistics.median(found):.3f} ({min(found):.3f})"
            middle = statistics.median(spent)
            print(f"| {kind} | {name} | {shown} | {statistics.median(lost):.2f} ({max(lost):.2f}) | {middle:.0f} |")


def treg(base: list[TubePlan]) -> None:
    """Treg % of disturbed tubes against the same tubes undisturbed, both gated together as one cohort."""
    from treg_gating.gating.template import load_template
    from treg_gating.pipeline import RunSettings, between_passes, first_pass, second_pass
    from treg_gating.study import default_study
    from treg_gating.tube import Role, Tube

    study = default_study(["Baseline"])
    settings = RunSettings(load_template("treg_foxp3"), study)
    values: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        tubes, kinds = [], (*KINDS, "none")
        for kind in kinds:
            for i, plan in enumerate(disturbed(base, kind)):
                made = simulate_tube(plan)
                path = Path(folder) / f"{kind}_{i}.fcs"
                write_fcs(path, made.events, made.channels, spillover=made.spillover, timestep=0.01)
                tubes.append(
                    (kind, made, Tube(path.stem, path.name, path, path.stem, "Baseline", plan.batch, Role.SAMPLE))
                )
        fits = {tube.tube_id: first_pass(tube, settings) for _, _, tube in tubes}
        cohort = between_passes([tube for _, _, tube in tubes], fits, settings)
        for kind, made, tube in tubes:
            result = second_pass(tube, settings, cohort, fits[tube.tube_id])
            top, bottom = result.count("treg"), result.count("cd4_t")
            share = 100 * top.n / bottom.n if top and bottom and top.n and bottom.n else float("nan")
            good = ~made.truth.disturbed
            truth = 100 * (made.truth.is_treg & good).sum() / (made.truth.is_cd4 & good).sum()
            values.setdefault(kind, []).append(float(np.log(share / truth)))
    print(
        "\n| disturbance | bias % | residual CV % (log ratio to truth), 95 % interval | same tube undisturbed, CV % |"
    )
    print("| --- | --- | --- | --- |")
    for kind, logs in values.items():
        ratio = np.array(logs)
        own = "" if kind == "none" else f"{100 * np.std(ratio - np.array(values['none']), ddof=1):.2f}"
        spread, low, high = cv_pct(ratio)
        print(f"| {kind} | {100 * np.expm1(np.median(ratio)):+.2f} | {spread:.2f} ({low:.2f} to {high:.2f}) | {own} |")


def cv_pct(logs: np.ndarray) -> tuple[float, float, float]:
    """Standard deviation of log ratios, percent, with its 95 % interval by chi-square."""
    from scipy.stats import chi2

    spread, free = 100 * float(np.std(logs, ddof=1)), len(logs) - 1
    return (
        spread,
        spread * float(np.sqrt(free / chi2.ppf(0.975, free))),
        spread * float(np.sqrt(free / chi2.ppf(0.025, free))),
    )


def cost(events: int = 500_000) -> None:
    """CPU time of quality control, which is done once a tube, beside that of both passes."""
    from treg_gating.gating.template import load_template
    from treg_gating.panel import match_panel
    from treg_gating.pipeline import RunSettings, between_passes, first_pass, second_pass
    from treg_gating.study import default_study
    from treg_gating.tube import Role, Tube

    made = simulate_tube(plans(1, events, "foxp3")[0])
    template = load_template("treg_foxp3")
    settings = RunSettings(template, default_study(["Baseline"]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tube.fcs"
        write_fcs(path, made.events, made.channels, spillover=made.spillover, timestep=0.01)
        tube = Tube("tube", path.name, path, "S", "Baseline", "B1", Role.SAMPLE)
        fit = first_pass(tube, settings)
        cohort = between_passes([tube], {"tube": fit}, settings)
        sample = read_fcs(path, digest=False)
        used = [channel.name for channel in match_panel(template.panel, sample.channels).channel_of.values()]
        light, scale = sample.column(made.spillover.channels[0]), template.transforms["CD25"]
        jobs: dict[str, Callable[[], object]] = {
            "both passes": lambda: second_pass(tube, settings, cohort, first_pass(tube, settings)),
            "quality control": lambda: assess(sample, used),
            "one marker's logicle, all events": lambda: scale.apply(light),
        }
        spent = {name: statistics.median(_cpu(job) for _ in range(9)) for name, job in jobs.items()}
    print(f"\n{events:,} events:\n\n| what | ms CPU | share of both passes % |\n| --- | --- | --- |")
    for name, seconds in spent.items():
        print(f"| {name} | {1000 * seconds:.0f} | {100 * seconds / spent['both passes']:.1f} |")


def _cpu(job: Callable[[], object]) -> float:
    begun = time.process_time()
    job()
    return time.process_time() - begun


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tubes", type=int, default=12)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--preset", default="foxp3")
    parser.add_argument("--treg", action="store_true")
    parser.add_argument("--time", action="store_true")
    arguments = parser.parse_args()
    base = plans(arguments.tubes, arguments.events, arguments.preset)
    methods: dict[str, Verdict] = {"treg-gating": ours}
    other = peacoqc()
    if other is not None:
        methods["peacoqc-rs"] = other
    compare(base, methods)
    if arguments.treg:
        treg(base)
    if arguments.time:
        cost()


if __name__ == "__main__":
    main()
