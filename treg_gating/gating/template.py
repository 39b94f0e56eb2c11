"""Gating templates: folders of small tables that a person reads in a spreadsheet.

``template.toml`` (name, version, description, compensation), ``panel.csv`` (marker, synonyms, transform, args,
required, channel), ``gates.csv`` (one row a population) and ``endpoints.csv``. Everything is checked at once; every
fault is reported with its file and line.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from treg_gating.errors import InputError, TemplateError
from treg_gating.gating.expression import Expression, parse_expression
from treg_gating.gating.method import CohortMethod, parse_arguments
from treg_gating.gating.methods import METHODS
from treg_gating.gating.template_tables import COLUMNS, Row, read_table, suggestion
from treg_gating.panel import MarkerSpec
from treg_gating.sample import Channel, Spillover
from treg_gating.transforms import Asinh, Linear, Logicle, Transform

__all__ = [
    "CombineStep",
    "Endpoint",
    "FileIdentity",
    "GateStep",
    "GatingTemplate",
    "Imported",
    "Rule",
    "load_template",
    "shipped_templates",
]

BEFORE = ("root", "clean")  # populations that stand before the first row
SHARES = ("own", "shrink", "batch", "study", "cohort", "control")
CONSENSUS = "consensus"  # the one rule of a chain that is not a method
COMPENSATION = ("file", "none")


@dataclass(frozen=True)
class Rule:
    """One rule of a chain: its name, its arguments as written, and the method (None for ``consensus``)."""

    name: str
    args: str
    method: Any


@dataclass(frozen=True)
class GateStep:
    """One gate, one population.

    Parameters
    ----------
    population, parent : names. dims : one or two dimensions (markers or scatter channels).
    sign : "+" keeps the events inside the gate, "-" those outside.
    chain : the method, then its fall-backs, in order.
    share : how the cohort takes part: own, shrink, batch, study, cohort (learns from samples), control (FMO tubes).
    fit_on : the population the gate is fitted on; the parent unless the template says otherwise.
    line : line in gates.csv.
    """

    population: str
    parent: str
    dims: tuple[str, ...]
    sign: str
    chain: tuple[Rule, ...]
    share: str
    fit_on: str
    line: int

    @property
    def method(self) -> Any:
        """The first rule's method."""
        return self.chain[0].method

    @property
    def learns(self) -> bool:
        """Whether the first rule learns from the cohort before it fits a tube."""
        return isinstance(self.method, CohortMethod)


@dataclass(frozen=True)
class CombineStep:
    """A Boolean combination of populations that stand above it."""

    population: str
    parent: str
    expression: Expression
    line: int


@dataclass(frozen=True)
class Endpoint:
    """A ratio of two populations that is reported; exactly one is primary."""

    name: str
    numerator: str
    denominator: str
    unit: str
    primary: bool


class FileIdentity(Protocol):
    """What a template may ask of a file: a sample or its header."""

    @property
    def keywords(self) -> Mapping[str, str]:
        """TEXT keywords."""

    @property
    def channels(self) -> tuple[Channel, ...]:
        """One a parameter."""

    @property
    def spillover(self) -> Spillover | None:
        """The file's own matrix."""


@dataclass(frozen=True, eq=False)
class Imported:
    """What comes along with gates that another program made.

    Parameters
    ----------
    source : the document and the sample in it.
    spillover : its matrix; None takes the file's own where the template asks for one.
    counts : by population, the events that program counted.
    raw : dimensions that mean a detector's raw values although it is compensated for others.
    """

    source: str
    spillover: Spillover | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    raw: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GatingTemplate:
    """A checked template.

    Parameters
    ----------
    compensation : "file" (the events are raw; a matrix is needed) or "none" (the export is compensated already).
        Imported gates may also ask for "uncompensated": raw values as they are, whatever matrix the file holds.
    panel : markers and scatter channels it asks for. transforms : by marker; absent where estimated.
    steps : gates and combinations in order. rows : gates.csv as written. sha256 : over all its files.
    imported : where its gates come from, if not from a template's tables; its panel then names detectors itself.
    """

    name: str
    version: str
    description: str
    compensation: str
    panel: tuple[MarkerSpec, ...]
    transforms: Mapping[str, Transform]
    steps: tuple[GateStep | CombineStep, ...]
    endpoints: tuple[Endpoint, ...]
    rows: tuple[Mapping[str, str], ...]
    sha256: str
    imported: Imported | None = None

    def for_file(self, file: FileIdentity, name: str = "") -> GatingTemplate:
        """The template as it stands for one file: itself, unless every file has gates of its own."""
        return self

    @property
    def primary(self) -> Endpoint:
        """The primary endpoint."""
        return next(endpoint for endpoint in self.endpoints if endpoint.primary)

    def step(self, population: str) -> GateStep | CombineStep:
        """The step that makes `population`; KeyError where there is none."""
        for step in self.steps:
            if step.population == population:
                return step
        raise KeyError(population)

    def path(self, population: str) -> tuple[str, ...]:
        """Populations from the first row down to `population`, itself included."""
        names: list[str] = []
        while population not in BEFORE:
            names.append(population)
            population = self.step(population).parent
        return tuple(reversed(names))


def shipped_templates() -> dict[str, Path]:
    """Templates that come with the package, by name."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "gating_templates", package.parent / "gating_templates"):
        if folder.is_dir():
            return {path.name: path for path in sorted(folder.iterdir()) if (path / "gates.csv").is_file()}
    return {}


def load_template(name_or_path: str | Path) -> GatingTemplate:
    """Read and check a template, by the name of a shipped one or by its folder.

    Raises
    ------
    TemplateError : with every fault, by file and line.
    """
    shipped = shipped_templates()
    folder = shipped.get(str(name_or_path), Path(name_or_path))
    faults: list[InputError] = []
    if not folder.is_dir():
        raise TemplateError([_no_such_template(str(name_or_path), list(shipped))])
    about = _read_about(folder, faults)
    tables = {name: read_table(folder / f"{name}.csv", faults) for name in COLUMNS}
    panel, transforms = _read_panel(tables["panel"], faults)
    steps = _read_steps(tables["gates"], [spec.marker for spec in panel], faults)
    endpoints = _read_endpoints(tables["endpoints"], [step.population for step in steps], faults)
    if faults:
        raise TemplateError(faults)
    return GatingTemplate(
        name=about["name"],
        version=str(about["version"]),
        description=about.get("description", ""),
        compensation=about.get("compensation", "file"),
        panel=panel,
        transforms=transforms,
        steps=steps,
        endpoints=endpoints,
        rows=tuple(dict(row.cells) for row in tables["gates"]),
        sha256=_digest(folder),
    )


def _no_such_template(name: str, shipped: Sequence[str]) -> InputError:
    msg = f"no gating template {name!r}"
    return InputError(
        msg, expected=f"a folder with gates.csv, or one of {', '.join(shipped)}", action=suggestion(name, shipped)
    )


def _read_about(folder: Path, faults: list[InputError]) -> dict[str, Any]:
    path = folder / "template.toml"
    try:
        about = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        faults.append(InputError(f"cannot be read: {error}", file=str(path)))
        return {}
    known = ("name", "version", "description", "compensation")
    for key in about:
        if key not in known:
            faults.append(InputError(f"unknown key {key!r}", file=str(path), action=suggestion(key, known)))
    for key in ("name", "version"):
        if not isinstance(about.get(key), str) or not about[key].strip():
            faults.append(InputError(f"{key} is missing or not text", file=str(path), where=key))
    if about.get("compensation", "file") not in COMPENSATION:
        found = repr(about["compensation"])
        msg = "compensation is neither file nor none"
        faults.append(InputError(msg, file=str(path), where="compensation", found=found, expected="file or none"))
    return about


def _read_panel(rows: Sequence[Row], faults: list[InputError]) -> tuple[tuple[MarkerSpec, ...], dict[str, Transform]]:
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
    kinds = {"logicle": Logicle, "asinh": Asinh, "linear": Linear}
    name = row["transform"]
    if name not in kinds:
        faults.append(
            row.fault(f"unknown transform {name!r}", expected=", ".join(kinds), action=suggestion(name, kinds))
        )
        return Linear()
    try:
        transform: Transform = parse_arguments(kinds[name], row["args"], file=row.file, where=str(row.line))
    except InputError as error:
        faults.append(row.fault(str(error.problem), found=error.found, expected=error.expected, action=error.action))
        return Linear()
    return transform


def _read_steps(
    rows: Sequence[Row], markers: Sequence[str], faults: list[InputError]
) -> tuple[GateStep | CombineStep, ...]:
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
        if name not in markers:
            msg = f"dimension {name!r} is not in panel.csv"
            faults.append(row.fault(msg, action=suggestion(name, markers)))
    if row["sign"] not in {"+", "-"}:
        faults.append(row.fault("sign is neither + nor -", found=repr(row["sign"])))
    if (row["share"] or "own") not in SHARES:
        faults.append(row.fault(f"unknown share {row['share']!r}", expected=", ".join(SHARES)))
    args, fit_on = _without_fit_on(row["args"])
    if fit_on and fit_on not in above:
        msg = f"fit_on={fit_on} of {row['population']!r} is not defined above it"
        faults.append(row.fault(msg, action=suggestion(fit_on, above)))
    chain = [_rule(row, row["method"], args, faults)]
    for part in filter(None, (piece.strip() for piece in row["fallback"].split(">"))):
        name, _, rest = part.partition("(")
        chain.append(_rule(row, name.strip(), rest.rstrip(") "), faults))
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


def _without_fit_on(args: str) -> tuple[str, str]:
    """Arguments without ``fit_on=…``, which belongs to the step and not to the method; and its value."""
    parts = [part.strip() for part in args.split(";") if part.strip()]
    chosen = [part.partition("=")[2].strip() for part in parts if part.partition("=")[0].strip() == "fit_on"]
    rest = [part for part in parts if part.partition("=")[0].strip() != "fit_on"]
    return "; ".join(rest), chosen[-1] if chosen else ""


def _rule(row: Row, name: str, args: str, faults: list[InputError]) -> Rule | None:
    if name == CONSENSUS:
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


def _read_endpoints(rows: Sequence[Row], populations: Sequence[str], faults: list[InputError]) -> tuple[Endpoint, ...]:
    endpoints: list[Endpoint] = []
    for row in rows:
        for column in ("numerator", "denominator"):
            if row[column] not in populations:
                msg = f"{column} {row[column]!r} is not a population of gates.csv"
                faults.append(row.fault(msg, action=suggestion(row[column], populations)))
        primary = row["primary"].lower() == "yes"
        endpoints.append(Endpoint(row["endpoint"], row["numerator"], row["denominator"], row["unit"], primary))
    if rows and sum(endpoint.primary for endpoint in endpoints) != 1:
        faults.append(rows[0].fault("exactly one endpoint must have primary = yes"))
    return tuple(endpoints)


def _digest(folder: Path) -> str:
    """Digest over the template's files with line ends unified, so that a checkout on another system agrees."""
    digest = hashlib.sha256()
    for name in ("template.toml", *(f"{table}.csv" for table in COLUMNS)):
        text = (folder / name).read_bytes().replace(b"\r\n", b"\n")
        digest.update(name.encode() + b"\0" + str(len(text)).encode() + b"\0" + text)
    return digest.hexdigest()
