"""miflowcyt.xlsx: the items of MIFlowCyt, filled in from files and run where these tell, and marked where they do not.

Items and their order after Lee et al., MIFlowCyt: the minimum information about a flow cytometry experiment,
Cytometry A 2008;73:926.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from treg_gating.gating.results import SampleResult
from treg_gating.instrument import CHANNEL_SETTINGS, acquired_on
from treg_gating.report.xlsx import Cell, Sheet, write_workbook
from treg_gating.run.record import RunRecord
from treg_gating.tables import Column

__all__ = ["write_miflowcyt"]

TO_FILL_IN = "to fill in"
_FILES, _RUN = "from the files", "from the run"
_MANY = 4
_GAPS = ("reporter", "clone", "manufacturer", "catalogue number", "lot")

_ITEMS = (
    Column("item", "text", "", "number in the standard"),
    Column("name", "text", "", ""),
    Column("state", "text", "", "to fill in; from the files: their keywords; from the run: what this program did"),
    Column("content", "text", "", "what is known; several values with the number of tubes that say so"),
)
_REAGENTS = (
    Column("marker", "text", "", "analyte, as the template names it"),
    Column("channel", "text", "", "detector ($PnN)"),
    Column("reporter", "text", "", "fluorochrome"),
    Column("clone", "text", "", "analyte detector"),
    Column("manufacturer", "text", "", ""),
    Column("catalogue number", "text", "", ""),
    Column("lot", "text", "", ""),
)
_DETECTORS = (
    Column("channel", "text", "", "detector ($PnN)"),
    Column("marker", "text", "", "what it was read for"),
    *(Column(meaning, "text", "", f"$Pn{letter}") for letter, meaning in CHANNEL_SETTINGS.items()),
)
_LIST_MODE = (
    Column("tube_id", "text", "", "the tube in the sheet"),
    Column("file", "text", "", "as in the sheet"),
    Column("sha256", "text", "", "digest of the file's bytes as they were read"),
    Column("n_events", "integer", "events", "events in the file"),
    Column("acquired", "text", "", "$DATE and $BTIM"),
    Column("cytometer", "text", "", "$CYT"),
    Column("compensation", "text", "", "matrix that was used"),
)


def write_miflowcyt(record: RunRecord, path: Path) -> None:
    """Write miflowcyt.xlsx; the same record gives the same bytes."""
    told = _Told(record.samples)
    sheets = (
        Sheet("MIFlowCyt", _ITEMS, _items(record, told), marked=("state",)),
        Sheet("2.4 reagents", _REAGENTS, _reagents(told), marked=_GAPS),
        Sheet("3.3 detectors", _DETECTORS, _detectors(told)),
        Sheet("4.1 files", _LIST_MODE, _list_mode(record)),
    )
    write_workbook(path, f"MIFlowCyt: {record.title}", sheets)


class _Told:
    """What finished tubes say, each looked at once: what was said, with the number of tubes that say it.

    Attributes
    ----------
    keywords : by keyword. lasers, compensations, scales : in words.
    channels : the markers that each was read for, in the panel's order. days : of acquisition.
    """

    def __init__(self, results: Iterable[SampleResult]) -> None:
        self.keywords: dict[str, Counter[str]] = {}
        self.lasers, self.compensations, self.scales = Counter[str](), Counter[str](), Counter[str]()
        self.channels: dict[str, list[str]] = {}
        self.days: set[str] = set()
        for result in results:
            if result.status == "done":
                self._add(result)

    def _add(self, result: SampleResult) -> None:
        for name, value in result.instrument.items():
            self.keywords.setdefault(name, Counter())[value] += 1
        self.lasers[", ".join(f"{name} {value}" for name, value in result.instrument.items() if "LASER" in name)] += 1
        self.compensations[result.compensation] += 1
        self.scales[_scales(result)] += 1
        for marker, channel, _ in result.panel:
            if marker not in self.channels.setdefault(channel, []):
                self.channels[channel].append(marker)
        if result.acquired:
            self.days.add(acquired_on(result.acquired.split(" ")[0]))

    def said(self, keyword: str) -> str:
        """What the files say under a keyword."""
        return _tally(self.keywords.get(keyword, {}))


def _items(record: RunRecord, told: _Told) -> Iterator[Mapping[str, Cell]]:
    days = sorted(told.days)
    populations = ", ".join(row.population for row in record.template.rows)
    visits = ", ".join(name for name, _ in record.study.visits)
    lines: tuple[tuple[str, str, str, str], ...] = (
        ("1.1", "Purpose", "", ""),
        ("1.2", "Keywords", "", ""),
        ("1.3", "Experiment variables", _RUN, f"visits: {visits}" if visits else ""),
        ("1.4", "Organization: name and address", "", ""),
        ("1.5", "Primary contact: name and e-mail address", "", ""),
        ("1.6", "Date or time period of acquisition", _FILES, "; ".join(_ends(days))),
        ("1.7", "Conclusions", "", ""),
        ("1.8", "Quality control measures", _RUN, _quality(record)),
        ("2.1", "Sample material: type, source, taxonomy, age, gender, phenotype", "", ""),
        ("2.2", "Sample characteristics: expected populations", _RUN, populations),
        ("2.3", "Sample treatment: anticoagulant, isolation, fixation, permeabilisation, times", "", ""),
        ("2.4", "Fluorescence reagents: clone, manufacturer, catalogue number", "", ""),
        ("3.1", "Instrument manufacturer", "", ""),
        ("3.2", "Instrument model", _FILES, told.said("$CYT")),
        ("3.2", "Serial number", _FILES, told.said("$CYTSN") or told.said("CYTNUM")),
        ("3.3.1", "Flow cell and fluidics", "", ""),
        ("3.3.2", "Light sources", _FILES, _tally(told.lasers)),
        ("3.3.3", "Excitation optics", "", ""),
        ("3.3.4", "Optical filters, with their dates of installation", "", "as files name them: sheet 3.3 detectors"),
        ("3.3.5", "Optical detectors and their voltages", _FILES, "see sheet 3.3 detectors" if told.channels else ""),
        ("3.3.6", "Optical paths", "", ""),
        ("3.4", "Software of acquisition", _FILES, told.said("CREATOR") or told.said("$SYS")),
        ("3.4", "Threshold", _FILES, told.said("THRESHOLD") or told.said("$TR")),
        ("4.1", "List-mode files", _RUN, f"{len(record.tubes)} files with their digests: sheet 4.1 files"),
        ("4.1", "Where the files are deposited", "", ""),
        ("4.2", "Compensation", _RUN, _tally(told.compensations)),
        ("4.3", "Data transformation", _RUN, _tally(told.scales)),
        ("4.4", "Gating", _RUN, _gating(record)),
    )  # fmt: skip
    for item, name, state, content in lines:
        known = state if content and state else TO_FILL_IN
        yield {"item": item, "name": name, "state": known, "content": content}


def _ends(days: list[str]) -> list[str]:
    return days if len(days) < 2 else [days[0], "…", days[-1]]


def _quality(record: RunRecord) -> str:
    return (
        "ends of the range, time and flow rate by treg-gating; flags and limits in results.xlsx; control donor in "
        f"levey_jennings.csv; program {record.version}"
    )


def _gating(record: RunRecord) -> str:
    template = record.template
    return (
        f"template {template.name} {template.version} (digest {template.sha256[:12]}); every gate with its numbers in "
        "gates.csv, as a picture in report.html, counts in results.xlsx (All populations)"
    )


def _tally(counts: Mapping[str, int]) -> str:
    """Each value that is said; where it is not one alone, with the number of tubes."""
    said = {value: number for value, number in counts.items() if value}
    if len(said) < 2:
        return next(iter(said), "")
    ordered = sorted(said.items(), key=lambda item: -item[1])
    more = f"; and {len(ordered) - _MANY} more" if len(ordered) > _MANY else ""
    return "; ".join(f"{value} ({number} tubes)" for value, number in ordered[:_MANY]) + more


def _scales(result: SampleResult) -> str:
    kinds: dict[str, list[str]] = {}
    for dimension, transform in result.transforms.items():
        numbers = ", ".join(f"{key} {value:g}" for key, value in transform.items() if isinstance(value, int | float))
        name = str(transform.get("transform", transform.get("kind", "scale")))
        kinds.setdefault(f"{name} {numbers}".strip(), []).append(dimension)
    return "; ".join(f"{', '.join(dimensions)}: {kind}" for kind, dimensions in kinds.items())


def _reagents(told: _Told) -> Iterator[Mapping[str, Cell]]:
    for channel, markers in told.channels.items():
        if set(markers) & {"FSC-A", "FSC-H", "FSC-W", "SSC-A", "SSC-H", "SSC-W", "Time"}:
            continue
        yield {"marker": " / ".join(markers), "channel": channel, **dict.fromkeys(_GAPS, TO_FILL_IN)}


def _detectors(told: _Told) -> Iterator[Mapping[str, Cell]]:
    for channel, markers in told.channels.items():
        settings = {
            meaning: told.said(f"{channel} $Pn{letter}") or "not in the files"
            for letter, meaning in CHANNEL_SETTINGS.items()
        }
        yield {"channel": channel, "marker": " / ".join(markers), **settings}


def _list_mode(record: RunRecord) -> Iterator[Mapping[str, Cell]]:
    keys = ("tube_id", "file", "sha256", "n_events", "acquired", "cytometer", "compensation")
    for tube in record.tubes:
        yield {key: getattr(tube, key) for key in keys}
