"""Gating templates: folders of small tables that a person reads in a spreadsheet.

``template.toml`` (name, version, description, compensation), ``panel.csv`` (marker, synonyms, transform, args,
required, channel), ``gates.csv`` (one row a population) and ``endpoints.csv``. Everything is checked at once; every
fault is reported with its file and line.
"""

from __future__ import annotations

import codecs
import hashlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from treg_gating.errors import InputError, TemplateError
from treg_gating.gating.steps import CombineStep, Endpoint, FileIdentity, GateStep, GatingTemplate, Imported, Rule
from treg_gating.gating.template_rows import read_endpoints, read_panel, read_steps
from treg_gating.gating.template_tables import COLUMNS, read_table, suggestion

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

COMPENSATION = ("file", "none")


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
    panel, transforms = read_panel(tables["panel"], faults)
    steps = read_steps(tables["gates"], [spec.marker for spec in panel], faults)
    endpoints = read_endpoints(tables["endpoints"], [row["population"] for row in tables["gates"]], faults)
    if not faults:
        faults.extend(_primary_faults(steps, endpoints, folder))
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
        about = tomllib.loads(path.read_text(encoding="utf-8-sig"))
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
    if not isinstance(about.get("description", ""), str):
        faults.append(InputError("description is not text", file=str(path), where="description"))
    if about.get("compensation", "file") not in COMPENSATION:
        found = repr(about["compensation"])
        msg = "compensation is neither file nor none"
        faults.append(InputError(msg, file=str(path), where="compensation", found=found, expected="file or none"))
    return about


def _primary_faults(
    steps: Sequence[GateStep | CombineStep], endpoints: Sequence[Endpoint], folder: Path
) -> list[InputError]:
    """The primary endpoint is a share: its numerator has to lie within its denominator."""
    parents = {step.population: step.parent for step in steps}
    primary = next(endpoint for endpoint in endpoints if endpoint.primary)
    above = primary.numerator
    while above != primary.denominator and above in parents:
        above = parents[above]
    if above == primary.denominator:
        return []
    msg = f"numerator {primary.numerator!r} of the primary endpoint does not lie below {primary.denominator!r}"
    return [InputError(msg, file=str(folder / "endpoints.csv"), where=primary.name)]


def _digest(folder: Path) -> str:
    """Digest over the template's files, line ends unified and without byte order marks: checkouts agree."""
    digest = hashlib.sha256()
    for name in ("template.toml", *(f"{table}.csv" for table in COLUMNS)):
        text = (folder / name).read_bytes().removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")
        digest.update(name.encode() + b"\0" + str(len(text)).encode() + b"\0" + text)
    return digest.hexdigest()
