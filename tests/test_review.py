"""Flags: what a person must look at, with its number and its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from treg_gating.flags import Flag, FlagLevel
from treg_gating.gating.gates import Interval
from treg_gating.gating.results import FittedGate, GateStatus, PopulationCount
from treg_gating.gating.template import load_template
from treg_gating.quality import QualityReport
from treg_gating.review import flag_result
from treg_gating.study import Limits, Study, Visit

TEMPLATE = load_template("treg_foxp3")
STUDY = Study(visits=(Visit("Baseline"),), limits=Limits(cd4_warn=20_000, cd4_fail=5_000))
CLEAN = QualityReport(np.packbits(np.ones(3, bool)), 3)


def counts(
    cd4: int | None = 50_000, treg: int | None = 3_000, singlets: int = 95, live: int = 90
) -> list[PopulationCount]:
    return [
        PopulationCount("singlets", "clean", singlets, 100),
        PopulationCount("live", "lymphocytes", live, 100),
        PopulationCount("cd4_t", "not_cd8", cd4, 100_000),
        PopulationCount("treg", "cd25_cd127low", treg, 100_000),
    ]


def gate(status: GateStatus, population: str = "treg", rule: str = "valley") -> FittedGate:
    shape = None if status is GateStatus.FAILED else Interval(("FOXP3",), 0.5)
    return FittedGate(population, "cd4_t", "+", shape, status, rule, "what was seen")


def flags(
    these: Sequence[PopulationCount] | None = None,
    gates: Sequence[FittedGate] = (),
    quality: QualityReport = CLEAN,
    interval: tuple[float, float] | None = (5.5, 6.5),
) -> list[Flag]:
    return list(flag_result(TEMPLATE, STUDY, counts() if these is None else these, gates, quality, interval))


def test_a_good_tube_has_none() -> None:
    assert flags(gates=[gate(GateStatus.FITTED)]) == []


@pytest.mark.parametrize(
    ("cd4", "level", "limit"),
    [(20_000, None, ""), (19_999, FlagLevel.NOTE, "20000"), (5_000, FlagLevel.NOTE, "20000"),
     (4_999, FlagLevel.REVIEW, "5000"), (0, FlagLevel.REVIEW, "5000")],
)  # fmt: skip
def test_few_cd4(cd4: int, level: FlagLevel | None, limit: str) -> None:
    found = [flag for flag in flags(counts(cd4=cd4), interval=None) if flag.code == "FEW_CD4"]
    assert [flag.level for flag in found] == ([level] if level else [])
    for flag in found:
        assert flag.text == f"{cd4} CD4 T cells (limit {limit})"
        assert flag.population == "cd4_t"


@pytest.mark.parametrize(
    ("treg", "words"),
    [(50, None), (49, "49 Tregs: detected, not quantifiable (limit 50)"), (20, "20 Tregs: detected, not"),
     (19, "19 Tregs: too few to report (limit 20)"), (0, "0 Tregs: too few to report (limit 20)")],
)  # fmt: skip
def test_few_tregs(treg: int, words: str | None) -> None:
    found = [flag for flag in flags(counts(treg=treg), interval=None) if flag.code == "FEW_TREG"]
    assert len(found) == (words is not None)
    if words:
        assert found[0].text.startswith(words)
        assert found[0].level is FlagLevel.REVIEW


def test_shares_of_singlets_and_living_cells() -> None:
    found = {flag.code: flag for flag in flags(counts(singlets=84, live=79))}
    assert found["SINGLETS"].text == "singlets are 84.0 % of clean (expected 85 to 100 %)"
    assert found["VIABILITY"].text == "live are 79.0 % of lymphocytes (expected 80 to 100 %)"
    assert flags(counts(singlets=85, live=80)) == []


@pytest.mark.parametrize(
    ("status", "rule", "population", "code", "level"),
    [
        (GateStatus.FAILED, "none", "treg", "GATE_FAILED", FlagLevel.REVIEW),
        (GateStatus.FAILED, "none", "naive_treg", "GATE_FAILED", FlagLevel.NOTE),
        (GateStatus.CONSENSUS, "consensus_outlier", "cd4_t", "GATE_OUTLIER", FlagLevel.REVIEW),
        (GateStatus.CONSENSUS, "consensus_outlier", "naive_treg", "GATE_OUTLIER", FlagLevel.NOTE),
        (GateStatus.CONSENSUS, "consensus", "cd4_t", "GATE_CONSENSUS", FlagLevel.NOTE),
        (GateStatus.FALLBACK, "tail", "live", "GATE_FALLBACK", FlagLevel.REVIEW),
    ],
)
def test_gates_that_are_not_their_own_method(
    status: GateStatus, rule: str, population: str, code: str, level: FlagLevel
) -> None:
    found = flags(gates=[gate(status, population, rule)])
    assert [(flag.code, flag.level, flag.population) for flag in found] == [(code, level, population)]
    assert "what was seen" in found[0].text


@pytest.mark.parametrize("status", [GateStatus.FITTED, GateStatus.FIXED, GateStatus.NOT_STAINED, GateStatus.OVERRIDDEN])
def test_gates_without_a_flag(status: GateStatus) -> None:
    assert flags(gates=[gate(status)]) == []


def test_a_gate_that_depends_on_the_start_of_its_fit() -> None:
    unsure = replace(gate(GateStatus.FITTED), caution="fits from different starts expect 3.1 to 6.0 %")
    (flag,) = flags(gates=[unsure])
    assert (flag.code, flag.level) == ("GATE_UNSTABLE", FlagLevel.REVIEW)
    assert "3.1 to 6.0 %" in flag.text


def test_one_cause_one_flag() -> None:
    """What lies below a failed gate, or is combined from it, or was to be fitted on it, fails with it."""
    names = ("t_cells", "not_cd8", "cd4_t", "cd25_cd127low", "treg", "naive_treg", "effector_treg")
    found = flags(gates=[gate(GateStatus.FAILED, name) for name in names])
    assert [(flag.code, flag.population) for flag in found] == [("GATE_FAILED", "t_cells")]
    two = flags(gates=[gate(GateStatus.FAILED, "cd25_cd127low"), gate(GateStatus.FAILED, "live")])
    assert [flag.population for flag in two] == ["cd25_cd127low", "live"]


def test_a_gate_whose_place_decides_too_much() -> None:
    """Treg is 6 % of CD4; a quarter of that is 1.5 points."""
    assert flags(interval=(4.5, 7.5)) == []
    (flag,) = flags(interval=(4.4, 7.0))
    assert (flag.code, flag.level) == ("GATE_UNCERTAIN", FlagLevel.REVIEW)
    assert "changes 6.00 % by 1.60 points" in flag.text
    assert flags(counts(treg=None), interval=None) == []


def test_quality_control_comes_first() -> None:
    margin = Flag("MARGIN", FlagLevel.NOTE, "2 % of events")
    found = flags(counts(live=10), quality=QualityReport(np.packbits(np.ones(3, bool)), 3, (margin,)))
    assert [flag.code for flag in found] == ["MARGIN", "VIABILITY"]


def test_nothing_estimable_raises_nothing() -> None:
    found = flags([PopulationCount("cd4_t", "not_cd8", None, None, "not_estimable", "x")], [gate(GateStatus.FAILED)])
    assert [flag.code for flag in found] == ["GATE_FAILED"]


@pytest.mark.parametrize(("treg", "unusual"), [(249, True), (250, False), (12_500, False), (12_501, True)])
def test_a_value_that_biology_rarely_shows_is_reviewed(treg: int, unusual: bool) -> None:
    found = [flag for flag in flags(counts(cd4=50_000, treg=treg), interval=None) if flag.code == "UNUSUAL_VALUE"]
    assert [flag.level for flag in found] == ([FlagLevel.REVIEW] if unusual else [])
    assert all("usual: 0.5 to 25 %" in flag.text for flag in found)
