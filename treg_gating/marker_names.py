"""What laboratories call their markers, dyes, scatter and time, and how a label is read.

A label such as ``CD25 PE-Cy7-A`` is cut into words (``cd25 pe cy7 a``). A name answers where neighbouring
words, put together, spell it, and the longest name wins, so that ``CD45 RA`` is never CD45 and ``CD4`` is never
found inside ``CD45``. Nothing is matched by likeness.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType

__all__ = [
    "MARKER_SYNONYMS",
    "SCATTER_AND_TIME",
    "Lexicon",
    "base_detector",
    "is_only_dye",
    "joined",
    "measure",
    "scatter_tiers",
    "usual_names",
    "whole_label",
    "words",
]

MARKER_SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CD3": ("CD3e", "CD3 epsilon"),
        "CD4": (),
        "CD8": ("CD8a", "CD8 alpha"),
        "CD25": ("IL2RA", "IL-2R alpha"),
        "CD127": ("IL7R", "IL7RA", "IL-7R alpha"),
        "FOXP3": (),
        "CD45RA": (),
        "Viability": (
            *("Viable", "Live", "Dead", "Live Dead", "L/D", "Viab", "Dead cell marker", "Dead cells", "Live cells"),
            *(
                "Zombie",
                "ViViD",
                "Fixable viability dye",
                "Fixable viability stain",
                "FVD",
                "FVS",
                "Ghost",
                "Ghost dye",
            ),
            *("ViaKrome", "ViaDye", "Via dye", "Live or dye", "SYTOX", "TO-PRO-3", "DRAQ7", "Helix NP"),
            *("7-AAD", "7-aminoactinomycin D", "DAPI", "PI", "Propidium iodide"),
        ),
        "CD19": (),
        "IgM": (),
        "IgD": (),
        "Helios": ("IKZF2",),
        "Ki67": ("MKI67",),
        "CTLA-4": ("CD152",),
        "HLA-DR": (),
        "CD45": ("PTPRC",),
        "CD14": (),
        "CD56": ("NCAM", "NCAM1"),
        "CCR7": ("CD197",),
    }
)
"""Names of the field's common Treg panels; a template need only name the marker."""

# Names that begin like one above and are something else, also when a blank stands inside ("CD45 RO", "CD8 beta").
_OTHER_MARKERS = ("CD45RO", "CD45RB", "CD45R", "CD45RC", "CD8b", "CD8 beta", "CD25L", "CD40L", "CD3 zeta", "CD3 gamma")

SCATTER_AND_TIME: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        # First the names that say which part of the pulse; then, if none of those is there, the bare names.
        "FSC-A": (
            ("FSC-A", "FS-A", "FSC Area", "FS Area", "FS INT", "FS INT LIN", "FSC LinA", "FSC-ALin"),
            ("FS Lin", "FSC Lin", "FSC", "FS", "Forward scatter"),
        ),
        "FSC-H": (("FSC-H", "FS-H", "FSC Height", "FS Height", "FS PEAK", "FS PEAK LIN", "FSC LinH", "FSC-HLin"),),
        "FSC-W": (("FSC-W", "FS-W", "FSC Width", "FS Width", "FS TOF", "FS TOF LIN", "FS Time of flight"),),
        "SSC-A": (
            ("SSC-A", "SS-A", "SSC Area", "SS Area", "SS INT", "SS INT LIN", "SSC LinA", "SSC-ALin"),
            ("SS Lin", "SSC Lin", "SSC", "SS", "Side scatter"),
        ),
        "SSC-H": (("SSC-H", "SS-H", "SSC Height", "SS Height", "SS PEAK", "SS PEAK LIN", "SSC LinH", "SSC-HLin"),),
        "SSC-W": (("SSC-W", "SS-W", "SSC Width", "SS Width", "SS TOF", "SS TOF LIN", "SS Time of flight"),),
        "Time": (("Time", "HDR-T"),),
    }
)
"""Tiers of whole-label names; a later tier is asked only where the tiers before it found nothing."""

_DYE = re.compile(
    r"(fitc|pe|apc|percp|ecd|pb|cy[357]|pe?texasred|petxred|petr|txred|texasred|amcyan|pacific(blue|orange)|pacblue"
    r"|pecy(5|55|7)|percpcy55|percpef(luor)?710|pecf594|pedazzle594|pevio\d{3}|apc(cy7|h7|r700|vio770|a700|a750)"
    r"|(pe|apc)(fire|af|alexafluor|ef|efluor)\d{3}|(bv|buv|bb|by|rb|ry|rv|nfr?|cf|v|r|b|af|a|alexa(fluor)?|dylight)\d{3}"
    r"|(qdot|qd|ef|efl|efluor|sb|superbright|nova\w*|spark\w*|kiravia\w*|dy)\d{3}|krome?orange|kro|vio(blue|green|bright\w*)"
    r"|gfp|yfp|mcherry)"
)
_MEASURES = {
    **dict.fromkeys(("a", "area", "int", "loga", "lina", "alog", "alin"), "A"),
    **dict.fromkeys(("h", "height", "peak", "logh", "linh", "hlog", "hlin"), "H"),
    **dict.fromkeys(("w", "width", "tof"), "W"),
}
_SCALES = {"lin", "log"}
_GREEK = str.maketrans({"α": "a", "β": "b", "γ": "g", "ε": "e", "ɛ": "e", "ζ": "z", "κ": "k", "μ": "u"})
_LONGEST_NAME = 5  # words


@lru_cache(maxsize=4096)
def words(label: str) -> tuple[str, ...]:
    """Lower-case words of letters and digits; Greek letters become Latin ones, ™ and ® vanish."""
    text = unicodedata.normalize("NFKC", re.sub(r"[™®©]", "", label)).casefold().translate(_GREEK)
    return tuple(re.findall(r"[^\W_]+", text))


@lru_cache(maxsize=4096)
def joined(label: str) -> str:
    """The label without blanks, punctuation and case.

    >>> joined("IL-2RA") == joined("il2ra")
    True
    """
    return "".join(words(label))


def _split_measure(label: str) -> tuple[tuple[str, ...], str]:
    """Words without the ending that names the part of the pulse, and that part (A, H, W or nothing)."""
    parts = words(label)
    end = len(parts)
    while end > 1 and parts[end - 1] in _SCALES:
        end -= 1
    if end > 1 and parts[end - 1] in _MEASURES:
        # The scale stays in the base: "FL1 INT LIN" and "FL1 INT LOG" are two signals of one detector.
        return parts[: end - 1] + parts[end:], _MEASURES[parts[end - 1]]
    return parts, ""


def measure(name: str) -> str:
    """Part of the pulse that a detector's name ends in: A (area), H (height), W (width) or nothing.

    >>> measure("PE-Cy7-A"), measure("FL1 LogH"), measure("FL1")
    ('A', 'H', '')
    """
    return _split_measure(name)[1]


def base_detector(name: str) -> str:
    """The detector's name without area, height or width, folded; also without FlowJo's ``Comp-`` prefix.

    >>> base_detector("FJComp-640 670_30-A") == base_detector("640 670/30-H")
    True
    """
    parts = _split_measure(name)[0]
    if len(parts) > 1 and parts[0] in {"fjcomp", "comp"}:
        parts = parts[1:]
    return " ".join(parts)


def is_only_dye(label: str) -> bool:
    """True where a label holds dye names and the part of the pulse, and nothing that could name a stain.

    >>> is_only_dye("PerCP-Cy5-5-A"), is_only_dye("CD25 PE"), is_only_dye("MitoTracker")
    (True, False, False)
    """
    parts = _split_measure(label)[0]
    at = 0
    while at < len(parts):
        length = next((n for n in range(4, 0, -1) if at + n <= len(parts) and _is_dye(parts[at : at + n])), 0)
        if length == 0:
            return False
        at += length
    return True


def scatter_tiers(marker: str, synonyms: Iterable[str] = ()) -> list[set[str]]:
    """Folded whole-label names of a scatter or time channel, by tier; empty for anything else."""
    for name, tiers in SCATTER_AND_TIME.items():
        if joined(marker) in {joined(name), *(joined(synonym) for synonym in tiers[0])}:
            folded = [{joined(synonym) for synonym in tier} for tier in tiers]
            folded[0] |= {joined(synonym) for synonym in synonyms}
            return folded
    return []


def usual_names(marker: str) -> tuple[str, ...]:
    """Names by which a marker, a scatter or the time is known without a template's help."""
    return MARKER_SYNONYMS.get(marker, ()) or tuple(name for tier in SCATTER_AND_TIME.get(marker, ()) for name in tier)


def whole_label(label: str) -> str:
    """The label folded, without a remark in brackets.

    >>> whole_label("Time (102.40 sec.)")
    'time'
    """
    return joined(label.split("(")[0])


def _is_dye(parts: Iterable[str]) -> bool:
    return _DYE.fullmatch("".join(parts)) is not None


class Lexicon:
    """Names by which markers are known, ready to be looked for in labels.

    Parameters
    ----------
    extra : marker → further synonyms, from a template; they go before the built-in ones, so a template may
        give a name another meaning.
    """

    def __init__(self, extra: Mapping[str, Iterable[str]] | None = None) -> None:
        self._names: dict[str, str] = {joined(name): name for name in _OTHER_MARKERS}
        for marker, synonyms in MARKER_SYNONYMS.items():
            for name in (marker, *synonyms):
                self._names[joined(name)] = marker
        for marker, more in (extra or {}).items():
            canonical = self._names.get(joined(marker), marker)
            for name in (marker, *more):
                if joined(name):
                    self._names[joined(name)] = canonical
        self._cache: dict[str, frozenset[str]] = {}

    def canonical(self, name: str) -> str | None:
        """The marker that `name` as a whole stands for; None where it is not known.

        >>> Lexicon().canonical("IL-2RA"), Lexicon().canonical("CD25 PE")
        ('CD25', None)
        """
        return self._names.get(joined(name))

    def markers_in(self, label: str) -> frozenset[str]:
        """Every marker that a label names.

        >>> sorted(Lexicon().markers_in("Foxp3-IgM"))
        ['FOXP3', 'IgM']
        >>> sorted(Lexicon().markers_in("CD45RA BV421-A"))
        ['CD45RA']
        """
        if label not in self._cache:
            self._cache[label] = frozenset(self._read(_split_measure(label)[0]) or self._read(words(label)))
        return self._cache[label]

    def _read(self, parts: tuple[str, ...]) -> set[str]:
        found: set[str] = set()
        at = 0
        while at < len(parts):
            length, marker = self._longest(parts, at)
            if marker:
                found.add(marker)
            at += length
        return found

    def _longest(self, parts: tuple[str, ...], at: int) -> tuple[int, str | None]:
        """Number of words taken from `at`, and the marker they spell."""
        for length in range(min(_LONGEST_NAME, len(parts) - at), 0, -1):
            run = parts[at : at + length]
            # "CD4 5" must not spell CD45: two numbers do not grow together.
            if any(a[-1].isdigit() and b[0].isdigit() for a, b in pairwise(run)):
                continue
            marker = self._names.get("".join(run))
            if marker:
                return length, marker
            if length > 1 and _is_dye(run):
                return length, None
        return 1, self._glued(parts[at])

    def _glued(self, word: str) -> str | None:
        """A marker written together with its dye ("CD25PE", "PECD25"), or a viability dye with its wavelength."""
        for cut in range(2, len(word) - 1):
            left, right = word[:cut], word[cut:]
            if left in self._names and _is_dye((right,)):
                return self._names[left]
            if right in self._names and _is_dye((left,)):
                return self._names[right]
        match = re.fullmatch(r"(fvd|fvs|vivid|sytox|viakrome|zombie)(e?f?\d{3}v?|[a-z]+)", word)
        return "Viability" if match else None
