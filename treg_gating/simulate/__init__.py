"""Cohorts with known truth: for tests, benchmarks, sample data and a laboratory's own validation.

The generator thinks like the instrument: dyes on cells, light in detectors, photons, electronics, digitiser. Every
file comes with the truth of every event. ``docs/simulator.md`` holds the model and its values with their sources.
"""

from treg_gating.simulate.biology import SubjectVisit, draw_biology
from treg_gating.simulate.cohort import plan_cohort, simulate_cohort
from treg_gating.simulate.controls import simulate_single_stains
from treg_gating.simulate.disturbances import Disturbance
from treg_gating.simulate.presets import PRESETS
from treg_gating.simulate.settings import CohortSettings
from treg_gating.simulate.tubes import EventTruth, SimulatedTube, TubePlan, simulate_tube
from treg_gating.simulate.write import SimulationSummary, read_truth, simulate_to_folder, write_cohort

__all__ = [
    "PRESETS",
    "CohortSettings",
    "Disturbance",
    "EventTruth",
    "SimulatedTube",
    "SimulationSummary",
    "SubjectVisit",
    "TubePlan",
    "draw_biology",
    "plan_cohort",
    "read_truth",
    "simulate_cohort",
    "simulate_single_stains",
    "simulate_to_folder",
    "simulate_tube",
    "write_cohort",
]
