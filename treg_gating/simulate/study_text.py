"""study.toml of a simulated cohort."""

from __future__ import annotations

from treg_gating.simulate.settings import CohortSettings

__all__ = ["REGISTERED", "study_toml"]

REGISTERED = {"nct05605665", "sample"}  # presets in the shape of the registered study
CD4_SHARE_OF_EVENTS = 0.8  # of singlets that live; the rest are dead cells, debris, doublets


def study_toml(settings: CohortSettings) -> str:
    """The study's plan as the run reads it; says that the data are simulated.

    Limits on the number of CD4 T cells are written where the cohort's tubes are smaller than the usual limits ask
    for, with that reason beside them.
    """
    registered = settings.name in REGISTERED
    identity = "NCT05605665" if registered else f"SIM-{settings.name}"
    title = "Low-dose IL-2, rapamycin and both in primary Sjögren's syndrome" if registered else settings.name
    lines = [
        "[study]",
        f'id = "{identity}"',
        f'title = "{title} (simulated data, no person behind it)"',
        "",
        "[endpoint]",
        'population = "treg"',
        'denominator = "cd4_t"',
        f'visit = "{settings.visits[-1].name}"',
    ]
    for index, visit in enumerate(settings.visits):
        first, last = visit.window
        lines += [
            "",
            "[[visit]]",
            f'name = "{visit.name}"',
            f"day = {visit.day}",
            f"window = [{first}, {last}]",
        ]
        if index == 0:
            lines.append("baseline = true")
    return "\n".join([*lines, "", "[limits]", *_limits(settings), "", *_statistics(settings)]) + "\n"


def _statistics(settings: CohortSettings) -> list[str]:
    """How the study is analysed after unblinding; the arms' names are public and tell no subject's arm."""
    arms = ", ".join(f'"{arm}"' for arm in settings.treatment.arms)
    return [
        "[statistics]",
        'multiplicity = "closed"',
        "responder_ratio = 2.0",
        f"arms = [{arms}]",
        f'combination = "{settings.treatment.arms[2]}"',
    ]


def _limits(settings: CohortSettings) -> list[str]:
    spread = settings.acquiring.events_spread
    fewest = settings.acquiring.events * (1.0 - spread) * settings.biology.lineages[0] * CD4_SHARE_OF_EVENTS
    low = settings.biology.viability[0]
    lines = []
    if fewest < 30_000:
        lines += [
            "# The tubes of this simulated cohort are small on purpose; the usual limits are 20000 and 5000.",
            f"cd4_warn = {_round(fewest / 2)}",
            f"cd4_fail = {_round(fewest / 5)}",
        ]
    if low < 0.8:
        lines += [
            "# The cells of this cohort were made to be of low viability; the usual limit is 80.",
            f"live_low_pct = {100 * low - 10:.0f}",
        ]
    return lines


def _round(value: float) -> int:
    """Down to hundreds, at least 100."""
    return max(100, int(value // 100) * 100)
