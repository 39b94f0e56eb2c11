"""The parts of the pipeline, one benchmark each (extra ``[bench]``), so that a slower one shows commit by commit.

    pytest benchmarks/test_parts.py --import-mode=prepend --benchmark-autosave
    pytest benchmarks/test_parts.py --import-mode=prepend --benchmark-compare --benchmark-compare-fail=median:25%

The first keeps the figures under .benchmarks/, the second holds today's against the last kept and fails where a part's
median has become 25 % slower. One simulated tube of 100,000 events × 18 channels. Times are processor time: a busy
machine adds little to them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import pytest
from speed.fixed_pipelines import OURS, pipelines
from speed.single import prepared
from speed.tubes import make_tube

from treg_gating import pipeline, read_fcs
from treg_gating.compensation import compensate
from treg_gating.gating.hierarchy import apply_gates, fit_sample
from treg_gating.gating.results import SampleFit, SampleResult
from treg_gating.gating.template import load_template
from treg_gating.quality import assess
from treg_gating.run.codec import decode, encode
from treg_gating.run.ledger import Ledger
from treg_gating.run.stored import Stored
from treg_gating.samplesheet import Tube
from treg_gating.showing import Showing
from treg_gating.simulate import PRESETS, plan_cohort, simulate_tube
from treg_gating.study import default_study

EVENTS = 100_000

pytestmark = pytest.mark.benchmark(timer=time.process_time, min_rounds=5, warmup=True, warmup_iterations=1)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tube(tmp_path_factory.mktemp("parts") / "tube.fcs", EVENTS)


@pytest.fixture(scope="module")
def tube(path: Path) -> Tube:
    return Tube(path.stem, path.name, path, "S", "Baseline", "1")


@pytest.fixture(scope="module")
def settings() -> pipeline.RunSettings:
    return pipeline.RunSettings(load_template("treg_foxp3"), default_study(["Baseline"]))


@pytest.fixture(scope="module")
def fit(tube: Tube, settings: pipeline.RunSettings) -> SampleFit:
    return pipeline.first_pass(tube, settings)


@pytest.fixture(scope="module")
def cohort(tube: Tube, settings: pipeline.RunSettings, fit: SampleFit) -> Any:
    return pipeline.between_passes([tube], {tube.tube_id: fit}, settings)


@pytest.fixture(scope="module")
def result(tube: Tube, settings: pipeline.RunSettings, cohort: Any, fit: SampleFit) -> SampleResult:
    return pipeline.second_pass(tube, settings, cohort, fit)


def test_reading_all_channels(benchmark: Any, path: Path) -> None:
    assert benchmark(read_fcs, path, digest=False).n_events == EVENTS


def test_reading_three_channels(benchmark: Any, path: Path) -> None:
    names = [channel.name for channel in read_fcs(path).channels][:3]
    assert benchmark(read_fcs, path, channels=names, digest=False).events.shape == (EVENTS, 3)


def test_reading_with_its_sha256(benchmark: Any, path: Path) -> None:
    assert len(benchmark(lambda: read_fcs(path).sha256)) == 64


def test_compensating_every_detector(benchmark: Any, path: Path) -> None:
    sample = read_fcs(path)
    assert benchmark(compensate, sample, sample.spillover).n_events == EVENTS


def test_logicle_of_one_marker(benchmark: Any, path: Path) -> None:
    sample = read_fcs(path)
    values = sample.column(sample.spillover.channels[0])
    scaled = benchmark(load_template("treg_foxp3").transforms["CD25"].apply, values)
    assert np.isfinite(scaled).all()


def test_quality_control(benchmark: Any, path: Path) -> None:
    sample = read_fcs(path)
    names = [channel.name for channel in sample.channels]
    assert benchmark(assess, sample, names).kept.mean() > 0.9


def test_fixed_gates(benchmark: Any, path: Path) -> None:
    counts = benchmark(pipelines(prepared(path.parent))[OURS], path)
    assert all(count > 0 for count in counts.values())


def test_fitting_every_gate(benchmark: Any, tube: Tube, settings: pipeline.RunSettings) -> None:
    ready = pipeline.prepare(tube, settings)
    assert "cd4_t" in benchmark(fit_sample, ready.template, ready.view, batch=tube.batch).gates


def test_pass_1(benchmark: Any, tube: Tube, settings: pipeline.RunSettings) -> None:
    assert benchmark(pipeline.first_pass, tube, settings).gates


def test_learning_from_one_tube(benchmark: Any, tube: Tube, settings: pipeline.RunSettings, fit: SampleFit) -> None:
    assert benchmark(pipeline.between_passes, [tube], {tube.tube_id: fit}, settings).consensus


def test_pass_2(benchmark: Any, tube: Tube, settings: pipeline.RunSettings, cohort: Any, fit: SampleFit) -> None:
    assert benchmark(pipeline.second_pass, tube, settings, cohort, fit).count("cd4_t").n


def test_medians_pictures_and_gate_interval(
    benchmark: Any, tube: Tube, settings: pipeline.RunSettings, result: SampleResult
) -> None:
    ready = pipeline.prepare(tube, settings)
    template, limits = ready.template, pipeline.axis_limits(ready.template)
    walk = apply_gates(template, {gate.population: gate for gate in result.gates}, ready.view)
    benchmark(lambda: Showing(template, ready.view, ready.linear, limits).complete(walk))


def test_a_result_into_its_stored_form_and_back(benchmark: Any, result: SampleResult) -> None:
    assert benchmark(lambda: decode(encode(result))).counts == result.counts


def test_committing_a_result(benchmark: Any, tmp_path: Path, result: SampleResult) -> None:
    payload = encode(result)
    numbers: Iterator[int] = iter(range(1 << 30))
    with Ledger(tmp_path) as ledger:
        ledger.begin_run("run", "code", encode({}), [("tube", "row")])

        def commit() -> None:
            ledger.commit_result("run", "tube", Stored(f"key {next(numbers)}", "row", "ab" * 32, payload))

        benchmark(commit)
        assert ledger.roster_of("run")[0][3] == "done"


def test_simulating_a_tube(benchmark: Any) -> None:
    plan = next(plan for plan in plan_cohort(PRESETS["sample"]) if plan.role == "sample")
    assert benchmark(simulate_tube, plan).n_cd4 > 0
