"""Reading one data set of an FCS file: the story on one screen."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from treg_gating.fcs.ascii import decode_text, text_bits
from treg_gating.fcs.data import Data, decode_events
from treg_gating.fcs.datasets import check_hidden, choose_dataset
from treg_gating.fcs.decoder import Decoder, event_bits
from treg_gating.fcs.digest import Digest
from treg_gating.fcs.header import HEADER_BYTES, Header, Segment, other_segments, parse_header
from treg_gating.fcs.inspection import Inspection, shown
from treg_gating.fcs.layout import CRC_BYTES, Layout, analysis, locate_data, supplemental_text
from treg_gating.fcs.parameters import Parameter, byte_order, check_mode, read_parameters, time_step
from treg_gating.fcs.source import DEFAULT_MAX_BYTES, Source, open_source
from treg_gating.fcs.spillover import read_spillover
from treg_gating.fcs.text import Keywords, parse_text, unknown_keywords
from treg_gating.sample import Channel, EventState, Sample, SampleWarning, Spillover

__all__ = ["FCSHeader", "read_fcs", "read_header"]

MAX_TEXT = 16 << 20
_MAX_OTHER = 1024  # bytes behind HEADER that are looked through for offsets
_WAITING = 16  # pieces around DATA that are held for the hash
_ZIP = b"PK\x03\x04"  # Sysmex/Partec CyFlow keep an archive of their own where supplemental TEXT belongs
_COMPENSATED = re.compile(r"(FJ)?Comp-")


@dataclass(frozen=True)
class FCSHeader:
    """What a file says about one of its data sets, without its events.

    Parameters
    ----------
    path, version : where it was read, and "FCS3.1" and so on.
    channels : the parameters.
    n_events : number of events.
    keywords : TEXT, keys in upper case with their ``$``.
    spillover : the file's matrix, or None.
    warnings : readable oddities; those of the values are only seen by :func:`read_fcs`.
    dataset, n_datasets : number of this data set, counted from 1, and how many there are.
    state : compensated where the channels' names say so.
    """

    path: str
    version: str
    channels: tuple[Channel, ...]
    n_events: int
    keywords: Mapping[str, str] = field(repr=False)
    spillover: Spillover | None = None
    warnings: tuple[SampleWarning, ...] = ()
    dataset: int = 1
    n_datasets: int = 1
    state: EventState = EventState.RAW


@dataclass(frozen=True)
class _Description:
    """Everything known before DATA is read."""

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
        return tuple(parameter.channel for parameter in self.parameters)


def read_header(
    path: str | os.PathLike[str],
    dataset: int | None = None,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    ignore_spillover: bool = False,
    ascii: bool = False,
) -> FCSHeader:
    """Read what an FCS file says about a data set, without its events.

    Parameters
    ----------
    path : the file.
    dataset : which data set, counted from 1; needed where the file holds several.
    max_bytes : refuse larger files.
    ignore_spillover : do not read the file's matrix (a warning says so).
    ascii : accept $DATATYPE A, as :func:`read_fcs`.

    Raises
    ------
    FCSError : with the codes of :data:`treg_gating.fcs.codes.ERRORS`.
    """
    inspection = Inspection(os.fspath(path))
    with open_source(inspection.path, max_bytes, inspection) as source:
        found = _describe(source, dataset, inspection, ignore_spillover=ignore_spillover, ascii=ascii)
    return FCSHeader(
        inspection.path, found.header.version, found.channels, found.layout.n_events, found.keywords, found.spillover,
        inspection.warnings, found.number, found.of, found.state,
    )  # fmt: skip


def read_fcs(
    path: str | os.PathLike[str],
    dataset: int | None = None,
    *,
    channels: Sequence[str] | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    digest: bool = True,
    checksum: bool = False,
    judged: bool = False,
    ignore_spillover: bool = False,
    ascii: bool = False,
) -> Sample:
    """Read one data set of an FCS file, or refuse it with a reason.

    Parameters
    ----------
    path : the file: FCS 2.0, 3.0, 3.1 or 3.2, list mode.
    dataset : which data set, counted from 1; needed where the file holds several.
    channels : decode only these ($PnN), in this order; all by default. Memory is that of these columns.
    max_bytes : refuse larger files.
    digest : compute the sha256 of the file from the bytes that are parsed. checksum : compute its CRC-32.
    judged : the bytes were read and found plausible before, as the caller sees by the checksum. The values of a float
        file in this computer's byte order are not looked at again, nor warned of.
    ignore_spillover : do not read the file's matrix (a warning says so).
    ascii : read numbers written as text ($DATATYPE A, deprecated since FCS 3.1) too; refused without it.

    Returns
    -------
    Sample : events of shape (n_events, n_channels) on linear scale: integers on a log scale ($PnE) are
        exponentiated, values divided by their gain ($PnG), Time multiplied by $TIMESTEP (seconds). float32, or float64
        where float32 would lose digits. All channels of a float file in this computer's byte order lie as they do
        in the file, event after event; anything else as columns. The sha256 is computed beside; who asks for it waits.

    Raises
    ------
    FCSError : with the codes of :data:`treg_gating.fcs.codes.ERRORS`; every fault that can be named is refused.
    OSError : the disk fails while reading.
    """
    inspection = Inspection(os.fspath(path))
    with open_source(inspection.path, max_bytes, inspection) as source:
        found = _describe(source, dataset, inspection, ignore_spillover=ignore_spillover, ascii=ascii)
        present = found.channels
        wanted = _wanted(present, channels, inspection)
        stated = _stated_crc(source, found, inspection)
        begin, end = found.origin + found.layout.begin, found.origin + found.layout.end
        covered = end if stated is not None else 0
        with Digest(source.size, sha=digest, crc32=checksum, crc_begin=found.origin, crc_end=covered) as check:
            _feed(source, 0, begin, check, inspection)
            data = Data(source, begin, found.layout, Decoder(found.parameters, found.order), found.step)
            if found.parameters[0].kind == "A":
                events = decode_text(data, wanted, check, inspection)
            else:
                events = decode_events(data, wanted, check, inspection, judged=judged)
            _feed(source, begin + found.layout.size, source.size, check, inspection)
            source.check_unchanged(inspection)
            if stated is not None and stated != check.crc():
                inspection.refuse(
                    "E_CRC",
                    "the file's bytes do not give the checksum it states",
                    where=f"byte {end}",
                    found=str(check.crc()),
                    expected=str(stated),
                )
            hashed, summed = check.sha256(), check.crc32()
    return Sample(
        events, tuple(present[i] for i in wanted), found.state, found.spillover, found.keywords,
        inspection.warnings, inspection.path, hashed, found.header.version, summed,
    )  # fmt: skip


def _describe(
    source: Source, dataset: int | None, inspection: Inspection, *, ignore_spillover: bool, ascii: bool
) -> _Description:
    origin, number, of, size = choose_dataset(source, dataset, inspection)
    header = parse_header(source.parse(origin, HEADER_BYTES), inspection)
    keywords = read_text(source, origin, header, size, inspection)
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
    return _Description(origin, number, of, size, header, keywords, parameters, order, step, layout, spillover, state)


def read_text(source: Source, origin: int, header: Header, size: int, inspection: Inspection) -> Keywords:
    """The primary TEXT segment."""
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
    return parse_text(source.parse(origin + text.begin, text.size), inspection)


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


def _wanted(present: Sequence[Channel], names: Sequence[str] | None, inspection: Inspection) -> list[int]:
    if names is None:
        return list(range(len(present)))
    index = {channel.name: i for i, channel in enumerate(present)}
    unknown = [name for name in names if name not in index]
    if unknown or len(set(names)) != len(names):
        inspection.refuse(
            "E_CHANNELS",
            "channels asked for that the file does not have, or asked for twice",
            found=", ".join(map(shown, unknown or names)),
            expected=f"some of {', '.join(index)}",
        )
    return [index[name] for name in names]


def _stated_crc(source: Source, found: _Description, inspection: Inspection) -> int | None:
    """The CRC behind the last segment, None where the file has none."""
    raw = source.peek(found.origin + found.layout.end, CRC_BYTES)
    if found.header.version == "FCS2.0" or len(raw) < CRC_BYTES or not raw.isdigit() or not int(raw):
        return None
    if int(raw) > 0xFFFF:
        inspection.warn("W_CRC", f"the checksum field holds {raw.decode()}, which no 16-bit checksum can be")
        return None
    return int(raw)


def _feed(source: Source, begin: int, end: int, digest: Digest, inspection: Inspection) -> None:
    """Hash the bytes around DATA."""
    if digest.wanted:
        for piece in source.stream(begin, end, inspection):
            digest.feed(piece, waiting=_WAITING)
