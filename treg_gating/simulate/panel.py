"""Which marker carries which dye, and how the file writes it down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from treg_gating.sample import Channel
from treg_gating.simulate.instrument import DYES, FULL_SCALE

__all__ = ["LABEL_STYLES", "PANELS", "SCATTER", "StainingPanel"]

SCATTER = ("FSC-A", "FSC-H", "FSC-W", "SSC-A", "SSC-H", "SSC-W")
LABEL_STYLES = ("plain", "with_dye", "hyphen")


@dataclass(frozen=True, slots=True)
class StainingPanel:
    """Markers with their dyes, and the channels a file of this panel has.

    Parameters
    ----------
    stains : pairs of marker and dye; markers are the canonical names, dyes those of the instrument.
    scatter : scatter channels written, in order, out of ``SCATTER``.
    labels : how $PnS is written: ``plain`` (CD25), ``with_dye`` (CD25 PE) or ``hyphen`` (CD25-PE).
    """

    stains: tuple[tuple[str, str], ...]
    scatter: tuple[str, ...] = SCATTER[:5]
    labels: str = "plain"

    def __post_init__(self) -> None:
        unknown = [dye for _, dye in self.stains if dye not in DYES] + sorted(set(self.scatter) - set(SCATTER))
        if unknown or self.labels not in LABEL_STYLES:
            msg = f"panel names {', '.join(unknown) or self.labels}, which the simulated instrument does not have"
            raise ValueError(msg)

    @property
    def markers(self) -> tuple[str, ...]:
        """Markers in the order of their channels."""
        return tuple(marker for marker, _ in self.stains)

    @property
    def dyes(self) -> tuple[str, ...]:
        """Dyes in the order of their channels."""
        return tuple(dye for _, dye in self.stains)

    @property
    def detectors(self) -> tuple[str, ...]:
        """$PnN of the fluorescence channels."""
        return tuple(DYES[dye].detector for dye in self.dyes)

    def without(self, markers: Sequence[str]) -> StainingPanel:
        """The panel without some stains; their detectors are not recorded either."""
        kept = tuple(pair for pair in self.stains if pair[0] not in markers)
        return StainingPanel(kept, self.scatter, self.labels)

    def channels(self) -> tuple[Channel, ...]:
        """Channels of a file: scatter, fluorescence, Time."""
        fluorescence = [
            Channel(detector, self._label(marker, dye), FULL_SCALE)
            for (marker, dye), detector in zip(self.stains, self.detectors, strict=True)
        ]
        scatter = [Channel(name, "", FULL_SCALE) for name in self.scatter]
        return (*scatter, *fluorescence, Channel("Time", "", FULL_SCALE))

    def columns(self, markers: Sequence[str]) -> NDArray[np.intp]:
        """Columns of the events that hold the given markers."""
        return np.array([len(self.scatter) + self.markers.index(marker) for marker in markers], dtype=np.intp)

    def _label(self, marker: str, dye: str) -> str:
        if marker == "Viability":
            return "Viability" if self.labels == "plain" else f"LIVE DEAD {dye}"
        return {"plain": marker, "with_dye": f"{marker} {dye}", "hyphen": f"{marker}-{dye}"}[self.labels]


_TREG8 = (
    ("CD45RA", "FITC"),
    ("CD25", "PE"),
    ("CD4", "PerCP-Cy5.5"),
    ("CD127", "PE-Cy7"),
    ("FOXP3", "AF647"),
    ("CD3", "APC-H7"),
    ("CD8", "BV421"),
    ("Viability", "Aqua"),
)

PANELS = {
    "treg8": StainingPanel(_TREG8),
    "surface7": StainingPanel(_TREG8).without(["FOXP3"]),
    "treg10": StainingPanel((*_TREG8, ("Ki67", "BV605"), ("Helios", "BV786"))),
}
