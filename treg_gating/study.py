"""study.toml: planned visits, the primary endpoint, limits, multiplicity, strata.

::

    [study]
    id = "NCT05605665"
    title = "Low-dose IL-2 and rapamycin in primary Sjögren's syndrome"
    [endpoint]
    population = "treg"          # a population of the template
    denominator = "cd4_t"        # and the one it is a share of
    visit = "Week 12"            # where the primary endpoint is read
    interval = "wilson"          # or "clopper_pearson"
    [[visit]]
    name = "Baseline"
    day = 0                      # target day
    window = [-14, 0]            # days around the target day, both ends included
    baseline = true
    synonyms = ["BL", "V0"]      # other spellings in sample sheets
    [limits]
    cd4_warn = 20000             # see Limits
    [statistics]
    multiplicity = "closed"
    strata = ["site"]

Every fault is reported at once, with its line. Without a file, `default_study` says what it assumed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from treg_gating.errors import InputError, StudyError
from treg_gating.study_plan import (
    Endpoint,
    Limits,
    Statistics,
    Study,
    Visit,
    fold_visit,
    is_unscheduled,
    limit_meanings,
)

__all__ = [
    "Endpoint",
    "Limits",
    "Statistics",
    "Study",
    "Visit",
    "default_study",
    "fold_visit",
    "is_unscheduled",
    "limit_meanings",
    "read_study",
]


def read_study(path: str | Path) -> Study:
    """Read a study.toml.

    Raises
    ------
    StudyError : with every fault, its line and key.
    """
    from treg_gating.study_toml import parse_study  # not for processes that only work on tubes

    return parse_study(Path(path))


_BASELINE_NAMES: tuple[tuple[str, ...], ...] = (
    ("baseline", "bl", "基线"),
    ("day0", "d0", "week0", "w0", "wk0", "visit0", "v0", "month0", "m0", "t0"),
    ("predose", "pretreatment", "prestudy", "pre"),
    ("screening", "scr", "screen", "筛选"),
)
_DAYS = {"d": 1, "day": 1, "w": 7, "wk": 7, "week": 7, "weeks": 7, "days": 1}
_WITH_UNIT = re.compile(r"(?P<unit>days?|d|weeks?|wk|w)(?P<number>\d+)|(?P<first>\d+)(?P<after>days?|d|weeks?|wk|w)")


def default_study(visits: Sequence[str]) -> Study:
    """The study that a sample sheet alone implies; ``assumed`` is True and the note says what was taken for granted.

    Parameters
    ----------
    visits : names of the visits as they occur in the sheet.

    Raises
    ------
    StudyError : two names look like one visit ("W12" and "Week 12"), so that a missing visit could hide.
    """
    planned_names = [name for name in visits if name.strip() and not is_unscheduled(name)]
    names = list({fold_visit(name): name for name in reversed(planned_names)}.values())[::-1]
    _refuse_lookalikes(names)
    baseline = _baseline_of(names)
    ordered = sorted(names, key=lambda name: _order(name, name == baseline, names.index(name)))
    planned = tuple(Visit(name, day=_day(name, name == baseline), baseline=name == baseline) for name in ordered)
    later = [visit.name for visit in planned if not visit.baseline and _rank(visit.name) is None]
    endpoint = Endpoint(visit=later[-1] if later else None)
    base = f"{baseline!r} is the baseline" if baseline else "no visit is named like a baseline, so no change is given"
    read_at = f"the endpoint is read at {endpoint.visit!r}" if endpoint.visit else "no visit after baseline"
    note = (
        f"No study.toml: visits taken from the sample sheet in the order {', '.join(ordered) or '(none)'}; {base}; "
        f"{read_at}; any day counts for a visit; limits are the defaults."
    )
    return Study(visits=planned, endpoint=endpoint, assumed=True, notes=(note,))


def _rank(name: str) -> int | None:
    """Which tier of baseline names a name belongs to."""
    folded = fold_visit(name)
    return next((tier for tier, names in enumerate(_BASELINE_NAMES) if folded in names), None)


def _baseline_of(names: Sequence[str]) -> str | None:
    ranked = [(tier, name) for name in names if (tier := _rank(name)) is not None]
    return min(ranked, key=lambda item: item[0])[1] if ranked else None


def _day(name: str, is_baseline: bool) -> int | None:
    """Target day as the name tells it: "Week 12" is day 84; None where it names no unit."""
    match = _WITH_UNIT.fullmatch(fold_visit(name))
    if match:
        unit, number = match["unit"] or match["after"], match["number"] or match["first"]
        return int(number) * _DAYS[unit]
    return 0 if is_baseline else None


def _order(name: str, is_baseline: bool, at: int) -> tuple[int, float, int]:
    """Baseline-like names first, in the order a study has them; then by number; then as they occur."""
    tier = _rank(name)
    if tier is not None:
        return (0, 2 if is_baseline else (0 if tier == 3 else 1), at)
    days = _day(name, False)
    number = re.search(r"\d+", name)
    if days is not None:
        return (1, days, at)
    return (1, float(number.group()), at) if number else (2, 0, at)


def _refuse_lookalikes(names: Sequence[str]) -> None:
    """Names of the same unit and number are one visit spelled twice."""
    seen: dict[tuple[str, int], str] = {}
    faults: list[InputError] = []
    for name in names:
        match = re.fullmatch(r"([^\W\d_]+)0*(\d+)", fold_visit(name))
        if not match:
            continue
        unit = {"wk": "w", "week": "w", "day": "d", "visit": "v", "month": "m"}.get(match[1], match[1])
        first = seen.setdefault((unit, int(match[2])), name)
        if first != name:
            faults.append(
                InputError(
                    f"visits {first!r} and {name!r} look like one visit",
                    where="sample sheet",
                    action="Spell it one way, or write study.toml with one as the other's synonym",
                )
            )
    if faults:
        raise StudyError(faults)
