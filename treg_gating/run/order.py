"""What a run is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from treg_gating.run.child import Limits
from treg_gating.run.job import PIPELINE
from treg_gating.tube import SampleSheet

__all__ = ["RunOrder"]


@dataclass(frozen=True, eq=False)
class RunOrder:
    """What is to be run, and how.

    Parameters
    ----------
    sheet : the tubes.
    settings : :class:`treg_gating.settings.RunSettings`.
    out : output folder, made if it is not there.
    workers : processes; None for one a core, 0 for none.
    scheduler : address of a Dask scheduler; empty for a cluster of our own.
    limits : of one tube.
    notes : sentences the run must say.
    notes_of_files : more of them, which follow from the files' bytes alone; asked only where there is work to do.
    choices : settings to be shown beside the results, such as the matrix's file name.
    pipeline : dotted name of the module that does the science.
    new_only : finished tubes keep their results, though the cohort may have taught something since.
    """

    sheet: SampleSheet
    settings: Any
    out: Path
    workers: int | None = None
    scheduler: str = ""
    limits: Limits = field(default_factory=Limits)
    notes: tuple[str, ...] = ()
    notes_of_files: Callable[[], Sequence[str]] = tuple
    choices: Mapping[str, Any] = field(default_factory=dict)
    pipeline: str = PIPELINE
    new_only: bool = False
