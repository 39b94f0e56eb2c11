"""Rows of a template's tables as markers, steps and endpoints; every fault goes into a list with its line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from treg_gating.errors import InputError
from treg_gating.gating.expression import parse_expression
from treg_gating.gating.method import parse_arguments
from treg_gating.gating.methods import METHODS
from treg_gating.gating.steps import BEFORE, CombineStep, Endpoint, GateStep, Rule
from treg_gating.gating.template_tables import Row, suggestion
from treg_gating.panel import MarkerSpec
from treg_gating.transforms import Asinh, Linear, Logicle, LogicleOfStudy, Transform

__all__ = ["read_endpoints", "read_panel", "read_steps"]

SHARED = ("shrink", "batch", "study", "landmark")  # shares for which the cohort has a consensus gate
SHARES = ("own", *SHARED, "cohort", "control")
CONSENSUS = "consensus"  # the one rule of a chain that is not a method
_AUTO = re.compile(r"(?:^|;)\s*w\s*=\s*auto\s*(?=;|$)", re.IGNORECASE)  # the study's samples give the width
_FALLBACK = re.compile(r"(?P<name>[^()]*?)\s*(?:\((?P<args>[^()]*)\))?")


def read_panel(rows: Sequence[Row], faults: list[InputError]) -> tuple[tuple[MarkerSpec, ...], dict[str, Transform]]:
    """Markers of panel.csv and the transform of each, by marker."""
    specs: list[MarkerSpec] = []
    transforms: dict[str, Transform] = {}
    for row in rows:
        marker = row["marker"]
        if not marker or marker in transforms:
            faults.append(row.fault("marker is empty" if not marker else f"marker {marker!r} stands twice"))
            continue
        if row["required"].lower() not in {"yes", "no"}:
            faults.append(row.fault("required is neither yes nor no", found=repr(row["required"])))
        synonyms = tuple(filter(None, (text.strip() for text in row["synonyms"].split(";"))))
        specs.append(MarkerSpec(marker, synonyms, row["required"].lower() != "no", row["channel"] or None))
        transforms[marker] = _read_transform(row, faults)
    return tuple(specs), transforms


def _read_transform(row: Row, faults: list[InputError]) -> Transform:
    kinds: dict[str, type[Any]] = {"logicle": Logicle, "asinh": Asinh, "linear": Linear}
    name = row["transform"]
    if name not in kinds:
        faults.append(
            row.fault(f"unknown transform {name!r}", expected=", ".join(kinds), action=suggestion(name, kinds))
        )
        return Linear()
    kind, args = kinds[name], row["args"]
    if name == "logicle" and _AUTO.search(args):
        kind, args = LogicleOfStudy, _AUTO.sub("", args)
    try:
        transform: Transform = parse_arguments(kind, args, file=row.file, where=str(row.line))
    except InputError as error:
        faults.append(row.fault(str(error.problem), found=error.found, expected=error.expected, action=error.action))
        return Linear()
    return transform


def read_steps(
    rows: Sequence[Row], markers: Sequence[str], faults: list[InputError]
) -> tuple[GateStep | CombineStep, ...]:
    """Steps of gates.csv, in order; `markers` are the dimensions that panel.csv names."""
    steps: list[GateStep | CombineStep] = []
    above = list(BEFORE)
    for row in rows:
        population = row["population"]
        if not population or population in above:
            problem = f"population {population!r} is defined above it already" if population else "population is empty"
            faults.append(row.fault(problem))
            continue
        if row["parent"] not in above:
            msg = f"parent {row['parent']!r} of {population!r} is not defined above it"
            faults.append(row.fault(msg, action=suggestion(row["parent"], above)))
        step = _combine(row, above, faults) if row["method"] == "combine" else _gate(row, above, markers, faults)
        if step is not None:
            steps.append(step)
        above.append(population)
    return tuple(steps)


def _combine(row: Row, above: Sequence[str], faults: list[InputError]) -> CombineStep | None:
    try:
        expression = parse_expression(row["args"])
    except ValueError as error:
        faults.append(row.fault(f"expression of {row['population']!r}: {error}", found=repr(row["args"])))
        return None
    for name in expression.names:
        if name not in above:
            msg = f"{name!r} in the expression of {row['population']!r} is not defined above it"
            faults.append(row.fault(msg, action=suggestion(name, above)))
    return CombineStep(row["population"], row["parent"], expression, row.line)


def _gate(row: Row, above: Sequence[str], markers: Sequence[str], faults: list[InputError]) -> GateStep | None:
    before = len(faults)
    dims = tuple(filter(None, (name.strip() for name in row["dims"].split(";"))))
    if not 1 <= len(dims) <= 2:
        faults.append(row.fault("dims names neither one nor two dimensions", found=repr(row["dims"])))
    for name in dims:
        if markers and name not in markers:
            msg = f"dimension {name!r} is not in panel.csv"
            faults.append(row.fault(msg, action=suggestion(name, markers)))
    if row["sign"] not in {"+", "-"}:
        faults.append(row.fault("sign is neither + nor -", found=repr(row["sign"])))
    if (row["share"] or "own") not in SHARES:
        faults.append(row.fault(f"unknown share {row['share']!r}", expected=", ".join(SHARES)))
    args, fit_on = _without_fit_on(row, faults)
    if fit_on and fit_on not in above:
        msg = f"fit_on={fit_on} of {row['population']!r} is not defined above it"
        faults.append(row.fault(msg, action=suggestion(fit_on, above)))
    chain = [_rule(row, row["method"], args, faults)]
    for part in filter(None, (piece.strip() for piece in row["fallback"].split(">"))):
        match = _FALLBACK.fullmatch(part)
        if match is None:
            faults.append(row.fault("fallback cannot be read", found=repr(part), expected="method(key=value) > method"))
            continue
        chain.append(_rule(row, match["name"], match["args"] or "", faults))
    if len(faults) == before:
        _check_together(row, dims, chain, markers, faults)
    if len(faults) > before:
        return None
    return GateStep(
        population=row["population"],
        parent=row["parent"],
        dims=dims,
        sign=row["sign"],
        chain=tuple(rule for rule in chain if rule is not None),
        share=row["share"] or "own",
        fit_on=fit_on or row["parent"],
        line=row.line,
    )


def _check_together(
    row: Row, dims: tuple[str, ...], chain: Sequence[Rule | None], markers: Sequence[str], faults: list[InputError]
) -> None:
    """What each cell may say alone but not beside the others."""
    rules = [rule for rule in chain if rule is not None]
    for rule in rules:
        if rule.method is not None:
            faults.extend(_unfit(row, rule, dims, markers))
    share, first = row["share"] or "own", rules[0]
    if first.method is None:
        msg = "consensus is a fall-back and no method: there would be nothing to agree on"
        faults.append(row.fault(msg, expected=", ".join([*METHODS, "combine"])))
    if share not in SHARED and any(rule.method is None for rule in rules[1:]):
        msg = f"falls back to the consensus, but share={share} makes none"
        faults.append(row.fault(msg, expected=f"share = {', '.join(SHARED)}"))
    if share in {"cohort", "control"} and not first.learns:
        msg = f"{first.name} learns nothing from the cohort (share={share})"
        faults.append(row.fault(msg, expected=f"share = own, {', '.join(SHARED)}"))
    if share == "landmark" and len(dims) != 1:
        msg = "only a gate on one dimension moves with the peaks of the data (share=landmark)"
        faults.append(row.fault(msg, found=row["dims"], expected="one dimension, or another share"))
    if share in SHARED and any(not getattr(rule.method, "can_be_shared", True) for rule in rules):
        msg = f"gates of {', '.join(rule.name for rule in rules)} have no consensus"
        faults.append(row.fault(msg, found=f"share={share}", expected="share = own"))


def _unfit(row: Row, rule: Rule, dims: tuple[str, ...], markers: Sequence[str]) -> list[InputError]:
    """Faults of one method on these dimensions."""
    faults: list[InputError] = []
    wanted = getattr(rule.method, "dimensions", (1, 2))
    if len(dims) not in wanted:
        expected = f"{' or '.join(map(str, wanted))} dimension(s)"
        return [row.fault(f"{rule.name} does not take {len(dims)} dimension(s)", found=row["dims"], expected=expected)]
    columns: tuple[str, ...] = getattr(rule.method, "markers", ())
    for name in columns:
        if name not in markers:
            msg = f"{rule.name}: marker {name!r} is not in panel.csv"
            faults.append(row.fault(msg, action=suggestion(name, markers)))
    if columns and dims not in {columns[:2], columns[2:3]}:
        # The line's numbers belong to its markers in their order; on others it would still give a number.
        msg = f"{rule.name} with high and low as written makes no gate on these dimensions"
        expected = " or ".join(";".join(part) for part in (columns[:2], columns[2:3]) if part)
        faults.append(row.fault(msg, found=row["dims"], expected=expected))
    control = getattr(rule.method, "control", dims[0])
    if control.upper() != dims[0].upper():
        msg = f"{rule.name}: a control without {control} says nothing of {dims[0]}"
        faults.append(row.fault(msg, found=f"control={control}", expected=f"control={dims[0]}"))
    return faults


def _without_fit_on(row: Row, faults: list[InputError]) -> tuple[str, str]:
    """Arguments without ``fit_on=…``, which belongs to the step and not to the method; and its value."""
    parts = [part.strip() for part in row["args"].split(";") if part.strip()]
    chosen = [part.partition("=")[2].strip() for part in parts if part.partition("=")[0].strip() == "fit_on"]
    rest = [part for part in parts if part.partition("=")[0].strip() != "fit_on"]
    if len(chosen) > 1:
        faults.append(row.fault("argument 'fit_on' is given twice"))
    return "; ".join(rest), chosen[-1] if chosen else ""


def _rule(row: Row, name: str, args: str, faults: list[InputError]) -> Rule | None:
    if name == CONSENSUS:
        if args:
            faults.append(row.fault("consensus takes no arguments", found=repr(args)))
        return Rule(name, args, None)
    if name not in METHODS:
        expected = ", ".join([*METHODS, "combine"])
        faults.append(row.fault(f"unknown method {name!r}", expected=expected, action=suggestion(name, METHODS)))
        return None
    try:
        method = parse_arguments(METHODS[name], args, file=row.file, where=str(row.line))
    except InputError as error:
        faults.append(
            row.fault(f"{name}: {error.problem}", found=error.found, expected=error.expected, action=error.action)
        )
        return None
    return Rule(name, args, method)


def read_endpoints(rows: Sequence[Row], populations: Sequence[str], faults: list[InputError]) -> tuple[Endpoint, ...]:
    """Endpoints of endpoints.csv; `populations` are those that gates.csv names."""
    endpoints: list[Endpoint] = []
    for row in rows:
        name = row["endpoint"]
        if not name or name in [endpoint.name for endpoint in endpoints]:
            faults.append(row.fault(f"endpoint {name!r} stands twice" if name else "endpoint is empty"))
        if row["primary"].lower() not in {"yes", "no"}:
            faults.append(row.fault("primary is neither yes nor no", found=repr(row["primary"])))
        for column in ("numerator", "denominator"):
            if populations and row[column] not in populations:
                msg = f"{column} {row[column]!r} is not a population of gates.csv"
                faults.append(row.fault(msg, action=suggestion(row[column], populations)))
        primary = row["primary"].lower() == "yes"
        endpoints.append(Endpoint(row["endpoint"], row["numerator"], row["denominator"], row["unit"], primary))
    if rows and sum(endpoint.primary for endpoint in endpoints) != 1:
        faults.append(rows[0].fault("exactly one endpoint must have primary = yes"))
    return tuple(endpoints)
