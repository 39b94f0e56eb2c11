"""Several data sets in one file ($NEXTDATA): which there are, which is meant, and whether one is hidden."""

from __future__ import annotations

import re

from treg_gating.errors import FCSError
from treg_gating.fcs.header import HEADER_BYTES, looks_like_header, parse_header
from treg_gating.fcs.inspection import Inspection, shown
from treg_gating.fcs.source import Source
from treg_gating.fcs.text import Keywords, parse_text

__all__ = ["check_hidden", "choose_dataset"]

MAX_DATASETS = 1_000
_TAIL = 16 << 20  # bytes behind the last segment that are looked through
_MAGIC = re.compile(rb"FCS[23]\.[0-9]    ")
_MAX_TEXT = 16 << 20


def choose_dataset(source: Source, number: int | None, inspection: Inspection) -> tuple[int, int, int, int]:
    """Origin of the data set, its number, how many there are, and bytes to the next one or the end.

    Raises
    ------
    FCSError : E_DATASETS where several are there and none is chosen.
    """
    origins = _origins(source, inspection)
    n = len(origins)
    if number is None and n > 1:
        inspection.refuse(
            "E_DATASETS",
            "several data sets in one file",
            where="$NEXTDATA",
            found=f"{n} data sets",
            expected=f"a choice of 1 to {n}",
        )
    chosen = 1 if number is None else number
    if not 1 <= chosen <= n:
        inspection.refuse("E_DATASETS", "no such data set", found=f"dataset={chosen}", expected=f"1 to {n}")
    origin = origins[chosen - 1]
    end = origins[chosen] if chosen < n else source.size
    return origin, chosen, n, end - origin


def _origins(source: Source, inspection: Inspection) -> list[int]:
    """Where the data sets begin."""
    origins = [0]
    while len(origins) < MAX_DATASETS:
        step = _next(source, origins[-1], len(origins) == 1, inspection)
        if step == 0:
            break
        following = origins[-1] + step
        if not looks_like_header(source.peek(following, 10)):
            inspection.warn("W_NEXTDATA", f"$NEXTDATA is {step}, where no data set begins; ignored")
            break
        origins.append(following)
    return origins


def _next(source: Source, origin: int, first: bool, inspection: Inspection) -> int:
    """$NEXTDATA of the data set at `origin`; 0 where it has none, or is itself beyond reading."""
    scratch = Inspection(inspection.path)
    try:
        header = parse_header(source.peek(origin, HEADER_BYTES), scratch)
        if header.text.size > _MAX_TEXT:
            return 0
        keywords = parse_text(source.peek(origin + header.text.begin, header.text.size), scratch)
    except FCSError:
        return 0  # refused with its reason when it is read
    raw = keywords.get("$NEXTDATA", "").strip()
    if not raw:
        if first and header.version != "FCS3.2":
            inspection.warn("W_NEXTDATA", "$NEXTDATA is absent; one data set assumed")
        return 0
    step = inspection.integer(raw, "$NEXTDATA")
    if 0 < step <= header.text.end:
        inspection.refuse(
            "E_DATASETS", "the next data set is said to begin within this one", where="$NEXTDATA", found=str(step)
        )
    return step


def check_hidden(source: Source, end: int, is_last: bool, keywords: Keywords, inspection: Inspection) -> None:
    """Warn of what looks like a data set behind the last one that $NEXTDATA names."""
    if not is_last:
        return
    match = _MAGIC.search(source.peek(end, _TAIL))
    if match:
        inspection.warn(
            "W_DATASETS",
            f"what looks like another data set begins at byte {end + match.start()}, "
            f"though $NEXTDATA is {shown(keywords.get('$NEXTDATA', ''))}; only the one before it was read",
        )
