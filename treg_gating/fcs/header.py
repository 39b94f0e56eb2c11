"""The HEADER: version, and where TEXT, DATA and ANALYSIS lie."""

from __future__ import annotations

from dataclasses import dataclass

from treg_gating.fcs.inspection import Inspection, shown

__all__ = ["HEADER_BYTES", "Header", "Segment", "looks_like_header", "other_segments", "parse_header"]

HEADER_BYTES = 58
VERSIONS = ("FCS2.0", "FCS3.0", "FCS3.1", "FCS3.2")
_FIELDS = ("TEXT begin", "TEXT end", "DATA begin", "DATA end", "ANALYSIS begin", "ANALYSIS end")


@dataclass(frozen=True, slots=True)
class Segment:
    """First and last byte of a segment, counted from the beginning of its data set, both included."""

    begin: int
    end: int

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.end - self.begin + 1

    def overlaps(self, other: Segment) -> bool:
        """Whether the two share a byte."""
        return self.begin <= other.end and other.begin <= self.end


@dataclass(frozen=True, slots=True)
class Header:
    """What the first 58 bytes of a data set say; None for a pair left blank or zero."""

    version: str
    text: Segment
    data: Segment | None
    analysis: Segment | None
    analysis_odd: bool


def looks_like_header(raw: bytes) -> bool:
    """Whether `raw` begins as an FCS data set does."""
    return raw[:10].decode("latin-1") in {version + "    " for version in VERSIONS}


def parse_header(raw: bytes, inspection: Inspection) -> Header:
    """Read the HEADER of a data set.

    Parameters
    ----------
    raw : the first 58 bytes, or fewer where the file ends.

    Raises
    ------
    FCSError : E_NOT_FCS, E_VERSION, E_TRUNCATED, E_OFFSETS.
    """
    version = _version(raw, inspection)
    if len(raw) < HEADER_BYTES:
        inspection.refuse(
            "E_TRUNCATED", "the file ends within its HEADER", found=f"{len(raw)} bytes", expected="at least 58"
        )
    fields = [raw[10 + 8 * i : 18 + 8 * i].decode("latin-1") for i in range(6)]
    text, data = (_pair(fields, i, inspection) for i in (0, 2))
    if text is None:
        inspection.refuse("E_OFFSETS", "HEADER does not say where TEXT lies", where="TEXT begin", found=fields[0])
    analysis, odd = _analysis(fields[4], fields[5])
    return Header(version, text, data, analysis, odd)


def _version(raw: bytes, inspection: Inspection) -> str:
    if not raw:
        inspection.refuse("E_EMPTY", "the file holds no bytes")
    version = raw[:6].decode("latin-1")
    if not version.startswith("FCS"[: len(version)]) or (len(raw) > 5 and version[4] != "."):
        inspection.refuse("E_NOT_FCS", "not an FCS file", where="byte 0", found=shown(raw[:6]), expected="FCS3.1")
    if len(raw) < 10:
        inspection.refuse("E_TRUNCATED", "the file ends within its HEADER", found=f"{len(raw)} bytes")
    if version not in VERSIONS:
        inspection.refuse(
            "E_VERSION", "unknown FCS version", where="byte 0", found=shown(version), expected=", ".join(VERSIONS)
        )
    if raw[6:10] != b"    ":
        inspection.refuse(
            "E_NOT_FCS", "not an FCS HEADER", where="byte 6", found=shown(raw[6:10]), expected="four blanks"
        )
    return version


def _pair(fields: list[str], at: int, inspection: Inspection) -> Segment | None:
    """The two offsets at `at`; None when both are blank or zero."""
    begin, end = (
        inspection.integer(fields[i], f"HEADER, {_FIELDS[i]}", "E_OFFSETS") if fields[i].strip() else 0
        for i in (at, at + 1)
    )
    return Segment(begin, end) if begin or end else None


def _analysis(begin: str, end: str) -> tuple[Segment | None, bool]:
    """ANALYSIS is not read, so an odd offset there refuses nothing."""
    offsets = [field.strip() or "0" for field in (begin, end)]
    if not all(offset.isascii() and offset.isdigit() for offset in offsets):
        return None, True
    first, last = map(int, offsets)
    if first and last >= first:
        return Segment(first, last), False
    return None, bool(first or last) and last != first - 1


def other_segments(raw: bytes, size: int) -> list[Segment]:
    """Segments of the vendor's own, whose offsets may follow the HEADER (FCS 3.1, section 3.1); they are not read.

    Parameters
    ----------
    raw : bytes from the end of the HEADER to TEXT.
    size : bytes of the data set; what lies outside is no segment.
    """
    fields = [raw[i : i + 8].strip() for i in range(0, len(raw) - 15, 8)]
    pairs = zip(fields[::2], fields[1::2], strict=False)
    segments = [Segment(int(begin), int(end)) for begin, end in pairs if begin.isdigit() and end.isdigit()]
    return [segment for segment in segments if HEADER_BYTES <= segment.begin <= segment.end < size]
