"""Several data sets in one file ($NEXTDATA): which there are, which is meant, and whether one is hidden."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from treg_gating.errors import FCSError
from treg_gating.fcs.header import HEADER_BYTES, Header, looks_like_header, parse_header
from treg_gating.fcs.inspection import Inspection, shown
from treg_gating.fcs.source import Source
from treg_gating.fcs.text import MAX_TEXT, Keywords, parse_text

__all__ = ["Choice", "Opening", "check_hidden", "choose_dataset"]

MAX_DATASETS = 1_000
_TAIL = 16 << 20  # bytes behind the last segment that are looked through
_MAGIC = re.compile(rb"FCS[23]\.[0-9]    ")


@dataclass(frozen=True)
class Opening:
    """HEADER and primary TEXT of a data set, and what was odd about them."""

    header: Header
    keywords: Keywords
    inspection: Inspection


@dataclass(frozen=True)
class Choice:
    """The data set that is meant.

    Parameters
    ----------
    origin : where it begins. number, of : which it is, counted from 1, and how many there are.
    size : bytes to the next one or to the end of the file.
    opening : what was read of it on the way; None where that is beyond reading.
    """

    origin: int
    number: int
    of: int
    size: int
    opening: Opening | None


def choose_dataset(source: Source, number: int | None, inspection: Inspection) -> Choice:
    """Find the data sets of a file, and the one that is meant.

    Raises
    ------
    FCSError : E_DATASETS where several are there and none is chosen.
    """
    chosen = 1 if number is None else number
    origins, opening = _find(source, chosen, inspection)
    n = len(origins)
    if number is None and n > 1:
        inspection.refuse(
            "E_DATASETS",
            "several data sets in one file",
            where="$NEXTDATA",
            found=f"{n} data sets",
            expected=f"a choice of 1 to {n}",
        )
    if not 1 <= chosen <= n:
        inspection.refuse("E_DATASETS", "no such data set", found=f"dataset={chosen}", expected=f"1 to {n}")
    origin = origins[chosen - 1]
    end = origins[chosen] if chosen < n else source.size
    return Choice(origin, chosen, n, end - origin, opening)


def _find(source: Source, meant: int, inspection: Inspection) -> tuple[list[int], Opening | None]:
    """Where the data sets begin, and the opening of the one that is meant."""
    origins, found = [0], None
    while len(origins) < MAX_DATASETS:
        is_meant = len(origins) == meant  # what is parsed of it is held against the bytes that are hashed
        opening = _opening(origins[-1], source.parse if is_meant else source.peek, inspection.path)
        found = opening if is_meant else found
        step = 0 if opening is None else _next(opening, len(origins) == 1, inspection)
        if step == 0:
            break
        following = origins[-1] + step
        if not looks_like_header(source.peek(following, 10)):
            inspection.warn("W_NEXTDATA", f"$NEXTDATA is {step}, where no data set begins; ignored")
            break
        origins.append(following)
    return origins, found


def _opening(origin: int, read: Callable[[int, int], bytes], path: str) -> Opening | None:
    """HEADER and TEXT at `origin`; None where they are beyond reading, to be refused with the reason where needed."""
    scratch = Inspection(path)
    try:
        header = parse_header(read(origin, HEADER_BYTES), scratch)
        if header.text.size > MAX_TEXT:
            return None
        return Opening(header, parse_text(read(origin + header.text.begin, header.text.size), scratch), scratch)
    except FCSError:
        return None


def _next(opening: Opening, first: bool, inspection: Inspection) -> int:
    """$NEXTDATA of a data set; 0 where it has none."""
    raw = opening.keywords.get("$NEXTDATA", "").strip()
    if not raw:
        if first and opening.header.version != "FCS3.2":
            inspection.warn("W_NEXTDATA", "$NEXTDATA is absent; one data set assumed")
        return 0
    step = inspection.integer(raw, "$NEXTDATA")
    if 0 < step <= opening.header.text.end:
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
