"""Aligned mixture: one mixture for the cohort, placed on each tube, cut as a line and a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from treg_gating.errors import GateFitError
from treg_gating.gating.bins import Binned, bounded, merged
from treg_gating.gating.boundary import (
    balanced_line,
    balanced_threshold,
    best_boundary,
    cut_deviation,
    generous_line,
)
from treg_gating.gating.cohort_mixture import Learnt, learn_mixture
from treg_gating.gating.dim_marker import in_deviations
from treg_gating.gating.far_side import evened
from treg_gating.gating.gates import HalfPlane, Interval
from treg_gating.gating.members import CONTRADICTED, each_probability, restored, stored
from treg_gating.gating.method import FitContext, Learner, MethodFit, argument, within
from treg_gating.gating.mixture import TAILS
from treg_gating.gating.placed_members import PlacedMembers, place_members
from treg_gating.gating.stain_strength import Reach, middle_of

__all__ = ["AlignedMixture"]

Array = NDArray[np.float64]
Edge = tuple[Array, float, float]  # a line's normal, its offset and that one's sampling error
MOST_CELLS = 8_000  # of what a tube tells the cohort
PLACING = 3  # bins, along each axis, that are one while the mixture is placed: it moves by less than 0.001 gate units
DOUBTED = "on the cohort, the marker that should correct the mixture contradicts it: activated cells may be counted"
UNMEASURED = "it, or a marker of the context, is not stained in every tube the cohort learns from"
UNSTABLE = 0.25  # range of the population's share over the starts, of itself, that must be spoken of


@dataclass(frozen=True, slots=True)
class AlignedMixture:
    """Find one population by a mixture that the whole cohort shares.

    Each marker's far side, which tells nothing of the population, is made normal (`gating/far_side.py`). The tubes
    the cohort learns from (baseline samples and control donors) are aligned, pooled, and described by
    one mixture of t distributions with many components of nearly the same shape (`tie`), so that a population
    may be skewed or wide and no component spreads over two. On each tube that mixture is placed by MAP-EM: the
    tube has its own displacement and its own weights, each component may move a little (`stiffness`), and those of
    the population together (`firmness`), for a stain may be dimmer while the negatives stay where they are. The
    population sought is made of the components that are high and low on the markers named; `context` markers
    take part in the mixture where they are stained (CD45RA tells naive from memory cells, and so a naive Treg
    from an activated cell), but say nothing of which components are sought. Without context, naive and memory
    cells lie in one cloud whose parts differ more in shape: `tie_alone` counts there. Beside context, a marker that
    the population carries a little less of (`dim`) corrects what the mixture takes (`gating/dim_marker.py`).

    The gate is drawn so that a person can read it: a straight line on the first high and the first low marker
    (a step with two dimensions), and a threshold on the remaining high marker (a step with that one dimension).
    Direction and generosity of the line are chosen on the cohort for the best expected F1; on each tube the line is
    placed to keep that share of the population there, and the last cut so that it holds as many events as the mixture
    expects. So what it loses and what it takes in are in balance, and the percentage is not biased by the cut.

    The mixture is fitted from several starts, each from the bulk and what stands out of it. Five of the ends are kept
    and placed on a tube; the least and the greatest answer are left out and the mean of the others is taken, so that an
    odd optimum decides nothing. A tube on which those differ by more than a quarter of it is flagged.

    Source: aligned pooled mixtures as measured in the project's reference simulations; t mixtures, Peel & McLachlan
    2000; covariances drawn to a common one, Friedman (JASA 1989); MAP-EM with a conjugate prior, Fraley & Raftery
    (J Classif 2007).
    Fails: no component is high and low enough; a population whose place differs between tubes by more than `loose`.
    """

    high: tuple[str, ...] = argument(("CD25", "FOXP3"), "markers the population is high on; the first makes the line")
    low: tuple[str, ...] = argument(("CD127",), "markers the population is low on; the first makes the line")
    context: tuple[str, ...] = argument(("CD45RA",), "markers that help to tell populations apart, where stained")
    dim: str = argument("", "a marker the population carries a little less of: corrects the mixture, is not cut on")
    components: int = argument(12, "components of the mixture")
    nu: float = argument(30.0, "degrees of freedom of the t distributions; large is Gaussian")
    tie: float = argument(0.05, "strength of the prior that all components have one shape, as a share of all events")
    tie_alone: float = argument(0.05, "the same where no context marker takes part")
    starts: int = argument(9, "starts of the cohort's fit")
    bin: float = argument(0.02, "width of the bins events are collected in", "gate units")
    loose: float = argument(0.1, "prior SD of a tube's displacement", "gate units")
    stiffness: float = argument(300.0, "pseudo-events that hold a component in its place", "events")
    firmness: float = argument(100.0, "pseudo-events that hold the population as a whole in its place", "events")
    minimum: int = argument(200, "fewest events to place the mixture on", "events")

    learns_from: ClassVar[str] = "samples"

    def __post_init__(self) -> None:
        markers = len(self.high) + len(self.low)
        if not 1 <= len(self.high) <= 2 or len(self.low) > 1 or markers < 2 or self.components < 2 or self.starts < 1:
            msg = (
                f"high={self.high}, low={self.low}, components={self.components}, starts={self.starts}: "
                "expected 2 or 3 markers, 2 or more components, and a start"
            )
            raise ValueError(msg)
        within(
            self, nu=TAILS, tie=(0, 100), tie_alone=(0, 100), bin=(1e-6, 1e6), loose=(1e-6, 1e6),
            stiffness=(1e-3, np.inf), firmness=(1e-3, 1e9), minimum=(1, np.inf),
        )  # fmt: skip

    @property
    def markers(self) -> tuple[str, ...]:
        """Markers the gate is made of: the two of the line, then the threshold's where there is one."""
        return (self.high[0], *self.low, *self.high[1:])

    @property
    def signs(self) -> Array:
        """+1 for the markers the population is high on, −1 for low, in the order of `markers`."""
        return np.array([1.0] + [-1.0] * len(self.low) + [1.0] * len(self.high[1:]))

    def summarise(self, context: FitContext) -> Mapping[str, Any]:
        """Sparse histogram of this tube, made even, in no more cells than the cohort's fit can use."""
        columns = self._measured(context)
        key = (self.bin, columns, self.high, self.dim, context.n_events, context.base)
        if key not in context.memo:  # two steps that learn the same from the same events look at them once
            even, _ = evened(self._collected(context, columns), self.signs)
            context.memo[key] = bounded(even, MOST_CELLS, self.bin), middle_of(even, len(self.markers) - 1)
        cells, middle = context.memo[key]
        told = {"points": cells.points, "counts": cells.counts}
        told |= {} if cells.beside is None else {"beside": cells.beside}
        told = {name: values.astype(np.float32) for name, values in told.items()}
        return {"columns": list(columns), "middle": middle, **told}

    def _collected(self, context: FitContext, columns: Sequence[str]) -> Binned:
        """The tube's events in bins, with the dim marker's mean beside them where there is one."""
        if not self.dim or not context.measures(self.dim):
            return context.binned(columns, self.bin)
        events = context.fetch((*columns, self.dim)).astype(np.float64)
        events = events[np.isfinite(events).all(axis=1)]
        centres = (np.floor(events[:, :-1] / self.bin) + 0.5) * self.bin
        return merged(Binned(centres, np.ones(len(events)), beside=in_deviations(events[:, -1])), self.bin)

    def pool(self, learners: Sequence[Learner]) -> Mapping[str, Any]:
        """Align the tubes, fit the shared mixture, name its components, choose the line."""
        columns = [
            name
            for name in (*self.markers, *self.context)
            if learners and all(name in one.summary["columns"] for one in learners)
        ]
        n = len(self.markers)
        told = [(_binned(one.summary, columns, dim=len(columns) > n), float(one.summary["middle"])) for one in learners]
        told = [(tube, middle) for tube, middle in told if tube.total >= self.minimum]
        tubes = [tube for tube, _ in told]
        if not tubes:
            msg = f"none of {len(learners)} tubes has {self.minimum} events to learn from"
            raise GateFitError(msg)
        learnt = learn_mixture(
            tubes,
            components=self.components,
            nu=self.nu,
            tie=self.tie if len(columns) > n else self.tie_alone,
            starts=self.starts,
            width=self.bin,
            loose=self.loose,
            signs=self.signs,
        )
        members, pooled = learnt.members, learnt.shown
        if not any(one.wanted.any() for one in members):
            means = members[0].mixture.means[:, :n]
            shown = "; ".join(", ".join(f"{value:.2f}" for value in mean) for mean in means)
            msg = f"no component is high on {', '.join(self.high)} and low on {', '.join(self.low)} (means: {shown})"
            raise GateFitError(msg)
        posterior = np.asarray(each_probability(members, pooled.points).mean(axis=0))
        boundary = best_boundary(pooled, posterior, self.signs)
        one, reach = members[len(members) // 2], 0.0
        if n > 2 and one.wanted.any():
            cells = ((merged(tube, PLACING * self.bin), middle) for tube, middle in told)
            found = (Reach.of(tube, one.mixture, one.wanted, n - 1, middle) for tube, middle in cells)
            reach = float(np.median([each.distance for each in found]))
        return {
            "columns": columns,
            "reach": reach,
            **stored(members),
            "normal": np.array(boundary.normal),
            "recall": boundary.recall,
            "f1": boundary.f1,
            "starts_spread": learnt.spread,
            "doubt": learnt.doubt,
            "tubes": len(tubes),
            "notes": self._notes(columns, learnt),
        }

    def _notes(self, columns: Sequence[str], learnt: Learnt) -> list[str]:
        """What a reader of the run must know of the model."""
        notes = [
            f"{name} is not stained in every tube the cohort learns from and took no part; "
            "overlapping populations are told apart less well without it"
            for name in self.context
            if name not in columns
        ]
        doubt = learnt.doubt if learnt.doubt is not None or not self.dim else UNMEASURED
        if doubt:
            notes.append(
                f"{self.dim} could not correct the mixture: {doubt}. Where the population ends and activated "
                f"cells begin rests on {' and '.join(self.markers)} alone: percentages may be off by a tenth or more"
            )
        if learnt.spread > UNSTABLE:
            notes.append(
                f"the population's share differs by {100 * learnt.spread:.0f} % of itself over the middle of "
                f"{self.starts} starts of the fit; each tube takes the mean of those. Look at the gates before the "
                "values are used"
            )
        return notes

    def fit(self, context: FitContext) -> MethodFit:
        """Line (two dimensions) or threshold (one dimension) on this tube."""
        if context.model is None:
            msg = "the cohort taught no mixture"
            raise GateFitError(msg)
        key = (self, id(context.model))
        if key not in context.memo:
            placed = self._place(context, context.model)
            context.memo[key] = placed, self._edge(placed, context.model)
        placed, edge = context.memo[key]
        draw = self._line if len(context.dims) == 2 else self._cut
        return draw(context, context.model, placed, edge)

    def _place(self, context: FitContext, model: Mapping[str, Any]) -> PlacedMembers:
        measured = self._measured(context)
        columns = tuple(name for name in model["columns"] if name in measured)
        binned = context.binned(columns, self.bin)
        if binned.total < self.minimum:
            msg = f"{binned.total:.0f} events; at least {self.minimum} are needed to place the mixture"
            raise GateFitError(msg)
        members = restored(model, self.nu, [list(model["columns"]).index(name) for name in columns])
        return place_members(
            members, binned, columns, self.signs, width=PLACING * self.bin, reach=float(model.get("reach") or 0.0),
            loose=self.loose, stiffness=self.stiffness, firmness=self.firmness,
        )  # fmt: skip

    def _line(self, context: FitContext, model: Mapping[str, Any], placed: PlacedMembers, edge: Edge) -> MethodFit:
        normal, offset, jitter = edge
        error = float(np.hypot(np.sqrt(normal @ placed.covariance[:2, :2] @ normal), jitter))
        expected = 100 * placed.total / placed.binned.total
        moved = ", ".join(f"{value:+.3f}" for value in placed.shift)
        reason = (
            f"mixture of {self.components} over {', '.join(placed.columns)}, learnt on {model['tubes']} tube(s); "
            f"this tube displaced by {moved}{placed.stretch.said(placed.columns)}; {expected:.2f} % expected"
        )
        x, y = (float(value) for value in normal / np.hypot(*normal))
        caution = _caution(placed, model) if len(self.markers) == 2 else ""  # else the threshold decides, and says it
        return MethodFit(HalfPlane(context.dims, (x, y), offset), reason, (error,), caution)

    def _cut(self, context: FitContext, model: Mapping[str, Any], placed: PlacedMembers, edge: Edge) -> MethodFit:
        values = context.fetch_inside(context.dims)[:, 0].astype(np.float64)
        values = values if np.isfinite(values).all() else values[np.isfinite(values)]
        expected, at, binned = placed.total, placed.columns.index(context.dims[0]), placed.binned
        inside = np.flatnonzero(binned.projected(edge[0]) > edge[1])
        told = binned.some(inside)[:, at], binned.counts[inside], placed.posterior[inside]
        threshold, jitter = balanced_threshold(values, expected, lambda cut: cut_deviation(*told, cut, self.bin))
        error = float(np.hypot(np.sqrt(placed.covariance[at, at]), jitter))
        share = 100 * expected / placed.binned.total
        reason = f"holds the {expected:.0f} events the mixture expects ({share:.2f} %)"
        return MethodFit(Interval(context.dims, low=threshold), reason, (error,), _caution(placed, model))

    def _edge(self, placed: PlacedMembers, model: Mapping[str, Any]) -> Edge:
        """The line that the mixture draws on this tube."""
        normal = np.asarray(model["normal"], dtype=np.float64)
        if len(self.markers) == 2:
            unsure = float(np.std(placed.expected))
            return normal, *balanced_line(placed.binned, placed.posterior, normal, unsure)
        return normal, *generous_line(placed.binned, placed.posterior, normal, float(model["recall"]))

    def _measured(self, context: FitContext) -> tuple[str, ...]:
        """Columns of this tube: the gate's markers, and the context that is stained."""
        return (*self.markers, *filter(context.measures, self.context))


def _caution(placed: PlacedMembers, model: Mapping[str, Any]) -> str:
    """What a reader of this tube must know: empty where the members agree, on the cohort and on this tube."""
    low, mean, high = (float(value) for value in (placed.expected[0], placed.expected.mean(), placed.expected[-1]))
    spread = float(model.get("starts_spread", 0.0))
    if high - low <= UNSTABLE * mean:
        if spread <= UNSTABLE:
            return DOUBTED if model.get("doubt") == CONTRADICTED else ""
        return f"on the cohort, fits from different starts differ by {100 * spread:.0f} % of the population's share"
    share = 100 / placed.binned.total
    return (
        f"fits from different starts expect {share * low:.2f} to {share * high:.2f} %; "
        f"their mean, {share * mean:.2f} %, was taken"
    )


def _binned(summary: Mapping[str, Any], columns: Sequence[str], *, dim: bool) -> Binned:
    """A tube's histogram on some of its columns, with the dim marker beside it where that is asked for."""
    at = [list(summary["columns"]).index(name) for name in columns]
    points, counts = np.asarray(summary["points"], dtype=np.float64), np.asarray(summary["counts"], dtype=np.float64)
    beside = np.asarray(summary["beside"], dtype=np.float64) if dim and "beside" in summary else None
    return Binned(points.reshape(len(counts), -1)[:, at], counts, beside=beside)
