"""A marker that Tregs carry a little less of corrects a mixture; where it cannot, nothing changes and it is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import Binned, merged
from treg_gating.gating.dim_marker import UNMOVED, correction, in_deviations, recalibrated
from treg_gating.gating.members import (
    CONTRADICTED,
    UNSEEN,
    EachProbability,
    Member,
    corrected,
    each_probability,
    restored,
    stored,
)
from treg_gating.gating.method import FitContext, Learner
from treg_gating.gating.methods.aligned_mixture import UNMEASURED, AlignedMixture
from treg_gating.gating.mixture import Mixture

Array = NDArray[np.float64]
BULK, ACTIVATED, TREG = [0.36, 0.60], [0.50, 0.55], [0.60, 0.42]
SIZES, SPREAD, LESS = (90_000, 4_000, 6_000), 0.06, 1.0


def events(less: tuple[float, float, float] = (0.0, 0.0, LESS)) -> tuple[Array, Array, Array]:
    """CD25 and CD127, CD4 in its SD, and whether each cell is a Treg; `less` CD4 in bulk, activated cells and Tregs."""
    rng = np.random.default_rng(4)
    markers = np.concatenate(
        [rng.normal(at, SPREAD, (n, 2)) for at, n in zip((BULK, ACTIVATED, TREG), SIZES, strict=True)]
    )
    cd4 = rng.normal(0, 1, len(markers)) - np.repeat(less, SIZES)
    return markers, cd4, np.repeat([False, False, True], SIZES)


def cells(markers: Array, cd4: Array) -> Binned:
    return merged(Binned(markers, np.ones(len(markers)), beside=cd4), 0.02)


def three(weights: tuple[float, float, float] = (0.90, 0.04, 0.06)) -> Mixture:
    """The truth but for the weights, and the tails of a t distribution."""
    return Mixture(
        np.array([BULK, ACTIVATED, TREG]), np.repeat(SPREAD**2 * np.eye(2)[None], 3, 0), np.array(weights), 200.0
    )


def test_a_probability_is_moved_along_its_logit() -> None:
    posterior = np.array([0.1, 0.5, 0.9])
    assert recalibrated(posterior, UNMOVED) is posterior
    assert recalibrated(posterior, (np.log(3), 1.0)) == pytest.approx([0.25, 0.75, 27 / 28])
    assert recalibrated(posterior, (0.0, 2.0)) == pytest.approx([1 / 82, 0.5, 81 / 82])


def test_deviations_are_from_the_tubes_own_median_and_clipped() -> None:
    values = np.array([3.0, 4.0, 5.0, 6.0, 100.0])
    assert in_deviations(values) == pytest.approx([-2 / 1.4826, -1 / 1.4826, 0, 1 / 1.4826, 4])
    assert in_deviations(np.full(3, 0.7)).tolist() == [0, 0, 0]


def test_cells_that_are_merged_keep_the_mean_of_the_marker() -> None:
    data = Binned(np.array([[0.01], [0.03], [0.05]]), np.array([1.0, 3.0, 2.0]), beside=np.array([4.0, 0.0, 7.0]))
    assert np.asarray(merged(data, 0.04).beside).tolist() == [1.0, 7.0]


@pytest.mark.parametrize("wrong", [-0.8, 0.0, 0.8])
def test_a_probability_that_is_wrong_is_set_right(wrong: float) -> None:
    markers, cd4, treg = events()
    data = cells(markers, cd4)
    truth = each_probability([Member(three(), np.array([False, False, True]))], data.points)[0]
    said = correction(data, recalibrated(truth, (wrong, 1.0)))
    assert said is not None
    assert said.in_proportion
    assert said.difference == pytest.approx(-LESS, abs=0.1)
    after = recalibrated(recalibrated(truth, (wrong, 1.0)), (said.move, said.slope))
    assert data.counts @ after == pytest.approx(treg.sum(), rel=0.03)


def test_a_trend_over_the_markers_is_not_taken_for_the_population() -> None:
    markers, cd4, _ = events(less=(0.0, 0.0, 0.0))
    posterior = each_probability(
        [Member(three(), np.array([False, False, True]))], (data := cells(markers, cd4)).points
    )[0]
    assert correction(data, posterior) is None  # no difference
    leak = cd4 - 8 * (markers[:, 0] - 0.36) + 20 * (markers[:, 1] - 0.6) ** 2
    assert correction(cells(markers, leak), posterior) is None  # a bent trend, over two SD between bulk and Tregs
    assert correction(replace(data, beside=None), posterior) is None
    few = np.random.default_rng(1).permutation(len(markers))[:2_000]
    _, dim, _ = events()
    small = cells(markers[few], dim[few])
    posterior = each_probability([Member(three(), np.array([False, False, True]))], small.points)[0]
    assert correction(small, posterior) is None  # too few to tell


def test_members_that_take_activated_cells_for_tregs_are_mended() -> None:
    """As on cohorts where the fit gives activated cells no component that is large enough."""
    markers, cd4, treg = events()
    data = cells(markers, cd4)
    eaten = [
        Member(three((0.90, 1.0 - 0.90 - share, share)), np.array([False, False, True])) for share in (0.07, 0.085)
    ]
    assert max(each_probability(eaten, data.points) @ data.counts) > 1.1 * treg.sum()
    mended, doubt = corrected(eaten, data, floor=0.01, tie=0.1)
    assert doubt == ""
    for one in mended:
        assert each_probability([one], data.points)[0] @ data.counts == pytest.approx(treg.sum(), rel=0.03)
        assert one.wanted.tolist() == [True, False, False]  # the population first


@pytest.mark.parametrize(("less", "why"), [((0.0, 0.0, 0.0), UNSEEN), ((0.0, LESS / 2, LESS), CONTRADICTED)])
def test_a_marker_that_cannot_be_used_changes_nothing(less: tuple[float, float, float], why: str) -> None:
    """No difference; and activated cells that carry less, too, of which many would be counted."""
    markers, cd4, _ = events(less)
    came = [Member(three(), np.array([False, False, True]))]
    members, doubt = corrected(came, cells(markers, cd4), floor=0.01, tie=0.1)
    assert doubt == why
    assert members == tuple(came)


def test_members_come_back_from_a_model() -> None:
    came = Member(three(), np.array([False, False, True]), (-0.1, 0.95))
    (back,) = restored(stored([came]), came.mixture.nu, [0, 1])
    assert back.moved == came.moved
    assert back.wanted.tolist() == came.wanted.tolist()
    assert np.array_equal(back.mixture.scales, came.mixture.scales)
    (one_axis,) = restored(stored([came]), came.mixture.nu, [1])
    assert one_axis.mixture.means.ravel().tolist() == [BULK[1], ACTIVATED[1], TREG[1]]


def tube(less: tuple[float, float, float], context: bool = True) -> dict[str, Array]:
    markers, cd4, _ = events(less)
    naive = np.random.default_rng(5).normal(0.3, 0.04, len(markers))
    columns = {"CD25": markers[:, 0], "CD127": markers[:, 1], "CD4": 0.7 + 0.02 * cd4}
    return columns | ({"CD45RA": naive} if context else {})


def looked_at(columns: dict[str, Array], model: object = None) -> FitContext:
    def fetch(names: tuple[str, ...]) -> Array:
        if missing := [name for name in names if name not in columns]:
            raise GateFitError(", ".join(missing))
        return np.column_stack([columns[name] for name in names])

    dims = ("CD25", "CD127")
    return FitContext(dims, fetch(dims), fetch, model=model)  # type: ignore[arg-type]


def test_the_method_uses_the_marker_beside_its_own_and_says_when_it_cannot() -> None:
    method = AlignedMixture(high=("CD25",), low=("CD127",), dim="CD4", components=12, starts=3, nu=30, tie=0.1)
    plain = replace(method, dim="")

    def taught(by: AlignedMixture, columns: dict[str, Array]) -> dict[str, object]:
        told = by.summarise(looked_at(columns))
        return dict(by.pool([Learner(name, "B1", "sample", "", told) for name in ("T1", "T2", "T3", "T4")]))

    seen = tube((0.0, 0.0, LESS))
    model = taught(method, seen)
    assert model["doubt"] == ""
    assert not model["notes"]
    fit = method.fit(looked_at(seen, model))
    assert fit.caution == ""
    taken = fit.gate.contains(np.column_stack([seen["CD25"], seen["CD127"]])).sum()
    assert taken == pytest.approx(SIZES[2], rel=0.04)

    assert taught(plain, seen)["doubt"] is None
    assert "beside" not in plain.summarise(looked_at(seen))
    unseen = taught(method, tube((0.0, 0.0, 0.0)))
    (note,) = unseen["notes"]  # type: ignore[misc]
    assert note.startswith(f"CD4 could not correct the mixture: {UNSEEN}")
    assert note.endswith("CD127 alone: percentages may be off by a tenth or more")
    without = taught(method, tube((0.0, 0.0, LESS), context=False))  # of CD45RA: then CD4 takes no part
    assert without["doubt"] is None
    assert UNMEASURED in without["notes"][-1]  # type: ignore[index]
    assert UNMEASURED in taught(replace(method, dim="CD5"), seen)["notes"][-1]  # type: ignore[index]
    contradicted = model | {"doubt": CONTRADICTED}
    assert "activated cells may be counted" in method.fit(looked_at(seen, contradicted)).caution


def test_some_members_judge_as_they_do_among_all() -> None:
    one = three()
    members = [Member(one, np.array([False, i == 0, i < 2]), (0.5 * i, 1.0)) for i in range(3)]
    points = np.random.default_rng(2).normal(0.4, 0.1, (500, one.means.shape[1]))
    by_all = each_probability(members, points)
    np.testing.assert_array_equal(EachProbability(members).some([2, 0])(points), by_all[[2, 0]])
    for member, row in zip(members, by_all, strict=True):
        assert each_probability([member], points)[0] == pytest.approx(row, abs=1e-6)
    assert 0 < by_all.min() < 0.01 < 0.99 < by_all.max() <= 1
