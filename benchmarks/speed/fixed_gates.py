"""The same eight fixed gates for every program: Gating-ML from our export.

singlets and lymphocytes (polygons on scatter), live, CD3+, CD4+, CD25+ CD127low (polygon), FOXP3+ with CD25+
(rectangle), CD45RA+. The numbers are those that template treg_foxp3 gave a tube of ``tubes.make_tube``, rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from treg_gating.fcs import read_header
from treg_gating.gating.gates import Gate, Interval, Polygon, Rectangle
from treg_gating.gating.results import FittedGate, GateStatus, SampleResult
from treg_gating.gating.template import GatingTemplate
from treg_gating.interchange.gatingml import export_gatingml
from treg_gating.interchange.gatingml_import import import_gatingml
from treg_gating.transforms import Linear, Logicle, transform_to_dict

__all__ = ["GATES", "FixedGates", "make_fixed_gates"]

_SCATTER = ("FSC-A", "FSC-H", "SSC-A")
_INF = np.inf

GATES: dict[str, tuple[str, Gate]] = {
    "singlets": (
        "root",
        Polygon(
            ("FSC-A", "FSC-H"),
            ((15e3, 11e3), (15e3, 14e3), (262144.0, 236e3), (340e3, 262144.0), (262144.0, 194e3)),
        ),
    ),
    "lymphocytes": (
        "singlets",
        Polygon(
            ("FSC-A", "SSC-A"),
            (
                (99100.0, 27800.0), (96000.0, 35200.0), (87700.0, 40300.0), (76300.0, 41800.0),
                (64900.0, 39400.0), (56500.0, 33500.0), (53500.0, 25900.0), (56500.0, 18500.0),
                (64900.0, 13400.0), (76300.0, 11900.0), (87700.0, 14300.0), (96000.0, 20200.0),
            ),
        ),
    ),
    "live": ("lymphocytes", Interval(("Viability",), -_INF, 0.563612)),
    "cd3": ("live", Interval(("CD3",), 0.446569)),
    "cd4": ("cd3", Interval(("CD4",), 0.413312)),
    "cd25_cd127low": (
        "cd4",
        Polygon(("CD25", "CD127"), ((-0.8988, -2.8749), (1.3973, 2.6684), (4.1689, 1.5204), (1.8728, -4.0229))),
    ),
    "treg": ("cd25_cd127low", Rectangle(("CD25", "FOXP3"), (0.2, 0.334756), (1.5, 1.5))),
    "naive_treg": ("treg", Interval(("CD45RA",), 0.512886)),
}  # fmt: skip


@dataclass(frozen=True)
class FixedGates:
    """One set of gates in every program's form.

    Parameters
    ----------
    document : the Gating-ML file. populations : identifiers in it, in order.
    template : as we import it.
    detector : $PnN by marker, for those who gate by hand.
    """

    document: Path
    populations: tuple[str, ...]
    template: GatingTemplate
    detector: dict[str, str]


def make_fixed_gates(tube: Path, document: Path) -> FixedGates:
    """Write the gates down for tubes of this panel and matrix."""
    header = read_header(tube)
    detector = {c.marker or c.name: c.name for c in header.channels if c.marker or c.name in _SCATTER}
    used = {name for _, gate in GATES.values() for name in gate.dims}
    assert used <= set(detector)
    assert header.spillover is not None
    result = SampleResult(
        tube_id="benchmark", file=tube.name, subject="S", visit="Baseline", batch="1", role="sample", status="done",
        n_events=header.n_events,
        panel=tuple((name, detector[name], "$PnS") for name in sorted(used)),
        spillover={"channels": list(header.spillover.channels), "matrix": header.spillover.matrix.tolist()},
        transforms={name: transform_to_dict(Linear() if name in _SCATTER else Logicle(w=0.6)) for name in used},
        gates=tuple(FittedGate(n, parent, "+", gate, GateStatus.FIXED, "fixed") for n, (parent, gate) in GATES.items()),
    )  # fmt: skip
    export = export_gatingml(result, document)
    assert not export.left_out
    names = tuple(export.populations[name] for name in GATES)
    return FixedGates(document, names, import_gatingml(document, treg="treg", cd4="cd4"), detector)
