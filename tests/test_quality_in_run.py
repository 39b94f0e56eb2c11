"""What quality control and controls do to a tube's result: counts, flags, the endpoint, the matrix that is recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from treg_gating.endpoint import endpoint_table
from treg_gating.fcs.writer import write_fcs
from treg_gating.flags import FlagLevel
from treg_gating.gating.template import load_template
from treg_gating.matrices import from_controls
from treg_gating.pipeline import RunSettings, between_passes, first_pass, second_pass
from treg_gating.run.codec import decode, encode
from treg_gating.run.plan import template_summary
from treg_gating.samplesheet import Role, Tube, read_samplesheet
from treg_gating.simulate import PRESETS, plan_cohort, simulate_tube, write_cohort
from treg_gating.study import default_study


def _gated(tubes, settings):
    fits = {tube.tube_id: first_pass(tube, settings) for tube in tubes}
    cohort = between_passes(tubes, fits, settings)
    return {tube.tube_id: second_pass(tube, settings, cohort, fits[tube.tube_id]) for tube in tubes}


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """Three tubes of one subject's cells: untouched, a tenth too dim, and 28 % at either end of it wrong."""
    folder = tmp_path_factory.mktemp("tubes")
    plan = next(plan for plan in plan_cohort(PRESETS["foxp3"]) if plan.role == "sample")
    made = simulate_tube(replace(plan, n_events=20_000, disturbances=()))
    light = [i for i, channel in enumerate(made.channels) if not channel.is_scatter and not channel.is_time]
    tubes = []
    for name, stretches in {
        "good": (),
        "tenth": ((9_000, 11_000, 0.4),),
        "most": ((0, 5_600, 0.3), (14_400, 20_000, 3.0)),
    }.items():
        events = made.events.copy()
        for first, last, factor in stretches:
            events[first:last, light] *= factor
        path = folder / f"{name}.fcs"
        write_fcs(path, np.minimum(events, 262143), made.channels, spillover=made.spillover, timestep=0.01)
        tubes.append(Tube(name, path.name, path, name, "Baseline", "1", Role.SAMPLE))
    settings = RunSettings(load_template("treg_foxp3"), default_study(["Baseline"]))
    results = _gated(tubes, settings)
    rows = endpoint_table(results, tubes, settings.study, template_summary(settings.template))
    return results, {row["subject"]: row for row in rows}


def test_what_is_removed_stands_in_the_counts(gated):
    result = gated[0]["tenth"]
    root, clean = result.count("root"), result.count("clean")
    assert root.n == 20_000
    assert result.quality["time_removed_pct"] == pytest.approx(10, abs=1.5)
    lost = 100 * (1 - clean.n / root.n)
    assert lost == pytest.approx(result.quality["time_removed_pct"] + result.quality["margin_pct"], abs=1e-9)
    assert [flag.level for flag in result.flags if flag.code == "TIME"] == [FlagLevel.NOTE]
    assert gated[1]["tenth"]["treg_pct_of_cd4"] == pytest.approx(gated[1]["good"]["treg_pct_of_cd4"], rel=0.08)


def test_more_than_half_removed_leaves_no_value(gated):
    result, row = gated[0]["most"], gated[1]["most"]
    assert result.quality["time_removed_pct"] > 50
    assert [flag.level for flag in result.flags if flag.code == "TIME"] == [FlagLevel.FAIL]
    assert (row["status"], row["treg_pct_of_cd4"]) == ("not_estimable", None)
    assert "removed by time and flow rate (limit 50 %)" in row["reason"]
    assert "TIME" in row["flags"].split(";")


def test_stretches_and_timeline_survive_the_ledger(gated):
    result = gated[0]["tenth"]
    again = decode(encode(result))
    assert again.removed == result.removed
    assert len(again.removed) == 1
    assert np.array_equal(again.timeline["rate"], result.timeline["rate"])
    assert 0.07 < again.timeline["removed"].mean() < 0.13


def test_a_run_records_the_controls_it_was_compensated_with(tmp_path):
    preset = PRESETS["sample"]
    controls = replace(preset.controls, single_stains=True, stain_events=3_000, fmo="none")
    settings = replace(preset, subjects=1, visits=preset.visits[:1], batches=1, controls=controls)
    sheet = read_samplesheet(write_cohort(settings, tmp_path).sheet)
    matrices, _ = from_controls(sheet.tubes)
    tubes = [tube for tube in sheet.tubes if tube.role in {Role.SAMPLE, Role.CONTROL}]
    run = RunSettings(load_template("treg_foxp3"), default_study(sheet.visits), matrices=matrices)
    for result in _gated(tubes, run).values():
        assert result.compensation == "single stains of batch B1"
        assert np.array_equal(result.spillover["matrix"], matrices["B1"].matrix)
    own = _gated(tubes, replace(run, order=("file",)))
    assert {result.compensation for result in own.values()} == {"$SPILLOVER"}
