"""study.toml with the visits that files name; what they do not tell is a gap in it, which `check` then asks for."""

from __future__ import annotations

import json

from treg_gating.study import Study, Visit

__all__ = ["plan_gaps", "study_text"]

_HEAD = """\
# What this study plans. Drafted by 'treg-gating init' from the names of the files: look at every line that says
# "guess", and fill in every line that says "FILL IN" (take the # before it away). With no plan to state yet, delete
# this file: visits are then taken from the sheet, any day counts for its visit, and the run says so.

[study]
# id = "NCT00000000"
# title = "..."

[endpoint]
population = "treg"
denominator = "cd4_t"
"""
_FOOT = """
# Limits of flags, such as cd4_warn = 20000, may be set here; the documentation lists them all.
# [limits]
"""


def study_text(study: Study) -> str:
    """The file, for visits as :func:`treg_gating.study.default_study` orders them."""
    lines = [_HEAD.rstrip("\n")]
    if study.endpoint.visit:
        lines.append(f"visit = {_quoted(study.endpoint.visit)}  # guess: the last visit seen")
    for at, visit in enumerate(study.visits):
        lines += ["", "[[visit]]", f"name = {_quoted(visit.name)}", _day(visit)]
        lines.append("# window = [-7, 7]  # days around the target day that count; without it any day does")
        if visit.baseline:
            lines.append("baseline = true  # guess, from the name")
        elif at == 0 and study.baseline is None:
            lines.append("# baseline = true  # FILL IN: which visit is the baseline? Move this line to it")
    return "\n".join(lines) + "\n" + _FOOT


def _day(visit: Visit) -> str:
    if visit.day is None:
        return "# day = 0  # FILL IN: the target day; the baseline is day 0"
    return f"day = {visit.day}  # guess, from the name"


def plan_gaps(study: Study) -> list[str]:
    """What a person must add to study.toml, in words."""
    gaps = [f"the target day of {visit.name}" for visit in study.visits if visit.day is None]
    return gaps if study.baseline is not None else [*gaps, "which visit is the baseline"]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # for printable text the same as a TOML string
