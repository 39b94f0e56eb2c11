"""Columns of every table that leaves the program: name, type, unit, meaning."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

__all__ = [
    "AUDIT",
    "COMPARISON",
    "ENDPOINT",
    "FLAGS",
    "GATES",
    "LEVEY_JENNINGS",
    "MARKER_MAP",
    "OTHER_TUBES",
    "OVERRIDES",
    "POPULATIONS",
    "WORKBOOK_DATE",
    "Column",
    "names",
]

WORKBOOK_DATE = dt.datetime(2000, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)
"""Written as the date of every workbook instead of the clock: the same content gives the same bytes."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Parameters
    ----------
    name : as in the header.
    dtype : "text", "integer" or "number".
    unit : of a number; empty for text and plain counts.
    meaning : in words; also in the documentation.
    """

    name: str
    dtype: str
    unit: str
    meaning: str


def names(table: tuple[Column, ...]) -> tuple[str, ...]:
    """The header of a table."""
    return tuple(column.name for column in table)


_PROVENANCE = (
    Column("batch", "text", "", "tubes stained and acquired together, as in the sheet"),
    Column("tube_id", "text", "", "the tube in the sheet"),
    Column("sha256", "text", "", "digest of the file's bytes as they were read"),
    Column("template", "text", "", "gating template, name and version"),
    Column("template_sha256", "text", "", "digest over the template's files"),
    Column("code_version", "text", "", "version of the package and digest of the source that makes numbers"),
)

ENDPOINT: tuple[Column, ...] = (
    Column("subject", "text", "", "as in the sheet"),
    Column("visit", "text", "", "planned visit"),
    Column("file", "text", "", "file of the tube that counts for this visit, as in the sheet"),
    Column("status", "text", "", "ok; review: look before use; not_estimable; failed; missing: no tube"),
    Column("reason", "text", "", "why the status is not ok"),
    Column("n_cd4_t", "integer", "events", "CD4 T cells (the endpoint's denominator)"),
    Column("n_treg", "integer", "events", "Treg cells (the endpoint's numerator)"),
    Column("treg_pct_of_cd4", "number", "%", "Treg of CD4 T cells; empty where not estimable or too few to report"),
    Column("treg_pct_of_cd4_low", "number", "%", "95 % interval from counting alone, lower bound"),
    Column("treg_pct_of_cd4_high", "number", "%", "the same, upper bound"),
    Column(
        "treg_gate_low", "number", "%", "the percentage when each gate on the path moves by its standard error: least"
    ),
    Column("treg_gate_high", "number", "%", "the same: most"),
    Column("counting_cv_pct", "number", "%", "coefficient of variation from counting alone"),
    Column("treg_pct_of_lymphocytes", "number", "%", "Treg of live lymphocytes; empty where these are not gated"),
    Column("treg_per_ul", "number", "cells/µL", "Treg per µL of blood, from the sheet's absolute count or its beads"),
    Column("treg_per_ul_low", "number", "cells/µL", "95 % interval from counting cells and beads alone, lower bound"),
    Column("treg_per_ul_high", "number", "cells/µL", "the same, upper bound"),
    Column("absolute_from", "text", "", "cd4_per_ul, lymphocytes_per_ul (dual platform); beads_counted, beads gate"),
    Column("absolute_note", "text", "", "what a bead count leaves out, or why there is none"),
    Column("surface_treg_pct_of_cd4", "number", "%", "CD25+ CD127low of CD4 T cells, without FOXP3"),
    Column("foxp3_purity_pct", "number", "%", "FOXP3+ share of the CD25+ CD127low cells"),
    Column("cd25_mfi_treg", "number", "compensated units", "median CD25 of Treg cells"),
    Column("foxp3_mfi_treg", "number", "compensated units", "median FOXP3 of Treg cells"),
    Column("baseline_from", "text", "", "visit whose value is the subject's baseline; empty where there is none"),
    Column("change_from_baseline", "number", "percentage points", "Treg of CD4 minus the subject's baseline"),
    Column("ratio_to_baseline", "number", "", "Treg of CD4 over the subject's baseline"),
    Column("flags", "text", "", "codes of the tube's flags, joined by ;"),
    Column("review", "text", "", "accepted, overridden, excluded, reviewed (gates only), stale; empty: nobody decided"),
    Column("reviewed_by", "text", "", "who signed, and the day"),
    Column("review_reason", "text", "", "why, in words; of a stale decision, why it is not applied"),
    Column("overridden_gates", "text", "", "populations whose gates a person set, joined by ;"),
    Column("treg_pct_of_cd4_fitted", "number", "%", "the value before a person set a gate; empty where none did"),
    Column("selection", "text", "", "why this tube counts where the visit has several, or how its visit was told"),
    *_PROVENANCE,
)

OTHER_TUBES: tuple[Column, ...] = (
    Column("subject", "text", "", "as in the sheet"),
    Column("visit", "text", "", "visit that the sheet names"),
    Column("tube_id", "text", "", "the tube in the sheet"),
    Column("file", "text", "", "as in the sheet"),
    Column("day", "integer", "days", "study day of the collection, where the sheet says"),
    Column("date", "text", "", "date of the collection, where the sheet says"),
    Column("why_not_counted", "text", "", "outside every window, or another tube counts for the visit"),
    Column("status", "text", "", "as in endpoint.csv"),
    Column("reason", "text", "", "as in endpoint.csv"),
    Column("n_cd4_t", "integer", "events", "as in endpoint.csv"),
    Column("n_treg", "integer", "events", "as in endpoint.csv"),
    Column("treg_pct_of_cd4", "number", "%", "as in endpoint.csv; enters no table and no analysis"),
    Column("sha256", "text", "", "digest of the file's bytes as they were read"),
)

POPULATIONS: tuple[Column, ...] = (
    Column("tube_id", "text", "", "the tube in the sheet"),
    Column("file", "text", "", "as in the sheet"),
    Column("subject", "text", "", "as in the sheet"),
    Column("visit", "text", "", "as in the sheet"),
    Column("batch", "text", "", "as in the sheet"),
    Column("role", "text", "", "sample, or control for a control donor"),
    Column("population", "text", "", "name in the template"),
    Column("parent", "text", "", "name of its parent"),
    Column("status", "text", "", "ok, not_stained, not_estimable, or failed for a tube that failed"),
    Column("reason", "text", "", "why the status is not ok"),
    Column("n", "integer", "events", "events of the population; empty where not estimable"),
    Column("n_parent", "integer", "events", "events of its parent"),
    Column("n_reference", "integer", "events", "counted by the program that imported gates come from; else empty"),
    Column("pct_of_parent", "number", "%", "share of the parent"),
    Column("pct_of_parent_low", "number", "%", "Wilson 95 % interval from counting alone, lower bound"),
    Column("pct_of_parent_high", "number", "%", "the same, upper bound"),
    Column("pct_of_cd4", "number", "%", "share of CD4 T cells, for populations below them"),
    Column("pct_of_lymphocytes", "number", "%", "share of live lymphocytes, for populations below them"),
    Column("mfi_cd25", "number", "compensated units", "median CD25, where the template asks for it"),
    Column("mfi_foxp3", "number", "compensated units", "median FOXP3, where the template asks for it"),
    Column("sha256", "text", "", "digest of the file's bytes as they were read"),
)

GATES: tuple[Column, ...] = (
    Column("tube_id", "text", "", "the tube in the sheet"),
    Column("subject", "text", "", "as in the sheet"),
    Column("visit", "text", "", "as in the sheet"),
    Column("batch", "text", "", "as in the sheet"),
    Column("population", "text", "", "the population this gate makes"),
    Column("parent", "text", "", "whose events it is applied to"),
    Column("sign", "text", "", "+ keeps the events inside, - those outside"),
    Column("status", "text", "", "fitted, fallback, consensus, fixed, overridden, not_stained, failed"),
    Column("rule", "text", "", "which rule of the template's chain fired"),
    Column("kind", "text", "", "Interval, Rectangle, Polygon, Ellipse, HalfPlane; empty where there is no gate"),
    Column("dims", "text", "", "dimensions, joined by ;"),
    Column("numbers", "text", "gate units", "the gate's numbers as JSON"),
    Column("standard_error", "text", "gate units", "of each free number, joined by ;"),
    Column(
        "own_numbers",
        "text",
        "gate units",
        "the tube's own estimate where the final gate differs from it; of an overridden gate, the one it replaces",
    ),
    Column("n_events", "integer", "events", "events it was fitted on"),
    Column("reason", "text", "", "in words"),
)

LEVEY_JENNINGS: tuple[Column, ...] = (
    Column("tube_id", "text", "", "the tube in the sheet"),
    Column("subject", "text", "", "as in the sheet"),
    Column("visit", "text", "", "as in the sheet"),
    Column("batch", "text", "", "as in the sheet"),
    Column("role", "text", "", "sample or control (the donor's tube)"),
    Column("acquired", "text", "", "$DATE and $BTIM of the file"),
    Column("quantity", "text", "", "what is followed: median or robust SD of negatives or positives, share, MFI"),
    Column("value", "number", "as in the column unit", "empty where it is not estimable"),
    Column("unit", "text", "", "gate units, % or a.u. (compensated)"),
    Column("n_events", "integer", "events", "events it rests on"),
    Column("rules", "text", "", "Westgard rules that the control donor's tube takes part in breaking, joined by ;"),
)

COMPARISON: tuple[Column, ...] = (
    Column("tube_id", "text", "", "the tube in the sheet"),
    Column("subject", "text", "", "as in the sheet"),
    Column("visit", "text", "", "as in the sheet"),
    Column("before", "text", "", "the endpoint of the tube in run A with its counts, or why there is none"),
    Column("after", "text", "", "the same in run B"),
    Column("what", "text", "", "what else differs: state, counts, gates, flags"),
    Column("why", "text", "", "causes, separated by semicolons"),
)

FLAGS: tuple[Column, ...] = (
    Column(
        "level",
        "text",
        "",
        "failed: the tube; fail: the value; review: look before use; note; file: oddity of the file",
    ),
    Column("code", "text", "", "stable identifier"),
    Column("tube_id", "text", "", "the tube in the sheet"),
    Column("subject", "text", "", "as in the sheet"),
    Column("visit", "text", "", "as in the sheet"),
    Column("batch", "text", "", "as in the sheet"),
    Column("role", "text", "", "sample, or control for a control donor"),
    Column("file", "text", "", "as in the sheet"),
    Column("population", "text", "", "where it applies; empty for the whole tube"),
    Column("text", "text", "", "what was met, with its number and the limit"),
)

OVERRIDES: tuple[Column, ...] = (
    Column("tube_id", "text", "", "the tube in the sheet"),
    Column("subject", "text", "", "as in the sheet"),
    Column("visit", "text", "", "as in the sheet"),
    Column("population", "text", "", "the gate that was decided on; empty where the tube as a whole was"),
    Column("decision", "text", "", "accept, override, exclude, or withdraw what was decided before"),
    Column("state", "text", "", "in force; replaced by a later decision; or why it was not applied"),
    Column("value_before_pct", "number", "%", "the tube's primary endpoint without the overrides in force"),
    Column("value_after_pct", "number", "%", "the same with them"),
    Column("reason", "text", "", "in the person's words"),
    Column("who", "text", "", "who signed"),
    Column("utc", "text", "", "when, UTC"),
    Column("source", "text", "", "where it was made: page, workbook or workspace"),
    Column("gate_before", "text", "gate units", "the gate that the person found, as JSON"),
    Column("gate_after", "text", "gate units", "the person's gate, as JSON"),
)

MARKER_MAP: tuple[Column, ...] = (
    Column("marker", "text", "", "name in the template"),
    Column("channel", "text", "", "detector that was read for it ($PnN)"),
    Column("how", "text", "", "which label told: the sheet's mapping, the template, $PnS or $PnN"),
    Column("n_tubes", "integer", "tubes", "tubes in which it was so"),
    Column("tubes", "text", "", "which, where not all"),
)

AUDIT: tuple[Column, ...] = (
    Column("seq", "integer", "", "number of the row; every row rests on the one before it"),
    Column("utc", "text", "", "when, UTC"),
    Column("who", "text", "", "user of the operating system"),
    Column("host", "text", "", "computer"),
    Column("run", "text", "", "which run"),
    Column("what", "text", "", "the act"),
    Column("subject", "text", "", "the tube or file it concerns"),
    Column("old", "text", "", "digest or value before"),
    Column("new", "text", "", "digest or value after"),
    Column("why", "text", "", "reason in words"),
    Column("hash", "text", "", "digest of the row and of the one before it"),
)
