"""Where DATA lies and how many events it holds: the offsets of HEADER and TEXT against $TOT and the file's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from treg_gating.fcs.header import Header, Segment
from treg_gating.fcs.inspection import Inspection, shown, whole_number
from treg_gating.fcs.text import PADDING, Keywords

__all__ = ["Layout", "analysis", "locate_data", "supplemental_text"]

LAST_HEADER_OFFSET = 99_999_999
CRC_BYTES = 8
_LOOK = 1 << 16  # bytes looked at, at either end of a gap

Peek = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Layout:
    """DATA of one data set.

    Parameters
    ----------
    begin : first byte, from the beginning of the data set.
    n_events : number of events.
    event_bits : bits an event; 0 where they differ.
    end : one past the last byte of the last segment, where a CRC may stand.
    text_bytes : bytes of DATA where events are text of any length.
    """

    begin: int
    n_events: int
    event_bits: int
    end: int
    text_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes of DATA."""
        return (self.n_events * self.event_bits + 7) // 8 or self.text_bytes


def supplemental_text(keywords: Keywords, size: int, text: Segment, inspection: Inspection) -> Segment | None:
    """Where the supplemental TEXT lies, or None."""
    pair = _text_pair(keywords, "STEXT", inspection)
    if pair is None or (pair.begin == text.begin and pair.end == text.end):
        return None
    if pair.end == pair.begin - 1:
        return None
    if not 0 < pair.begin <= pair.end < size or pair.overlaps(text):
        inspection.refuse(
            "E_OFFSETS",
            "the supplemental TEXT lies outside the file or over TEXT",
            where="$BEGINSTEXT",
            found=f"{pair.begin} to {pair.end}",
            expected=f"within {size} bytes",
        )
    return pair


def _text_pair(keywords: Keywords, name: str, inspection: Inspection) -> Segment | None:
    """$BEGINx and $ENDx; None when absent, blank or zero."""
    values = []
    for key in (f"$BEGIN{name}", f"$END{name}"):
        raw = keywords.get(key, "")
        values.append(inspection.integer(raw, key, "E_OFFSETS") if raw.strip() else 0)
    return Segment(*values) if any(values) else None


def locate_data(
    header: Header,
    keywords: Keywords,
    event_bits: int,
    others: Sequence[Segment],
    size: int,
    peek: Peek,
    inspection: Inspection,
) -> Layout:
    """Find DATA and check that offsets, $TOT and the file's size say the same.

    Parameters
    ----------
    others : segments besides TEXT and DATA that offsets name.
    size : bytes from the beginning of the data set to the end of the file or the next data set.
    peek : reads bytes at an offset of the data set.

    Raises
    ------
    FCSError : E_OFFSETS, E_COUNT, E_TRUNCATED.
    """
    total = _total(keywords, inspection)
    in_text = _text_pair(keywords, "DATA", inspection)
    if event_bits == 0:
        return _free_text(header, in_text, total, others, size, peek, inspection)
    if total == 0 and _empty(header.data) and _empty(in_text):
        return _no_events(header.text, others, event_bits, peek, inspection)
    window = _choose(header, in_text, keywords, total, event_bits, peek, inspection)
    if total is None:
        total = window.size * 8 // event_bits
        inspection.warn("W_TOT", f"$TOT is absent; DATA holds {total} events")
    layout = Layout(window.begin, total, event_bits, 0)
    exact = Segment(window.begin, window.begin + layout.size - 1)
    _check_window(window, exact, header, others, size, inspection)
    _check_gap(header.text, exact.begin, others, peek, inspection)
    end = max(s.end for s in (header.text, exact, *others)) + 1
    _check_end(window, exact, end, size, peek, inspection)
    return Layout(exact.begin, total, event_bits, end)


def _free_text(
    header: Header,
    in_text: Segment | None,
    total: int | None,
    others: Sequence[Segment],
    size: int,
    peek: Peek,
    inspection: Inspection,
) -> Layout:
    """Numbers written as text of any length: $TOT does not give the size, so HEADER and TEXT have to agree on it."""
    window = header.data or in_text
    if total is None or window is None or (in_text is not None and in_text != window):
        inspection.refuse(
            "E_OFFSETS",
            "numbers of any length need $TOT, and one place for DATA",
            where="$BEGINDATA",
            found=f"$TOT {total}, HEADER {header.data}, TEXT {in_text}",
            expected="the same offsets in HEADER and TEXT",
        )
    _check_window(window, window, header, others, size, inspection)
    _check_gap(header.text, window.begin, others, peek, inspection)
    end = max(s.end for s in (header.text, window, *others)) + 1
    _check_end(window, window, end, size, peek, inspection)
    return Layout(window.begin, total, 0, end, window.size)


def _no_events(text: Segment, others: Sequence[Segment], event_bits: int, peek: Peek, inspection: Inspection) -> Layout:
    """$TOT is 0 and DATA empty: then nothing may lie where DATA would."""
    end = max(segment.end for segment in (text, *others)) + 1
    tail = peek(end, _LOOK)
    rest = tail[CRC_BYTES if tail[:CRC_BYTES].isdigit() else 0 :].strip(PADDING)
    if rest and not rest.startswith(b"FCS"):
        inspection.refuse(
            "E_COUNT", "$TOT is 0, yet bytes follow TEXT", where="$TOT", found=shown(rest[:12]), expected="no data"
        )
    return Layout(text.end + 1, 0, event_bits, end)


def _total(keywords: Keywords, inspection: Inspection) -> int | None:
    raw = keywords.get("$TOT")
    if raw is None:
        return None
    total = inspection.integer(raw, "$TOT")
    if raw != raw.strip() and raw[:1] == " ":
        inspection.warn("W_PADDED", "blanks around the value were removed", "$TOT")
    return total


def _empty(window: Segment | None) -> bool:
    return window is None or window.end == window.begin - 1


def _choose(
    header: Header,
    in_text: Segment | None,
    keywords: Keywords,
    total: int | None,
    event_bits: int,
    peek: Peek,
    inspection: Inspection,
) -> Segment:
    """The DATA window that HEADER and TEXT agree on."""
    in_header = header.data
    if in_header is not None and LAST_HEADER_OFFSET in (in_header.begin, in_header.end) and in_text is not None:
        inspection.warn("W_HEADER_OFFSETS", "HEADER gives 99999999 as an offset of DATA; those in TEXT were used")
        return in_text
    if in_header is None:
        if in_text is None:
            inspection.refuse("E_OFFSETS", "neither HEADER nor TEXT says where DATA lies", where="$BEGINDATA")
        if in_text.end <= LAST_HEADER_OFFSET:
            inspection.warn("W_HEADER_OFFSETS", "HEADER does not say where DATA lies; the offsets in TEXT were used")
        return in_text
    if in_text is None:
        if header.version != "FCS2.0":
            inspection.warn("W_TEXT_OFFSETS", "$BEGINDATA and $ENDDATA are absent; those in HEADER were used")
        return in_header
    absent = [key for key in ("$BEGINDATA", "$ENDDATA") if not keywords.get(key, "").strip()]
    if absent:
        inspection.refuse("E_OFFSETS", "only one of two offsets is given", where=absent[0])
    if in_header == in_text:
        return in_header
    return _settle(
        in_header, in_text, header.text, None if total is None else (total * event_bits + 7) // 8, peek, inspection
    )


def _settle(
    in_header: Segment, in_text: Segment, text: Segment, expected: int | None, peek: Peek, inspection: Inspection
) -> Segment:
    """HEADER and TEXT differ: only what the file's own bytes decide is decided."""
    message = f"HEADER says DATA is {in_header.begin} to {in_header.end}, TEXT says {in_text.begin} to {in_text.end}"
    fitting = [window for window in (in_header, in_text) if window.size == expected]
    if in_header.begin == in_text.begin and len(fitting) == 1:
        inspection.warn("W_TEXT_OFFSETS", f"{message}; the one that fits $TOT was used")
        return fitting[0]
    if len(fitting) == 2:
        near, far = sorted(fitting, key=lambda window: window.begin)
        if near.begin == text.end + 1 and peek(near.begin, far.begin - near.begin).strip(PADDING):
            inspection.warn("W_TEXT_OFFSETS", f"{message}; the one right behind TEXT was used")
            return near
    inspection.refuse(
        "E_OFFSETS",
        "HEADER and TEXT disagree on where DATA lies",
        where="$BEGINDATA",
        found=message,
        expected="the same offsets",
    )
    return None


def _check_window(
    window: Segment, exact: Segment, header: Header, others: Sequence[Segment], size: int, inspection: Inspection
) -> None:
    """The window against the size that $TOT asks for, the file's end, and the other segments."""
    found = f"{window.begin} to {window.end}, that is {window.size} bytes"
    if exact.end >= size and window.size == exact.size:
        inspection.refuse(
            "E_TRUNCATED",
            "the file ends before its DATA does",
            where="DATA",
            found=f"{size} bytes",
            expected=f"at least {exact.end + 1} bytes",
        )
    if window.size - exact.size not in (0, 1, -1) and window.size != 1:
        inspection.refuse(
            "E_COUNT", "$TOT does not fit the size of DATA", where="$TOT", found=found, expected=f"{exact.size} bytes"
        )
    if exact.end >= size or window.size < 0:
        inspection.refuse("E_TRUNCATED", "the file ends before its DATA does", where="DATA", found=f"{size} bytes")
    for other in (Segment(0, 57), header.text, *others):
        if exact.overlaps(other) and exact.size:
            inspection.refuse(
                "E_OFFSETS",
                "DATA lies over another segment",
                where="$BEGINDATA",
                found=found,
                expected=f"nothing of {other.begin} to {other.end}",
            )


def _check_gap(text: Segment, begin: int, others: Sequence[Segment], peek: Peek, inspection: Inspection) -> None:
    """Only padding may lie between TEXT and DATA: anything else is cut TEXT, or what a shifted window leaves out."""
    position = text.end + 1
    for other in sorted((o for o in others if position <= o.begin < begin), key=lambda o: o.begin):
        _check_padding(position, other.begin, peek, inspection)
        position = max(position, other.end + 1)
    _check_padding(position, begin, peek, inspection)


def _check_padding(begin: int, end: int, peek: Peek, inspection: Inspection) -> None:
    length = end - begin
    if length <= 0:
        return
    near, far = peek(begin, min(length, _LOOK)), peek(max(begin, end - _LOOK), min(length, _LOOK))
    for piece in (near, far):
        if piece.strip(PADDING):
            inspection.refuse(
                "E_OFFSETS",
                "bytes that belong to no segment lie between TEXT and DATA: an offset is wrong",
                where=f"byte {begin}",
                found=shown(piece.strip(PADDING)[:12]),
                expected="padding",
            )


def _check_end(window: Segment, exact: Segment, end: int, size: int, peek: Peek, inspection: Inspection) -> None:
    """What follows DATA must let its end be where $TOT says."""
    tail = peek(end, CRC_BYTES)
    checksum = len(tail) == CRC_BYTES and tail.isdigit()
    plausible = checksum or not tail.strip(PADDING) or tail.startswith(b"FCS")
    if window.size != exact.size:
        if not plausible:
            inspection.refuse(
                "E_OFFSETS",
                "the end of DATA is not where $TOT puts it",
                where="$ENDDATA",
                found=f"{window.end}, then {shown(tail)}",
                expected=f"{exact.end}, then the end of the file or a checksum",
            )
        inspection.warn("W_END_OF_DATA", f"$ENDDATA is {window.end}; with $TOT it is {exact.end}")
    elif not plausible:
        inspection.warn("W_GAP", f"bytes that no offset names follow DATA at {end}: {shown(tail)}")


def analysis(header: Header, keywords: Keywords, size: int, inspection: Inspection) -> Segment | None:
    """Where the ANALYSIS segment lies, or None; it is not read, so odd offsets refuse nothing."""
    values = [keywords.get(key, "0").strip() for key in ("$BEGINANALYSIS", "$ENDANALYSIS")]
    begin, end = map(whole_number, values)
    said = header.analysis or Segment(begin or 0, end or 0)
    if begin is None or end is None or max(said.end, end) >= size or header.analysis_odd:
        said_at = " to ".join(map(shown, values))
        inspection.warn("W_ANALYSIS", f"ANALYSIS is said to lie at {said_at}; it is not read")
        return None
    return said if 0 < said.begin <= said.end else None
