"""Where the mixture's fit begins: the bulk, what stands out of it, and the population sought."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.gating.bins import Binned, bin_events
from treg_gating.gating.cohort_mixture import name_components
from treg_gating.gating.mixture import Mixture
from treg_gating.gating.mixture_fit import fit_mixture
from treg_gating.gating.mixture_start import split_sides, standing_out, structured_starts

SIGNS = np.array([1.0, -1.0, 1.0])  # CD25 high, CD127 low, FOXP3 high


def test_distance_is_in_spreads_of_the_half_below_the_mode() -> None:
    rng = np.random.default_rng(3)
    bulk, positive = rng.normal(1.0, 0.1, 50_000), rng.normal(1.6, 0.2, 5_000)
    values = np.concatenate([bulk, positive])
    z = standing_out(values, np.ones(len(values)))
    at = standing_out(np.append(values, [1.3]), np.ones(len(values) + 1))[-1]
    assert at == pytest.approx(3.0, rel=0.15)  # the positive cells widen only the other half
    assert np.median(z[50_000:]) == pytest.approx(6.0, rel=0.15)


def test_values_without_spread_give_numbers() -> None:
    assert np.isfinite(standing_out(np.full(5, 0.4), np.ones(5))).all()


def test_sides_of_a_context_marker() -> None:
    data = Binned(np.array([[0.0, 0.2], [0.0, 0.3], [0.0, 0.8]]), np.array([5.0, 1.0, 4.0]))
    assert split_sides(data, 1).tolist() == [0, 0, 1]
    assert split_sides(data, 2).tolist() == [0, 0, 0]  # no such column
    assert split_sides(Binned(np.full((2, 2), 0.5), np.ones(2)), 1).tolist() == [0, 0]


def cells(seed: int, naive_tregs: int = 150) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """CD25, CD127, FOXP3, CD45RA: many naive cells with a tail of CD25, memory cells, and Tregs of both kinds."""
    rng = np.random.default_rng(seed)
    naive = rng.normal([0.28, 0.60, 0.24, 0.65], 0.06, (9_000, 4))
    tail = rng.random(9_000) < 0.3
    naive[tail, 0] += rng.exponential(0.10, int(tail.sum()))
    memory = rng.normal([0.34, 0.60, 0.26, 0.30], 0.06, (8_000, 4))
    treg = rng.normal([0.55, 0.42, 0.50, 0.30], 0.06, (700, 4))
    naive_treg = rng.normal([0.50, 0.45, 0.46, 0.62], 0.06, (naive_tregs, 4))
    return np.concatenate([naive, memory, treg, naive_treg])


def test_a_small_population_is_not_joined_with_the_tail_of_a_large_one() -> None:
    truth = 850 / 17_850
    for seed in range(4):
        data = bin_events(cells(seed), 0.02)
        start = structured_starts(data, SIGNS, 12, 30.0, floor=0.01, seeds=(seed,))[0]
        assert start.size == 12
        assert start.weights.sum() == pytest.approx(1)
        found = fit_mixture(data, start, floor=0.01, tie=0.05, iterations=80, tolerance=1e-5)
        wanted = name_components(found, SIGNS)
        assert found.weights[wanted].sum() == pytest.approx(truth, rel=0.08)
        assert (found.means[wanted, 3] > 0.5).any()  # the naive Tregs have a component of their own


def test_the_start_is_the_same_for_the_same_data_and_seed() -> None:
    data = bin_events(cells(1), 0.02)
    one, other = structured_starts(data, SIGNS, 8, 30.0, floor=0.01, seeds=(5, 5))
    assert one.means.tobytes() == other.means.tobytes()


def test_one_population_alone_starts_too() -> None:
    rng = np.random.default_rng(0)
    data = bin_events(rng.normal([0.3, 0.6, 0.25], 0.05, (40, 3)), 0.02)
    assert structured_starts(data, SIGNS, 5, 30.0, floor=0.01, seeds=(0,))[0].size == 5


def test_with_two_markers_every_other_start_has_components_for_cells_on_the_way() -> None:
    """Memory cells, a few activated ones between them and the Tregs; two markers, no context."""
    rng = np.random.default_rng(6)
    memory, treg = rng.normal([0.34, 0.60], 0.05, (9_000, 2)), rng.normal([0.58, 0.38], 0.05, (600, 2))
    activated = rng.normal([0.50, 0.55], 0.02, (300, 2))
    data = bin_events(np.concatenate([memory, treg, activated]), 0.02)
    starts = structured_starts(data, SIGNS[:2], 6, 30.0, floor=0.01, seeds=range(4))

    def on_the_way(mixture: Mixture) -> bool:
        return bool((np.abs(mixture.means - [0.50, 0.55]).max(axis=1) < 0.025).any())

    assert [on_the_way(start) for start in starts[::2]] == [True, True]
    assert starts[1].means.tobytes() != starts[0].means.tobytes()
    even, odd = (sorted(weight for weight in start.weights) for start in starts[:2])
    assert even != odd  # parts of other sizes
