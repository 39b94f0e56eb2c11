"""Headers and roles of a sample sheet as laboratories write them."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from treg_gating.errors import InputError
from treg_gating.tube import Role

__all__ = [
    "COLUMNS",
    "HELPER_SHEETS",
    "INFO_PREFIX",
    "HeaderReading",
    "Role",
    "column_of",
    "did_you_mean",
    "fold_header",
    "is_treatment",
    "read_role",
]

HELPER_SHEETS = ("how to fill it in", "files left out", "lists")
"""Sheets that stand beside the samples in a workbook of ours."""

INFO_PREFIX = "info:"
"""A header that begins so is for the reader of the sheet; its cells are not read, and nothing is said of it."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "file": (
        *("files", "filename", "file name", "fcs", "fcs file", "fcs files", "fcs filename", "fcs file name"),
        *("path", "file path", "filepath", "fcs path", "$FIL", "FIL"),
    ),
    "subject": (
        *("subject id", "subject no", "subject number", "patient", "patient id", "patient no", "patient number"),
        *(
            "USUBJID",
            "SUBJID",
            "participant",
            "participant id",
            "donor",
            "donor id",
            "subject identifier",
            "individual",
        ),
    ),
    "visit": ("visit name", "time point", "timepoint", "study visit", "AVISIT", "visit id", "planned visit"),
    "batch": (
        *("batch id", "batch no", "batch number", "staining batch", "acquisition batch", "run", "run id"),
        *("experiment", "experiment id", "experiment name"),
    ),
    "role": ("tube role", "sample role", "control type", "role of tube"),
    "control_for": ("fmo for", "fmo marker", "control marker", "left out marker", "stained marker"),
    "tube_id": (
        *("tube", "tube no", "tube number", "tube name", "sample id", "sample name", "specimen id", "barcode"),
        *("CPREFID", "accession", "accession number"),
    ),
    "date": (
        *("collection date", "date of collection", "sample date", "sampling date", "draw date", "visit date"),
        *("blood draw date", "date collected", "CPDTC", "collected"),
    ),
    "day": ("study day", "CPDY", "ADY", "day of study"),
    "dataset": ("data set", "dataset no", "dataset number", "data set number"),
    "markers": ("marker map", "marker mapping", "channel mapping", "channel map", "panel file"),
    # The unit is part of these names: 1.8 (10^9/L) read as 1.8/µL would be wrong by a thousand.
    "lymphocytes_per_ul": (
        *("lymphocytes/µl", "lymphocytes per µl", "lymphocytes cells/µl", "lymphocytes (cells per µl)"),
        *("absolute lymphocytes/µl", "absolute lymphocyte count (cells/µl)", "lymphocytes (/µl)", "ALC (cells/µl)"),
    ),
    "cd4_per_ul": (
        *("CD4/µl", "CD4 per µl", "CD4 (cells/µl)", "CD4 cells/µl", "CD4 count (cells/µl)", "absolute CD4 (cells/µl)"),
        *("CD4 T cells/µl", "CD4 (/µl)"),
    ),
    # Names that may mean two of these are not read: "bead count"; "beads/µl", which folds to the same as "beads (µl)".
    "beads_counted": ("bead events", "beads gated", "beads acquired", "bead events counted", "counted beads"),
    "beads_added": ("beads per tube", "beads in tube", "number of beads added", "added beads"),
    "beads_per_ul": ("beads per µl", "bead concentration (beads/µl)", "bead concentration (/µl)"),
    "bead_volume_ul": ("bead volume (µl)", "volume of beads (µl)"),
    "blood_ul": ("blood volume (µl)", "volume of blood (µl)", "blood (µl)"),
    "comment": ("comments", "note", "notes", "remark", "remarks"),
}
"""Columns a sheet may have, with other names for each; case, blanks and punctuation do not count."""

_TREATMENT = re.compile(
    r"arm|.*arm|arm(cd|code|name|id|no|number).*|act?armcd|.*(treatment|randomi[sz]|allocation|intervention|therapy).*"
    r"|trt.*|(study|dose)?group(id|no|name)?|drug|regimen|dose|分组|组别"
)
"""Folded headers that tell the treatment; a header that names a known column is asked for that first."""


_ROLES: Mapping[Role, tuple[str, ...]] = {
    Role.SAMPLE: ("samples", "specimen", "full stain", "full panel", "fully stained", "stained", "test", "patient"),
    Role.FMO: ("fmo control", "fluorescence minus one"),
    Role.SINGLE_STAIN: (
        *("single stained", "single stain control", "single", "single colour", "single color", "ss"),
        *("comp", "compensation", "compensation control", "comp control"),
    ),
    Role.UNSTAINED: ("unstained control", "unst", "us", "no stain", "blank"),
    Role.CONTROL: (
        *("control donor", "donor control", "healthy control", "reference", "reference sample", "qc", "qc sample"),
        *("bridge", "bridging sample", "process control"),
    ),
}


def fold_header(text: str) -> str:
    """A header without case, blanks and punctuation; µ becomes u.

    >>> fold_header("Lymphocytes (cells/µL)")
    'lymphocytescellsul'
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("μ", "u")
    return re.sub(r"[\W_]+", "", folded)


def did_you_mean(word: str, known: Sequence[str], cutoff: float = 0.7) -> str:
    """A clause naming the nearest of `known`, or nothing.

    >>> did_you_mean("Wek 12", ["Week 4", "Week 12"])
    "; did you mean 'Week 12'?"
    """
    by_fold = {fold_header(name): name for name in reversed(known)}
    near = difflib.get_close_matches(fold_header(word), [*by_fold], n=1, cutoff=cutoff)
    return f"; did you mean {by_fold[near[0]]!r}?" if near else ""


_ROLE_OF = {fold_header(name): role for role, names in _ROLES.items() for name in (role.value, *names)}


def read_role(text: str) -> tuple[Role | None, str]:
    """The role a cell names, and the marker where it says so in the same breath ("FMO CD25").

    >>> read_role("Single stain"), read_role("FMO_FOXP3"), read_role("smaple")[0]
    ((<Role.SINGLE_STAIN: 'single_stain'>, ''), (<Role.FMO: 'fmo'>, 'FOXP3'), None)
    """
    role = _ROLE_OF.get(fold_header(text))
    if role:
        return role, ""
    match = re.fullmatch(r"\s*fmo[\s_:-]+(\S.*?)\s*", text, re.IGNORECASE)
    return (Role.FMO, match[1]) if match else (None, "")


@dataclass
class HeaderReading:
    """What the header row says; made once a sheet.

    Parameters
    ----------
    file : named in faults.
    required : columns that must be there.
    """

    file: str
    required: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    """Column → header as written."""
    set_aside: list[str] = field(default_factory=list)
    """Headers of treatment columns; their cells stay unread."""
    warnings: list[str] = field(default_factory=list)
    faults: list[InputError] = field(default_factory=list)

    def pick(self, headers: Sequence[str]) -> Mapping[int, str]:
        """Index → column for every column that is read."""
        picked: dict[int, str] = {}
        unknown: list[str] = []
        for at, header in enumerate(headers):
            name = column_of(header)
            if name is None and is_treatment(header):
                self.set_aside.append(header)
            elif name is None:
                if not header.casefold().startswith(INFO_PREFIX):
                    unknown.append(header)
            elif name in self.columns:
                self._fault(f"two columns are the {name}", found=f"{self.columns[name]!r} and {header!r}")
            else:
                picked[at] = name
                self.columns[name] = header
        self.require(*self.required, headers=headers)
        known = [name for name in COLUMNS if name not in self.columns]
        for header in unknown:
            if header:
                self.warnings.append(f"Column {header!r} is not known and was not read{did_you_mean(header, known)}")
        return picked

    def require(self, *names: str, headers: Sequence[str]) -> None:
        """Report each of these columns that is not there, with the unknown header that may be meant."""
        read = [*self.columns.values(), *self.set_aside]
        for name in names:
            if name not in self.columns:
                near = _nearest_header(name, [header for header in headers if header not in read])
                hint = f"; did you mean it by {near!r}?" if near else ""
                found = ", ".join(repr(header) for header in headers if header)
                self._fault(f"there is no column {name!r}{hint}", found=found, expected=f"a column named {name!r}")

    def _fault(self, problem: str, **details: str) -> None:
        self.faults.append(InputError(problem, file=self.file, where="header", **details))


def column_of(header: str) -> str | None:
    """The column that a header names, or None."""
    return _COLUMN_OF.get(fold_header(header))


_COLUMN_OF = {fold_header(name): column for column, names in COLUMNS.items() for name in (column, *names)}


def is_treatment(header: str) -> bool:
    """True for a header that names no known column and tells the treatment."""
    return column_of(header) is None and _TREATMENT.fullmatch(fold_header(header)) is not None


def _nearest_header(column: str, headers: Sequence[str]) -> str | None:
    """The unknown header that is most like one of a column's names."""
    names = [fold_header(name) for name in (column, *COLUMNS[column])]
    scored = [(max(difflib.SequenceMatcher(None, fold_header(h), n).ratio() for n in names), h) for h in headers if h]
    best = max(scored, default=(0.0, ""))
    return best[1] if best[0] >= 0.7 else None
