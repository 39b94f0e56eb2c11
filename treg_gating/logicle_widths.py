"""One logicle width per marker for the whole study, where the template leaves it to the samples (``w=auto``).

A width a file would make gates and intensities incomparable between files. So the width is estimated before the first
pass, on the samples the consensus is learnt on (baseline and control donor), and stands in the run's record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from treg_gating.errors import InputError, TregGatingError
from treg_gating.settings import RunSettings
from treg_gating.transforms import LogicleOfStudy, estimate_logicle_width
from treg_gating.tube import Role, Tube

__all__ = ["settle_widths"]

MOST_TUBES = 24  # spread over the sheet; a median over more does not move
FEWEST_TUBES = 3
STEP = 0.05  # decades; a width is rounded to it, so that one more sample seldom moves every gate


def settle_widths(settings: RunSettings, tubes: Sequence[Tube]) -> tuple[RunSettings, tuple[str, ...]]:
    """Settings whose template knows every width, and sentences that the run must say.

    Parameters
    ----------
    settings : as for the run; returned as they are where the template asks for no width.
    tubes : of the sheet.

    Raises
    ------
    InputError : too few samples have the negative values that tell a width.
    """
    template = settings.template
    asked = {marker: kind for marker, kind in template.transforms.items() if isinstance(kind, LogicleOfStudy)}
    if not asked:
        return settings, ()
    from treg_gating.pipeline import clean_values  # takes a tenth of a second, which no other template asks for

    found: dict[str, list[float]] = {marker: [] for marker in asked}
    measured: dict[str, int] = dict.fromkeys(asked, 0)
    for tube in _learners(settings, tubes):
        try:
            values = clean_values(tube, settings, list(asked))
        except TregGatingError:
            continue  # the tube fails with its reason in the run itself
        for marker, column in values.items():
            measured[marker] += 1
            width = estimate_logicle_width(column, t=asked[marker].t, m=asked[marker].m)
            if width is not None:
                found[marker].append(width)
    _check_told(settings, found, measured)
    widths = {marker: _rounded(values, asked[marker]) for marker, values in found.items() if values}
    usual = {marker: 0.5 for marker in asked if marker not in widths}  # no tube measures it: never used
    known = {marker: kind.of_width({**usual, **widths}[marker]) for marker, kind in asked.items()}
    settled = replace(template, transforms={**template.transforms, **known})
    said = ", ".join(f"{marker} {width:g}" for marker, width in widths.items())
    return replace(settings, template=settled, widths=widths), (f"Logicle widths from the samples, decades: {said}.",)


def _check_told(settings: RunSettings, found: dict[str, list[float]], measured: dict[str, int]) -> None:
    required = {spec.marker for spec in settings.template.panel if spec.required}
    for marker, told in found.items():
        enough = max(min(FEWEST_TUBES, measured[marker]), 1)
        if len(told) < enough and (measured[marker] or marker in required):
            msg = f"the logicle width of {marker} cannot be estimated (w=auto in panel.csv)"
            raise InputError(
                msg,
                found=f"{len(told)} of {measured[marker]} baseline and control samples with negative values",
                expected=f"{enough} or more",
                action="Write a number, such as w=0.6",
            )


def _rounded(widths: list[float], kind: LogicleOfStudy) -> float:
    return round(min(round(median(widths) / STEP) * STEP, kind.m / 2), 6)


def _learners(settings: RunSettings, tubes: Sequence[Tube]) -> list[Tube]:
    """Baseline samples and control donors, spread over the sheet; all samples where there is no baseline."""
    baselines = {visit.name for visit in settings.study.visits if visit.baseline}
    found = [
        tube
        for tube in tubes
        if tube.role is Role.CONTROL or (tube.role is Role.SAMPLE and (not baselines or tube.visit in baselines))
    ]
    return found[:: -(-len(found) // MOST_TUBES)] if found else []
