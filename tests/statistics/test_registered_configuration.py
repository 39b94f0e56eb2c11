"""The registered study's configuration is one that the program reads, and the one that the simulation writes."""

from __future__ import annotations

from pathlib import Path

from treg_gating.simulate import PRESETS
from treg_gating.simulate.study_text import study_toml
from treg_gating.study import read_study

READY = Path(__file__).resolve().parents[2] / "docs" / "studies" / "nct05605665.toml"


def test_ready_configuration_and_simulation_plan_the_same(tmp_path):
    simulated = tmp_path / "study.toml"
    simulated.write_text(study_toml(PRESETS["nct05605665"]), encoding="utf-8")
    ready, made = read_study(READY), read_study(simulated)
    assert (ready.id, ready.endpoint, ready.statistics) == (made.id, made.endpoint, made.statistics)
    days = [
        [(visit.name, visit.day, visit.window, visit.baseline) for visit in study.visits] for study in (ready, made)
    ]
    assert days[0] == days[1]
    assert ready.notes == ()
    assert ready.find_visit("W12") == ready.endpoint.visit == "Week 12"
