"""Whole tubes: truth, reproducibility, controls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from treg_gating.simulate import (
    PRESETS,
    CohortSettings,
    Disturbance,
    SimulatedTube,
    TubePlan,
    plan_cohort,
    simulate_single_stains,
    simulate_tube,
)
from treg_gating.simulate.settings import Acquiring, Controls

SMALL = replace(PRESETS["foxp3"], subjects=2, batches=2, acquiring=Acquiring(events=20_000))


def plans(settings: CohortSettings, role: str = "sample") -> list[TubePlan]:
    return [plan for plan in plan_cohort(settings) if plan.role == role]


@pytest.fixture(scope="module")
def tube() -> SimulatedTube:
    return simulate_tube(plans(SMALL)[0])


def compensated(tube: SimulatedTube, marker: str) -> np.ndarray:
    columns = tube.plan.panel.columns(tube.plan.panel.markers)
    values = tube.events[:, columns].astype(np.float64) @ tube.true_spillover.inverse
    return values[:, tube.plan.panel.markers.index(marker)]


def test_same_plan_same_bytes(tube: SimulatedTube) -> None:
    again = simulate_tube(plans(SMALL)[0])
    assert again.events.tobytes() == tube.events.tobytes()
    assert again.truth.population.tobytes() == tube.truth.population.tobytes()
    other = simulate_tube(plans(replace(SMALL, seed=2))[0])
    assert other.events.tobytes() != tube.events.tobytes()


def test_more_subjects_controls_and_visits_leave_a_tube_alone(tube: SimulatedTube) -> None:
    larger = replace(SMALL, subjects=5, controls=Controls(single_stains=True, fmo_markers=("FOXP3", "CD25")))
    shorter = replace(SMALL, visits=SMALL.visits[:2])
    for settings in (larger, shorter):
        again = simulate_tube(plans(settings)[0])
        assert again.plan.file == tube.plan.file
        assert again.events.tobytes() == tube.events.tobytes()


def test_counts_of_truth(tube: SimulatedTube) -> None:
    truth = tube.truth
    assert (truth.is_treg <= truth.is_cd4).all()
    assert (truth.is_cd4 <= (truth.live & truth.singlet)).all()
    assert set(np.unique(truth.population[truth.is_treg])) == {
        truth.names.index("naive_treg"),
        truth.names.index("effector_treg"),
    }
    expected = tube.plan.treg_share
    se = np.sqrt(expected * (1 - expected) / tube.n_cd4)
    assert tube.treg_pct_of_cd4 / 100 == pytest.approx(expected, abs=4 * se)
    share = (truth.population == truth.names.index("doublet")).mean()
    assert share == pytest.approx(tube.plan.doublets, abs=4 * np.sqrt(0.045 / 20_000))
    singles = truth.population < len(tube.plan.types)
    assert truth.live[singles].mean() == pytest.approx(tube.plan.viability, abs=0.01)


def test_events_lie_in_range_and_time_runs_forward(tube: SimulatedTube) -> None:
    assert tube.events.dtype == np.float32
    assert tube.events.shape == (20_000, len(tube.channels))
    assert np.isfinite(tube.events).all()
    assert tube.events[:, :-1].max() == 262_143
    assert tube.events[:, :-1].min() >= -1_000
    assert (np.diff(tube.events[:, -1]) >= 0).all()
    names = [c.name for c in tube.channels]
    margin = tube.truth.population == tube.truth.names.index("margin")
    assert margin.sum() > 0
    assert (tube.events[margin, names.index("FSC-A")] == 262_143).all()


def test_doublets_leave_the_singlet_line(tube: SimulatedTube) -> None:
    names = [c.name for c in tube.channels]
    ratio = tube.events[:, names.index("FSC-A")] / tube.events[:, names.index("FSC-H")]
    doublet = tube.truth.population == tube.truth.names.index("doublet")
    single = np.median(ratio[tube.truth.singlet])
    assert single == pytest.approx(1 / 0.82, rel=0.01)
    assert (ratio[doublet] > 1.08 * single).mean() > 0.9
    assert (ratio[tube.truth.singlet] > 1.08 * single).mean() < 0.001


def test_dead_cells_are_bright_for_viability_and_bind_everything(tube: SimulatedTube) -> None:
    types = len(tube.plan.types)
    single = tube.truth.singlet & (tube.truth.population < types)
    viability = compensated(tube, "Viability")
    assert np.quantile(viability[single & tube.truth.live], 0.99) < np.quantile(
        viability[single & ~tube.truth.live], 0.01
    )
    b_cell = single & (tube.truth.population == tube.truth.names.index("b_cell"))
    cd4 = compensated(tube, "CD4")
    assert np.median(cd4[b_cell & ~tube.truth.live]) > np.median(cd4[b_cell & tube.truth.live]) + 200


def test_tregs_stand_where_the_design_has_them(tube: SimulatedTube) -> None:
    treg, tconv = tube.truth.is_treg, tube.truth.is_cd4 & ~tube.truth.is_treg
    medians = {
        m: (np.median(compensated(tube, m)[treg]), np.median(compensated(tube, m)[tconv]))
        for m in ("CD25", "CD127", "FOXP3", "CD4")
    }
    assert medians["CD25"][0] > 4 * medians["CD25"][1]
    assert medians["FOXP3"][0] > 3 * medians["FOXP3"][1]
    assert medians["CD127"][0] < 0.4 * medians["CD127"][1]
    assert medians["CD4"][0] / medians["CD4"][1] == pytest.approx(0.83, abs=0.03)


def test_il2_raises_cd25_on_tregs() -> None:
    arms = {p.arm: p for p in plans(replace(SMALL, subjects=3)) if p.visit == "Week 12"}
    assert arms["LD-IL2"].type_stain["effector_treg"]["CD25"] == pytest.approx(1.5)
    assert arms["LD-IL2"].type_stain["memory_tconv"]["CD25"] == pytest.approx(1.08)
    assert arms["Rapamycin"].type_stain == {}


def test_disturbed_events_are_shifted_and_marked() -> None:
    plan = replace(plans(SMALL)[0], disturbances=(Disturbance("clog", 0.15, 0.3),))
    tube = simulate_tube(plan)
    cd4, disturbed = tube.truth.is_cd4, tube.truth.disturbed
    values = compensated(tube, "CD4")
    shift = np.log10(np.median(values[cd4 & disturbed]) / np.median(values[cd4 & ~disturbed]))
    assert 0.01 < disturbed.mean() < 0.10
    assert shift == pytest.approx(-0.25, abs=0.08)


def test_fmo_has_everything_but_its_marker() -> None:
    donor, fmo = (simulate_tube(plans(SMALL, role)[0]) for role in ("control", "fmo"))
    assert fmo.plan.control_for == "FOXP3"
    assert fmo.plan.batch == donor.plan.batch
    medians = [np.median(compensated(t, "FOXP3")[t.truth.is_treg]) for t in (fmo, donor)]
    assert medians[0] < 0.25 * medians[1]
    same = [np.median(compensated(t, "CD25")[t.truth.is_treg]) for t in (fmo, donor)]
    assert same[0] == pytest.approx(same[1], rel=0.10)
    # Without the dye nothing but autofluorescence and spreading is left.
    assert medians[0] < 150


def test_poor_and_missing_fmo() -> None:
    poor = plans(replace(SMALL, controls=Controls(fmo="poor")), "fmo")[0]
    column = poor.panel.markers.index("FOXP3")
    assert poor.n_events == 6_000
    assert poor.stain[column] > 0
    assert plans(replace(SMALL, controls=Controls(fmo="none")), "fmo") == []


def test_failed_stain_of_one_batch() -> None:
    failed = plans(replace(PRESETS["failed_stain"], subjects=2))
    column = failed[0].panel.markers.index("FOXP3")
    weak = {plan.batch for plan in failed if plan.stain[column] < 0.15}
    assert weak == {"B2"}


def test_stains_left_out_move_nothing_else() -> None:
    full, less = (plans(settings)[0] for settings in (SMALL, replace(SMALL, drop_markers=("CD45RA",))))
    assert "CD45RA" not in less.panel.markers
    kept = [full.panel.markers.index(marker) for marker in less.panel.markers]
    np.testing.assert_array_equal(full.stain[kept], less.stain)
    np.testing.assert_array_equal(full.file_spillover[np.ix_(kept, kept)], less.file_spillover)


def test_single_stains_recover_the_matrix() -> None:
    tubes = list(simulate_single_stains(SMALL, n_events=20_000))
    assert [t.plan.role for t in tubes] == ["single_stain"] * 8 + ["unstained"]
    unstained = tubes[-1].events
    for number, single in enumerate(tubes[:-1]):
        columns = single.plan.panel.columns(single.plan.panel.markers)
        stained = single.truth.singlet & (single.truth.population == 0)
        assert 8_000 < stained.sum() < 10_000
        over = single.events[stained][:, columns].mean(axis=0) - unstained[tubes[-1].truth.singlet][:, columns].mean(
            axis=0
        )
        np.testing.assert_allclose(over / over[number], single.true_spillover.matrix[number], atol=0.004)


def test_file_matrix_is_close_to_the_true_one_but_not_it() -> None:
    plan = plans(SMALL)[0]
    error = plan.file_spillover - plan.instrument.spillover
    assert 0 < np.abs(error).max() < 0.02
    exact = plans(replace(SMALL, shifts=replace(SMALL.shifts, matrix_error=0.0)))[0]
    np.testing.assert_allclose(exact.file_spillover, exact.instrument.spillover, atol=5e-7)


def test_donor_is_the_same_person_in_every_batch() -> None:
    first, second = plans(SMALL, "control")
    assert (first.batch, second.batch) == ("B1", "B2")
    np.testing.assert_array_equal(first.shares, second.shares)
    assert not np.allclose(first.stain, second.stain)


def test_smeared_cohort_has_about_eight_thousand_cd4() -> None:
    counts = [simulate_tube(plan).n_cd4 for plan in plans(replace(PRESETS["smeared"], subjects=2))]
    assert 6_000 < np.median(counts) < 10_500
