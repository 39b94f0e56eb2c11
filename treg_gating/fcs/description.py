"""What a file says about one of its data sets, HEADER and TEXT: everything known before DATA is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from treg_gating.fcs.ascii import text_bits
from treg_gating.fcs.datasets import Opening, check_hidden, choose_dataset
from treg_gating.fcs.decoder import event_bits
from treg_gating.fcs.header import HEADER_BYTES, Header, Segment, other_segments, parse_header
from treg_gating.fcs.inspection import Inspection, shown
from treg_gating.fcs.layout import Layout, analysis, locate_data, supplemental_text
from treg_gating.fcs.parameters import Parameter, byte_order, check_mode, read_parameters, time_step
from treg_gating.fcs.source import Source
from treg_gating.fcs.spillover import read_spillover
from treg_gating.fcs.text import MAX_TEXT, Keywords, parse_text, unknown_keywords
from treg_gating.sample import Channel, EventState, Spillover

__all__ = ["Description", "describe"]

_MAX_OTHER = 1024  # bytes behind HEADER that are looked through for offsets
_ZIP = b"PK\x03\x04"  # Sysmex/Partec CyFlow keep an archive of their own where supplemental TEXT belongs
_COMPENSATED = re.compile(r"(FJ)?Comp-")


@dataclass(frozen=True)
class Description:
    """One data set: where it lies, what it says, what that means."""

    origin: int
    number: int
    of: int
    size: int
    header: Header
    keywords: Keywords
    parameters: tuple[Parameter, ...]
    order: str
    step: float
    layout: Layout
    spillover: Spillover | None
    state: EventState

    @property
    def channels(self) -> tuple[Channel, ...]:
        """One a parameter."""
        return tuple(parameter.channel for parameter in self.parameters)


def describe(
    source: Source, dataset: int | None, inspection: Inspection, *, ignore_spillover: bool, ascii: bool
) -> Description:
    """Read everything but DATA.

    Raises
    ------
    FCSError : with the codes of :data:`treg_gating.fcs.codes.ERRORS`.
    """
    choice = choose_dataset(source, dataset, inspection)
    origin, number, of, size, opening = choice.origin, choice.number, choice.of, choice.size, choice.opening
    header = parse_header(source.parse(origin, HEADER_BYTES), inspection) if opening is None else opening.header
    keywords = _read_text(source, origin, header, size, opening, inspection)
    stext = supplemental_text(keywords, size, header.text, inspection)
    named = (stext, analysis(header, keywords, size, inspection))
    others = [segment for segment in named if segment is not None] + _vendor_segments(source, origin, header, size)
    if stext is not None and source.peek(origin + stext.begin, len(_ZIP)) == _ZIP:
        inspection.warn("W_STEXT", "the supplemental TEXT is a zip archive; ignored")
    elif stext is not None:
        _merge_supplement(keywords, source, origin, header, stext, inspection)
    check_mode(keywords, header.version, inspection)
    parameters = read_parameters(keywords, header.version, inspection, ascii=ascii)
    if parameters[0].kind == "A":
        order = ""
    else:
        order = byte_order(keywords, max(parameter.bits for parameter in parameters), inspection)
        _check_widths(parameters, order, inspection)
    layout = locate_data(
        header,
        keywords,
        text_bits(parameters, inspection) if parameters[0].kind == "A" else event_bits(parameters),
        others,
        size,
        lambda at, length: source.peek(origin + at, max(0, min(length, size - at))),
        inspection,
    )
    step = time_step(keywords, parameters, inspection)
    if unknown := unknown_keywords(keywords):
        inspection.warn("W_KEYWORD", "not keywords of the standard: " + ", ".join(unknown[:12]))
    channels = tuple(parameter.channel for parameter in parameters)
    spillover = _spillover(keywords, channels, ignore_spillover, inspection)
    state = _state(channels, inspection)
    check_hidden(source, origin + layout.end, of == number, keywords, inspection)
    return Description(origin, number, of, size, header, keywords, parameters, order, step, layout, spillover, state)


def _read_text(
    source: Source, origin: int, header: Header, size: int, opening: Opening | None, inspection: Inspection
) -> Keywords:
    """The primary TEXT segment, unless it was read when the data sets were looked for."""
    text = header.text
    if not HEADER_BYTES <= text.begin < text.end:
        inspection.refuse(
            "E_OFFSETS", "HEADER puts TEXT in an impossible place", where="HEADER", found=f"{text.begin} to {text.end}"
        )
    if text.end >= size:
        inspection.refuse(
            "E_TRUNCATED",
            "the file ends before its TEXT does",
            where="TEXT",
            found=f"{size} bytes",
            expected=f"more than {text.end}",
        )
    if text.size > MAX_TEXT:
        inspection.refuse("E_TEXT", "an implausibly large TEXT", where="HEADER", found=f"{text.size} bytes")
    if opening is None:
        return parse_text(source.parse(origin + text.begin, text.size), inspection)
    inspection.adopt(opening.inspection)
    return dict(opening.keywords)  # a supplement may follow


def _vendor_segments(source: Source, origin: int, header: Header, size: int) -> list[Segment]:
    behind = source.peek(origin + HEADER_BYTES, min(header.text.begin - HEADER_BYTES, _MAX_OTHER))
    return [s for s in other_segments(behind, size) if header.data is None or not s.overlaps(header.data)]


def _merge_supplement(
    keywords: Keywords, source: Source, origin: int, header: Header, stext: Segment, inspection: Inspection
) -> None:
    if stext.size > MAX_TEXT:
        inspection.refuse(
            "E_TEXT", "an implausibly large supplemental TEXT", where="$ENDSTEXT", found=f"{stext.size} bytes"
        )
    delimiter = source.peek(origin + header.text.begin, 1).decode("latin-1")
    for key, value in parse_text(source.parse(origin + stext.begin, stext.size), inspection, delimiter).items():
        if keywords.setdefault(key, value).strip() != value.strip():
            inspection.refuse(
                "E_KEYWORD",
                "TEXT and supplemental TEXT give two values",
                where=key,
                found=f"{shown(keywords[key])} and {shown(value)}",
            )


def _check_widths(parameters: Sequence[Parameter], order: str, inspection: Inspection) -> None:
    odd = sorted({p.bits for p in parameters if p.bits not in (8, 16, 32, 64)})
    if not odd:
        return
    if any(bits % 8 for bits in odd) and order == "<":
        inspection.refuse(
            "E_DATATYPE",
            "values that do not fill whole bytes, in little-endian order: the standard does not say how they lie",
            where="$PnB",
            found=", ".join(map(str, odd)),
            expected="8, 16, 32 or 64 bits",
        )
    inspection.warn("W_WIDTH", f"integers of {', '.join(map(str, odd))} bits")


def _spillover(
    keywords: Keywords, channels: tuple[Channel, ...], ignore: bool, inspection: Inspection
) -> Spillover | None:
    if ignore:
        inspection.warn("W_SPILLOVER", "the file's spillover matrix was ignored as asked")
        return None
    return read_spillover(keywords, channels, inspection)


def _state(channels: Sequence[Channel], inspection: Inspection) -> EventState:
    """Exports of analysis software carry compensated values, and say so in the channels' names."""
    detectors = [channel for channel in channels if not (channel.is_time or channel.is_scatter)]
    if not detectors or not all(_COMPENSATED.match(channel.name) for channel in detectors):
        return EventState.RAW
    inspection.warn(
        "W_COMPENSATED", f"channels are named {shown(detectors[0].name)} and so on: values compensated before export"
    )
    return EventState.COMPENSATED
