"""The data-driven template beside a FlowJo author's gates, on the FlowAtlas files of two donors.

    python benchmarks/flowatlas.py --data ../shared/data/flowatlas

Applies the template ``treg_pregated`` and the gates of the authors' own workspace to every file, compares them event by
event, draws both, and writes the tables in docs/flowatlas.md (between its marks) and the pictures under docs/images.
"""

from __future__ import annotations

import argparse
import io
import re
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from treg_gating.gating.gates import HalfPlane, Interval, Polygon
from treg_gating.gating.hierarchy import Walk, apply_sample, fit_sample
from treg_gating.gating.settling import settle
from treg_gating.gating.template import load_template
from treg_gating.interchange.flowjo import import_flowjo
from treg_gating.interchange.load import markers_by_file
from treg_gating.pipeline import RunSettings, between_passes, first_pass, prepare, second_pass
from treg_gating.populations import percentage
from treg_gating.samplesheet import Tube, read_samplesheet
from treg_gating.study import default_study

ROOT = Path(__file__).resolve().parents[1]
MARKS = "<!-- {0}: made by benchmarks/flowatlas.py -->"
BINS = 110
FEWEST_DRAWN = 200  # CD4 T cells; fewer would be points and no density
INK, PAPER = "#1b6ca8", "#d1495b"  # ours, theirs


@dataclass(frozen=True)
class Compared:
    """One file under both sets of gates; masks have shape (n_events,)."""

    name: str
    flowjo: tuple[int, int]
    theirs: dict[str, np.ndarray[Any, Any]]
    ours: dict[str, np.ndarray[Any, Any] | None]
    gates: dict[str, Any]
    manual: Polygon
    manual_scales: tuple[Any, Any]
    view: Any
    scales: dict[str, Any]

    def percent(self, masks: dict[str, Any]) -> float:
        """Treg % of CD4 T under one set of gates."""
        if masks["treg"] is None or not masks["cd4_t"].any():
            return float("nan")
        return 100 * float(masks["treg"].sum() / masks["cd4_t"].sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "flowatlas")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--no-pictures", action="store_true")
    arguments = parser.parse_args()
    compared = compare(arguments.data)
    tables = {"counts": counts_table(compared), "events": events_table(compared), "medians": medians_table(compared)}
    tables["runs"] = runs_table(arguments.data, compared)
    for table in tables.values():
        print(table, end="\n\n")
    page = arguments.docs / "flowatlas.md"
    if page.is_file():
        text = page.read_text(encoding="utf-8")
        for name, table in tables.items():
            start, end = MARKS.format(name), MARKS.format(f"end of {name}")
            text = re.sub(f"{re.escape(start)}.*?{re.escape(end)}", f"{start}\n{table}\n{end}", text, flags=re.DOTALL)
        page.write_text(text, encoding="utf-8")
    if not arguments.no_pictures:
        draw(compared, arguments.docs / "images")


def named_tubes(data: Path) -> list[Tube]:
    """Every stained file, with the marker names of the workspace."""
    files = sorted(data.glob("4*/4*_0*.fcs"))
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder) / "samples.csv"
        lines = [f"{path.relative_to(data).as_posix()},{path.stem},one" for path in files]
        sheet.write_text("\n".join(["file,subject,visit", *lines]) + "\n", encoding="utf-8")
        tubes = read_samplesheet(sheet, data_dir=data).tubes
    workspace = data / "workspace.wsp"
    markers = markers_by_file(workspace, {tube.tube_id: tube.path for tube in tubes})
    return [Tube(t.tube_id, t.file, t.path, t.subject, t.visit, t.batch, markers=markers[t.tube_id]) for t in tubes]


def compare(data: Path) -> list[Compared]:
    """Both sets of gates on every stained file."""
    named = named_tubes(data)
    workspace = data / "workspace.wsp"
    study = default_study(["one"])
    manual = RunSettings(import_flowjo(workspace), study)
    settings = RunSettings(load_template("treg_pregated"), study)
    fits = {tube.tube_id: first_pass(tube, settings) for tube in named}
    cohort = between_passes(named, fits, settings)
    return [_compared(tube, settings, fits[tube.tube_id], cohort, manual) for tube in named]


def runs_table(data: Path, compared: list[Compared]) -> str:
    """Treg % over FlowJo's for every file, when the run holds other files; * where the tube is flagged as unstable."""
    named = named_tubes(data)
    settings = RunSettings(load_template("treg_pregated"), default_study(["one"]))
    fits = {tube.tube_id: first_pass(tube, settings) for tube in named}
    manual = {one.name: 100 * one.flowjo[1] / one.flowjo[0] for one in compared}
    title = {tube.tube_id: tube.path.stem.replace("423_Donor_", "423C_") for tube in named}
    large = [tube for tube in named if "Ileum" not in tube.file]
    runs = [named, large, *([t for t in named if title[t.tube_id].startswith(d)] for d in ("412C", "423C"))]
    columns: list[dict[str, str]] = []
    for tubes in [*runs, *([tube] for tube in large)]:
        cohort = between_passes(tubes, {tube.tube_id: fits[tube.tube_id] for tube in tubes}, settings)
        found = {}
        for tube in tubes:
            result = second_pass(tube, settings, cohort, fits[tube.tube_id])
            value = percentage(result.count("treg"), result.count("cd4_t"))
            mark = "*" if any(flag.code == "GATE_UNSTABLE" for flag in result.flags) else ""
            found[title[tube.tube_id]] = f"{value / manual[title[tube.tube_id]]:.2f}{mark}"
        columns.append(found)
    alone = {name: text for found in columns[4:] for name, text in found.items()}
    lines = ["| file | all seven | the five large | its donor | alone |", "| --- | --- | --- | --- | --- |"]
    for name in (title[tube.tube_id] for tube in large):
        donor = columns[2].get(name) or columns[3][name]
        lines.append(f"| {name} | {columns[0][name]} | {columns[1][name]} | {donor} | {alone[name]} |")
    return "\n".join(lines)


def _compared(tube: Tube, settings: RunSettings, fit: Any, cohort: Any, manual: RunSettings) -> Compared:
    ready, other = prepare(tube, settings), prepare(tube, manual)
    walk = apply_sample(
        settings.template,
        ready.view,
        fit.gates,
        lambda step, own: settle(step, own, cohort.consensus.get(step.population), tube.batch),
        cohort.models,
        batch=tube.batch,
    )
    theirs = fit_sample(other.template, other.view, batch="")
    step = other.template.step("treg")
    counts = other.template.imported.counts
    names = ("cd4_t", "cd25_cd127low", "treg")
    return Compared(
        name=tube.path.stem.replace("423_Donor_", "423C_"),
        flowjo=(counts["cd4_t"], counts["treg"]),
        theirs={name: _mask(theirs, name, ready) for name in ("cd4_t", "treg")},
        ours={name: _mask(walk, name, ready) for name in names},
        gates={name: walk.gates[name].gate for name in names},
        manual=theirs.gates["treg"].gate,
        manual_scales=tuple(other.template.transforms[dim] for dim in step.dims),
        view=ready.view,
        scales=dict(settings.template.transforms),
    )


def _mask(walk: Walk, population: str, ready: Any) -> Any:
    rows = walk.rows[population]
    if rows is None:
        return None
    mask = np.zeros(len(ready.view.root), dtype=bool)
    mask[rows] = True
    return mask


def counts_table(compared: list[Compared]) -> str:
    rows = [
        "| file | FlowJo: CD4 T, Treg | % | its gates here: CD4 T, Treg | % | template: CD4 T, Treg | % | "
        "CD4 T, ratio | Treg %, ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for file in compared:
        cd4, treg = file.flowjo
        there = 100 * treg / cd4
        here = (int(file.theirs["cd4_t"].sum()), int(file.theirs["treg"].sum()))
        own = int(file.ours["cd4_t"].sum())
        share = file.percent(file.ours)
        found = "not estimable" if file.ours["treg"] is None else f"{own:,}, {int(file.ours['treg'].sum()):,}"
        values = ("–", "–") if np.isnan(share) else (f"{share:.2f}", f"{share / there:.2f}")
        rows.append(
            f"| {file.name} | {cd4:,}, {treg:,} | {there:.2f} | {here[0]:,}, {here[1]:,} | "
            f"{file.percent(file.theirs):.2f} | {found} | {values[0]} | {own / cd4:.3f} | {values[1]} |"
        )
    return "\n".join(rows)


def events_table(compared: list[Compared]) -> str:
    """Where the events of either Treg gate stand in the other's gates."""
    rows = [
        "| file | in both | only FlowJo's: not our CD4 T | above our CD25×CD127 line | below our FOXP3 cut | "
        "only ours: not its CD4 T | outside its FOXP3×CD127 gate | F1 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for file in compared:
        ours, theirs = file.ours, file.theirs
        if ours["treg"] is None:
            rows.append(f"| {file.name} | not estimable | | | | | | |")
            continue
        both = ours["treg"] & theirs["treg"]
        lost, gained = theirs["treg"] & ~ours["treg"], ours["treg"] & ~theirs["treg"]
        not_cd4 = lost & ~ours["cd4_t"]
        above = lost & ours["cd4_t"] & ~ours["cd25_cd127low"]
        dim = lost & ours["cd25_cd127low"]
        f1 = 2 * both.sum() / (ours["treg"].sum() + theirs["treg"].sum())
        numbers = (both, not_cd4, above, dim, gained & ~theirs["cd4_t"], gained & theirs["cd4_t"])
        rows.append(f"| {file.name} | " + " | ".join(f"{int(mask.sum()):,}" for mask in numbers) + f" | {f1:.2f} |")
    return "\n".join(rows)


def medians_table(compared: list[Compared]) -> str:
    """What the events are that only the template calls Treg, among the authors' CD4 T cells; linear units."""
    rows = [
        "| file | FOXP3: our cut, left edge of its polygon | CD127: upper edge of its polygon there | "
        "only ours, n | their CD25 | CD127 | FOXP3 | all CD4 T: CD25 | CD127 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for file in compared:
        if file.ours["treg"] is None:
            continue
        corners = np.array(file.manual.vertices)
        foxp3, cd127 = (scale.inverse(corners[:, i]) for i, scale in enumerate(file.manual_scales))
        # The polygon's left side is that of its three leftmost corners; its upper edge begins at the highest of them.
        left = np.argsort(foxp3)[:3]
        cut = float(file.scales["FOXP3"].inverse(file.gates["treg"].low))
        extra = file.ours["treg"] & file.theirs["cd4_t"] & ~file.theirs["treg"]
        told = [_medians(file, extra), _medians(file, file.theirs["cd4_t"])]
        rows.append(
            f"| {file.name} | {cut:,.0f}, {foxp3[left].min():,.0f} to {foxp3[left].max():,.0f} | "
            f"{cd127[left].max():,.0f} | {int(extra.sum())} | {told[0]['CD25']} | {told[0]['CD127']} | "
            f"{told[0]['FOXP3']} | {told[1]['CD25']} | {told[1]['CD127']} |"
        )
    return "\n".join(rows)


def _medians(file: Compared, mask: Any) -> dict[str, str]:
    names = ("CD25", "CD127", "FOXP3")
    if not mask.any():
        return dict.fromkeys(names, "–")
    values = np.median(file.view.values(names, np.flatnonzero(mask)), axis=0)
    return {name: f"{float(file.scales[name].inverse(x)):,.0f}" for name, x in zip(names, values, strict=True)}


def draw(compared: list[Compared], folder: Path) -> None:
    import matplotlib
    from PIL import Image

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    for donor in ("412C", "423C"):
        files = [file for file in compared if file.name.startswith(donor) and file.ours["cd4_t"].sum() >= FEWEST_DRAWN]
        figure, axes = plt.subplots(len(files), 2, figsize=(7.2, 3.1 * len(files)), squeeze=False, layout="constrained")
        for (left, right), file in zip(axes, files, strict=True):
            _panel(left, file, "FOXP3")
            _panel(right, file, "CD25")
            left.set_title(file.name, loc="left", fontsize=10, fontweight="bold")
        axes[0, 1].set_title("blue: this template · red: FlowJo author", loc="left", fontsize=9)
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=80)
        plt.close(figure)
        # Few colours are enough for densities and lines, and keep the file small.
        few = Image.open(buffer).convert("RGB").quantize(200, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(folder / f"flowatlas_{donor}.png", optimize=True)


def _panel(axis: Any, file: Compared, x: str) -> None:
    """Density of the CD4 T cells on x by CD127, smoothed, with both gates."""
    from scipy.ndimage import gaussian_filter

    rows = np.flatnonzero(file.ours["cd4_t"])
    values = file.view.values((x, "CD127"), rows)
    low, high = np.quantile(values, 0.002, axis=0) - 0.05, np.quantile(values, 0.999, axis=0) + 0.05
    limits = [(low[0], high[0]), (low[1], high[1])]
    counts, *_ = np.histogram2d(*values.T, bins=BINS, range=limits)
    smooth = np.sqrt(gaussian_filter(counts, 1.6))
    shades = np.floor(16 * smooth / smooth.max()).T
    extent = (*limits[0], *limits[1])
    axis.imshow(shades, origin="lower", extent=extent, aspect="auto", cmap="Greys", vmax=22, interpolation="nearest")
    if x == "FOXP3":
        outline = _outline(file)
        axis.plot(*outline.T, color=PAPER, lw=1.6)
    _line(axis, file.gates["treg"] if x == "FOXP3" else file.gates["cd25_cd127low"], limits)
    _contour(axis, file, (x, "CD127"), file.theirs["treg"], PAPER, limits)
    _contour(axis, file, (x, "CD127"), file.ours["treg"], INK, limits)
    axis.set_xlim(*limits[0])
    axis.set_ylim(*limits[1])
    for dim, which in ((x, "x"), ("CD127", "y")):
        ticks = [-1000.0, 0.0, 1000.0, 10_000.0, 100_000.0]
        shown = ["−10³", "0", "10³", "10⁴", "10⁵"]
        getattr(axis, f"set_{which}ticks")(file.scales[dim].apply(ticks), shown, fontsize=7)
        getattr(axis, f"set_{which}label")(dim, fontsize=8)
    axis.set_xlim(*limits[0])
    axis.set_ylim(*limits[1])


def _outline(file: Compared) -> np.ndarray[Any, Any]:
    """FlowJo's polygon on our scales; its edges are straight on FlowJo's, so they are walked in small steps."""
    corners = np.array([*file.manual.vertices, file.manual.vertices[0]])
    steps = np.linspace(0, 1, 40)[:, None]
    points = np.vstack([a + steps * (b - a) for a, b in pairwise(corners)])
    linear = [scale.inverse(points[:, i]) for i, scale in enumerate(file.manual_scales)]
    return np.column_stack([file.scales["FOXP3"].apply(linear[0]), file.scales["CD127"].apply(linear[1])])


def _line(axis: Any, gate: Any, limits: list[tuple[float, float]]) -> None:
    if isinstance(gate, Interval):
        axis.axvline(gate.low, color=INK, lw=1.6)
    elif isinstance(gate, HalfPlane):
        x = np.array(limits[0])
        axis.plot(x, (gate.offset - gate.normal[0] * x) / gate.normal[1], color=INK, lw=1.6)


def _contour(axis: Any, file: Compared, dims: tuple[str, str], mask: Any, colour: str, limits: Any) -> None:
    """The outline that holds 80 % of a population's smoothed density; no single event is drawn."""
    from scipy.ndimage import gaussian_filter

    if mask is None or mask.sum() < 15:
        return
    values = file.view.values(dims, np.flatnonzero(mask))
    counts, x, y = np.histogram2d(*values.T, bins=60, range=limits)
    smooth = gaussian_filter(counts, 2.5 if mask.sum() > 400 else 4.0)
    ranked = np.sort(smooth.ravel())[::-1]
    level = ranked[np.searchsorted(np.cumsum(ranked), 0.8 * smooth.sum())]
    axis.contour(
        (x[1:] + x[:-1]) / 2, (y[1:] + y[:-1]) / 2, smooth.T, [level], colors=colour, linewidths=1, linestyles=":"
    )


if __name__ == "__main__":
    main()
