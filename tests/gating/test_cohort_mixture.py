"""The cohort's mixture: alignment, naming of components, ties and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import Binned, bin_events, bounded, merged, merged_where_few, merged_with_cells
from treg_gating.gating.cohort_mixture import learn_mixture, name_components, position
from treg_gating.gating.far_side import evened
from treg_gating.gating.members import Member, stored
from treg_gating.gating.method import FitContext, Learner
from treg_gating.gating.methods.aligned_mixture import AlignedMixture
from treg_gating.gating.mixture import BLOCK, Mixture, expectation, marginal, probability
from treg_gating.gating.mixture_fit import fit_mixture
from treg_gating.gating.mixture_placement import Placing, place_mixture
from treg_gating.gating.stain_strength import Stretch, middle_of

SIGNS = np.array([1.0, -1.0, 1.0])  # CD25 high, CD127 low, FOXP3 high
SPREAD = 0.06


def mixture(means: list[list[float]], weights: list[float], nu: float = 30.0) -> Mixture:
    d = len(means[0])
    scales = np.repeat(SPREAD**2 * np.eye(d)[None], len(means), axis=0)
    return Mixture(np.array(means), scales, np.array(weights), nu)


@pytest.mark.parametrize("width", [0.02, 0.5])
def test_bins_and_cells_are_those_of_a_plain_count(width: float) -> None:
    """Of many cells, which are sorted, and of few, which are counted; the events of a cell stand at their mean."""
    rng = np.random.default_rng(6)
    events = rng.normal([-0.3, 0.5, 2.0], [0.3, 0.2, 0.4], (4_000, 3)).astype(np.float32)
    events[::500, 1] = np.nan
    finite = events[np.isfinite(events).all(axis=1)]
    corners, counts = np.unique(np.floor(finite / width), axis=0, return_counts=True)
    data = bin_events(events, width)
    np.testing.assert_allclose(data.points, (corners + 0.5) * width)
    np.testing.assert_array_equal(data.counts, counts)

    cells, inverse = np.unique(np.floor(data.points / (3 * width)), axis=0, return_inverse=True)
    few = merged(data, 3 * width)
    sums = np.zeros_like(cells)
    np.add.at(sums, inverse.ravel(), data.points * data.counts[:, None])
    np.testing.assert_array_equal(few.counts, np.bincount(inverse.ravel(), data.counts))
    np.testing.assert_allclose(few.points, sums / few.counts[:, None])


def test_bins_on_a_lattice_are_told_as_without_it() -> None:
    """Made even, merged, and asked where their middle is; where bins are too many for one, there is none."""
    rng = np.random.default_rng(7)
    data = bin_events(rng.normal([0.3, 0.6, 0.25], [0.1, 0.06, 0.05], (20_000, 3)), 0.02)
    assert data.lattice is not None
    plain = data.at(data.points)
    assert plain.lattice is None
    (even, sides), (expected, others) = evened(data, SIGNS), evened(plain, SIGNS)
    assert even.lattice is not None
    np.testing.assert_array_equal(even.points, expected.points)
    for one, other in zip(sides, others, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    for width in (0.04, 0.07):
        cells, by_points = merged(even, width), merged(expected, width)
        np.testing.assert_array_equal(cells.points, by_points.points)
        np.testing.assert_array_equal(cells.counts, by_points.counts)
    for axis in range(3):
        assert middle_of(even, axis) == middle_of(expected, axis)
    far = bin_events(np.array([[0.0, 0.0], [0.0, 1e4]]), 0.02)
    assert far.lattice is None
    np.testing.assert_allclose(far.points, [[0.01, 0.01], [0.01, 1e4 + 0.01]])


def test_bins_without_numbers_are_refused() -> None:
    with pytest.raises(GateFitError, match="bits"):
        bin_events(np.array([[0.0, 0.0, 0.0], [1e6, 1e6, 1e6]]), 0.02)
    for far in (1e30, -1e30):
        with pytest.raises(GateFitError, match="far from zero"):
            bin_events(np.full((3, 2), far), 0.02)
    assert len(bin_events(np.full((3, 2), np.nan), 0.02).counts) == 0


def test_names_tregs_and_not_activated_cells() -> None:
    tconv, activated, treg = [0.35, 0.60, 0.25], [0.53, 0.52, 0.31], [0.60, 0.40, 0.50]
    wanted = name_components(mixture([tconv, activated, treg], [0.85, 0.09, 0.06]), SIGNS)
    assert wanted.tolist() == [False, False, True]


def test_a_naive_treg_is_compared_with_naive_cells() -> None:
    # Naive cells (high CD45RA, last column) have less CD25: their Tregs stand out from them, not from memory cells.
    naive, naive_treg = [0.29, 0.60, 0.24, 0.63], [0.50, 0.44, 0.42, 0.60]
    memory, treg = [0.42, 0.60, 0.26, 0.30], [0.62, 0.40, 0.51, 0.29]
    wanted = name_components(mixture([naive, naive_treg, memory, treg], [0.43, 0.02, 0.5, 0.05]), SIGNS)
    assert wanted.tolist() == [False, True, False, True]


def test_a_few_odd_events_far_out_do_not_unname_the_population() -> None:
    tconv, treg, odd = [0.35, 0.60, 0.25], [0.55, 0.45, 0.47], [1.20, -0.40, 1.30]
    wanted = name_components(mixture([tconv, treg, odd], [0.935, 0.064, 0.001]), SIGNS)
    assert wanted[1]


def test_one_population_names_nothing() -> None:
    assert not name_components(mixture([[0.35, 0.60, 0.25], [0.36, 0.58, 0.26]], [0.6, 0.4]), SIGNS).any()


@pytest.mark.parametrize("n", [1, BLOCK, 2 * BLOCK + 7])
def test_expectation_is_that_of_another_program_at_any_number_of_points(n: int) -> None:
    from scipy.stats import multivariate_t

    two = mixture([[0.3, 0.4], [0.6, 0.5]], [0.8, 0.2])
    points = np.random.default_rng(n).uniform(0, 1, (n, 2))
    each = [
        weight * multivariate_t(mean, scale, two.nu).pdf(points).reshape(n)
        for weight, mean, scale in zip(two.weights, two.means, two.scales, strict=True)
    ]
    posterior, _, log_density = expectation(two, points)
    assert posterior == pytest.approx(np.column_stack(each) / np.sum(each, axis=0)[:, None])
    assert log_density == pytest.approx(np.log(np.sum(each, axis=0)))


def test_tie_gives_components_one_shape() -> None:
    rng = np.random.default_rng(1)
    events = np.concatenate([rng.normal(0, 0.05, (4000, 2)), rng.normal(1, 0.2, (1000, 2))])
    data = bin_events(events, 0.02)
    start = Mixture(
        np.array([[0.0, 0.0], [1.0, 1.0]]), np.repeat(0.01 * np.eye(2)[None], 2, axis=0), np.full(2, 0.5), 100
    )
    free = fit_mixture(data, start, floor=0.01).spreads
    tied = fit_mixture(data, start, floor=0.01, tie=1000.0).spreads
    assert free[1, 0] / free[0, 0] > 3
    assert tied[1, 0] / tied[0, 0] == pytest.approx(1, abs=0.02)


def test_components_may_have_a_spread_of_their_own_along_one_axis() -> None:
    """As wide there as their events, and not as the others; elsewhere of the common shape."""
    rng = np.random.default_rng(1)
    events = np.concatenate(
        [rng.normal(0, 0.05, (4000, 2)), rng.normal(1, 0.1, (500, 2)), rng.normal(2, 0.1, (500, 2))]
    )
    data = bin_events(events, 0.02)
    start = Mixture(
        np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]),
        np.repeat(0.01 * np.eye(2)[None], 3, axis=0),
        np.ones(3) / 3,
        100,
    )
    plain = fit_mixture(data, start, floor=0.01, tie=1000.0).spreads
    own = fit_mixture(data, start, floor=0.01, tie=1000.0, own=(np.array([False, True, True]), 0)).spreads
    assert own[1:, 0] == pytest.approx(0.1, rel=0.06)
    assert own[0] == pytest.approx(plain[0], rel=0.02)
    assert own[1:, 1] == pytest.approx(plain[1:, 1], rel=0.02)


def test_an_empty_population_has_no_spread_of_its_own() -> None:
    data = bin_events(np.random.default_rng(1).normal(0, 0.05, (4000, 2)), 0.02)
    start = Mixture(
        np.array([[0.0, 0.0], [9.0, 9.0]]), np.repeat(0.01 * np.eye(2)[None], 2, axis=0), np.ones(2) / 2, 100
    )
    own = fit_mixture(data, start, floor=0.01, tie=1.0, own=(np.array([False, True]), 0))
    assert np.isfinite(own.scales).all()


def test_marginal_drops_axes() -> None:
    one = mixture([[0.1, 0.2, 0.3]], [1.0])
    assert marginal(one, [0, 2]).means.tolist() == [[0.1, 0.3]]


def test_a_bound_on_the_bins_takes_the_least_width_that_keeps_it() -> None:
    line = Binned(np.column_stack([np.arange(12) * 0.02 + 0.01, np.zeros(12)]), np.arange(1.0, 13.0))
    assert bounded(line, 12, 0.02) is line
    assert bounded(line, 6, 0.02).counts.tolist() == [3, 7, 11, 15, 19, 23]  # cells of 0.04
    four = bounded(line, 4, 0.02)
    assert len(four.counts) <= 4
    assert four.total == line.total
    assert four.counts @ four.points == pytest.approx(line.counts @ line.points)


def test_merging_keeps_every_event_and_the_mean() -> None:
    data = Binned(np.array([[0.01, 0.01], [0.05, 0.03], [0.07, 0.01]]), np.array([3.0, 1.0, 2.0]))
    cells, numbers = merged_with_cells(data, 0.06)
    assert numbers.tolist() == [0, 0, 1]
    assert cells.counts.tolist() == [4, 2]
    assert cells.points == pytest.approx(np.array([[0.02, 0.015], [0.07, 0.01]]))
    assert merged(Binned(np.zeros((0, 2)), np.zeros(0)), 0.06).total == 0


def test_bins_on_a_lattice_stand_where_their_points_say() -> None:
    data = bin_events(np.random.default_rng(5).normal(0.4, 0.1, (3_000, 3)), 0.02)
    alone, normal, those = data.at(data.points), np.array([0.6, -0.8]), np.array([7, 0, 30])
    assert data.lattice is not None
    assert alone.lattice is None
    np.testing.assert_array_equal(data.some(those), alone.some(those))
    np.testing.assert_array_equal(list(data.axes), list(alone.axes))
    assert data.projected(normal) == pytest.approx(alone.projected(normal), abs=1e-12)
    np.testing.assert_array_equal(merged(data, 0.06).points, merged(alone, 0.06).points)


def test_cells_with_few_events_are_merged_once_more() -> None:
    """By hand: cells of 0.1 with 5, 1, 1 and 5 events; the two with one are in one cell of 0.2."""
    line = Binned(np.array([[0.05], [0.25], [0.35], [0.45], [0.48]]), np.array([5.0, 1.0, 1.0, 4.0, 1.0]))
    cells, number = merged_where_few(line, 0.1, 2.0)
    assert number.tolist() == [0, 2, 2, 1, 1]
    assert cells.counts.tolist() == [5, 5, 2]
    assert cells.points[:, 0] == pytest.approx([0.05, 0.456, 0.3])
    assert merged_where_few(line, 0.1, 1.0)[0].counts.tolist() == [5, 1, 1, 5]


def test_a_mixture_placed_on_merged_bins_is_where_it_is_placed_on_all() -> None:
    rng = np.random.default_rng(3)
    found = mixture([[0.35, 0.60, 0.25], [0.60, 0.40, 0.52]], [0.9, 0.1])
    events = np.concatenate(
        [rng.normal(mean, 0.07, (n, 3)) for mean, n in zip(found.means, (19_000, 1_000), strict=True)]
    )
    data = bin_events(events + 0.03, 0.02)
    cells = merged(data, 0.06)
    assert len(cells.counts) < len(data.counts) / 3
    all_bins, few = (place_mixture(found, bins, loose=0.1, stiffness=300) for bins in (data, cells))
    assert few.shift == pytest.approx(all_bins.shift, abs=0.001)
    assert few.weights[1] == pytest.approx(all_bins.weights[1], rel=0.01)


def test_the_population_moves_as_one_on_a_tube_whose_stain_is_dimmer() -> None:
    """Tregs of two components, 150 events each, nearer to the bulk by 0.04: one component alone is held too firmly."""
    found = mixture([[0.35, 0.60, 0.25], [0.60, 0.40, 0.52], [0.55, 0.42, 0.50]], [0.94, 0.03, 0.03])
    rng = np.random.default_rng(8)
    nearer = found.means - np.array([[0, 0, 0], [0, 0, 0.04], [0, 0, 0.04]])
    deviation = found.spreads[0, 0]
    events = np.concatenate(
        [rng.normal(mean, deviation, (n, 3)) for mean, n in zip(nearer, (4_700, 150, 150), strict=True)]
    )
    data, treg = bin_events(events, 0.02), np.array([False, True, True])
    each = place_mixture(found, data, loose=0.1, stiffness=300)
    as_one = place_mixture(found, data, loose=0.1, stiffness=300, together=treg, firmness=100)
    for place in (each, as_one):
        assert abs(place.shift + place.moves[0]).max() < 0.004  # the bulk stands where it stood
    each_moved, one_moved = (place.shift[2] + place.moves[treg, 2] for place in (each, as_one))
    assert abs(one_moved + 0.04).max() < abs(each_moved + 0.04).min()
    assert one_moved == pytest.approx([-0.030, -0.030], abs=0.005)  # 300 events against 100
    assert as_one.log_likelihood > each.log_likelihood


def test_mixtures_placed_side_by_side_stand_where_each_stands_alone() -> None:
    first = mixture([[0.35, 0.60, 0.25], [0.60, 0.40, 0.52], [0.55, 0.42, 0.50]], [0.94, 0.03, 0.03])
    second = mixture([[0.36, 0.58, 0.26], [0.44, 0.50, 0.35], [0.61, 0.41, 0.51]], [0.90, 0.06, 0.04])
    rng = np.random.default_rng(8)
    deviation = first.spreads[0, 0]
    events = [rng.normal(mean, deviation, (n, 3)) for mean, n in zip(first.means, (8_800, 400, 800), strict=True)]
    data = merged(bin_events(np.concatenate(events) + 0.02, 0.02), 0.06)
    wanted = [np.array([False, True, True]), np.array([False, False, True])]
    both = Placing([first, second], loose=0.1, stiffness=300, together=wanted).on(data, iterations=8, firmness=100)
    for one, those, place in zip((first, second), wanted, both, strict=True):
        (alone,) = Placing([one], loose=0.1, stiffness=300, together=[those]).on(data, iterations=8, firmness=100)
        assert place.shift == pytest.approx(alone.shift, abs=5e-4)
        assert place.weights == pytest.approx(alone.weights, abs=5e-4)
    assert both[0].weights[wanted[0]].sum() == pytest.approx(0.12, rel=0.03)


def test_mixtures_that_go_on_after_the_tube_was_stretched_end_where_those_do_that_began_there() -> None:
    """A population nearer by 0.05 is carried to where the stretch puts it, and three steps more are enough."""
    found = mixture([[0.35, 0.60, 0.25], [0.60, 0.40, 0.50]], [0.92, 0.08])
    rng, treg = np.random.default_rng(8), np.array([False, True])
    there = found.means - np.array([[0, 0, 0], [0, 0, 0.05]])
    events = [rng.normal(mean, found.spreads[0, 0], (n, 3)) for mean, n in zip(there, (9_200, 800), strict=True)]
    data = merged(bin_events(np.concatenate(events), 0.02), 0.06)
    stretch = Stretch(2, 0.25, 1.25)
    stretched = data.at(stretch(data.points))
    placing = Placing([found], loose=0.1, stiffness=300, together=[treg])
    seen = placing.on(data, iterations=7, firmness=25)[0]
    assert (found.means + seen.shift + seen.moves)[1, 2] == pytest.approx(0.45, abs=0.005)
    placing.carry(stretch)
    after = placing.on(stretched, iterations=3, firmness=100)[0]
    assert (found.means + after.shift + after.moves)[1, 2] == pytest.approx(0.50, abs=0.005)
    at_once = place_mixture(found, stretched, loose=0.1, stiffness=300, together=treg, firmness=100, tolerance=1e-7)
    assert after.shift == pytest.approx(at_once.shift, abs=1e-3)
    assert after.weights[1] == pytest.approx(at_once.weights[1], rel=2e-3)


def test_a_few_steps_go_as_far_as_many_of_plain_em() -> None:
    """Two clouds that overlap: EM alone needs some hundred steps to share the events out."""
    found = mixture([[0.40, 0.5], [0.50, 0.5]], [0.7, 0.3])
    rng = np.random.default_rng(4)
    deviation = found.spreads[0, 0]
    events = [rng.normal(mean, deviation, (n, 2)) for mean, n in zip(found.means, (20_000, 20_000), strict=True)]
    data = bin_events(np.concatenate(events), 0.01)
    ten, all_of_them = (
        place_mixture(found, data, loose=0.1, stiffness=300, iterations=n, tolerance=0.0) for n in (10, 400)
    )
    assert all_of_them.weights[1] == pytest.approx(0.5, abs=0.02)
    assert ten.weights[1] == pytest.approx(all_of_them.weights[1], rel=0.01)
    assert ten.log_likelihood <= all_of_them.log_likelihood + 1e-5


def test_a_component_between_two_markers_bulk_and_population_is_not_named() -> None:
    """Cells on the way to the population: two thirds as far, and half as many."""
    means = [[0.34, 0.60], [0.56, 0.42], [0.48, 0.52]]
    one = mixture(means, [0.92, 0.055, 0.025])
    one = replace(one, scales=np.repeat(0.06**2 * np.eye(2)[None], 3, axis=0))
    assert name_components(one, np.array([1.0, -1.0])).tolist() == [False, True, False]


def test_the_spread_that_cells_take_is_given_back() -> None:
    rng = np.random.default_rng(2)
    cells = merged(bin_events(rng.normal(0.5, 0.05, (40_000, 2)), 0.01), 0.1)
    start = mixture([[0.5, 0.5]], [1.0], 1e4)
    found = fit_mixture(cells, start, floor=0.01).spreads[0]
    assert found == pytest.approx([0.05, 0.05], rel=0.06)
    assert fit_mixture(replace(cells, width=0.0), start, floor=0.01).spreads[0, 0] < 0.98 * found[0]


def test_probability_is_the_posterior_of_what_is_wanted() -> None:
    found = mixture([[0.3, 0.6], [0.6, 0.4], [0.7, 0.2]], [0.7, 0.2, 0.1])
    points = np.random.default_rng(5).normal(0.5, 0.2, (3000, 2))
    wanted = np.array([False, True, True])
    assert probability(found, wanted, points) == pytest.approx(
        expectation(found, points)[0][:, 1:].sum(axis=1), abs=1e-5
    )
    assert probability(found, wanted, np.zeros((0, 2))).shape == (0,)


@pytest.mark.parametrize("nu", [8.0, 30.0, 7.5, 1e4])
def test_the_power_of_the_density_by_products_or_by_logarithm(nu: float) -> None:
    found = mixture([[0.3, 0.6], [0.6, 0.4]], [0.7, 0.3], nu)
    points = np.random.default_rng(5).normal(0.45, 0.1, (200, 2))
    from scipy.stats import multivariate_t

    single = [multivariate_t(m, s, nu).pdf(points) for m, s in zip(found.means, found.scales, strict=True)]
    assert expectation(found, points)[2] == pytest.approx(np.log(found.weights @ single))


def tubes(shifts: list[float], share: float = 0.08) -> list[Binned]:
    rng = np.random.default_rng(7)
    made = []
    for shift in shifts:
        n = 4000
        tregs = int(share * n)
        events = np.concatenate(
            [rng.normal([0.35, 0.60, 0.25], SPREAD, (n - tregs, 3)), rng.normal([0.60, 0.40, 0.52], SPREAD, (tregs, 3))]
        )
        made.append(bin_events(events + shift, 0.02))
    return made


def test_learning_aligns_tubes_and_finds_the_share() -> None:
    learnt = learn_mixture(
        tubes([-0.04, 0.0, 0.04]), components=4, nu=30, tie=0.3, starts=3, width=0.02, loose=0.1, signs=SIGNS,
    )  # fmt: skip
    assert 1 <= len(learnt.members) <= 5
    for found in learnt.members:
        assert found.share == pytest.approx(0.08, abs=0.006)
        assert found.mixture.means[found.wanted].mean(axis=0) == pytest.approx([0.60, 0.40, 0.52], abs=0.02)
    assert learnt.spread < 0.1
    assert learnt.shown.total == pytest.approx(12_000)
    assert learnt.doubt is None  # there was no dim marker to doubt


def test_the_population_has_a_spread_of_its_own_on_the_first_marker_alone() -> None:
    wide = np.array([0.06, 0.05, 0.05])
    made = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        bulk = rng.normal([0.30, 0.65, 0.25], 0.04, (3700, 3))
        made.append(bin_events(np.concatenate([bulk, rng.normal([0.62, 0.35, 0.55], wide, (300, 3))]), 0.02))
    learnt = learn_mixture(
        made, components=2, nu=100, tie=3.0, starts=1, width=0.02, loose=0.1, signs=SIGNS,
    )  # fmt: skip
    (one,) = learnt.members
    others, own = one.mixture.spreads[~one.wanted].mean(axis=0), one.mixture.spreads[one.wanted].mean(axis=0)
    assert own[0] == pytest.approx(0.06, rel=0.05)
    assert own[1:] == pytest.approx(others[1:], rel=0.1)


def test_where_a_tube_lies_on_context_does_not_follow_the_shares_of_its_sides() -> None:
    markers, sides = [[0.3, 0.6, 0.2], [0.4, 0.6, 0.3], [0.5, 0.6, 0.4]], (0.30, 0.65)
    points = np.array([[*marker, side] for side in sides for marker in markers])
    naive, memory = (
        position(Binned(points, np.repeat(counts, 3).astype(float)), markers=3) for counts in ((30, 70), (70, 30))
    )
    assert naive == pytest.approx([0.4, 0.6, 0.3, 0.475])
    assert memory == pytest.approx(naive)
    one_side = position(Binned(points[:3], np.ones(3)), markers=3)
    assert one_side == pytest.approx([0.4, 0.6, 0.3, 0.30])


def learner(name: str, tube: Binned, columns: list[str]) -> Learner:
    told = {"columns": columns, "points": tube.points, "counts": tube.counts, "middle": 0.25}
    return Learner(name, "B1", "sample", "", told)


def test_a_context_marker_that_is_not_stained_everywhere_takes_no_part_and_the_run_says_so() -> None:
    columns = ["CD25", "CD127", "FOXP3"]
    model = AlignedMixture(components=4, starts=2).pool(
        [learner(str(i), tube, columns) for i, tube in enumerate(tubes([0.0, 0.02]))]
    )
    assert model["columns"] == columns
    assert [note for note in model["notes"] if note.startswith("CD45RA is not stained in every tube")]


@pytest.mark.parametrize("counts", ["tie", "tie_alone"])
def test_without_context_another_tie_counts(counts: str) -> None:
    columns = ["CD25", "CD127"] + ["CD45RA"] * (counts == "tie")
    seen = []
    for tube in tubes([0.0, 0.02]):
        points = tube.points[:, : len(columns)].copy()
        points[:, 2:] = 0.3 + 0.02 * (np.arange(len(points)) % 3)[:, None]  # says nothing of the population
        seen.append(learner(str(len(seen)), Binned(points, tube.counts), columns))

    def scales(**ties: float) -> Any:
        method = AlignedMixture(high=("CD25",), low=("CD127",), components=4, starts=1, **ties)
        return method.pool(seen)["scales"].tolist()

    other = {"tie": "tie_alone", "tie_alone": "tie"}[counts]
    assert scales(**{counts: 2.0}) != scales(**{counts: 0.01})
    assert scales(**{other: 2.0}) == scales(**{other: 0.01})


def context(events: Any, dims: tuple[str, ...], model: Any) -> FitContext:
    columns = ["CD25", "CD127", "FOXP3"]

    def fetch(names: Sequence[str]) -> Any:
        if any(name not in columns for name in names):
            msg = "not stained"
            raise GateFitError(msg)
        return events[:, [columns.index(name) for name in names]]

    return FitContext(dims, fetch(dims), fetch, model=model)


def test_a_tube_takes_the_mean_of_the_middle_members_and_says_where_they_differ() -> None:
    rng = np.random.default_rng(3)
    bulk, between, treg = [0.35, 0.60, 0.25], [0.52, 0.48, 0.42], [0.62, 0.38, 0.55]
    sizes = (4_700, 150, 150)
    events = np.concatenate([rng.normal(at, 0.03, (n, 3)) for at, n in zip((bulk, between, treg), sizes, strict=True)])
    one = mixture([bulk, between, treg], [0.94, 0.03, 0.03])
    one = replace(one, scales=one.scales / 4)
    all_cells, two, only = [True, True, True], [False, True, True], [False, False, True]
    model = {
        "columns": ["CD25", "CD127", "FOXP3"],
        **stored([Member(one, np.array(wanted)) for wanted in (all_cells, two, only, only, only)]),
        "normal": np.array([0.7, -0.7]), "recall": 0.95, "tubes": 1,
    }  # fmt: skip
    method = AlignedMixture()
    cut = method.fit(context(events, ("FOXP3",), model))
    taken = cut.gate.contains(events[:, 2:])
    assert taken.sum() == pytest.approx(200, abs=6)  # mean of 150, 150 and 300; the 5,000 are left out
    assert "expect 3.00 to 6.00 %" in cut.caution
    agreed = model | {"wanted": np.array([only] * 5)}
    assert method.fit(context(events, ("FOXP3",), agreed)).caution == ""
    unsure = method.fit(context(events, ("FOXP3",), agreed | {"starts_spread": 0.4})).caution
    assert unsure.startswith("on the cohort, fits from different starts differ by 40 %")
    assert method.fit(context(events, ("CD25", "CD127"), model)).caution == ""  # said once, by the last gate
