"""A data set written anew as FCS 3.1 float, so that any program reads it; what it came from stands in its keywords."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.reader import read_fcs
from treg_gating.fcs.writer import is_own, write_fcs
from treg_gating.sample import Sample

__all__ = ["SOURCE_KEY", "convert_fcs"]

SOURCE_KEY = "TREG_GATING_SOURCE"
_REPLACED = {SOURCE_KEY, "$ORIGINALITY", "$LAST_MODIFIER"}


def convert_fcs(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    dataset: int | None = None,
    *,
    ascii: bool = False,
) -> tuple[Sample, tuple[str, ...]]:
    """Read a data set strictly and write it as FCS 3.1: list mode, float32, on linear scale, Time in seconds.

    Parameters
    ----------
    source, target : the file that is read, and the one that is written.
    dataset : which data set, counted from 1; needed where the file holds several.
    ascii : read $DATATYPE A too.

    Returns
    -------
    The sample that was written, and the keywords that could not be kept: those without a value.

    Raises
    ------
    FCSError : as :func:`treg_gating.fcs.read_fcs`; E_WRITE where float32 does not hold a value exactly, or the two
        files are one.
    OSError : the file cannot be written.
    """
    inspection = Inspection(os.fspath(target))
    if Path(target).exists() and Path(source).exists() and Path(source).samefile(target):
        inspection.refuse("E_WRITE", "the file would be replaced by its own conversion", expected="another name")
    sample = read_fcs(source, dataset, ascii=ascii)
    events = sample.events.astype(np.float32)
    for i, channel in enumerate(sample.channels):
        if not channel.is_time and not np.array_equal(events[:, i], sample.events[:, i], equal_nan=True):
            inspection.refuse("E_WRITE", f"values of {channel.name} have more digits than float32 holds")
    further = {key: value for key, value in sample.keywords.items() if not (is_own(key) or key in _REPLACED)}
    empty = tuple(key for key, value in further.items() if not value)
    keywords = {key: value for key, value in further.items() if value}
    write_fcs(target, events, sample.channels, spillover=sample.spillover, keywords={**keywords, **_provenance(sample)})
    return sample, empty


def _provenance(sample: Sample) -> dict[str, str]:
    from treg_gating import __version__

    said = ", ".join(
        f"{key} {sample.keywords[key].strip()}"
        for key in ("$DATATYPE", "$TIMESTEP")
        if sample.keywords.get(key, "").strip()
    )
    came = f"{Path(sample.path).name}, {sample.version}, sha256 {sample.sha256}, {said}; amplification and gain applied"
    return {"$ORIGINALITY": "DataModified", "$LAST_MODIFIER": f"treg-gating {__version__}", SOURCE_KEY: came}
