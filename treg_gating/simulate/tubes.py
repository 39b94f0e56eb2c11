"""One tube: from its plan to the events a file would hold, with the truth of every event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from treg_gating.sample import Channel, Sample, Spillover
from treg_gating.simulate.cells import Cells, draw_cells
from treg_gating.simulate.disturbances import Acquisition, Disturbance, acquire
from treg_gating.simulate.instrument import FULL_SCALE, Instrument, digitise
from treg_gating.simulate.panel import StainingPanel
from treg_gating.simulate.populations import CD4_LINEAGE, CellType
from treg_gating.simulate.streams import stream

__all__ = ["TIMESTEP", "EventTruth", "SimulatedTube", "TubePlan", "cd4_events", "simulate_tube"]

TIMESTEP = 0.01  # seconds a tick of the Time channel
NOT_CELLS = ("doublet", "debris", "margin")
HEIGHT = 0.82  # FSC-H of a singlet as a share of FSC-A
WIDTH = 65_536.0  # FSC-W of a singlet


@dataclass(frozen=True, eq=False)
class TubePlan:
    """Everything that decides a tube; drawing it twice gives the same events.

    Parameters
    ----------
    file : path of the FCS file inside the cohort's folder, with ``/``.
    subject, visit, arm, batch : whose tube it is; empty where it belongs to nobody.
    role : ``sample``, ``fmo``, ``single_stain``, ``unstained`` or ``control``.
    control_for : the marker a control tube is for.
    seed : the cohort's seed; the stream is named by `file`.
    n_events : events in the file.
    panel : markers, dyes and channels.
    types : the populations.
    shares : share of each population among live single cells, shape (n_types,), sums to 1.
    stain : factor on every marker's dye in this tube, shape (n_markers,); 0 is not stained.
    instrument : gains and true spill of the day.
    file_spillover : the matrix written into the file, shape (n_markers, n_markers).
    type_stain : population name to marker to factor on the dye, on top of `stain` (treatment effects).
    viability : share of single cells that live. doublets, debris, margin : shares of all events.
    rate : events per second. disturbances : what goes wrong.
    scatter_gain : factor on forward and side scatter.
    date : $DATE, such as ``05-JAN-2026``.
    """

    file: str
    subject: str
    visit: str
    arm: str
    batch: str
    role: str
    control_for: str
    seed: int
    n_events: int
    panel: StainingPanel
    types: tuple[CellType, ...]
    shares: NDArray[np.float64]
    stain: NDArray[np.float64]
    instrument: Instrument
    file_spillover: NDArray[np.float64]
    type_stain: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    viability: float = 0.92
    doublets: float = 0.045
    debris: float = 0.05
    margin: float = 0.003
    rate: float = 1_500.0
    disturbances: tuple[Disturbance, ...] = ()
    scatter_gain: float = 1.0
    date: str = "05-JAN-2026"

    @property
    def treg_share(self) -> float:
        """Expected share of Tregs among CD4 T cells."""
        cd4 = np.array([t.lineage == CD4_LINEAGE for t in self.types])
        treg = np.array([t.is_treg for t in self.types])
        return float(self.shares[treg].sum() / self.shares[cd4].sum())


@dataclass(frozen=True, eq=False)
class EventTruth:
    """What each event is; arrays of shape (n_events,).

    Parameters
    ----------
    population : index into `names`.
    names : the populations, then ``doublet``, ``debris`` and ``margin``.
    live : a cell, or a doublet of cells, that lives.
    singlet : one whole cell inside the range of the scatter detectors.
    disturbed : taken in a disturbed stretch of time.
    is_cd4, is_treg : a live single CD4 T cell; a live single Treg.
    """

    population: NDArray[np.int16]
    names: tuple[str, ...]
    live: NDArray[np.bool_]
    singlet: NDArray[np.bool_]
    disturbed: NDArray[np.bool_]
    is_cd4: NDArray[np.bool_]
    is_treg: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SimulatedTube:
    """A tube as the instrument would have written it, with its truth.

    Parameters
    ----------
    plan : what it was made from.
    events : shape (n_events, n_channels), float32, raw; Time in seconds.
    channels : one a column.
    spillover : the matrix in the file, which may be slightly wrong.
    true_spillover : the matrix that holds.
    truth : what each event is.
    keywords : further keywords for the file.
    """

    plan: TubePlan
    events: NDArray[np.float32]
    channels: tuple[Channel, ...]
    spillover: Spillover
    true_spillover: Spillover
    truth: EventTruth
    keywords: Mapping[str, str]

    @property
    def n_cd4(self) -> int:
        """Live single CD4 T cells."""
        return int(self.truth.is_cd4.sum())

    @property
    def n_treg(self) -> int:
        """Live single Tregs."""
        return int(self.truth.is_treg.sum())

    @property
    def treg_pct_of_cd4(self) -> float:
        """True Treg % of CD4 T cells among live singlets; NaN without CD4 T cells."""
        return 100.0 * self.n_treg / self.n_cd4 if self.n_cd4 else float("nan")

    def sample(self) -> Sample:
        """The tube as the reader would give it."""
        return Sample(
            self.events,
            self.channels,
            spillover=self.spillover,
            keywords=self.keywords,
            path=self.plan.file,
            version="FCS3.1",
        )


def simulate_tube(plan: TubePlan) -> SimulatedTube:
    """Draw all events of a tube.

    Raises
    ------
    CompensationError : the plan's spillover matrix is singular.

    Notes
    -----
    Doublets, debris and margin events are drawn first, the rest are single cells of which a share is dead; all
    are shuffled, then given ascending times and, where the stream is disturbed, shifted signals.
    """
    rng = stream(plan.seed, "events", plan.file)
    cells, heights, population, live, singlet = _all_events(rng, plan)
    order = rng.permutation(plan.n_events)
    cells, heights = cells.take(order), heights[order]
    when = acquire(rng, plan.n_events, plan.rate, plan.disturbances)
    events = _measure(rng, plan, cells, heights, when)
    population, live, singlet = population[order], live[order], singlet[order]
    types = len(plan.types)
    cd4 = np.array([t.lineage == CD4_LINEAGE for t in plan.types] + [False] * len(NOT_CELLS))
    treg = np.array([t.is_treg for t in plan.types] + [False] * len(NOT_CELLS))
    whole = live & singlet & (population < types)
    names = tuple(t.name for t in plan.types) + NOT_CELLS
    truth = EventTruth(
        population, names, live, singlet, when.disturbed, whole & cd4[population], whole & treg[population]
    )
    detectors = plan.panel.detectors
    return SimulatedTube(
        plan,
        events,
        plan.panel.channels(),
        Spillover(detectors, plan.file_spillover, "$SPILLOVER"),
        Spillover(detectors, plan.instrument.spillover, "simulated truth"),
        truth,
        _keywords(plan, float(when.seconds[-1]) if plan.n_events else 0.0),
    )


def cd4_events(plan: TubePlan, n: int, name: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Many more CD4 T live singlets of the same tube, undisturbed.

    Parameters
    ----------
    plan : the tube.
    n : number of cells.
    name : names the random stream; another name gives other cells.

    Returns
    -------
    Raw fluorescence, shape (n, n_markers), and whether each is a Treg, shape (n,).
    """
    rng = stream(plan.seed, "reference", plan.file, name)
    cd4 = np.array([t.lineage == CD4_LINEAGE for t in plan.types])
    counts = rng.multinomial(n, np.where(cd4, plan.shares, 0.0) / plan.shares[cd4].sum())
    cells = _stained(plan, draw_cells(rng, plan.types, counts, plan.panel.markers).take(rng.permutation(n)))
    treg = np.array([t.is_treg for t in plan.types])
    return plan.instrument.measure(rng, cells.dye, cells.size), treg[cells.kind]


def _all_events(
    rng: np.random.Generator, plan: TubePlan
) -> tuple[Cells, NDArray[np.float64], NDArray[np.int16], NDArray[np.bool_], NDArray[np.bool_]]:
    """Cells, height/area of their scatter, population, live, singlet; margin, debris, doublets, then singlets."""
    shares = [plan.margin, plan.debris, plan.doublets]
    margin, debris, doublets, singles = rng.multinomial(plan.n_events, [*shares, 1.0 - sum(shares)])
    single, single_live = _single_cells(rng, plan, singles + margin)
    pair, pair_live = _single_cells(rng, plan, 2 * doublets)
    both, pair_height = _doublets(rng, pair)
    parts = [single, both, _debris(rng, plan, debris)]
    cells = Cells(*(np.concatenate(arrays) for arrays in zip(*(_columns(p) for p in parts), strict=True)))
    types = len(plan.types)
    population = np.concatenate([single.kind, np.full(doublets, types), np.full(debris, types + 1)]).astype(np.int16)
    live = np.concatenate([single_live, pair_live[:doublets] & pair_live[doublets:], np.zeros(debris, dtype=bool)])
    heights = np.concatenate([np.full(single.kind.size, HEIGHT), pair_height, np.full(debris, HEIGHT)])
    singlet = np.zeros(plan.n_events, dtype=bool)
    singlet[margin : margin + singles] = True
    population[:margin] = types + 2  # clumps that leave the range of the scatter detectors
    live[:margin] = False
    cells.fsc[:margin] = FULL_SCALE * rng.uniform(1.1, 3.0, margin)
    cells.ssc[:margin] *= rng.uniform(2.0, 20.0, margin)
    return cells, heights, population, live, singlet


def _columns(cells: Cells) -> tuple[NDArray[np.generic], ...]:
    return (cells.kind, cells.dye, cells.size, cells.fsc, cells.ssc)


def _single_cells(rng: np.random.Generator, plan: TubePlan, n: int) -> tuple[Cells, NDArray[np.bool_]]:
    """Shuffled stained single cells, and which of them live."""
    cells = draw_cells(rng, plan.types, rng.multinomial(n, plan.shares), plan.panel.markers)
    cells = cells.take(rng.permutation(n))
    live = rng.random(n) < plan.viability
    dead = ~live
    n_dead = int(dead.sum())
    # A dead cell takes up every antibody (one stickiness a cell) and is full of viability dye.
    sticky = rng.lognormal(np.log(500.0), 0.6, (n_dead, 1)) * rng.lognormal(0.0, 0.4, (n_dead, len(plan.panel.markers)))
    cells.dye[dead] = 0.7 * cells.dye[dead] + sticky
    if "Viability" in plan.panel.markers:
        cells.dye[dead, plan.panel.markers.index("Viability")] = 9_000 * 10 ** (0.22 * rng.standard_normal(n_dead))
    cells.size[dead] *= 2.2
    cells.fsc[dead] *= 0.62 * rng.lognormal(0.0, 0.12, n_dead)
    cells.ssc[dead] *= 1.35 * rng.lognormal(0.0, 0.15, n_dead)
    return _stained(plan, cells), live


def _stained(plan: TubePlan, cells: Cells) -> Cells:
    """Apply the tube's staining: batch, sample, treatment, stains left out or failed."""
    factor = np.tile(plan.stain, (len(plan.types), 1))
    for row, cell_type in enumerate(plan.types):
        for marker, extra in plan.type_stain.get(cell_type.name, {}).items():
            if marker in plan.panel.markers:
                factor[row, plan.panel.markers.index(marker)] *= extra
    cells.dye[...] *= factor[cells.kind]
    return cells


def _doublets(rng: np.random.Generator, pair: Cells) -> tuple[Cells, NDArray[np.float64]]:
    """Two cells at once: areas and dyes add, the height does not."""
    n = pair.kind.size // 2
    one, other = pair.take(slice(0, n)), pair.take(slice(n, 2 * n))
    fsc = one.fsc + other.fsc
    low, high = np.minimum(one.fsc, other.fsc), np.maximum(one.fsc, other.fsc)
    height = HEIGHT * (high + rng.uniform(0.0, 0.6, n) * low) / fsc
    return Cells(one.kind, one.dye + other.dye, one.size + other.size, fsc, one.ssc + other.ssc), height


def _debris(rng: np.random.Generator, plan: TubePlan, n: int) -> Cells:
    """Fragments: small, dim, sticky for viability dye."""
    dye = rng.lognormal(np.log(20.0), 0.8, (n, len(plan.panel.markers))) * plan.stain
    return Cells(
        np.zeros(n, dtype=np.int16),
        dye,
        0.3 * rng.lognormal(0.0, 0.4, n),
        rng.lognormal(np.log(11_000.0), 0.50, n),
        rng.lognormal(np.log(7_000.0), 0.55, n),
    )


def _measure(
    rng: np.random.Generator, plan: TubePlan, cells: Cells, heights: NDArray[np.float64], when: Acquisition
) -> NDArray[np.float32]:
    """Events of the file: scatter, fluorescence, Time."""
    n = plan.n_events
    blur = 10.0 ** (when.blur * rng.standard_normal(n))
    fluorescence = 10.0**when.fluorescence * blur
    scatter = plan.scatter_gain * 10.0**when.scatter * blur
    # Shifting dye and autofluorescence by the same factor shifts the light, before photons are counted.
    signals = plan.instrument.measure(rng, cells.dye * fluorescence[:, np.newaxis], cells.size * fluorescence)
    areas = {"FSC": cells.fsc * scatter, "SSC": cells.ssc * scatter}
    events = np.empty((n, len(plan.panel.scatter) + signals.shape[1] + 1), dtype=np.float32)
    jitter = {kind: rng.lognormal(0.0, 0.02, n) for kind in areas}
    for column, name in enumerate(plan.panel.scatter):
        kind, part = name.split("-")
        height = areas[kind] * heights * jitter[kind]
        value = {"A": areas[kind], "H": height, "W": WIDTH * HEIGHT * areas[kind] / height}[part]
        events[:, column] = digitise(value, 0.0, plan.instrument.resolution)
    events[:, len(plan.panel.scatter) : -1] = signals
    events[:, -1] = np.floor(when.seconds / TIMESTEP) * TIMESTEP
    return events


def _keywords(plan: TubePlan, seconds: float) -> dict[str, str]:
    """Keywords an acquisition program writes; the subject's pseudonym only."""
    minutes, rest = divmod(round(seconds), 60)
    return {
        "$CYT": "simulated analyser",
        "$FIL": plan.file.rsplit("/", 1)[-1],
        "$DATE": plan.date,
        "$BTIM": "10:00:00",
        "$ETIM": f"10:{minutes:02d}:{rest:02d}",
        "$SRC": plan.subject or "none",
        "TUBE NAME": f"{plan.role} {plan.control_for}".strip(),
    }
