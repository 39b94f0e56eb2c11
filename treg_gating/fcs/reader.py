"""Reading one data set of an FCS file: the story on one screen."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from treg_gating.fcs.ahead import Ahead, reading_ahead
from treg_gating.fcs.ascii import decode_text
from treg_gating.fcs.data import decode_events
from treg_gating.fcs.decoder import Decoder
from treg_gating.fcs.description import Description, describe
from treg_gating.fcs.digest import Digest
from treg_gating.fcs.inspection import Inspection, shown
from treg_gating.fcs.layout import CRC_BYTES
from treg_gating.fcs.segment import Data, Passing
from treg_gating.fcs.source import DEFAULT_MAX_BYTES, Source, open_source
from treg_gating.folding import Extremes
from treg_gating.sample import Channel, EventState, Sample, SampleWarning, Spillover, StoredEvents, absent_events

Array = NDArray[Any]

__all__ = ["FCSFile", "FCSHeader", "open_fcs", "read_fcs", "read_header"]

_WAITING = 16  # pieces around DATA that are held for the hash


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
    with open_fcs(path, dataset, max_bytes=max_bytes, ignore_spillover=ignore_spillover, ascii=ascii) as file:
        return file.header


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
    every = channels is None
    with open_fcs(
        path, dataset, max_bytes=max_bytes, ignore_spillover=ignore_spillover, ascii=ascii, ahead=every
    ) as file:
        return file.read(channels, digest=digest, checksum=checksum, judged=judged)


@contextmanager
def open_fcs(
    path: str | os.PathLike[str],
    dataset: int | None = None,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    ignore_spillover: bool = False,
    ascii: bool = False,
    ahead: bool = False,
) -> Iterator[FCSFile]:
    """Open an FCS file and read what it says about a data set; for those who must know that before its events come.

    Parameters and errors are those of :func:`read_fcs`; `ahead` begins to read the events at once, for those who will
    want all of them. The file is closed behind the ``with`` block.
    """
    inspection = Inspection(os.fspath(path))
    with open_source(inspection.path, max_bytes, inspection) as source:
        soon = reading_ahead(source, inspection) if ahead and dataset in {None, 1} else nullcontext()
        with soon as begun:
            found = describe(source, dataset, inspection, ignore_spillover=ignore_spillover, ascii=ascii)
            yield FCSFile(source, found, inspection, begun)


@dataclass(frozen=True)
class FCSFile:
    """A data set whose HEADER and TEXT were read and whose DATA was not; :func:`open_fcs` gives it."""

    _source: Source
    _found: Description
    _inspection: Inspection
    _ahead: Ahead | None = None

    @property
    def header(self) -> FCSHeader:
        """What the file says."""
        found = self._found
        return FCSHeader(
            self._inspection.path, found.header.version, found.channels, found.layout.n_events, found.keywords,
            found.spillover, self._inspection.warnings, found.number, found.of, found.state,
        )  # fmt: skip

    @property
    def sample(self) -> Sample:
        """The sample without its hash and its events, which are NaN and take no memory."""
        wanted = range(len(self._found.channels))
        return self._sample(absent_events((self._found.layout.n_events, len(wanted))), wanted)

    def read(
        self,
        channels: Sequence[str] | None = None,
        *,
        digest: bool = True,
        checksum: bool = False,
        judged: bool = False,
        passing: Passing | None = None,
    ) -> Sample:
        """Read the events, check and scale them; once.

        Parameters
        ----------
        channels, digest, checksum, judged : as :func:`read_fcs`.
        passing : is handed the events while they pass, checked and on a linear scale.

        Raises
        ------
        FCSError, OSError : as :func:`read_fcs`; what `passing` raises.
        """
        wanted = _wanted(self._found.channels, channels, self._inspection)
        check, events, _ = self._read(wanted, passing, digest=digest, checksum=checksum, judged=judged)
        return self._sample(events, wanted, check)

    def pass_on(
        self, passing: Passing, *, digest: bool = True, checksum: bool = False, judged: bool = False
    ) -> tuple[Sample, StoredEvents | None]:
        """Hand the events on while they are read and checked, for those who need little else of them; once.

        Parameters
        ----------
        passing : is handed them, the channels that it looks at on a linear scale.
        digest, checksum, judged : as :func:`read_fcs`.

        Returns
        -------
        The sample without its events (NaN, which take no memory), with its hash. And the events, the channels that
        `passing` looked at on a linear scale and Time in seconds apart; None where they were `judged` before: then
        nothing of them is kept.

        Raises
        ------
        FCSError, OSError : as :func:`read_fcs`; what `passing` raises.
        """
        wanted, how = range(len(self._found.channels)), {"digest": digest, "checksum": checksum, "judged": judged}
        extremes = None if judged else Extremes()
        check, events, seconds = self._read(wanted, passing, **how, linear=False, extremes=extremes)
        sample = self._sample(absent_events(events.shape, events.dtype), wanted, check)
        return sample, None if judged else StoredEvents(events, seconds, extremes)

    def _read(
        self,
        wanted: Sequence[int],
        passing: Passing | None,
        *,
        digest: bool,
        checksum: bool,
        judged: bool,
        linear: bool = True,
        extremes: Extremes | None = None,
    ) -> tuple[Digest, Array, Array | None]:
        """The hash of the bytes, the events, and Time where :func:`decode_events` gives it apart."""
        source, found, inspection = self._source, self._found, self._inspection
        stated = _stated_crc(source, found, inspection)
        begin, end = found.origin + found.layout.begin, found.origin + found.layout.end
        covered = end if stated is not None else 0
        with Digest(source.size, sha=digest, crc32=checksum, crc_begin=found.origin, crc_end=covered) as check:
            _feed(source, 0, begin, check, inspection)
            data = Data(source, begin, found.layout, Decoder(found.parameters, found.order), found.step)
            if found.parameters[0].kind == "A":
                made = decode_text(data, wanted, check, inspection, passing, linear=linear, extremes=extremes)
            else:
                how = {"judged": judged, "linear": linear}
                made = decode_events(
                    data, wanted, check, inspection, passing, **how, extremes=extremes, ahead=self._ahead
                )
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
        return check, *made

    def _sample(self, events: Array, wanted: Sequence[int], check: Digest | None = None) -> Sample:
        hashed, summed = ("", "") if check is None else (check.sha256(), check.crc32())
        found, channels = self._found, tuple(self._found.channels[i] for i in wanted)
        return Sample(
            events, channels, found.state, found.spillover, found.keywords, self._inspection.warnings,
            self._inspection.path, hashed, found.header.version, summed,
        )  # fmt: skip


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


def _stated_crc(source: Source, found: Description, inspection: Inspection) -> int | None:
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
