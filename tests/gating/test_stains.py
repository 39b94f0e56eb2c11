"""Stains that failed, told from the densities of pass 1."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treg_gating.gating.consensus import Member, learn_cohort
from treg_gating.gating.stains import weak_stains
from treg_gating.gating.template import load_template
from treg_gating.simulate import PRESETS, plan_cohort, write_cohort
from treg_gating.simulate.settings import FailedStain
from treg_gating.simulate.tubes import cd4_events

TEMPLATE = load_template("treg_foxp3")
KEYS = ("cd25_cd127low/aligned_mixture", "treg/aligned_mixture")


def summaries(rise: float, events: int = 2_000, treg: float = 0.05, place: float = 0.3) -> Mapping[str, Any]:
    """A tube whose Tregs stand `rise` above the others on FOXP3, and 0.35 on CD25; CD127 is the same for all."""
    n = int(events * treg)
    foxp3 = np.concatenate([np.linspace(-0.05, 0.05, events - n), np.full(n, rise)]) + place
    cd25 = np.concatenate([np.linspace(-0.05, 0.05, events - n), np.full(n, 0.35)]) + 0.3
    points = np.column_stack([cd25, np.full(events, 0.5), foxp3])
    one = {"columns": ["CD25", "CD127", "FOXP3"], "points": points, "counts": np.ones(events)}
    return dict.fromkeys(KEYS, one)


def tubes(rises: list[float], batches: str, **more: Any) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [(f"t{i}", b, summaries(r, **more)) for i, (r, b) in enumerate(zip(rises, batches, strict=True))]


def test_a_batch_without_its_stain_is_named_with_the_marker_and_the_distance() -> None:
    found = weak_stains(TEMPLATE, tubes([0.3] * 6 + [0.1] * 2, "11223344"))
    assert sorted(found) == ["t6", "t7"]
    assert found["t6"] == (
        "FOXP3: the brightest CD4 T cells rise 0.10 above the median, 0.20 gate units below the cohort's 0.30 "
        "(limit 0.13). The stain may have failed; the cohort's mixture was learnt without this tube",
    )


def test_a_stain_that_is_half_gone_shows_in_the_batch_but_not_in_one_tube() -> None:
    assert weak_stains(TEMPLATE, tubes([0.3] * 6 + [0.2] * 2, "11223345")) == {}  # a batch of one tube is a tube
    assert sorted(weak_stains(TEMPLATE, tubes([0.3] * 6 + [0.2] * 2, "11222233"))) == ["t6", "t7"]
    assert weak_stains(TEMPLATE, tubes([0.3] * 7 + [0.2], "11111111")) == {}
    assert sorted(weak_stains(TEMPLATE, tubes([0.3] * 7 + [0.1], "11111111"))) == ["t7"]


def test_gains_shares_and_small_tubes_are_no_weak_stain() -> None:
    usual = tubes([0.3] * 5, "12345")
    assert weak_stains(TEMPLATE, [*usual, ("darker", "6", summaries(0.3, place=0.1))]) == {}
    assert weak_stains(TEMPLATE, [*usual, ("few", "7", summaries(0.3, treg=0.01))]) == {}
    assert weak_stains(TEMPLATE, [*usual, ("tiny", "8", summaries(0.0, events=300))]) == {}
    assert weak_stains(TEMPLATE, [*usual, ("nothing", "9", {})]) == {}


def test_up_to_two_thirds_of_the_tubes_may_have_failed_and_four_tubes_tell_nothing() -> None:
    assert len(weak_stains(TEMPLATE, tubes([0.3] * 3 + [0.05] * 6, "123456789"))) == 6
    assert weak_stains(TEMPLATE, tubes([0.3] * 3 + [0.05], "1234")) == {}


def test_the_cohort_learns_without_such_a_tube_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from treg_gating.gating.methods.aligned_mixture import AlignedMixture

    seen: list[set[str]] = []
    monkeypatch.setattr(
        AlignedMixture, "pool", lambda _, learners: seen.append({one.tube_id for one in learners}) or {}
    )
    members = [
        Member(name, batch, "sample", "", learns=True, gates={}, summaries=one)
        for name, batch, one in tubes([0.3] * 6 + [0.1] * 2, "11223344")
    ]
    cohort = learn_cohort(TEMPLATE, members)
    assert seen
    assert all(names == {f"t{i}" for i in range(6)} for names in seen)
    assert {name: [(flag.code, flag.population) for flag in flags] for name, flags in cohort.flags.items()} == {
        name: [("STAIN_WEAK", "treg")] for name in ("t6", "t7")
    }
    assert "a stain may have failed in 2 tube(s): t6, t7" in cohort.notes


def simulated(
    preset: str, seed: int, failed: FailedStain | None = None
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Densities of CD4 T cells of a simulated cohort of 24 tubes, as pass 1 would leave them."""
    scale = TEMPLATE.transforms["FOXP3"]
    for plan in plan_cohort(replace(PRESETS[preset], seed=seed, subjects=6, failed_stain=failed)):
        if plan.role != "sample":
            continue
        raw, _ = cd4_events(plan, 3_000, "stain")
        columns = [plan.panel.markers.index(marker) for marker in ("CD25", "CD127", "FOXP3")]
        points = scale.apply((raw @ np.linalg.inv(plan.file_spillover))[:, columns])
        one = {"columns": ["CD25", "CD127", "FOXP3"], "points": points, "counts": np.ones(len(points))}
        yield plan.file, plan.batch, dict.fromkeys(KEYS, one)


@pytest.mark.parametrize(("marker", "left"), [("FOXP3", 0.04), ("FOXP3", 0.15), ("CD25", 0.04)])
def test_a_failed_batch_of_a_simulated_cohort_is_found_whole_and_no_other_tube(marker: str, left: float) -> None:
    made = list(simulated("foxp3", 41, FailedStain(marker, "B2", left)))
    found = weak_stains(TEMPLATE, made)
    assert set(found) == {file for file, batch, _ in made if batch == "B2"}
    assert all(said[0].startswith(marker) for said in found.values())


@pytest.mark.parametrize("preset", ["foxp3", "hard", "smeared", "batchy"])
def test_no_stain_failed_in_cohorts_where_none_did(preset: str) -> None:
    assert weak_stains(TEMPLATE, list(simulated(preset, 42))) == {}


@pytest.mark.slow
def test_where_one_batchs_foxp3_failed_no_tube_is_silently_wrong(tmp_path: Path) -> None:
    """From files to flags: tubes of the batch are flagged or empty, and the others do not suffer."""
    from treg_gating.pipeline import RunSettings, between_passes, first_pass, second_pass
    from treg_gating.samplesheet import Role, read_samplesheet
    from treg_gating.study import read_study

    cohort = PRESETS["failed_stain"]
    cohort = replace(cohort, seed=43, subjects=4, acquiring=replace(cohort.acquiring, events=16_000))
    made = write_cohort(cohort, tmp_path, event_truth=False)
    study = read_study(made.study)
    tubes = [
        t for t in read_samplesheet(made.sheet, study=study).tubes if t.role in {Role.SAMPLE, Role.CONTROL, Role.FMO}
    ]
    settings = RunSettings(TEMPLATE, study)
    fits = {tube.tube_id: first_pass(tube, settings) for tube in tubes}
    learnt = between_passes(tubes, fits, settings)
    with made.truth.open(encoding="utf-8") as file:
        truth = {(row["subject"], row["visit"]): float(row["treg_pct_of_cd4"]) for row in csv.DictReader(file)}
    for tube in (tube for tube in tubes if tube.role is Role.SAMPLE):
        result = second_pass(tube, settings, learnt, fits[tube.tube_id])
        top, bottom = result.count("treg"), result.count("cd4_t")
        if tube.batch == "B2":
            empty = top is None or top.n is None
            assert empty or any(flag.level != "note" for flag in result.flags), tube.tube_id
            continue
        assert top is not None
        assert bottom is not None
        assert 100 * top.n / bottom.n == pytest.approx(truth[tube.subject, tube.visit], rel=0.15)  # type: ignore[operator]
