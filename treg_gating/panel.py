"""Which channel carries which marker. Found or refused, never guessed.

The order of evidence, written into ``Panel.how``:

1. ``mapping`` - the sheet (or a mapping table) names the detector; an explicit word wins over every label, and a
   detector it describes is described by it alone.
2. ``template`` - the template fixes the detector of a marker.
3. ``$PnS`` - what was stained, by the marker's synonyms.
4. ``$PnN`` - the detector's name, asked only where $PnS is empty, repeats $PnN or names a dye alone: a channel
   that says it holds something else is no candidate because of its detector.

Area, height and width of one detector are one candidate, the area (else the height) standing for it; a width never
carries a marker. Two detectors for one marker, or none for a required one, refuse the file.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from treg_gating.errors import PanelError
from treg_gating.marker_names import (
    Lexicon,
    base_detector,
    is_only_dye,
    joined,
    measure,
    scatter_tiers,
    usual_names,
    whole_label,
)
from treg_gating.sample import Channel

__all__ = ["MarkerSpec", "Panel", "canonical_marker", "match_panel"]

_ACTION = """Say which detector carries it: for all files with --markers (a table with the columns channel,marker, or \
a FlowJo workspace), for one in a 'markers' column of the sample sheet (detector=marker; detector=marker, or the path \
of such a table), or in the template's panel.csv"""


@dataclass(frozen=True, slots=True)
class MarkerSpec:
    """A marker that a template asks for.

    Parameters
    ----------
    marker : name under which the template's gates use it.
    synonyms : further names beside the built-in ones.
    required : a file without it is refused.
    channel : the detector ($PnN), where the template fixes it.
    """

    marker: str
    synonyms: tuple[str, ...] = ()
    required: bool = True
    channel: str | None = None


@dataclass(frozen=True)
class Panel:
    """The channels of one file that answer a template.

    Parameters
    ----------
    channel_of : marker → channel; optional markers that were not stained are left out.
    how : marker → "mapping", "template", "$PnS" or "$PnN".
    missing : optional markers that no channel carries.
    notes : what a reader should know, such as a mapping that contradicts a label.
    file : the file it belongs to.
    """

    channel_of: Mapping[str, Channel]
    how: Mapping[str, str]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    file: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "channel_of", MappingProxyType(dict(self.channel_of)))
        object.__setattr__(self, "how", MappingProxyType(dict(self.how)))

    def __reduce__(self) -> tuple[object, ...]:
        return (Panel, (dict(self.channel_of), dict(self.how), self.missing, self.notes, self.file))

    def __contains__(self, marker: object) -> bool:
        return marker in self.channel_of

    def as_mapping(self) -> dict[str, str]:
        """Detector → marker, in the form `match_panel` takes, for files of the same detectors without labels."""
        return {detector: " / ".join(markers) for detector, markers in _markers_by_detector(self.channel_of).items()}


@dataclass(frozen=True, slots=True)
class _Found:
    """What one rule found for one marker: the candidates left after area stood for its detector."""

    how: str
    channels: tuple[Channel, ...]
    fault: str = ""


def canonical_marker(name: str) -> str:
    """The usual name of a marker; the name itself where it is not a known synonym.

    >>> canonical_marker("IL-2RA"), canonical_marker("FoxP3"), canonical_marker("ICOS")
    ('CD25', 'FOXP3', 'ICOS')
    """
    return Lexicon().canonical(name) or name.strip()


def match_panel(
    specs: Sequence[MarkerSpec],
    channels: Sequence[Channel],
    mapping: Mapping[str, str] | None = None,
    file: str = "",
) -> Panel:
    """Find the channel of every marker, by the order of evidence in this module's docstring.

    Parameters
    ----------
    specs : the template's markers; ``FSC-A``, ``SSC-H``, ``Time`` and their kind are known by their makers' names.
    channels : the file's channels.
    mapping : detector → marker (or markers: "Foxp3-IgM"), from the sheet; detectors are matched by $PnN, exactly,
        else without case, punctuation and FlowJo's ``Comp-`` prefix.
    file : named in errors.

    Raises
    ------
    PanelError : two candidates, or none for a required marker; every marker at fault is named, with all that the
        file's channels say.
    """
    found = _matched(tuple(specs), tuple(channels), tuple((mapping or {}).items()))
    if found.faults:
        raise PanelError(
            "; ".join(found.faults),
            file=file,
            where="$PnN/$PnS",
            found=", ".join(_describe(channel) for channel in channels) or "no channels",
            action=_ACTION,
        )
    return replace(found.panel, file=file)


@dataclass(frozen=True, slots=True)
class _Matched:
    """What was found, and what is wrong with it."""

    panel: Panel
    faults: tuple[str, ...]


@lru_cache(maxsize=64)  # the files of a study mostly say the same of their channels
def _matched(
    specs: tuple[MarkerSpec, ...], channels: tuple[Channel, ...], mapping: tuple[tuple[str, str], ...]
) -> _Matched:
    matcher = _Matcher(specs, channels, dict(mapping))
    channel_of: dict[str, Channel] = {}
    how: dict[str, str] = {}
    missing: list[str] = []
    faults: list[str] = list(matcher.mapping_faults)
    for spec in specs:
        found = matcher.find(spec)
        if found.fault and (spec.required or len(found.channels) > 1):
            faults.append(found.fault)
        elif len(found.channels) == 1 and not found.fault:
            channel_of[spec.marker] = found.channels[0]
            how[spec.marker] = found.how
        else:
            missing.append(spec.marker)
            if found.how:
                matcher.notes.append(found.fault)
    notes = (*matcher.notes, *_shared_detectors(channel_of))
    return _Matched(Panel(channel_of, how, tuple(missing), notes), tuple(dict.fromkeys(faults)))


class _Matcher:
    """One file's channels, with what is said of each."""

    def __init__(self, specs: Sequence[MarkerSpec], channels: Sequence[Channel], mapping: Mapping[str, str]) -> None:
        self.lexicon = Lexicon({spec.marker: spec.synonyms for spec in specs})
        self.channels = tuple(channels)
        self.notes, self.mapping_faults = list[str](), list[str]()
        self._check_specs(specs)
        self.mapped: dict[str, str] = {}  # $PnN → what the mapping says of it
        self.unplaced: dict[str, str] = {}  # detectors of the mapping that the file lacks
        for detector, label in mapping.items():
            if joined(label):
                self._place(detector, label)

    def _check_specs(self, specs: Sequence[MarkerSpec]) -> None:
        seen: dict[str, str] = {}
        for spec in specs:
            key = self.lexicon.canonical(spec.marker) or spec.marker
            if key in seen:
                self.mapping_faults.append(f"the template asks twice for {key}: {seen[key]!r} and {spec.marker!r}")
            seen[key] = spec.marker

    def _place(self, detector: str, label: str) -> None:
        """Put a line of the mapping on the channel it means."""
        hits = [channel for channel in self.channels if channel.name == detector]
        if not hits:
            wanted = (base_detector(detector), measure(detector))
            hits = [c for c in self.channels if (base_detector(c.name), measure(c.name)) == wanted]
        if len(hits) > 1:
            names = ", ".join(repr(channel.name) for channel in hits)
            self.mapping_faults.append(f"the mapping's detector {detector!r} fits {names}")
        elif not hits:
            self.unplaced[detector] = label
        elif joined(self.mapped.get(hits[0].name, label)) != joined(label):
            names = f"{self.mapped[hits[0].name]!r} and {label!r}"
            self.mapping_faults.append(f"the mapping calls detector {hits[0].name!r} {names}")
        else:
            self.mapped[hits[0].name] = label

    def find(self, spec: MarkerSpec) -> _Found:
        """Go through the rules; the first that finds a candidate decides."""
        key = self.lexicon.canonical(spec.marker) or spec.marker
        for how, channels in self._evidence(spec, key):
            chosen = _one_per_detector(channels)
            if len(chosen) > 1:
                listed = " and ".join(_describe(channel) for channel in chosen)
                return _Found(how, chosen, f"{spec.marker}: {len(chosen)} channels carry it by {how}: {listed}")
            if chosen:
                if how == "mapping":
                    self._note_contradiction(spec.marker, key, chosen[0])
                return _Found(how, chosen)
            if fault := self._explicit_miss(spec, key, how):
                return _Found(how, (), fault)
        names = ", ".join(dict.fromkeys((spec.marker, *spec.synonyms, *usual_names(key))))
        return _Found("", (), f"{spec.marker}: no channel carries it (looked for {names})")

    def _evidence(self, spec: MarkerSpec, key: str) -> Iterable[tuple[str, list[Channel]]]:
        yield "mapping", [c for c in self.channels if c.name in self.mapped and self._says(self.mapped[c.name], key)]
        if spec.channel:
            yield "template", [c for c in self.channels if joined(c.name) == joined(spec.channel)]
        free = [c for c in self.channels if c.name not in self.mapped]
        scatter = scatter_tiers(spec.marker, spec.synonyms)
        for tier in scatter:
            # Scatter and time live in $PnN; some makers number the detectors and name them in $PnS.
            yield "$PnN", [c for c in free if whole_label(c.name) in tier]
            yield "$PnS", [c for c in free if whole_label(c.marker) in tier]
        if not scatter:
            stains = [c for c in free if not (c.is_scatter or c.is_time or measure(c.name) == "W")]
            yield "$PnS", [c for c in stains if self._says(c.marker, key)]
            yield "$PnN", [c for c in stains if _detector_may_speak(c) and self._says(c.name, key)]

    def _says(self, label: str, key: str) -> bool:
        return key in self.lexicon.markers_in(label) or joined(label) == joined(key)

    def _explicit_miss(self, spec: MarkerSpec, key: str, how: str) -> str:
        """The sheet or the template names a detector for this marker, and the file has no such detector."""
        detectors: list[str] = []
        if how == "mapping":
            detectors = [name for name, label in self.unplaced.items() if self._says(label, key)]
        elif how == "template" and spec.channel:
            detectors = [spec.channel]
        if not detectors:
            return ""
        near = difflib.get_close_matches(detectors[0], [c.name for c in self.channels], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(repr(name) for name in detectors)
        return f"{spec.marker}: the {how} puts it on detector {listed}, which the file does not have{hint}"

    def _note_contradiction(self, marker: str, key: str, channel: Channel) -> None:
        stated = self.lexicon.markers_in(channel.marker)
        if stated and key not in stated:
            self.notes.append(
                f"{marker} is read from {channel.name!r} because the mapping says so; its $PnS is {channel.marker!r}"
            )
        others = [c for c in self.channels if c.name not in self.mapped and self._says(c.marker, key)]
        here = base_detector(channel.name)
        if elsewhere := {base_detector(c.name): c for c in others if base_detector(c.name) != here}:
            listed = ", ".join(_describe(c) for c in elsewhere.values())
            self.notes.append(f"{marker} is read from {channel.name!r} by the mapping, though $PnS names {listed}")


def _detector_may_speak(channel: Channel) -> bool:
    """$PnS is silent, so the detector's own name may name the marker."""
    label = channel.marker
    return not joined(label) or joined(label) == joined(channel.name) or is_only_dye(label)


def _one_per_detector(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Area for every detector, else height; other signals of the same detector are no second candidates."""
    by_base: dict[str, list[tuple[str, Channel]]] = {}
    for channel in channels:
        named = channel.name if measure(channel.name) or not measure(channel.marker) else channel.marker
        by_base.setdefault(base_detector(named), []).append((measure(named), channel))
    chosen: list[Channel] = []
    for signals in by_base.values():
        if len(signals) == 1:  # also a lone width, such as FSC-W, that was asked for by its own name
            chosen.append(signals[0][1])
            continue
        for part in ("A", "", "H"):
            best = [channel for kind, channel in signals if kind == part]
            if best:
                chosen.extend(best)
                break
    return tuple(chosen)


def _markers_by_detector(channel_of: Mapping[str, Channel]) -> dict[str, list[str]]:
    markers: dict[str, list[str]] = {}
    for marker, channel in channel_of.items():
        markers.setdefault(channel.name, []).append(marker)
    return markers


def _shared_detectors(channel_of: Mapping[str, Channel]) -> list[str]:
    shared = {name: markers for name, markers in _markers_by_detector(channel_of).items() if len(markers) > 1}
    return [f"{' and '.join(markers)} share detector {name!r}" for name, markers in shared.items()]


def _describe(channel: Channel) -> str:
    return f"{channel.name!r} ({channel.marker!r})" if channel.marker else repr(channel.name)
