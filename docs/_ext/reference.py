"""The reference pages: written from the program when the documentation is built, so that they cannot say otherwise.

Commands from their own ``--help``; columns of the result tables from :mod:`treg_gating.tables`; gating methods and
limits from their fields; modules from their docstrings.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from sphinx.application import Sphinx

from treg_gating import tables
from treg_gating.cli.main import cli
from treg_gating.gating.method import describe
from treg_gating.gating.methods import METHODS
from treg_gating.study import limit_meanings

ROOMS = {
    "Files and samples": ("errors", "sample", "flags", "tables", "fcs", "fcs.reader", "fcs.writer", "fcs.codes"),
    "Sheet and study": ("tube", "samplesheet", "sheet_columns", "study", "study_plan", "panel", "marker_names"),
    "From raw to clean": ("quality", "compensation", "spillover", "matrices", "transforms", "logicle_widths"),
    "Gating": (
        *("gating.gates", "gating.method", "gating.methods", "gating.template", "gating.hierarchy"),
        *("gating.consensus", "gating.mixture", "gating.mixture_fit", "gating.mixture_placement", "gating.results"),
    ),
    "Results": (
        "settings",
        "pipeline",
        "populations",
        "pictures",
        "gate_interval",
        "proportion",
        "review",
        "endpoint",
        "levey_jennings",
    ),
    "Runs": ("run.cohort", "run.engine", "run.ledger", "run.audit", "run.outputs", "run.record", "run.last"),
    "Statistics": ("statistics.analysis", "statistics.ancova", "statistics.mmrm", "statistics.multiplicity"),
    "Other programs": ("interchange.gatingml", "interchange.flowjo_export", "interchange.cdisc"),
    "Simulated cohorts": ("simulate", "simulate.settings", "simulate.write"),
}
TABLES = {
    "endpoint.csv": tables.ENDPOINT,
    "other_tubes.csv": tables.OTHER_TUBES,
    "populations.parquet": tables.POPULATIONS,
    "gates.csv": tables.GATES,
    "levey_jennings.csv": tables.LEVEY_JENNINGS,
}


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", house_style)
    return {"parallel_read_safe": True}


def write_pages(app: Sphinx) -> None:
    """Write docs/reference/; a page that would not change is left alone, so that it is not built again."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    pages = {"commands": _commands(), "tables": _tables(), "methods": _methods(), "limits": _limits()}
    pages |= {_slug(room): _room(room, modules) for room, modules in ROOMS.items()}
    for name, text in pages.items():
        page = folder / f"{name}.md"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def _slug(room: str) -> str:
    return "api_" + room.lower().replace(" ", "_")


def _commands() -> str:
    parts = ["# Commands\n", "What `--help` prints, word for word.\n"]
    for path, command in _walk(cli, ("treg-gating",)):
        context = click.Context(command, info_name=" ".join(path), max_content_width=110, terminal_width=110)
        text = re.sub(r"\n{3,}", "\n\n", command.get_help(context))
        parts.append(f"## {' '.join(path)}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def _walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            if found is not None:
                yield from _walk(found, (*path, name))


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _table(head: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(_cell(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _tables() -> str:
    parts = ["# Tables of a run\n", "An empty cell is a value that is not there; it is never zero.\n"]
    for name, columns in TABLES.items():
        rows = ((f"`{column.name}`", column.dtype, column.unit, column.meaning) for column in columns)
        parts += [f"## {name}\n", _table(("column", "type", "unit", "meaning"), rows)]
    return "\n".join(parts)


def _methods() -> str:
    parts = ["# Gating methods\n", "What the column `method` of a template's gates.csv may name, with its `args`.\n"]
    for name, kind in METHODS.items():
        rows = ((f"`{arg}`", f"`{default}`", unit, meaning) for arg, default, unit, meaning in describe(kind))
        where = f"{kind.__module__}.{kind.__qualname__}"
        summary = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
        parts += [f"## {name}\n", f"{summary}\n", _table(("argument", "default", "unit", "meaning"), rows)]
        parts += [f"```{{eval-rst}}\n.. autoclass:: {where}\n   :no-index:\n   :class-doc-from: class\n```\n"]
    return "\n".join(parts)


def _limits() -> str:
    rows = ((f"`{name}`", f"{default:g}", meaning) for name, default, meaning in limit_meanings())
    words = "Each is a starting value that a laboratory may set for itself, under `[limits]` in study.toml.\n"
    return f"# Limits\n\n{words}\n" + _table(("limit", "default", "meaning"), rows)


def _room(room: str, modules: tuple[str, ...]) -> str:
    parts = [f"# {room}\n"]
    for name in modules:
        module = importlib.import_module(f"treg_gating.{name}")
        parts.append(f"## treg_gating.{name}\n\n```{{eval-rst}}\n.. automodule:: {module.__name__}\n   :no-members:\n")
        parts += [_directive(module.__name__, public, getattr(module, public)) for public in _own(module)]
        parts.append("```\n")
    return "\n".join(parts)


def _own(module: Any) -> list[str]:
    """Public names that are at home in this module, functions and classes only."""
    homes = {module.__name__, *(f"{module.__name__}.{part.name}" for part in _parts(module))}
    return [
        name
        for name in getattr(module, "__all__", ())
        if (inspect.isclass(found := getattr(module, name)) or inspect.isfunction(found)) and found.__module__ in homes
    ]


def _parts(module: Any) -> list[Any]:
    """Modules inside a package that are not documented on their own."""
    named = {f"treg_gating.{name}" for names in ROOMS.values() for name in names}
    inside = pkgutil.iter_modules(module.__path__) if hasattr(module, "__path__") else ()
    return [part for part in inside if f"{module.__name__}.{part.name}" not in named]


def _directive(module: str, name: str, found: Any) -> str:
    kind = "autoclass" if inspect.isclass(found) else "autofunction"
    members = "\n   :members:" if kind == "autoclass" else ""
    return f".. {kind}:: {module}.{name}{members}\n"


_SECTIONS = {"Parameters", "Returns", "Raises", "Attributes", "Yields"}


def house_style(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Turn the house's ``name : meaning`` of docstrings into numpydoc's two lines, where types stand in the hints."""
    out: list[str] = []
    section, entry = "", False
    for at, line in enumerate(lines):
        if at and set(line.strip()) == {"-"} and lines[at - 1].strip():
            section = lines[at - 1].strip()
            entry = False
        elif at + 1 < len(lines) and lines[at + 1].strip() and set(lines[at + 1].strip()) == {"-"}:
            section = ""
        found = re.match(r"(\w[\w, .*]*?) : (.+)", line) if section in _SECTIONS else None
        if found:
            out += [found[1], f"    {found[2]}"]
            entry = True
        else:
            # What follows an entry without indentation of its own still belongs to it.
            out.append(f"    {line}" if entry and section in _SECTIONS and line.startswith("    ") else line)
    lines[:] = out
