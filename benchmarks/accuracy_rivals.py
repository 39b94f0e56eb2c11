"""Simpler ways to call Tregs among the same events, for comparison. A call is (rows of Tregs, rows of CD4 T)."""

from __future__ import annotations

import re
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from treg_gating.errors import GateFitError
from treg_gating.gating.method import FitContext
from treg_gating.gating.methods.valley import Valley
from treg_gating.interchange.gatingml import export_gatingml

METHODS = ("valley", "static", "gmm", "flowkit")
DIRECTION = {"CD25": 1.0, "CD127": -1.0, "FOXP3": 1.0}
Array = np.ndarray[Any, Any]
Call = tuple[Array, Array]


@dataclass(frozen=True)
class Fixed:
    """What is learnt on one tube and applied to all.

    Parameters
    ----------
    cuts : by marker, median ± 2 robust SD of the tube's CD4 T cells in the marker's direction.
    strategy : the tube's fitted gates as a Gating-ML 2.0 document. treg, cd4_t : their identifiers in it.
    """

    cuts: dict[str, float]
    strategy: str
    treg: str
    cd4_t: str

    @classmethod
    def learn(cls, cells: Array, names: list[str], result: Any) -> Fixed:
        """Cuts from these CD4 T cells, and a strategy from the tube's finished result."""
        centre = np.median(cells, axis=0)
        spread = 1.4826 * np.median(np.abs(cells - centre), axis=0)
        cuts = {name: float(centre[at] + DIRECTION[name] * 2 * spread[at]) for at, name in enumerate(names)}
        with tempfile.TemporaryDirectory() as folder:
            # Stretches of time that this tube lost mean nothing in another.
            export = export_gatingml(replace(result, removed=()), Path(folder) / "strategy.xml")
            text = export.path.read_text(encoding="utf-8")
        # Every file is compensated with its own matrix ("FCS" in Gating-ML): the gates are fixed, not the instrument.
        text = re.sub(r'compensation-ref="spillover"', 'compensation-ref="FCS"', text)
        text = re.sub(r"<transforms:spectrumMatrix.*?</transforms:spectrumMatrix>", "", text, flags=re.DOTALL)
        return cls(cuts, text, export.populations["treg"], export.populations["cd4_t"])


def cells_of(view: Any, rows: Array) -> tuple[Array, list[str]]:
    """CD25, CD127 and FOXP3 of these events in gate units, and which of them the tube measures."""
    names = [name for name in DIRECTION if name in view.measured]
    return view.values(names, rows), names


def call(method: str, view: Any, base: Array | None, fixed: Fixed | None, path: Path) -> Call | None:
    """What a method calls in one tube; None where it has no answer.

    ``valley``, ``static`` and ``gmm`` work on the CD4 T cells of this package's own gates; ``flowkit`` applies a
    whole strategy, from the file to the Tregs.
    """
    if method == "flowkit":
        return None if fixed is None else _flowkit(fixed, path)
    if base is None or len(base) < 10:
        return None
    cells, names = cells_of(view, base)
    if method == "gmm":
        return base[_mixture(cells, names)], base
    cuts = _valleys(cells, names) if method == "valley" else fixed.cuts if fixed else {}
    if not all(np.isfinite(cuts.get(name, np.nan)) for name in names):
        return None
    inside = np.all([(cells[:, at] - cuts[name]) * DIRECTION[name] >= 0 for at, name in enumerate(names)], axis=0)
    return base[inside], base


def _valleys(cells: Array, names: list[str]) -> dict[str, float]:
    """A valley on each marker; NaN where there is none."""
    cuts = {}
    for at, name in enumerate(names):
        column = cells[:, [at]]
        try:
            cuts[name] = Valley().fit(FitContext((name,), column, lambda _, c=column: c)).gate.low  # type: ignore[attr-defined]
        except GateFitError:
            cuts[name] = np.nan
    return cuts


def _mixture(cells: Array, names: list[str]) -> Array:
    """Three Gaussians per tube; the one with the highest CD25 and FOXP3 and the lowest CD127 is taken for Tregs."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = GaussianMixture(3, random_state=0, reg_covar=1e-5).fit(cells)
    score = (model.means_ - model.means_.mean(axis=0)) @ np.array([DIRECTION[name] for name in names])
    return np.asarray(model.predict(cells) == int(np.argmax(score)))


def _flowkit(fixed: Fixed, path: Path) -> Call:
    import flowkit

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        document = Path(folder) / "strategy.xml"
        document.write_text(fixed.strategy, encoding="utf-8")
        gated = flowkit.parse_gating_xml(str(document)).gate_sample(flowkit.Sample(str(path)))
    return tuple(np.flatnonzero(gated.get_gate_membership(name)) for name in (fixed.treg, fixed.cd4_t))  # type: ignore[return-value]
