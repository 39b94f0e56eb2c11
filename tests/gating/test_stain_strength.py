"""How strongly a tube is stained: where its population stands, and how far its axis is stretched."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.gating.bins import Binned, bin_events, merged
from treg_gating.gating.mixture import Mixture
from treg_gating.gating.stain_strength import DRAWN, FARTHEST, Reach, Stretch, middle_of

WANTED = np.array([False, True])


def cohort() -> Mixture:
    """A bulk, and a population that stands 0.24 above it on the last axis and 0.2 beside it on the first."""
    return Mixture(
        np.array([[0.3, 0.6, 0.25], [0.5, 0.45, 0.49]]),
        np.repeat(0.05**2 * np.eye(3)[None], 2, axis=0),
        np.array([0.94, 0.06]),
        30.0,
    )


def tube(distance: float, n: int = 600) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rng = np.random.default_rng(7)
    bulk = rng.normal([0.3, 0.6, 0.25], 0.05, (15 * n, 3))
    return np.concatenate([bulk, rng.normal([0.5, 0.45, 0.25 + distance], 0.05, (n, 3))])


def test_by_hand() -> None:
    # As many events as the cohort's own: half the way from 0.20 to the cohort's 0.24, so 0.22 becomes 0.24.
    stretch = Stretch.to(0.24, Reach(0.25, 0.20, DRAWN), 2)
    assert stretch.factor == pytest.approx(0.24 / 0.22)
    points = np.array([[0.1, 0.2, 0.25], [0.1, 0.2, 0.47]])
    np.testing.assert_allclose(stretch(points), [[0.1, 0.2, 0.25], [0.1, 0.2, 0.49]])
    assert stretch.said(("A", "B", "FOXP3")) == ", FOXP3 stretched by 1.091"


@pytest.mark.parametrize("reach", [Reach(0.25, 0.24, 1e6), Reach(0.25, 0.10, 0.0), Reach(0.25, -0.01, 1e6)])
def test_nothing_moves_without_a_reason(reach: Reach) -> None:
    """The cohort's strength; no event that speaks for another; a population that is not there."""
    stretch = Stretch.to(0.24, reach, 2)
    assert stretch.factor == pytest.approx(1)
    assert Stretch(2).said(("A", "B", "C")) == ""


def test_a_failed_stain_is_not_stretched_to_any_length() -> None:
    assert Stretch.to(0.24, Reach(0.25, 0.05, 1e6), 2).factor == FARTHEST
    assert Stretch.to(0.24, Reach(0.25, 0.90, 1e6), 2).factor == 1 / FARTHEST


@pytest.mark.parametrize("distance", [0.21, 0.24, 0.27])
def test_a_weaker_stain_is_found(distance: float) -> None:
    usual, own = (reach(tube(one)) for one in (0.24, distance))
    assert own.events == pytest.approx(600, rel=0.05)
    assert own.middle == pytest.approx(0.25, abs=0.01)
    assert own.distance - usual.distance == pytest.approx(distance - 0.24, abs=0.006)


@pytest.mark.parametrize("moved", [0.0, 0.015, 0.03, 0.045])
def test_where_wide_cells_have_their_edges_says_nothing_of_the_stain(moved: float) -> None:
    """Cells as wide as the bulk: a tube that lies elsewhere on them is as strongly stained."""
    usual, elsewhere = (reach(tube(0.24) + np.array([0, 0, by]), width=0.06) for by in (0.0, moved))
    assert elsewhere.middle - usual.middle == pytest.approx(moved, abs=0.002)
    assert elsewhere.distance == pytest.approx(usual.distance, abs=0.005)


def test_more_of_a_brighter_kind_is_no_stronger_stain() -> None:
    dim, bright = [0.5, 0.45, 0.45], [0.62, 0.45, 0.55]
    both = Mixture(
        np.array([[0.3, 0.6, 0.25], dim, bright]),
        np.repeat(0.05**2 * np.eye(3)[None], 3, axis=0),
        np.array([0.94, 0.03, 0.03]),
        30.0,
    )
    rng = np.random.default_rng(3)
    bulk = rng.normal([0.3, 0.6, 0.25], 0.05, (9000, 3))
    tubes = (
        np.concatenate([bulk, rng.normal(dim, 0.05, (few, 3)), rng.normal(bright, 0.05, (600 - few, 3))])
        for few in (450, 150)
    )
    one, other = (reach(events, both, np.array([False, True, True])) for events in tubes)
    assert one.distance == pytest.approx(0.25, abs=0.01)
    assert other.distance == pytest.approx(one.distance, abs=0.01)


def test_the_middle_lies_between_bins_that_events_fill_evenly() -> None:
    # Half of 8 events lie below the edge of the second and the third bin; 0.25 of a bin is 2 of its 8 events.
    assert middle_of(Binned(np.array([[0.05], [0.15], [0.25], [0.35]]), np.array([1.0, 3.0, 3.0, 1.0])), 0) == (
        pytest.approx(0.2)
    )
    assert middle_of(Binned(np.array([[0.15], [0.05]]), np.array([8.0, 4.0])), 0) == pytest.approx(0.15 - 0.1 / 3)


def reach(
    events: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    by: Mixture | None = None,
    wanted: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = WANTED,
    width: float = 0.02,
) -> Reach:
    fine = bin_events(events, 0.02)
    return Reach.of(merged(fine, width), by or cohort(), wanted, 2, middle_of(fine, 2))
