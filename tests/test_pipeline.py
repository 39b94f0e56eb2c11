"""One tube's story: what is refused, what comes out of a small cohort, and tubes in which there is nothing."""

from __future__ import annotations

import hashlib
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from treg_gating.compensation import compensate
from treg_gating.errors import CompensationError, FCSError, PanelError, TregGatingError
from treg_gating.fcs import read_fcs, write_fcs
from treg_gating.fcs.segment import Data
from treg_gating.flags import FlagLevel
from treg_gating.gating.consensus import CohortGates
from treg_gating.gating.gates import Gate, gate_to_dict
from treg_gating.gating.results import SampleFit, SampleResult
from treg_gating.gating.template import load_template, shipped_templates
from treg_gating.pipeline import (
    OWN_MATRIX,
    QUALITY,
    RunSettings,
    between_passes,
    failed_result,
    first_pass,
    prepare,
    second_pass,
)
from treg_gating.populations import percentage
from treg_gating.run.codec import decode, encode
from treg_gating.sample import Channel, Sample, Spillover
from treg_gating.samplesheet import Role, Tube, read_samplesheet
from treg_gating.simulate import PRESETS, TubePlan, plan_cohort, read_truth, simulate_tube, write_cohort
from treg_gating.simulate.populations import CD4_LINEAGE
from treg_gating.simulate.settings import Acquiring
from treg_gating.study import read_study

SETTINGS = replace(
    PRESETS["foxp3"],
    subjects=3,
    batches=1,
    visits=(PRESETS["foxp3"].visits[0], PRESETS["foxp3"].visits[3]),
    acquiring=Acquiring(events=15_000),
)


@dataclass
class Cohort:
    """A small simulated cohort after both passes."""

    folder: Path
    tubes: tuple[Tube, ...]
    settings: RunSettings
    fits: dict[str, SampleFit]
    gates: CohortGates
    results: dict[str, SampleResult]


def gated(
    tubes: tuple[Tube, ...], settings: RunSettings
) -> tuple[dict[str, SampleFit], CohortGates, dict[str, SampleResult]]:
    used = [tube for tube in tubes if tube.role in {Role.SAMPLE, Role.CONTROL, Role.FMO}]
    fits = {tube.tube_id: first_pass(tube, settings) for tube in used}
    cohort = between_passes(used, fits, settings)
    counted = [tube for tube in used if tube.role is not Role.FMO]
    return fits, cohort, {tube.tube_id: second_pass(tube, settings, cohort, fits[tube.tube_id]) for tube in counted}


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("gated")
    write_cohort(SETTINGS, folder)
    study = read_study(folder / "study.toml")
    tubes = tuple(read_samplesheet(folder / "samples.csv", study=study).tubes)
    settings = RunSettings(load_template("treg_foxp3"), study)
    return Cohort(folder, tubes, settings, *gated(tubes, settings))


def treg_pct(result: SampleResult) -> float:
    return percentage(result.count("treg"), result.count("cd4_t"))


def numbers(gate: Gate | None) -> np.ndarray:
    """Every number of a gate, in one row."""
    plain = gate_to_dict(gate) if gate is not None else {}
    return np.concatenate(
        [np.zeros(0), *(np.ravel(value) for key, value in plain.items() if key not in {"gate", "dims"})]
    )


def test_both_passes_come_close_to_the_truth(cohort: Cohort) -> None:
    ratios, cd4 = [], []
    for tube in cohort.tubes:
        if tube.role is not Role.SAMPLE:
            continue
        truth = read_truth(cohort.folder / "truth" / f"{tube.path.stem}.npz")
        result = cohort.results[tube.tube_id]
        count = result.count("cd4_t")
        assert count is not None
        assert count.n
        ratios.append(treg_pct(result) / (100 * truth.is_treg.sum() / truth.is_cd4.sum()))
        cd4.append(count.n / truth.is_cd4.sum())
    assert len(ratios) == 6
    assert 0.85 < min(ratios) < max(ratios) < 1.18
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)
    assert 0.95 < min(cd4) < max(cd4) < 1.005  # quality control takes some of a disturbed tube
    assert np.median(cd4) > 0.985  # the gates on the way lose hardly any


def test_a_file_whose_own_matrix_is_not_that_of_its_batch_is_reviewed(cohort: Cohort) -> None:
    assert cohort.gates.flags == {}
    odd = next(tube for tube in cohort.tubes if tube.role is Role.SAMPLE)
    fit = cohort.fits[odd.tube_id]
    own = fit.summaries[OWN_MATRIX]
    matrix = own["matrix"] + 0.05 * np.eye(len(own["channels"]), k=1)
    other = replace(fit, summaries={**fit.summaries, OWN_MATRIX: {**own, "matrix": matrix}})
    gates = between_passes(cohort.tubes, {**cohort.fits, odd.tube_id: other}, cohort.settings)
    assert {name: [(flag.code, flag.level) for flag in flags] for name, flags in gates.flags.items()} == {
        odd.tube_id: [("SPILLOVER_DIFFERS", FlagLevel.REVIEW)]
    }
    assert "the batch's median (B1)" in gates.flags[odd.tube_id][0].text
    told = second_pass(odd, cohort.settings, replace(cohort.gates, flags=gates.flags), fit)
    assert gates.flags[odd.tube_id][0] in told.flags


def test_a_result_holds_what_tables_and_report_need(cohort: Cohort) -> None:
    result = next(iter(cohort.results.values()))
    template = cohort.settings.template
    assert (result.status, result.n_events) == ("done", 15_000)
    assert "SPILL" in result.compensation.upper()
    assert [gate.population for gate in result.gates] == [step.population for step in template.steps]
    assert [count.population for count in result.counts] == ["root", "clean", *(s.population for s in template.steps)]
    assert {"CD25", "FOXP3"} <= set(result.count("treg").mfi)  # type: ignore[union-attr]
    assert set(result.transforms) == {marker for marker, _, _ in result.panel}
    low, high = result.gate_interval["treg"]
    assert low <= treg_pct(result) <= high
    for picture in result.pictures:
        parent = result.count(picture.parent)
        assert parent is not None
        assert int(picture.counts.sum()) == (parent.n if parent.n is not None else result.count("t_cells").n)  # type: ignore[union-attr]


def test_a_child_is_never_larger_than_its_parent(cohort: Cohort) -> None:
    checked = 0
    for result in cohort.results.values():
        for count in result.counts:
            if count.n is not None and count.n_parent is not None:
                assert 0 <= count.n <= count.n_parent
                checked += 1
    assert checked > 50


def test_the_order_of_events_is_irrelevant(cohort: Cohort, tmp_path: Path) -> None:
    """Without Time (its control needs the order), shuffled events give the same fit, gates and counts."""
    tube = cohort.tubes[0]
    sample = read_fcs(tube.path)
    keep = [i for i, channel in enumerate(sample.channels) if not channel.is_time]
    order = np.random.default_rng(0).permutation(sample.n_events)
    answers = []
    for name, rows in (("plain", np.arange(sample.n_events)), ("shuffled", order)):
        path = tmp_path / f"{name}.fcs"
        channels = tuple(sample.channels[i] for i in keep)
        write_fcs(path, sample.events[rows][:, keep], channels, spillover=sample.spillover)
        moved = replace(tube, path=path)
        fit = first_pass(moved, cohort.settings)
        result = second_pass(moved, cohort.settings, cohort.gates, fit)
        answers.append(result)
    plain, shuffled = answers
    assert shuffled.counts == plain.counts
    for one, other in zip(plain.gates, shuffled.gates, strict=True):
        assert (one.rule, one.status) == (other.rule, other.status)
        assert str(other.gate)[:12] == str(one.gate)[:12]
        np.testing.assert_allclose(numbers(other.gate), numbers(one.gate), rtol=1e-9, err_msg=one.population)


def test_tubes_alone_give_what_they_gave_among_others(cohort: Cohort) -> None:
    """A worker that meets the tubes in another order, in a fresh process state, answers byte for byte the same."""
    for tube in [tube for tube in cohort.tubes if tube.role is Role.SAMPLE][:3:2][::-1]:
        fit = first_pass(tube, cohort.settings)
        assert encode(fit) == encode(cohort.fits[tube.tube_id])
        result = second_pass(tube, cohort.settings, cohort.gates, fit)
        assert encode(result) == encode(cohort.results[tube.tube_id])


@pytest.mark.slow
def test_the_order_of_tubes_is_irrelevant(cohort: Cohort) -> None:
    _, gates, results = gated(cohort.tubes[::-1], cohort.settings)
    assert gates.notes == cohort.gates.notes
    for tube_id, result in results.items():
        assert encode(result) == encode(cohort.results[tube_id])


def test_pictures_show_the_control_of_the_batch(cohort: Cohort, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shipped_templates()["treg_foxp3"], tmp_path / "mine"))
    gates = (folder / "gates.csv").read_text(encoding="utf-8").splitlines()
    # In so small a tube CD4 has no valley; with a gate of its own the control can be followed down to CD4 T cells.
    gates = ["cd4_t,not_cd8,CD4,+,fixed,low=0.45,own," if row.startswith("cd4_t,") else row for row in gates]
    (folder / "gates.csv").write_text("\n".join(gates) + "\n", encoding="utf-8")
    settings = replace(cohort.settings, template=load_template(folder))
    control = next(tube for tube in cohort.tubes if tube.role is Role.FMO)
    tube = cohort.tubes[0]
    fits = {one.tube_id: first_pass(one, settings) for one in (tube, control)}
    gated_by = between_passes([tube, control], fits, settings)
    pictures = {one.population: one for one in second_pass(tube, settings, gated_by, fits[tube.tube_id]).pictures}
    shown = {name for name, picture in pictures.items() if picture.control is not None}
    assert shown == {"treg"}, "the FMO leaves out FOXP3 alone"
    threshold = gated_by.models["treg/control_quantile"]["by_batch"][tube.batch][0]
    density = pictures["treg"].control
    assert density is not None
    (low,), (high,) = pictures["treg"].low, pictures["treg"].high
    edges = np.linspace(low, high, len(density) + 1)[:-1]
    assert 0.99 < density[edges < threshold].sum() / density.sum() <= 1.0
    elsewhere = second_pass(replace(tube, batch="B9"), settings, gated_by, fits[tube.tube_id])
    assert all(picture.control is None for picture in elsewhere.pictures)


# What is refused


def raw_tube(tmp_path: Path, sample: Sample, name: str = "t.fcs", **changes: object) -> Tube:
    path = tmp_path / name
    write_fcs(path, sample.events, sample.channels, spillover=sample.spillover)
    return Tube("t", name, path, "S", "Baseline", "B1", **changes)  # type: ignore[arg-type]


@pytest.fixture
def small(cohort: Cohort) -> Sample:
    sample = read_fcs(cohort.tubes[0].path)
    return Sample(sample.events[:2_000].copy(), sample.channels, spillover=sample.spillover)


def test_raw_events_without_a_matrix_are_refused(cohort: Cohort, small: Sample, tmp_path: Path) -> None:
    with pytest.raises(CompensationError, match=r"t.fcs: no spillover matrix in the file.*--spillover"):
        first_pass(raw_tube(tmp_path, replace(small, spillover=None)), cohort.settings)


def test_what_the_text_refuses_is_not_read(
    cohort: Cohort, small: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tube = raw_tube(tmp_path, replace(small, spillover=None))

    def fill(data: Data, *_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Data, "fill", fill)
    with pytest.raises(CompensationError, match="no spillover matrix"):
        first_pass(tube, cohort.settings)
    with pytest.raises(AssertionError):
        first_pass(raw_tube(tmp_path, small), cohort.settings)


def test_columns_are_compensated_while_the_events_pass(cohort: Cohort) -> None:
    """By either pass to the same values as afterwards, and no event is held any longer."""
    tube = next(tube for tube in cohort.tubes if tube.role is Role.SAMPLE)
    first = prepare(tube, cohort.settings)
    second = prepare(tube, cohort.settings, digest=False, judged=True, quality=first.quality)
    sample = read_fcs(tube.path)
    whole, everything = compensate(sample, sample.spillover), np.arange(sample.n_events)
    for ready in (first, second):
        assert np.isnan(ready.sample.events).all()
        assert ready.sample.events.strides == (0, 0)
        assert ready.sample.crc32 == first.sample.crc32
        assert len(ready.linear) > 5
        for marker, way in ready.linear.items():
            expected = whole.column(ready.panel.channel_of[marker].name)
            np.testing.assert_allclose(way(everything), expected, rtol=2e-7, atol=1e-4, err_msg=marker)
    assert second.sample.sha256 == ""


def test_a_matrix_beside_the_file_takes_its_place(cohort: Cohort, small: Sample, tmp_path: Path) -> None:
    assert small.spillover is not None
    given = replace(cohort.settings, spillover=Spillover(small.spillover.channels, small.spillover.matrix, "day.csv"))
    inside = first_pass(raw_tube(tmp_path, small, "with.fcs"), cohort.settings)
    beside = first_pass(raw_tube(tmp_path, replace(small, spillover=None), "without.fcs"), given)
    assert encode(beside.gates) == encode(inside.gates)


def test_events_for_an_export_template_must_not_have_a_matrix(cohort: Cohort, small: Sample, tmp_path: Path) -> None:
    pregated = replace(cohort.settings, template=load_template("treg_pregated"))
    with pytest.raises(CompensationError, match=r"template treg_pregated is for events that are compensated already"):
        first_pass(raw_tube(tmp_path, small), pregated)
    plain = raw_tube(tmp_path, replace(small, spillover=None))
    with pytest.raises(CompensationError, match=r"matrix \(day.csv\)"):
        first_pass(plain, replace(pregated, spillover=Spillover(("PE-A",), np.eye(1), "day.csv")))
    assert set(first_pass(plain, pregated).gates) == {step.population for step in pregated.template.steps}


@pytest.mark.parametrize("prefix", ["FJComp-", "Comp-"])
def test_compensated_exports_are_not_compensated_twice(
    prefix: str, cohort: Cohort, small: Sample, tmp_path: Path
) -> None:
    channels = tuple(
        replace(channel, name=f"{prefix}{channel.name}") if channel.marker else channel for channel in small.channels
    )
    export = replace(small, channels=channels, spillover=None)
    assert small.spillover is not None
    given = replace(cohort.settings, spillover=small.spillover)
    for settings in (cohort.settings, given):
        with pytest.raises(CompensationError, match=rf"channel {prefix}\S+ is compensated already"):
            first_pass(raw_tube(tmp_path, export), settings)


def test_a_missing_marker_is_refused(cohort: Cohort, small: Sample, tmp_path: Path) -> None:
    keep = [i for i, channel in enumerate(small.channels) if channel.marker != "FOXP3"]
    without = Sample(small.events[:, keep], tuple(small.channels[i] for i in keep))
    with pytest.raises(PanelError, match="FOXP3"):
        first_pass(raw_tube(tmp_path, without), cohort.settings)


def test_a_file_that_changes_between_the_passes_is_refused(cohort: Cohort, small: Sample, tmp_path: Path) -> None:
    tube = raw_tube(tmp_path, small)
    fit = first_pass(tube, cohort.settings)
    raw_tube(tmp_path, replace(small, events=small.events[:-1].copy()))
    with pytest.raises(FCSError, match=r"E_CHANGED.*the file changed while the run was going on") as caught:
        second_pass(tube, cohort.settings, cohort.gates, fit)
    row = failed_result(tube, caught.value, "pass 2")
    assert (row.status, row.stage, row.code) == ("failed", "pass 2", "E_CHANGED")
    assert row.counts == ()


def test_what_was_odd_in_a_file_is_told_although_pass_2_does_not_look_at_its_values_again(
    cohort: Cohort, small: Sample, tmp_path: Path
) -> None:
    events = small.events.copy()
    clock = [channel.is_time for channel in small.channels].index(True)
    events[:, clock] = np.roll(events[:, clock], 99)
    tube = raw_tube(tmp_path, replace(small, events=events))
    fit = first_pass(tube, cohort.settings)
    warnings = second_pass(tube, cohort.settings, cohort.gates, fit).warnings
    assert any("W_TIME" in warning for warning in warnings), warnings
    old = replace(fit, crc32="", summaries={name: fit.summaries[name] for name in fit.summaries if name != "warnings"})
    assert second_pass(tube, cohort.settings, cohort.gates, old).warnings == warnings


@pytest.mark.parametrize("known", ["crc32", "sha256"])
def test_one_bit_that_changes_between_the_passes_is_seen(
    cohort: Cohort, small: Sample, tmp_path: Path, known: str
) -> None:
    tube = raw_tube(tmp_path, small)
    fit = first_pass(tube, cohort.settings)
    raw = bytearray(tube.path.read_bytes())
    assert (fit.crc32, fit.sha256) == (f"{zlib.crc32(raw):08x}", hashlib.sha256(raw).hexdigest())
    fit = fit if known == "crc32" else replace(fit, crc32="")  # as an earlier version stored it
    assert second_pass(tube, cohort.settings, cohort.gates, fit).sha256 == fit.sha256
    raw[-2000] ^= 1
    tube.path.write_bytes(raw)
    with pytest.raises(FCSError, match="E_CHANGED"):
        second_pass(tube, cohort.settings, cohort.gates, fit)


def test_rows_of_tubes_that_failed() -> None:
    tube = Tube("t", "t.fcs", Path("t.fcs"), "S", "V", "B")
    assert failed_result(tube, CompensationError("singular"), "pass 1").code == "CompensationError"
    bug = failed_result(tube, ZeroDivisionError(), "pass 1")
    assert (bug.code, bug.reason) == ("E_BUG", "ZeroDivisionError()")
    assert (bug.subject, bug.visit, bug.batch, bug.role) == ("S", "V", "B", "sample")


# Tubes in which there is nothing


def simulated(change: Callable[[TubePlan], TubePlan]) -> Sample:
    return simulate_tube(change(next(iter(plan_cohort(SETTINGS))))).sample()


def outcome(sample: Sample, cohort: Cohort, tmp_path: Path) -> SampleResult:
    """The tube's row as a run would write it, gated with the cohort's gates."""
    tube = raw_tube(tmp_path, sample)
    try:
        fit = first_pass(tube, cohort.settings)
        return second_pass(tube, cohort.settings, cohort.gates, fit)
    except TregGatingError as error:
        return failed_result(tube, error, "pass 1")


def assert_not_zero_in_silence(result: SampleResult) -> None:
    """Never a percentage of nothing: empty with its reason, or at least a flag that asks a person to look."""
    if result.status == "failed":
        assert result.reason
        return
    treg, cd4 = result.count("treg"), result.count("cd4_t")
    assert treg is not None
    assert cd4 is not None
    if treg.n is None or not cd4.n:
        assert np.isnan(treg_pct(result))
        assert treg.n is None
        assert treg.status == "not_estimable"
        assert treg.reason
    else:
        assert any(flag.level is not FlagLevel.NOTE for flag in result.flags), result.flags


def test_no_event_at_all(cohort: Cohort, small: Sample, tmp_path: Path) -> None:
    result = outcome(replace(small, events=small.events[:0].copy()), cohort, tmp_path)
    assert_not_zero_in_silence(result)
    assert np.isnan(treg_pct(result)) or result.status == "failed"


def test_fifty_events(cohort: Cohort, small: Sample, tmp_path: Path) -> None:
    assert_not_zero_in_silence(outcome(replace(small, events=small.events[:50].copy()), cohort, tmp_path))


def test_all_cells_dead(cohort: Cohort, tmp_path: Path) -> None:
    result = outcome(simulated(lambda plan: replace(plan, viability=0.0)), cohort, tmp_path)
    assert_not_zero_in_silence(result)


def test_no_cd4_t_cell(cohort: Cohort, tmp_path: Path) -> None:
    def without_cd4(plan: TubePlan) -> TubePlan:
        shares = np.array(
            [0.0 if kind.lineage == CD4_LINEAGE else share for kind, share in zip(plan.types, plan.shares, strict=True)]
        )
        assert shares.sum() < 0.9
        return replace(plan, shares=shares / shares.sum())

    result = outcome(simulated(without_cd4), cohort, tmp_path)
    assert_not_zero_in_silence(result)


def test_only_noise(cohort: Cohort, small: Sample, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(1_000, 200, small.events.shape).astype(np.float32)
    noise[:, -1] = np.sort(np.abs(noise[:, -1]))
    assert isinstance(small.channels[-1], Channel)
    assert small.channels[-1].is_time
    assert_not_zero_in_silence(outcome(replace(small, events=noise), cohort, tmp_path))


def test_quality_control_of_pass_1_serves_pass_2(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it comes out of the ledger; where it is not there, the events are looked at again, with the same end."""
    tube = next(tube for tube in cohort.tubes if tube.tube_id in cohort.results)
    stored = decode(encode(cohort.fits[tube.tube_id]))
    without = replace(stored, summaries={name: one for name, one in stored.summaries.items() if name != QUALITY})
    again = second_pass(tube, cohort.settings, cohort.gates, without)
    monkeypatch.setattr("treg_gating.pipeline.assess", None)
    found = second_pass(tube, cohort.settings, cohort.gates, stored)
    assert 0 < found.quality["margin_pct"] < 100
    assert encode(found) == encode(again) == encode(cohort.results[tube.tube_id])
