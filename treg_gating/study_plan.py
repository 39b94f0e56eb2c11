"""What a study plans: visits, endpoint, limits, statistics. Types only; see :mod:`treg_gating.study` for reading."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, fields

__all__ = ["Endpoint", "Limits", "Statistics", "Study", "Visit", "fold_visit", "is_unscheduled", "limit_meanings"]


@dataclass(frozen=True, slots=True)
class Visit:
    """A planned visit.

    Parameters
    ----------
    name : as it stands in every table.
    day : target day; None where a study without study.toml does not tell.
    window : days relative to `day` that still count, both ends included; None where any day does.
    baseline : other visits are compared with this one.
    synonyms : other spellings that a sample sheet may use.
    """

    name: str
    day: int | None = None
    window: tuple[int, int] | None = None
    baseline: bool = False
    synonyms: tuple[str, ...] = ()

    @property
    def first_day(self) -> int | None:
        """First day of the window, in days of the study."""
        return None if self.day is None or self.window is None else self.day + self.window[0]

    @property
    def last_day(self) -> int | None:
        """Last day of the window, in days of the study."""
        return None if self.day is None or self.window is None else self.day + self.window[1]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The primary endpoint: a population's share of a denominator, at one visit.

    Parameters
    ----------
    population, denominator : names of populations in the template.
    visit : the visit's name; None where there is none beside the baseline.
    interval : counting interval of a proportion, "wilson" or "clopper_pearson".
    baseline_rule : "visit": the baseline visit's value or none; "last_evaluable": where that visit has none, the value
        of the last planned visit before it that has one.
    """

    population: str = "treg"
    denominator: str = "cd4_t"
    visit: str | None = None
    interval: str = "wilson"
    baseline_rule: str = "visit"


def _limit(default: float, meaning: str) -> float:
    value: float = field(default=default, metadata={"meaning": meaning})
    return value


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a study; each is a starting value that the laboratory may set for itself.

    ``limit_meanings()`` tells every one in words.
    """

    margin_warn_pct: float = _limit(1, "events at the edge of a channel's range, % of all: warned above")
    margin_fail_pct: float = _limit(5, "the same: failed above")
    time_warn_pct: float = _limit(20, "events that the time QC would remove, % of all: flagged above")
    time_fail_pct: float = _limit(50, "the same: failed above")
    singlets_low_pct: float = _limit(85, "singlets, % of parent: flagged below")
    singlets_high_pct: float = _limit(98, "singlets, % of parent: flagged above")
    live_low_pct: float = _limit(80, "live cells, % of parent: flagged below")
    gate_max_robust_sd: float = _limit(3, "distance of a gate from the consensus, robust SD: flagged above")
    cut_max_sd_decades: float = _limit(0.1, "bootstrap SD of the CD3 cut, decades: flagged above")
    cd4_warn: float = _limit(20000, "CD4 T cells in a tube: warned below")
    cd4_fail: float = _limit(5000, "CD4 T cells in a tube: failed below")
    treg_gate_min: float = _limit(200, "events in the CD25+CD127low gate: flagged below")
    foxp3_share_low_pct: float = _limit(60, "FOXP3+ share of the CD25+CD127low gate, %: flagged below")
    foxp3_share_high_pct: float = _limit(98, "the same: flagged above")
    endpoint_low_pct: float = _limit(0.5, "primary endpoint, %: unusual and to be reviewed below")
    endpoint_high_pct: float = _limit(25, "the same: above")
    count_flag: float = _limit(50, "events of a reported population: 'detected, not quantifiable' below")
    count_report: float = _limit(20, "events of a reported population: not reported below")
    beads_min: float = _limit(1000, "bead events in a tube: no absolute count below")


@dataclass(frozen=True, slots=True)
class Statistics:
    """How the endpoint is analysed after unblinding.

    Parameters
    ----------
    multiplicity : "closed" (2-df F, then pairwise), "holm", "tukey", "min_test" or "none".
    strata : columns of the arm list that enter the models.
    responder_ratio : at least this multiple of the baseline is a responder (descriptive).
    arms : names of the arms in the order of the tables; empty for alphabetical order. Names alone unblind nobody.
    combination : the arm that the min test compares with every other.
    """

    multiplicity: str = "closed"
    strata: tuple[str, ...] = ()
    responder_ratio: float = 2.0
    arms: tuple[str, ...] = ()
    combination: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """What was planned.

    Parameters
    ----------
    id, title : the registration and what the study is called.
    visits : by target day.
    endpoint, limits, statistics : see there.
    assumed : made by `default_study`, so visits and baseline are read from the sample sheet.
    notes : sentences the run prints: what was assumed, what is odd.
    path, sha256 : the file it came from, and its digest; empty where assumed.
    """

    id: str = ""
    title: str = ""
    visits: tuple[Visit, ...] = ()
    endpoint: Endpoint = Endpoint()
    limits: Limits = Limits()
    statistics: Statistics = Statistics()
    assumed: bool = False
    notes: tuple[str, ...] = ()
    path: str = ""
    sha256: str = ""

    @property
    def baseline(self) -> Visit | None:
        """The visit that others are compared with."""
        return next((visit for visit in self.visits if visit.baseline), None)

    @property
    def baseline_visits(self) -> tuple[str, ...]:
        """Visits whose value may be the baseline, the first with a value counts."""
        if self.baseline is None:
            return ()
        at = self.visits.index(self.baseline) if self.endpoint.baseline_rule == "last_evaluable" else 0
        return (self.baseline.name, *(visit.name for visit in reversed(self.visits[:at])))

    @property
    def visit_names(self) -> tuple[str, ...]:
        """Names of the planned visits, in order."""
        return tuple(visit.name for visit in self.visits)

    def find_visit(self, written: str) -> str | None:
        """Name of the planned visit that `written` means, by name or synonym, or None.

        Case, blanks, ``-`` and ``_`` do not count; nothing is matched by likeness.

        >>> Study(visits=(Visit("Week 12", synonyms=("W12",)),)).find_visit("WEEK_12")
        'Week 12'
        """
        wanted = fold_visit(written)
        for visit in self.visits:
            if wanted in {fold_visit(name) for name in (visit.name, *visit.synonyms)}:
                return visit.name
        return None

    def visit(self, name: str) -> Visit:
        """The visit of exactly this name; KeyError where there is none."""
        for visit in self.visits:
            if visit.name == name:
                return visit
        raise KeyError(name)


def is_unscheduled(name: str) -> bool:
    """Whether a sheet's visit says that it was not planned ("Unscheduled 2"); other names are told from planned ones.

    >>> is_unscheduled("UNSCHEDULED-1"), is_unscheduled("Week 12")
    (True, False)
    """
    return fold_visit(name).startswith("unsch")


def fold_visit(name: str) -> str:
    """A visit's name without case, blanks, hyphens and underscores.

    >>> fold_visit(" Week-12 ")
    'week12'
    """
    return re.sub(r"[\s_\-‐‑–]+", "", unicodedata.normalize("NFKC", name)).casefold()


def limit_meanings() -> tuple[tuple[str, float, str], ...]:
    """Name, default and meaning of every limit."""
    defaults = Limits()
    return tuple((item.name, getattr(defaults, item.name), item.metadata["meaning"]) for item in fields(Limits))
