"""What the cells are: populations of blood and how much of every marker each carries.

A cell carries an amount of dye per marker, given in the units its own detector shows (a.u., linear, full scale
262,144). Within a population the amount is log-normal or t-tailed, may smear to one side, and may follow a hidden
activation that several markers share. Values are starting values of this project (unverified, see
docs/simulator.md); the shares of CD4 T cells are those of the design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["CD4_LINEAGE", "CellType", "Stain", "cell_types"]

CD4_LINEAGE = "cd4_t"
NEGATIVE = 20.0  # a.u. of dye that sticks to any cell


@dataclass(frozen=True, slots=True)
class Stain:
    """Amount of one marker's dye on the cells of one population.

    Parameters
    ----------
    median : a.u. in the dye's own detector.
    spread : SD, in decades.
    smear : share of cells, 0 to 1, that smear away from the median.
    smear_decades : mean length of the smear in decades (exponential); negative smears downwards.
    dof : degrees of freedom of the t-tail; infinity is log-normal.
    loading : decades by which one SD of the cell's hidden activation moves the amount.
    """

    median: float = NEGATIVE
    spread: float = 0.25
    smear: float = 0.0
    smear_decades: float = 0.0
    dof: float = float("inf")
    loading: float = 0.0

    def scaled(self, factor: float, *, spread: float = 1.0) -> Stain:
        """The same stain with `factor` times the median and `spread` times the spread."""
        return replace(self, median=self.median * factor, spread=self.spread * spread)

    def draw(self, rng: np.random.Generator, activation: NDArray[np.float64]) -> NDArray[np.float64]:
        """Amounts for cells with the given hidden activation (SD units), shape (n,), in a.u."""
        n = activation.size
        noise = rng.standard_normal(n) if np.isinf(self.dof) else rng.standard_t(self.dof, n)
        log10 = np.log10(self.median) + self.spread * noise
        if self.loading:
            log10 += self.loading * activation
        if self.smear:
            smeared = rng.random(n) < self.smear
            log10[smeared] += rng.exponential(1.0, int(smeared.sum())) * self.smear_decades
        return np.asarray(10.0**log10)


@dataclass(frozen=True, slots=True)
class CellType:
    """One population of cells.

    Parameters
    ----------
    name : the population, such as ``effector_treg``.
    lineage : the group it belongs to; ``cd4_t`` is the denominator of the endpoint.
    share : share within its lineage; the shares of a lineage sum to 1.
    stains : marker to :class:`Stain`; a marker not named sticks as to a negative cell.
    is_treg : whether the truth counts it as Treg.
    fsc, ssc : median forward and side scatter area, a.u.
    fsc_cv, ssc_cv : their coefficients of variation, as fractions.
    autofluorescence : factor on the instrument's autofluorescence of a lymphocyte.
    """

    name: str
    lineage: str
    share: float
    stains: Mapping[str, Stain] = field(default_factory=dict)
    is_treg: bool = False
    fsc: float = 78_000.0
    ssc: float = 27_000.0
    fsc_cv: float = 0.10
    ssc_cv: float = 0.20
    autofluorescence: float = 1.0

    def with_stains(self, **stains: Stain) -> CellType:
        """The same population with some stains replaced."""
        return replace(self, stains=MappingProxyType({**self.stains, **stains}))


_NEGATIVE_T = {"CD3": Stain(6500, 0.10), "CD8": Stain(25, 0.25), "Viability": Stain(60, 0.22), "Ki67": Stain(40, 0.22)}
_CD4_T = {**_NEGATIVE_T, "CD4": Stain(9000, 0.08, dof=8), "Helios": Stain(60, 0.25)}
# 0.83: Tregs carry less CD4 than the other CD4 T cells (design file).
_TREG = {**_CD4_T, "CD4": Stain(9000 * 0.83, 0.09, dof=8), "Helios": Stain(1500, 0.25, smear=0.25, smear_decades=-0.5)}


def _cd4_standard() -> tuple[CellType, ...]:
    """The six CD4 T populations of the design with the standard stains."""
    kind = CD4_LINEAGE
    return (
        CellType("naive_tconv", kind, 0.46, _CD4_T).with_stains(
            CD25=Stain(110, 0.28, dof=8),
            CD127=Stain(4200, 0.17, smear=0.08, smear_decades=-0.20, dof=8),
            FOXP3=Stain(70, 0.22, dof=8),
            CD45RA=Stain(8000, 0.15),
        ),
        CellType("memory_tconv", kind, 0.41, _CD4_T).with_stains(
            CD25=Stain(330, 0.28, smear=0.30, smear_decades=0.22, dof=8),
            CD127=Stain(4600, 0.21, smear=0.18, smear_decades=-0.25, dof=8),
            FOXP3=Stain(90, 0.25, smear=0.06, smear_decades=0.30, dof=8),
            CD45RA=Stain(150, 0.30),
            Ki67=Stain(45, 0.22, smear=0.04, smear_decades=0.9),
        ),
        CellType("activated_tconv", kind, 0.03, _CD4_T).with_stains(
            CD25=Stain(1500, 0.24, dof=8, loading=0.06),
            CD127=Stain(2000, 0.25, dof=8),
            FOXP3=Stain(210, 0.26, dof=8, loading=0.08),
            CD45RA=Stain(160, 0.30),
            Ki67=Stain(120, 0.45),
        ),
        CellType("cd127low_cd25neg", kind, 0.045, _CD4_T).with_stains(
            CD25=Stain(190, 0.30, dof=8),
            CD127=Stain(480, 0.28, dof=8),
            FOXP3=Stain(85, 0.24, dof=8),
            CD45RA=Stain(300, 0.60),
        ),
        CellType("naive_treg", kind, 0.015, _TREG, is_treg=True).with_stains(
            CD25=Stain(1900, 0.20, dof=8, loading=0.05),
            CD127=Stain(850, 0.22, dof=8),
            FOXP3=Stain(620, 0.22, dof=8, loading=0.06),
            CD45RA=Stain(6000, 0.18),
        ),
        CellType("effector_treg", kind, 0.04, _TREG, is_treg=True).with_stains(
            CD25=Stain(3600, 0.21, dof=8, loading=0.08),
            CD127=Stain(620, 0.23, dof=8, loading=-0.03),
            FOXP3=Stain(1400, 0.25, dof=8, loading=0.09),
            CD45RA=Stain(130, 0.30),
            Ki67=Stain(80, 0.30, smear=0.30, smear_decades=0.8),
        ),
    )


def _other_cells() -> tuple[CellType, ...]:
    """Everything in blood mononuclear cells that is not a CD4 T cell."""
    cd127 = Stain(2600, 0.25)
    live = {"Viability": Stain(60, 0.22), "Ki67": Stain(40, 0.22), "Helios": Stain(50, 0.25), "FOXP3": Stain(70, 0.24)}
    t_cell = {**live, "CD3": Stain(6500, 0.10), "CD127": cd127, "CD25": Stain(80, 0.30), "CD4": Stain(45, 0.25)}
    return (
        CellType("naive_cd8", "cd8_t", 0.45, {**t_cell, "CD8": Stain(15000, 0.10), "CD45RA": Stain(9000, 0.15)}),
        CellType(
            "memory_cd8",
            "cd8_t",
            0.55,
            {
                **t_cell,
                "CD8": Stain(12500, 0.13, smear=0.05, smear_decades=-0.25),
                "CD127": Stain(1300, 0.40),
                "CD45RA": Stain(700, 0.60),
            },
        ),
        CellType(
            "double_negative_t",
            "dn_t",
            1.0,
            {**t_cell, "CD3": Stain(8500, 0.12), "CD8": Stain(120, 0.50), "CD45RA": Stain(900, 0.50)},
        ),
        CellType(
            "b_cell",
            "b",
            1.0,
            {**live, "CD25": Stain(160, 0.35), "CD45RA": Stain(7000, 0.14), "CD127": Stain(30, 0.25)},
            fsc=74_000,
            ssc=25_000,
            autofluorescence=1.1,
        ),
        CellType(
            "nk_cell",
            "nk",
            1.0,
            {
                **live,
                "CD8": Stain(300, 0.55),
                "CD45RA": Stain(6000, 0.20),
                "CD25": Stain(90, 0.30),
                "CD127": Stain(60, 0.4),
            },
            fsc=83_000,
            ssc=30_000,
        ),
        CellType(
            "monocyte",
            "monocyte",
            1.0,
            {
                **live,
                "CD4": Stain(900, 0.17),
                "CD25": Stain(150, 0.30),
                "FOXP3": Stain(160, 0.25),
                "CD45RA": Stain(300, 0.30),
                "CD127": Stain(80, 0.35),
                "CD3": Stain(50, 0.30),
            },
            fsc=128_000,
            ssc=78_000,
            ssc_cv=0.22,
            autofluorescence=3.0,
        ),
    )


def _hard(types: Sequence[CellType]) -> tuple[CellType, ...]:
    """FOXP3 dim, and activated conventional cells three times as many."""
    shares = {"naive_tconv": 0.40, "memory_tconv": 0.40, "activated_tconv": 0.10}
    changed = []
    for cell in types:
        out = replace(cell, share=shares.get(cell.name, cell.share))
        if cell.is_treg:
            out = out.with_stains(FOXP3=cell.stains["FOXP3"].scaled(0.75))
        elif cell.name == "activated_tconv":
            out = out.with_stains(FOXP3=cell.stains["FOXP3"].scaled(0.70))
        changed.append(out)
    return tuple(changed)


def _smeared(types: Sequence[CellType]) -> tuple[CellType, ...]:
    """CD25 and CD127 smeared over their range and FOXP3 a shoulder, as in exports from tissue (FlowAtlas)."""
    tconv25 = Stain(130, 0.40, smear=0.35, smear_decades=0.35, dof=6)
    tconv127 = Stain(4200, 0.30, smear=0.30, smear_decades=-0.40, dof=6)
    treg = {
        "CD25": Stain(1000, 0.42, dof=6, loading=0.12),
        "CD127": Stain(1100, 0.36, dof=6),
        "FOXP3": Stain(1250, 0.24, dof=6, loading=0.15),
    }
    changed = []
    for cell in types:
        if cell.is_treg:
            changed.append(cell.with_stains(**treg))
        elif cell.name in {"naive_tconv", "memory_tconv"}:
            changed.append(cell.with_stains(CD25=tconv25, CD127=tconv127))
        else:
            changed.append(cell)
    return tuple(changed)


def cell_types(profile: str = "standard") -> tuple[CellType, ...]:
    """All populations of a profile.

    Parameters
    ----------
    profile : ``standard``, ``hard`` (dim FOXP3, many activated conventional cells) or ``smeared``.

    Raises
    ------
    ValueError : no such profile.
    """
    cd4 = _cd4_standard()
    if profile == "hard":
        cd4 = _hard(cd4)
    elif profile == "smeared":
        cd4 = _smeared(cd4)
    elif profile != "standard":
        msg = f"no profile {profile!r}; there are standard, hard, smeared"
        raise ValueError(msg)
    return cd4 + _other_cells()
