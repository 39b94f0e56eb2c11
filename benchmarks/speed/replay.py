"""A pipeline that answers from a store: what the coordinator has to carry, without the science.

A tube's answer is that of one of a few originals, which the real pipeline has worked on, under the tube's own name.
Payloads have their real size; what lies between the passes is the real pipeline's. For measuring the coordinator,
the ledger, the outputs and the report with thousands of tubes in minutes.
"""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from treg_gating import pipeline
from treg_gating.gating import consensus
from treg_gating.gating.results import SampleFit, SampleResult
from treg_gating.samplesheet import Tube

__all__ = ["ReplaySettings", "between_passes", "failed_result", "first_pass", "record", "second_pass"]

failed_result = pipeline.failed_result


@dataclass(frozen=True, eq=False)
class ReplaySettings(pipeline.RunSettings):
    """Settings of the real pipeline, and where the originals' answers lie.

    Parameters
    ----------
    store : the file that :func:`record` wrote. seconds : how long a pass of a tube is to take.
    teachers : most tubes that mixtures are learnt on; fewer than in a real run, whose cost is the same for all cohorts
        above its own bound.
    """

    store: str = ""
    seconds: float = 0.0
    teachers: int = 4


def record(tubes: Sequence[Tube], settings: pipeline.RunSettings, store: Path) -> None:
    """Let the real pipeline work on the originals and keep what it answers."""
    fits = {tube.tube_id: pipeline.first_pass(tube, settings) for tube in tubes}
    cohort = pipeline.between_passes(tubes, fits, settings)
    results = [pipeline.second_pass(tube, settings, cohort, fits[tube.tube_id]) for tube in tubes]
    store.write_bytes(pickle.dumps((list(fits.values()), results)))


@cache
def _store(path: str) -> tuple[list[SampleFit], list[SampleResult]]:
    stored: tuple[list[SampleFit], list[SampleResult]] = pickle.loads(Path(path).read_bytes())
    return stored


def _digest(tube: Tube) -> str:
    return hashlib.sha256(Path(tube.path).read_bytes()).hexdigest()


def _number(tube: Tube, of: int) -> int:
    return int(hashlib.sha256(tube.tube_id.encode()).hexdigest(), 16) % of


def first_pass(tube: Tube, settings: ReplaySettings) -> SampleFit:
    fits, _ = _store(settings.store)
    time.sleep(settings.seconds)
    return replace(fits[_number(tube, len(fits))], tube_id=tube.tube_id, sha256=_digest(tube))


def between_passes(tubes: Sequence[Tube], fits: Mapping[str, SampleFit], settings: ReplaySettings) -> Any:
    consensus.MOST_TEACHERS = settings.teachers
    return pipeline.between_passes(tubes, fits, settings)


def second_pass(tube: Tube, settings: ReplaySettings, cohort: Any, fit: SampleFit) -> SampleResult:
    _, results = _store(settings.store)
    time.sleep(settings.seconds)
    identity = {name: getattr(tube, name) for name in ("tube_id", "file", "subject", "visit", "batch")}
    return replace(results[_number(tube, len(results))], **identity, role=str(tube.role), sha256=_digest(tube))
