"""Stains that failed, told from the densities of pass 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from treg_gating.gating.consensus import Member, learn_cohort
from treg_gating.gating.stains import weak_stains
from treg_gating.gating.template import load_template

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
    assert set(cohort.weak) == {"t6", "t7"}
    assert "a stain may have failed in 2 tube(s): t6, t7" in cohort.notes
