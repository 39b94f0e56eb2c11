"""Gates on two dimensions: singlet band and mixture ellipse; the aligned mixture on simulated truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import bin_events, merged
from treg_gating.gating.gates import Ellipse
from treg_gating.gating.method import FitContext, Learner
from treg_gating.gating.methods.aligned_mixture import AlignedMixture
from treg_gating.gating.methods.mixture_ellipse import BIN, MixtureEllipse, _cells, _coarse_and_fine, _coarse_numbers
from treg_gating.gating.methods.singlets import SingletBand
from treg_gating.gating.mixture import Mixture, expectation, precisions
from treg_gating.gating.mixture_fit import fit_each, fit_mixture, likeliest
from treg_gating.gating.mixture_start import best_mixture

Make = Callable[..., FitContext]


def scatter(seed: int, n: int = 10_000, doublets: float = 0.08) -> tuple[np.ndarray, np.ndarray]:
    """Area and height of singlets (height 0.82 of the area ± 2.5 %) and doublets; and which are doublets."""
    rng = np.random.default_rng(seed)
    area = rng.lognormal(np.log(60_000), 0.35, n)
    height = 0.82 * area * rng.normal(1, 0.025, n)
    double = rng.random(n) < doublets
    area[double] *= rng.uniform(1.8, 2.2, double.sum())
    height[double] *= rng.uniform(1.0, 1.25, double.sum())
    return np.column_stack([area, height]), double


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_singlets_are_kept_within_the_level(level: float, context: Make) -> None:
    kept = []
    for seed in range(10):
        events, _ = scatter(seed, doublets=0.0)
        kept.append(SingletBand(level=level).fit(context(events)).gate.contains(events).mean())
    assert np.mean(kept) == pytest.approx(level, abs=0.005)


def test_doublets_are_removed_and_cost_no_singlets(context: Make) -> None:
    for seed in range(10):
        events, double = scatter(seed)
        inside = SingletBand(level=0.99).fit(context(events)).gate.contains(events)
        assert inside[~double].mean() > 0.985
        assert (~inside)[double].mean() > 0.99


@pytest.mark.parametrize("scale", [1e-5, 1e-2, 10.0])
def test_the_band_does_not_depend_on_the_unit(scale: float, context: Make) -> None:
    events, _ = scatter(1)
    expected = SingletBand().fit(context(events)).gate.contains(events)
    scaled = events * scale
    assert 0.85 < expected.mean() < 0.95
    np.testing.assert_array_equal(SingletBand().fit(context(scaled)).gate.contains(scaled), expected)


def test_the_band_ignores_order_and_missing_values(context: Make) -> None:
    events, _ = scatter(2, n=2_000)
    order = np.random.default_rng(0).permutation(len(events) + 2)
    mixed = np.vstack([events, [[np.nan, 1.0], [5.0, -np.inf]]])[order]
    mixed.setflags(write=False)
    first, second = (SingletBand().fit(context(values)).gate for values in (events, mixed))
    np.testing.assert_allclose(first.vertices, second.vertices, rtol=1e-9)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (np.ones((99, 2)), "99 events with positive area and height"),
        (-np.ones((500, 2)), "0 events with positive"),
        (np.column_stack([np.arange(1.0, 501), 1000.0 - np.arange(500)]), "height does not rise with area"),
    ],
)
def test_what_is_no_scatter_has_no_band(events: np.ndarray, words: str, context: Make) -> None:
    with pytest.raises(GateFitError, match=words):
        SingletBand().fit(context(events))


def blood(seed: int, n: int = 12_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scatter, CD3 and which are lymphocytes, where debris and monocytes outnumber them."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n, p=(0.25, 0.40, 0.35))  # lymphocytes, monocytes, debris
    centre = np.array([(80_000, 30_000), (130_000, 90_000), (20_000, 15_000)])[kind]
    spread = np.array([(7_000, 4_000), (14_000, 13_000), (6_000, 5_000)])[kind]
    events = rng.normal(centre, spread)
    t_cell = (kind == 0) & (rng.random(n) < 0.8)
    cd3 = np.where(t_cell, rng.normal(0.7, 0.04, n), rng.normal(0.2, 0.05, n))
    return events, cd3, kind == 0


@pytest.mark.parametrize("seed", range(4))
def test_lymphocytes_are_found_where_t_cells_lie(seed: int, context: Make) -> None:
    events, cd3, lymphocyte = blood(seed)
    fit = MixtureEllipse().fit(context(events, ("FSC-A", "SSC-A"), {"CD3": cd3}))
    inside = fit.gate.contains(events)
    assert "CD3-bright" in fit.reason
    assert inside[lymphocyte].mean() > 0.88
    assert lymphocyte[inside].mean() > 0.97


def test_without_the_seed_marker_the_densest_cloud_is_taken_and_it_is_said(context: Make) -> None:
    events, _, _ = blood(1)
    fit = MixtureEllipse().fit(context(events, ("FSC-A", "SSC-A")))
    assert "density (CD3 is not stained)" in fit.reason
    flat = MixtureEllipse().fit(
        context(events, ("FSC-A", "SSC-A"), {"CD3": np.random.default_rng(0).normal(size=12_000)})
    )
    assert "density (CD3 shows one peak)" in flat.reason


def test_lymphocytes_are_found_among_events_that_are_no_number(context: Make) -> None:
    events, cd3, lymphocyte = blood(2)
    odd = np.vstack([events, [[np.nan, 3.0], [np.inf, -np.inf], [4.0, np.nan]]])[::-1]
    bright = np.append(cd3, [9.0, 9.0, 9.0])[::-1]
    usual = MixtureEllipse().fit(context(events[::-1], ("FSC-A", "SSC-A"), {"CD3": cd3[::-1]})).gate.contains(events)
    gate = MixtureEllipse().fit(context(odd, ("FSC-A", "SSC-A"), {"CD3": bright})).gate
    assert np.mean(gate.contains(events) != usual) < 0.002
    assert gate.contains(events)[lymphocyte].mean() > 0.88


def test_ellipse_holds_the_mass_asked_for(context: Make) -> None:
    rng = np.random.default_rng(9)
    events = rng.multivariate_normal([3, 5], [[1.0, 0.6], [0.6, 1.0]], 8_000)
    for mass in (0.5, 0.9):
        fit = MixtureEllipse(components=1, mass=mass, seed="", nu=200).fit(context(events))
        assert fit.gate.contains(events).mean() == pytest.approx(mass, abs=0.03)
        assert isinstance(fit.gate, Ellipse)
        assert fit.gate.mean == pytest.approx((3, 5), abs=0.05)


def test_ellipse_ignores_order_and_scales_with_the_data(context: Make) -> None:
    events, cd3, _ = blood(2, n=4_000)
    order = np.random.default_rng(0).permutation(len(events))
    dims = ("FSC-A", "SSC-A")
    first = MixtureEllipse().fit(context(events, dims, {"CD3": cd3}))
    again = MixtureEllipse().fit(context(events[order], dims, {"CD3": cd3[order]}))
    assert first == again
    larger = MixtureEllipse().fit(context(events * 8, dims, {"CD3": cd3}))
    np.testing.assert_allclose(larger.gate.mean, 8 * np.array(first.gate.mean), rtol=1e-6)  # type: ignore[attr-defined]


def test_some_events_of_a_large_tube_give_the_gate_that_all_give(
    context: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that one gate takes and the other does not are a small part of the error that counting them has."""
    (both, _), (cloud, cd3, _) = scatter(3, n=500_000), blood(3, n=500_000)
    cases = (SingletBand(), both, ("FSC-A", "FSC-H"), {}), (MixtureEllipse(), cloud, ("FSC-A", "SSC-A"), {"CD3": cd3})
    for method, events, dims, more in cases:
        some = method.fit(context(events, dims, more))
        monkeypatch.setattr("treg_gating.gating.method.ENOUGH", len(events))
        every = method.fit(context(events, dims, more))
        monkeypatch.undo()
        assert some != every
        inside = every.gate.contains(events)
        assert abs(int(some.gate.contains(events).sum()) - int(inside.sum())) < 0.5 * np.sqrt(inside.sum())


@pytest.mark.parametrize(
    ("events", "words"),
    [(np.zeros((299, 2)), "299 events"), (np.zeros((400, 2)), "nearly the same value")],
)
def test_no_cloud_no_ellipse(events: np.ndarray, words: str, context: Make) -> None:
    with pytest.raises(GateFitError, match=words):
        MixtureEllipse(seed="").fit(context(events))


def test_the_grid_drawn_together_holds_what_merged_bins_hold() -> None:
    rng = np.random.default_rng(11)
    events = rng.normal(0, 1.5, (2, 30_000))
    events[:, :4] = [[np.inf, -np.inf, 9.0, -8.5], [0.0, 0.0, 0.0, 0.0]]  # beyond the grid
    cell = _cells(events, np.zeros(2), np.ones(2))
    coarse, fine, numbers = _coarse_and_fine(cell)
    binned = bin_events(events[:, 4:].T, BIN)
    for data in (fine, coarse):
        binned = merged(binned, data.width)
        order, other = (np.lexsort(np.floor(one.points / data.width).T) for one in (data, binned))
        np.testing.assert_allclose(data.points[order], binned.points[other], atol=1e-6)
        assert data.counts[order].tolist() == binned.counts[other].tolist()
    assert coarse.width == pytest.approx(0.4)
    assert np.bincount(_coarse_numbers()[cell])[numbers].tolist() == coarse.counts.tolist()


def test_mixture_finds_two_normal_clouds() -> None:
    rng = np.random.default_rng(4)
    events = np.concatenate([rng.normal((0, 0), 0.1, (7_000, 2)), rng.normal((1, 0.5), 0.2, (3_000, 2))])
    binned = bin_events(events, 0.02)
    assert binned.total == 10_000
    mixture = best_mixture([merged(binned, 0.06), binned], 2, 1e4, floor=0.01)
    order = np.argsort(mixture.means[:, 0])
    np.testing.assert_allclose(mixture.means[order], [(0, 0), (1, 0.5)], atol=0.02)
    np.testing.assert_allclose(mixture.spreads[order], [(0.1, 0.1), (0.2, 0.2)], atol=0.015)
    np.testing.assert_allclose(mixture.weights[order], [0.7, 0.3], atol=0.01)
    posterior = expectation(mixture, binned.points)[0]
    np.testing.assert_allclose(posterior.sum(axis=1), 1)


@pytest.mark.parametrize("d", [2, 3])
def test_precisions_are_inverses(d: int) -> None:
    rng = np.random.default_rng(d)
    shapes = rng.normal(size=(5, d, d))
    scales = shapes @ np.swapaxes(shapes, 1, 2) + 0.01 * np.eye(d)
    inverses, half_log_determinants = precisions(scales)
    np.testing.assert_allclose(inverses @ scales, np.repeat(np.eye(d)[None], 5, axis=0), atol=1e-9)
    np.testing.assert_allclose(half_log_determinants, -0.5 * np.log(np.linalg.det(scales)), atol=1e-9)


def test_the_likeliest_of_several_mixtures() -> None:
    rng = np.random.default_rng(8)
    binned = bin_events(rng.normal(0.5, 0.1, (2_000, 2)), 0.05)
    one = Mixture(np.full((1, 2), 0.5), 0.01 * np.eye(2)[None], np.ones(1), 8.0)
    others = [replace(one, means=one.means + by) for by in (0.3, 0.02, -0.1)]
    assert likeliest(binned, [*others, one]) is one
    assert likeliest(binned, others) is others[1]


def test_mixtures_fitted_side_by_side_are_those_fitted_alone() -> None:
    rng = np.random.default_rng(6)
    binned = bin_events(np.concatenate([rng.normal(0, 0.1, (3_000, 2)), rng.normal(0.5, 0.2, (2_000, 2))]), 0.05)
    starts = [
        Mixture(means, np.repeat(0.04 * np.eye(2)[None], 2, axis=0), np.array([0.5, 0.5]), 8.0)
        for means in rng.normal(0.3, 0.3, (3, 2, 2))
    ]
    more = {"floor": 0.01, "tie": 0.1, "iterations": 40, "tolerance": 1e-3}
    found = fit_each(binned, starts, **more)  # type: ignore[arg-type]
    alone = [fit_mixture(binned, start, **more) for start in starts]  # type: ignore[arg-type]
    for name in ("means", "scales", "weights"):
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name))


def test_a_start_that_is_hopelessly_behind_goes_no_further() -> None:
    """The best ends as good, or is left where nothing can overtake it."""
    rng = np.random.default_rng(6)
    clouds = [rng.normal(at, 0.1, (3_000, 2)) for at in ((0, 0), (1, 0), (0, 1.5))]
    binned = bin_events(np.concatenate(clouds), 0.05)

    def start(means: list[list[float]]) -> Mixture:
        return Mixture(np.array(means), np.repeat(0.04 * np.eye(2)[None], 3, axis=0), np.full(3, 1 / 3), 8.0)

    good, bad = start([[0.1, 0], [0.9, 0], [0, 1.4]]), start([[0.0, 1.5], [0.1, 1.5], [0.5, 0]])
    more = {"floor": 0.01, "iterations": 30, "tolerance": 1e-9}
    ends = fit_each(binned, [bad, good], patience=2.0, **more)  # type: ignore[arg-type]
    patient = fit_each(binned, [bad, good], **more)  # type: ignore[arg-type]
    assert likeliest(binned, ends) is ends[1]
    np.testing.assert_allclose(ends[1].means, patient[1].means, atol=1e-3)
    assert not np.allclose(ends[0].means, patient[0].means, atol=1e-6)


def cd4(seed: int, share: float, shift: float = 0.0, n: int = 8_000) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """CD25, CD127 and FOXP3 of conventional T cells and Tregs, and which are Tregs."""
    rng = np.random.default_rng(seed)
    treg = rng.random(n) < share
    centre = np.where(treg[:, None], (0.62, 0.30, 0.60), (0.30, 0.58, 0.22)) + shift
    events = rng.normal(centre, (0.09, 0.08, 0.05))
    return dict(zip(("CD25", "CD127", "FOXP3"), events.T, strict=True)), treg


def test_aligned_mixture_recovers_shares_of_simulated_tubes(context: Make) -> None:
    line_of = AlignedMixture(components=2)
    tubes = {f"t{i}": cd4(i, share, shift) for i, (share, shift) in enumerate([(0.04, 0), (0.08, 0.05), (0.15, -0.05)])}
    learners = []
    for name, (columns, _) in tubes.items():
        pair = np.column_stack([columns["CD25"], columns["CD127"]])
        seen = context(pair, ("CD25", "CD127"), columns)
        learners.append(Learner(name, "1", "sample", "", line_of.summarise(seen)))
    model = line_of.pool(learners)
    assert model["tubes"] == 3
    for columns, treg in tubes.values():
        pair = np.column_stack([columns["CD25"], columns["CD127"]])
        memo: dict[object, object] = {}
        line = line_of.fit(context(pair, ("CD25", "CD127"), columns, model=model, memo=memo))
        inside = line.gate.contains(pair)
        cut = line_of.fit(context(columns["FOXP3"], ("FOXP3",), columns, model=model, inside=inside, memo=memo))
        found = inside & cut.gate.contains(columns["FOXP3"][:, None])
        assert found.sum() == pytest.approx(treg.sum(), rel=0.03), "balanced: as many as there are"
        assert 2 * (found & treg).sum() / (found.sum() + treg.sum()) > 0.97
        assert line.standard_error[0] > 0


def test_aligned_mixture_ignores_the_order_of_events(context: Make) -> None:
    method = AlignedMixture(components=2)
    columns, _ = cd4(5, 0.1)
    order = np.random.default_rng(1).permutation(len(columns["CD25"]))
    mixed = {name: values[order] for name, values in columns.items()}
    fits = []
    for each in (columns, mixed):
        pair = np.column_stack([each["CD25"], each["CD127"]])
        seen = context(pair, ("CD25", "CD127"), each)
        model = method.pool([Learner("t", "1", "sample", "", method.summarise(seen))])
        fits.append(method.fit(replace(seen, model=model)))
    assert fits[0] == fits[1]


def test_the_same_tubes_teach_the_same_to_the_last_digit(context: Make) -> None:
    """learn_cohort hands tubes over by name; in another order only the last digits of the start may differ."""
    method = AlignedMixture(components=2)
    learners = []
    for name, share in (("a", 0.05), ("b", 0.1), ("c", 0.2)):
        columns, _ = cd4(ord(name), share, n=4_000)
        pair = np.column_stack([columns["CD25"], columns["CD127"]])
        summary = method.summarise(context(pair, ("CD25", "CD127"), columns))
        learners.append(Learner(name, "1", "sample", "", summary))
    first, again = method.pool(learners), method.pool(list(learners))
    other = method.pool(learners[::-1])
    assert set(first) == set(other)
    for key, value in first.items():
        np.testing.assert_array_equal(np.asarray(again[key]), np.asarray(value))
    assert np.sort(np.ravel(other["weights"])) == pytest.approx(np.sort(np.ravel(first["weights"])), abs=0.01)


def test_aligned_mixture_without_tregs_or_cohort_refuses(context: Make) -> None:
    method = AlignedMixture(components=2)
    columns, _ = cd4(5, 0.0)
    pair = np.column_stack([columns["CD25"], columns["CD127"]])
    seen = context(pair, ("CD25", "CD127"), columns)
    with pytest.raises(GateFitError):
        method.pool([Learner("t", "1", "sample", "", method.summarise(seen))])
    with pytest.raises(GateFitError, match="cohort taught no mixture"):
        method.fit(seen)
    with pytest.raises(GateFitError, match="none of 0 tubes"):
        method.pool([])
