"""A run that never happened: twelve tubes of drawn events, gated by hand, in the shape the engine leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest

from treg_gating.gating.gates import Ellipse, Gate, HalfPlane, Interval, Polygon, gate_to_dict
from treg_gating.gating.results import (
    FittedGate,
    Flag,
    FlagLevel,
    GatePicture,
    GateStatus,
    PopulationCount,
    SampleResult,
)
from treg_gating.run.record import RunRecord, StudySummary, TemplateRow, TemplateSummary
from treg_gating.transforms import Logicle, transform_to_dict

HOSTILE_MARKER = "<script>alert(1)</script>"
HOSTILE_SUBJECT = "=cmd|'/c calc'!A1"
LOGICLE = Logicle(t=262144, w=0.6, m=4.5, a=0)
VISITS = (("baseline", 0.0), ("week 4", 28.0), ("week 8", 56.0), ("week 12", 84.0))
SCATTER = {"FSC-A", "FSC-H", "SSC-A"}
ROWS = (
    TemplateRow("singlets", "clean", ("FSC-A", "FSC-H"), "+", "singlet_band", "level=0.99", "own", "n_mad=4"),
    TemplateRow("lymphocytes", "singlets", ("FSC-A", "SSC-A"), "+", "mixture_ellipse", "k=3; mass=0.95", "shrink"),
    TemplateRow("live", "lymphocytes", ("Viability",), "-", "valley", "then=tail", "shrink"),
    TemplateRow("t_cells", "live", ("CD3",), "+", "valley", "", "shrink"),
    TemplateRow("cd4_t", "t_cells", ("CD4",), "+", "valley", "keep_dim=true", "shrink"),
    TemplateRow("cd25_cd127low", "cd4_t", ("CD25", "CD127"), "+", "aligned_mixture", "k=5; prior=cohort", "shrink"),
    TemplateRow("treg", "cd25_cd127low", ("FOXP3",), "+", "control_quantile", "control=FMO_FOXP3; q=0.995", "batch"),
    TemplateRow("hostile", "treg", (HOSTILE_MARKER,), "+", "valley", "", "shrink"),
    TemplateRow("effector_treg", "treg", (), "+", "combine", "treg & !hostile"),
)
TEMPLATE = TemplateSummary(
    name="treg_foxp3",
    version="1.0",
    description="Regulatory T cells as CD3+ CD4+ CD25hi CD127lo FOXP3+ live single lymphocytes.",
    sha256=hashlib.sha256(b"template").hexdigest(),
    numerator="treg",
    denominator="cd4_t",
    label="Treg, % of CD4 T cells",
    rows=ROWS,
)
CHANNELS = {
    "Viability": "APC-Cy7-A", "CD3": "BV421-A", "CD4": "BV786-A", "CD25": "PE-Cy7-A", "CD127": "BV605-A",
    "FOXP3": "PE-A", HOSTILE_MARKER: "FITC-A",
}  # fmt: skip


def draw_events(rng: np.random.Generator, n: int, treg: float) -> dict[str, np.ndarray]:
    """Linear intensities of n events: debris, monocytes, dead, B, CD8, conventional CD4 and Treg."""
    kinds = rng.choice(7, n, p=[0.13, 0.12, 0.04, 0.14, 0.2, 0.37 * (1 - treg), 0.37 * treg])
    size = np.array([28e3, 120e3, 55e3, 75e3, 78e3, 80e3, 82e3])[kinds] * rng.lognormal(0, 0.12, n)
    grain = np.array([20e3, 85e3, 45e3, 22e3, 24e3, 22e3, 22e3])[kinds] * rng.lognormal(0, 0.22, n)
    doublet = rng.random(n) < 0.04
    area = np.where(doublet, 1.8, 1.0) * size
    levels = {
        "Viability": [300, 200, 9000, 120, 110, 100, 110],
        "CD3": [50, 90, 600, 60, 9000, 9500, 8800],
        "CD4": [50, 900, 300, 40, 70, 14000, 13000],
        "CD25": [30, 80, 200, 120, 60, 260, 2600],
        "CD127": [40, 150, 200, 60, 1500, 2600, 420],
        "FOXP3": [20, 90, 200, 50, 40, 70, 1500],
        HOSTILE_MARKER: [20, 90, 200, 900, 1500, 1200, 500],
    }
    events = {"FSC-A": area, "FSC-H": area / np.where(doublet, 1.7, 1.0) * rng.normal(0.93, 0.02, n), "SSC-A": grain}
    for marker, means in levels.items():
        spread = 0.75 if marker in ("CD25", HOSTILE_MARKER) else 0.42
        events[marker] = np.array(means)[kinds] * rng.lognormal(0, spread, n) + rng.normal(0, 70, n)
    return events


def hand_gates(rng: np.random.Generator) -> dict[str, Gate]:
    """Gates set by eye on the drawn events, a little different in every tube."""
    logicle = lambda value: float(LOGICLE.apply([value])[0])  # noqa: E731
    angle = np.deg2rad(-36)
    return {
        "singlets": Polygon(
            ("FSC-A", "FSC-H"), ((1e4, 2e3), (262e3, 205e3), (262e3, 262e3), (252e3, 262e3), (1e4, 18e3))
        ),
        "lymphocytes": Ellipse(("FSC-A", "SSC-A"), (79e3, 23e3), ((2.2e8, 1.5e7), (1.5e7, 4e7)), 5.2),
        "live": Interval(("Viability",), low=logicle(1600) + rng.normal(0, 0.008)),
        "t_cells": Interval(("CD3",), low=logicle(1500) + rng.normal(0, 0.01)),
        "cd4_t": Interval(("CD4",), low=logicle(2200) + rng.normal(0, 0.01)),
        "cd25_cd127low": HalfPlane(("CD25", "CD127"), (np.cos(angle), np.sin(angle)), 0.105 + rng.normal(0, 0.006)),
        "treg": Interval(("FOXP3",), low=logicle(420) + rng.normal(0, 0.012)),
        "hostile": Interval((HOSTILE_MARKER,), low=logicle(650) + rng.normal(0, 0.012)),
    }


def make_tube(i: int, rng: np.random.Generator, n: int = 24000, **identity: str) -> SampleResult:
    """One processed tube, counted by applying its gates to drawn events."""
    linear = draw_events(rng, n, float(rng.lognormal(np.log(0.055), 0.35)))
    scaled = {dim: values if dim in SCATTER else LOGICLE.apply(values) for dim, values in linear.items()}
    gates, masks = hand_gates(rng), {"clean": np.ones(n, dtype=bool)}
    counts, fitted, pictures = [PopulationCount("clean", "root", n, n)], [], []
    for row in ROWS[:-1]:
        gate, parent = gates[row.population], masks[row.parent]
        inside = gate.contains(np.column_stack([scaled[dim] for dim in row.dims]))
        masks[row.population] = parent & (inside if row.sign == "+" else ~inside)
        mfi = {}
        if row.population == "treg":
            mfi = {m: float(np.median(linear[m][masks["treg"]])) for m in ("CD25", "FOXP3")}
        counts.append(
            PopulationCount(row.population, row.parent, int(masks[row.population].sum()), int(parent.sum()), mfi=mfi)
        )
        fitted.append(fitted_gate(row, gate, int(parent.sum()), i, rng))
        pictures.append(picture(row, scaled, parent, rng))
    effector = masks["treg"] & ~masks["hostile"]
    counts.append(PopulationCount("effector_treg", "treg", int(effector.sum()), int(masks["treg"].sum())))
    fitted.append(
        FittedGate("effector_treg", "treg", "+", None, GateStatus.FITTED, "combine", expression="treg & !hostile")
    )
    share = 100 * masks["treg"].sum() / masks["cd4_t"].sum()
    return SampleResult(
        tube_id=f"T{i + 1:03d}", status="done", sha256=hashlib.sha256(str(i).encode()).hexdigest(), n_events=n,
        acquired="2024-03-11 10:22:05", cytometer="FACSymphony A3",
        panel=tuple((marker, channel, "$PnS, synonym") for marker, channel in CHANNELS.items()),
        compensation="$SPILLOVER of the file", spillover=spillover(),
        transforms={marker: transform_to_dict(LOGICLE) for marker in CHANNELS},
        counts=tuple(counts), gates=tuple(fitted), pictures=tuple(pictures),
        gate_interval={"treg": (share * 0.93, share * 1.06)},
        quality={"margin_pct": 0.31, "time_removed_pct": 1.4, "singlet_pct": 95.2}, **identity,
    )  # fmt: skip


def fitted_gate(row: TemplateRow, gate: Gate, n: int, i: int, rng: np.random.Generator) -> FittedGate:
    """A fitted gate with the statuses that occur, spread over tubes."""
    status, rule, reason, own = GateStatus.FITTED, row.method, "", None
    if row.population == "cd4_t" and i % 5 == 2:
        status, rule, reason = GateStatus.FALLBACK, "tail", "no second mode between 10² and 10⁴"
    if row.population == "t_cells" and i % 6 == 3:
        status, rule = GateStatus.CONSENSUS, "consensus of 10 tubes"
        own, reason = Interval(("CD3",), low=gate.low - 0.09), "own cut 4.1 robust SD from the cohort"
    if row.population == "cd25_cd127low" and i % 4 == 1:
        own = HalfPlane(gate.dims, gate.normal, gate.offset + 0.035)
    error = (0.012,) if isinstance(gate, Interval | HalfPlane) else ()
    return FittedGate(row.population, row.parent, row.sign, gate, status, rule, reason, error, own, n)


def picture(
    row: TemplateRow, scaled: dict[str, np.ndarray], parent: np.ndarray, rng: np.random.Generator
) -> GatePicture:
    """The binned density of the gate's parent."""
    low = tuple(0.0 if dim in SCATTER else 0.02 for dim in row.dims)
    high = tuple(262144.0 if dim in SCATTER else 1.0 for dim in row.dims)
    bins = 128 if len(row.dims) == 1 else 72
    table = np.column_stack([np.clip(scaled[dim][parent], a, b) for dim, a, b in zip(row.dims, low, high, strict=True)])
    counts = np.histogramdd(table, bins=bins, range=list(zip(low, high, strict=True)))[0].astype(np.uint32)
    control = None
    if row.population == "treg":
        values = LOGICLE.apply(rng.lognormal(np.log(70), 0.5, 600) + rng.normal(0, 70, 600))
        control = np.histogram(values, bins=bins, range=(low[0], high[0]))[0].astype(np.uint32)
    return GatePicture(row.population, row.parent, row.dims, low, high, counts, control)


def spillover() -> dict[str, object]:
    """A matrix of seven dyes with a little spill to the neighbours."""
    names = list(CHANNELS.values())
    matrix = np.eye(len(names)) + 0.06 * np.eye(len(names), k=1) + 0.012 * np.eye(len(names), k=-1)
    return {"channels": names, "matrix": matrix.tolist()}


def endpoint_row(result: SampleResult | None, subject: str, visit: str, reason: str = "") -> dict[str, object]:
    """The row of endpoint.csv a tube gives; None gives a planned visit without a tube."""
    row: dict[str, object] = dict.fromkeys(
        ("treg_pct_of_cd4", "treg_pct_of_cd4_low", "treg_pct_of_cd4_high", "treg_gate_low", "treg_gate_high", "n_treg",
         "n_cd4_t", "file", "flags")
    )  # fmt: skip
    row |= {"subject": subject, "visit": visit, "status": "missing", "reason": reason}
    if result is None:
        return row
    row |= {"file": result.file, "flags": "; ".join(flag.code for flag in result.flags)}
    treg, cd4 = result.count("treg"), result.count("cd4_t")
    if result.status != "done" or treg is None or treg.n is None:
        return row | {"status": "failed" if result.status != "done" else "not_estimable"}
    p, n = treg.n / cd4.n, cd4.n
    half = 1.96 * np.sqrt(p * (1 - p) / n)
    low, high = result.gate_interval["treg"]
    return row | {
        "status": "ok", "n_treg": treg.n, "n_cd4_t": n, "treg_pct_of_cd4": 100 * p,
        "treg_pct_of_cd4_low": 100 * (p - half), "treg_pct_of_cd4_high": 100 * (p + half),
        "treg_gate_low": low, "treg_gate_high": high,
    }  # fmt: skip


def broken(result: SampleResult, kind: str) -> SampleResult:
    """A tube with something wrong: it failed, is flagged, or its Treg gate could not be set."""
    from dataclasses import replace

    if kind == "failed":
        return SampleResult(
            result.tube_id, result.file, result.subject, result.visit, result.batch, result.role, "failed",
            stage="reading", code="E_NOT_FCS",
            reason=f"[E_NOT_FCS] {result.file}: not an FCS file; found a PNG image; expected 'FCS2.0' to 'FCS3.2'",
        )  # fmt: skip
    if kind == "flagged":
        flags = (
            Flag("GATE_MOVED", FlagLevel.REVIEW, "cut on CD3 4.1 robust SD from the cohort (limit 3.5)", "t_cells"),
            Flag("TIME_DRIFT", FlagLevel.NOTE, "1.4 % of events removed by the time control (limit 20 %)"),
        )
        return replace(result, flags=flags, warnings=("$TOT is 24,000 and the data segment holds 24,001 events",))
    reason = "fewer than 20 events in the FMO control's parent"
    below = {"treg", "hostile", "effector_treg"}
    return replace(
        result,
        counts=tuple(
            PopulationCount(c.population, c.parent, None, None, "not_estimable", reason) if c.population in below else c
            for c in result.counts
        ),
        gates=tuple(
            replace(g, gate=None, status=GateStatus.FAILED, rule="none", reason=reason, own=None, standard_error=())
            if g.population in below
            else g
            for g in result.gates
        ),
        pictures=tuple(p for p in result.pictures if p.population != "hostile"),
        flags=(Flag("TREG_NOT_ESTIMABLE", FlagLevel.FAIL, reason, "treg"),),
        gate_interval={},
    )


def build_record(n_subjects: int, events: int = 24000, seed: int = 5) -> RunRecord:
    """A run of `n_subjects` × 4 visits; the third, sixth and ninth tube have something wrong."""
    rng = np.random.default_rng(seed)
    subjects = [f"{i + 1:03d}" for i in range(n_subjects - 1)] + [HOSTILE_SUBJECT]
    trouble = {2: "failed", 5: "flagged", 8: "not estimable"}
    samples, rows = [], []
    for i, (subject, (visit, _)) in enumerate((s, v) for s in subjects for v in VISITS):
        identity = {
            "file": f"plate{i // 24 + 1}/{subject if subject != HOSTILE_SUBJECT else 'x'}_{visit.replace(' ', '')}.fcs",
            "subject": subject, "visit": visit, "batch": f"2024-0{3 + i // 24}", "role": "sample",
        }  # fmt: skip
        result = make_tube(i, rng, events, **identity)
        if i in trouble:
            result = broken(result, trouble[i])
        samples.append(result)
        rows.append(endpoint_row(result, subject, visit, result.reason))
    rows.append(endpoint_row(None, "099", "baseline", "no tube for this visit"))
    return RunRecord(
        title="Low-dose interleukin-2 in relapsing disease",
        created="2024-06-03T09:41:22+00:00",
        version="0.1.0",
        template=TEMPLATE,
        study=StudySummary("NCT00000000", "Treg proportions from baseline to week 12", VISITS),
        set_aside=("arm",),
        notes=("No control donor in batch 2024-03: gate positions are compared within the study only.",),
        samples=tuple(samples),
        endpoint=tuple(rows),
        consensus={"t_cells": gate_to_dict(Interval(("CD3",), low=float(LOGICLE.apply([1500])[0]))), "singlets": None},
        settings={"spillover": "file", "workers": 2, "seed": 20240601},
    )


@pytest.fixture(scope="session")
def record() -> RunRecord:
    """Twelve tubes: one failed, one flagged, one not estimable, hostile names."""
    return build_record(3)


@pytest.fixture(scope="session")
def record_of() -> Callable[..., RunRecord]:
    """The maker itself, for larger runs."""
    return build_record
