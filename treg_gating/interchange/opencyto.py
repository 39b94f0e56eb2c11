"""openCyto's CSV gating templates as templates of ours: the methods that have a counterpart, the rest named by line.

A counterpart does the same job and not the same arithmetic: openCyto's ``mindensity`` always cuts, our ``valley`` cuts
only where there is a valley. Numbers in openCyto's transformed units have no meaning on our scales and are not taken
over; numbers on linear scatter are.

Source of the format: Finak et al., OpenCyto (PLoS Comput Biol 2014), and the package's description of its templates.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from treg_gating.errors import InputError
from treg_gating.gating.template import load_template
from treg_gating.gating.template_tables import COLUMNS
from treg_gating.interchange.opencyto_rows import GateRow, Unsupported, read_rows, translate

__all__ = ["OpenCytoImport", "import_opencyto"]

TREG_NAMES = ("treg", "tregs", "cd25+cd127-", "cd25hicd127lo", "cd25+cd127low")
CD4_NAMES = ("cd4", "cd4+", "cd4_t", "cd4t", "th")


@dataclass(frozen=True)
class OpenCytoImport:
    """What was made of an openCyto template.

    Parameters
    ----------
    folder : our template. populations : those in it, in order.
    left_out : (line, population, reason). notes : (line, what changed its meaning).
    """

    folder: Path
    populations: tuple[str, ...]
    left_out: tuple[tuple[int, str, str], ...]
    notes: tuple[tuple[int, str], ...]


@dataclass
class _Draft:
    gates: list[GateRow] = field(default_factory=list)
    left_out: list[tuple[int, str, str]] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    stands_for: dict[str, str] = field(default_factory=lambda: {"root": "clean"})


def import_opencyto(path: str | Path, folder: str | Path, *, treg: str = "", cd4: str = "") -> OpenCytoImport:
    """Write a template folder from an openCyto CSV template.

    Parameters
    ----------
    folder : where the template goes; must not exist.
    treg, cd4 : populations of the primary endpoint, by their alias in the CSV; found by their usual names where empty.

    Raises
    ------
    InputError : not an openCyto template, the folder exists, or the populations of the endpoint are not in what could
        be taken over (with the reason).
    """
    source, target = Path(path), Path(folder)
    if target.exists():
        msg = "exists already; name a new folder"
        raise InputError(msg, file=str(target))
    draft = _Draft()
    for row in read_rows(source):
        parent = draft.stands_for.get(row.parent)
        if parent is None:
            several = (
                "several parents in one row" if "," in row.parent else f"its parent {row.parent!r} is not taken over"
            )
            draft.left_out.append((row.line, row.alias, several))
            continue
        if row.method == "boundary":
            draft.stands_for[row.alias] = parent
            draft.notes.append((row.line, f"{row.alias}: quality control leaves out the margins; stands for {parent}"))
            continue
        try:
            made, notes = translate(row, parent, draft.gates, draft.stands_for)
        except Unsupported as error:
            draft.left_out.append((row.line, row.alias, str(error)))
            continue
        draft.gates += made
        draft.notes += [(row.line, f"{row.alias}: {note}") for note in notes]
        draft.stands_for |= {gate.alias: gate.population for gate in made if gate.alias}
    if not draft.gates:
        reasons = "; ".join(f"line {line}: {name}: {reason}" for line, name, reason in draft.left_out)
        msg = "nothing in it has a counterpart here"
        raise InputError(msg, file=str(source), found=reasons or "no rows")
    ends = _endpoint(source, draft, treg, cd4)
    _write(source, target, draft.gates, ends)
    load_template(target)  # what was written must be a template
    names = tuple(gate.population for gate in draft.gates)
    return OpenCytoImport(target, names, tuple(draft.left_out), tuple(draft.notes))


def _endpoint(source: Path, draft: _Draft, treg: str, cd4: str) -> tuple[str, str]:
    found = []
    for asked, usual, what in ((treg, TREG_NAMES, "Treg"), (cd4, CD4_NAMES, "CD4 T cell")):
        wanted = {draft.stands_for.get(asked, asked)} if asked else set(usual)
        hits = [g.population for g in draft.gates if (g.population if asked else g.population.lower()) in wanted]
        if len(hits) != 1:
            lost = "; ".join(f"line {line}: {name}: {why}" for line, name, why in draft.left_out)
            msg = f"{len(hits) or 'no'} populations could be the {what} one"
            raise InputError(
                msg,
                file=str(source),
                found=", ".join(gate.population for gate in draft.gates)
                + (f" (not taken over: {lost})" if lost else ""),
                expected=asked or f"one of {', '.join(usual)}",
            )
        found.append(hits[0])
    return found[0], found[1]


def _write(source: Path, folder: Path, gates: Sequence[GateRow], endpoint: tuple[str, str]) -> None:
    folder.mkdir(parents=True)
    name = re.sub(r"[^A-Za-z0-9_-]", "_", source.stem)
    about = f'name = "{name}"\nversion = "1.0"\ndescription = "From an openCyto template"\ncompensation = "file"\n'
    (folder / "template.toml").write_text(about, encoding="utf-8")
    dims = dict.fromkeys(dim for gate in gates for dim in gate.dims)
    panel = [
        {"marker": dim, "transform": "linear" if is_linear(dim) else "logicle", "required": "yes"}
        | ({} if is_linear(dim) else {"args": "w=0.6"})
        for dim in dims
    ]
    _table(folder / "panel.csv", panel)
    _table(folder / "gates.csv", [gate.cells() for gate in gates])
    top, bottom = endpoint
    row = {"endpoint": f"{top} of {bottom}", "numerator": top, "denominator": bottom, "unit": "%", "primary": "yes"}
    _table(folder / "endpoints.csv", [row])


def is_linear(dim: str) -> bool:
    """Whether a dimension is scatter or time."""
    return re.match(r"(fsc|ssc|time)", dim, re.IGNORECASE) is not None


def _table(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS[path.stem], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
