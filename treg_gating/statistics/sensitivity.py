"""The sensitivity set: the primary question asked in other ways. Each analysis answers or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from treg_gating.statistics.ancova import ancova, rank_ancova
from treg_gating.statistics.comparison import Comparison
from treg_gating.statistics.linear import NotEstimableError
from treg_gating.statistics.mmrm import MixedModel, mmrm
from treg_gating.statistics.nonparametric import nonparametric
from treg_gating.statistics.permutation import freedman_lane
from treg_gating.statistics.trial import TrialData

__all__ = ["Result", "answered", "mixed_model", "sensitivity_set"]

PERMUTATIONS = 9999


@dataclass(frozen=True, slots=True)
class Result:
    """One analysis.

    Parameters
    ----------
    key : short name. title : in words. role : primary, secondary, sensitivity or exploratory.
    comparison : None where it is not estimable; then `reason` says why.
    """

    key: str
    title: str
    role: str
    comparison: Comparison | None
    reason: str = ""


def answered(key: str, title: str, role: str, ask: Callable[[], Comparison]) -> Result:
    """Run an analysis; what the data do not support becomes a reason."""
    try:
        return Result(key, title, role, ask())
    except NotEstimableError as error:
        return Result(key, title, role, None, str(error))


def mixed_model(trial: TrialData, scale: str) -> tuple[MixedModel | None, str]:
    """The MMRM, or None and why not."""
    try:
        return mmrm(trial.arm, trial.baseline, trial.values, trial.n_arms, strata=trial.strata, scale=scale), ""
    except NotEstimableError as error:
        return None, str(error)


def primary_ancova(trial: TrialData, scale: str = "log", *, robust: bool = False) -> Comparison:
    """ANCOVA of a trial at the endpoint's visit."""
    return ancova(
        trial.arm, trial.baseline, trial.at_primary, trial.n_arms, strata=trial.strata, scale=scale, robust=robust
    )


def sensitivity_set(
    trial: TrialData, reviewed: Iterable[tuple[str, str]], overridden: Iterable[tuple[str, str]], seed: int
) -> list[Result]:
    """All sensitivity analyses of a percentage.

    Parameters
    ----------
    reviewed, overridden : (subject, visit) of values whose tube is flagged for review, or rests on a person's gate.
    seed : of the permutations.
    """
    flagged, changed = frozenset(reviewed), frozenset(overridden)
    y, n = trial.at_primary, trial.n_arms
    with np.errstate(divide="ignore", invalid="ignore"):
        logs, base = np.where(y > 0, np.log(y), np.nan), np.where(trial.baseline > 0, np.log(trial.baseline), np.nan)
    asked: list[tuple[str, str, Callable[[], Comparison]]] = [
        ("logit", "ANCOVA on the logit scale", lambda: primary_ancova(trial, "logit")),
        ("raw", "ANCOVA on the raw scale", lambda: primary_ancova(trial, "raw")),
        ("hc3", "ANCOVA on the log scale, HC3 standard errors", lambda: primary_ancova(trial, robust=True)),
        ("rank", "Rank ANCOVA", lambda: rank_ancova(trial.arm, trial.baseline, y, n, trial.strata)),
        (
            "permutation",
            "Permutation test of the log-scale ANCOVA",
            lambda: freedman_lane(trial.arm, base, logs, n, strata=trial.strata, seed=seed, permutations=PERMUTATIONS),
        ),
        (
            "nonparametric",
            "Ratio to baseline without a model",
            lambda: nonparametric(trial.arm, logs - base, n),
        ),
    ]
    results = [answered(key, title, "sensitivity", ask) for key, title, ask in asked]
    for key, title, left_out in (
        ("without_flagged", "ANCOVA without samples flagged for review", flagged),
        ("without_overrides", "ANCOVA without samples whose gates a person set", changed),
    ):
        if left_out:
            smaller = trial.without(left_out)
            results.append(answered(key, title, "sensitivity", lambda part=smaller: primary_ancova(part)))  # type: ignore[misc]
        else:
            results.append(Result(key, title, "sensitivity", None, "no such sample: the same as the primary analysis"))
    return results
