"""The tubes of a study, as a sample sheet lists them; how a sheet is read is :mod:`treg_gating.samplesheet`'s affair.

Apart from it because every process that works on tubes needs these, and none of those reads a sheet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

__all__ = ["Role", "SampleSheet", "Tube"]


class Role(StrEnum):
    """What a tube is for."""

    SAMPLE = "sample"
    FMO = "fmo"
    SINGLE_STAIN = "single_stain"
    UNSTAINED = "unstained"
    CONTROL = "control"


@dataclass(frozen=True)
class Tube:
    """One tube of a study.

    Parameters
    ----------
    tube_id : unique in its sheet.
    file : as written in the sheet.
    path : the file, resolved, below the data folder.
    subject, visit : text; visit as planned. Empty where a control belongs to none.
    batch : tubes stained and acquired together.
    role : what the tube is for.
    control_for : the marker that an FMO leaves out or a single stain holds, as written; else empty.
    row : line of the CSV file, or row in Excel.
    dataset : number of the data set in a file of several, from 1; None where not said.
    markers : detector → marker, where the sheet says so.
    date : collection, ISO; empty where not said.
    day : study day of the collection.
    lymphocytes_per_ul, cd4_per_ul : absolute counts, cells/µL.
    beads_counted, beads_added, blood_ul : bead events in the file (None: a gate counts them), beads and µL of blood
        in the tube.
    comment : as written.
    """

    tube_id: str
    file: str
    path: Path
    subject: str
    visit: str
    batch: str
    role: Role = Role.SAMPLE
    control_for: str = ""
    row: int = 0
    dataset: int | None = None
    markers: Mapping[str, str] = field(default_factory=dict, hash=False)
    date: str = ""
    day: int | None = None
    lymphocytes_per_ul: float | None = None
    cd4_per_ul: float | None = None
    beads_counted: float | None = None
    beads_added: float | None = None
    blood_ul: float | None = None
    comment: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "markers", MappingProxyType(dict(self.markers)))

    def __reduce__(self) -> tuple[object, ...]:
        # Tubes go to the workers; a read-only view of a dict cannot be pickled.
        values = [getattr(self, item.name) for item in fields(self)]
        return (Tube, tuple(dict(value) if isinstance(value, Mapping) else value for value in values))


@dataclass(frozen=True)
class SampleSheet:
    """A sheet without faults.

    Parameters
    ----------
    tubes : one a row, in the sheet's order.
    path : the sheet.
    set_aside : headers of treatment columns that were not read; the run says so.
    warnings : what a reader should know.
    sha256 : digest of the sheet.
    absent : files that were left out because they are not there yet.
    """

    tubes: tuple[Tube, ...]
    path: Path
    set_aside: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    sha256: str = ""
    absent: tuple[str, ...] = ()

    @property
    def samples(self) -> tuple[Tube, ...]:
        """The tubes that are counted."""
        return tuple(tube for tube in self.tubes if tube.role is Role.SAMPLE)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects with a sample, in the sheet's order."""
        return tuple(dict.fromkeys(tube.subject for tube in self.samples))

    @property
    def visits(self) -> tuple[str, ...]:
        """Visits with a sample, in the sheet's order."""
        return tuple(dict.fromkeys(tube.visit for tube in self.samples))

    @property
    def batches(self) -> tuple[str, ...]:
        """Batches, in the sheet's order."""
        return tuple(dict.fromkeys(tube.batch for tube in self.tubes))
