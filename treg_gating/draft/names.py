"""What a name says: subject, visit, batch, tube and role, as laboratories write them into file names and keywords.

Nothing is matched by likeness. A word that two readings fit is taken by the first of them here, and the sheet says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from treg_gating.marker_names import Lexicon, is_only_dye
from treg_gating.tube import Role

__all__ = ["Words", "is_mere_name", "natural_key", "read_words"]

_WORD = r"(?<![^\W_])(?:{})(?![^\W_])"  # not inside a longer word; an underscore parts words


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(_WORD.format(pattern), re.IGNORECASE)


_SEP = r"[\s_.-]*"
_GLUED = re.compile(
    r"(?<![^\W_])([A-Z]{1,4}-?\d{2,4})((?:v|visit|w|wk|week|d|day)\d{1,3}|bl|baseline)(?![^\W_])", re.IGNORECASE
)
_TUBE = _words(rf"tube{_SEP}(\d+[a-z]?)")
_NO_NAME = (
    _words(rf"specimen{_SEP}\d+"),
    _words(rf"panel{_SEP}\w"),
    _words(rf"well{_SEP}[A-P]\d{{1,2}}"),
    re.compile(r"(?:^|[_ ])[A-P]\d{1,2}_[A-P]\d{2}$"),  # a plate reader's well, twice
    _words(r"(?:19|20)\d\d[-_. ]?[01]\d[-_. ]?[0-3]\d"),
    _words(r"[0-3]?\d[-. ][01]?\d[-. ](?:19|20)\d\d"),
    _words(r"[0-3]?\d[-_. ]?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-_. ]?(?:19|20)?\d\d"),
    _words(rf"(?:exp|experiment){_SEP}\d+"),
    re.compile(r"[_ .]\d{3}$"),  # the running number of an export
)
_STORE = _words("fcs|lmd|raw|data|files?|exports?|exported|samples?|unmixed|flow|facs|cytometry")
_UNSTAINED = _words(rf"unstained|unstain|unst|no{_SEP}stain|autofluorescence|nil")
_FMO = _words("fmo|fluorescence[ _-]minus[ _-]one")
_STAIN = _words(
    rf"comp|compensation|single{_SEP}(?:stain|stains|stained|colou?rs?)(?:{_SEP}controls?)?|ss|stained{_SEP}control"
)
_NO_ROLE = _words(rf"isotype|iso|beads?|peak{_SEP}beads?|rainbow|cst|cs&t|water|rinse|cleaning|blank")
_CONTROL = _words("control|controls|ctrl|ctl|qc|bridge|bridging|reference")
_VISITS: tuple[tuple[re.Pattern[str], str], ...] = (
    (_words(rf"(?:weeks?|wk|w){_SEP}0*(\d{{1,3}})"), "Week {}"),
    (_words(rf"0*(\d{{1,3}}){_SEP}(?:weeks?|wks?)"), "Week {}"),
    (_words(rf"(?:days?|d){_SEP}0*(\d{{1,3}})"), "Day {}"),
    (_words(rf"0*(\d{{1,3}}){_SEP}days?"), "Day {}"),
    (_words(rf"(?:months?|mo|m){_SEP}0*(\d{{1,2}})"), "Month {}"),
    (_words(rf"(?:visit|vis|v){_SEP}0*(\d{{1,2}})"), "V{}"),
    (_words(rf"(?:time{_SEP}point|tp|t){_SEP}0*(\d{{1,2}})"), "T{}"),
    (_words(rf"baseline|base{_SEP}line|bl"), "Baseline"),
    (_words("screening|screen|scr"), "Screening"),
    (_words(rf"pre{_SEP}(?:dose|treatment)|pre"), "Pre-dose"),
    (_words(rf"follow{_SEP}up|fu|end{_SEP}of{_SEP}(?:treatment|study)|eot|eos|post"), "{}"),
)
_BATCH = _words(rf"(?:batch{_SEP}\w{{1,6}}|plate{_SEP}\d{{1,3}}|run{_SEP}\d{{1,3}}|b\d{{1,2}})")
_PERSON = _words(
    rf"(?:patient|pat|pt|subject|subj|sub|donor|participant|proband|volunteer){_SEP}\d{{1,6}}|"
    rf"(?:patient|pat|pt|subject|subj|donor|participant){_SEP}[A-Z]{{1,3}}{_SEP}\d{{1,6}}|donor{_SEP}[A-Z]"
)
_CODES = (
    _words(r"\d{2,4}-\d{2,5}"),  # site and subject
    _words(r"[A-Z]{1,5}\d{0,2}-\d{2,5}(?:-\d{2,5})?"),
    _words(r"[A-Z]{1,4}\d{2,5}[A-Z]?"),
    _words(r"[A-Z]\d"),
    _words(r"\d{3,4}[A-Z]"),
    _words(r"\d{2,4}"),
)
_NOT_A_PERSON = re.compile(
    r"(cd|il|bv|buv|bb|pe|apc|af|fl|exp|fcs|nct|panel|batch|plate|run|cy|percp|fitc|ccr|lsr)[\d-].*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Words:
    """What one text says; empty where it says nothing.

    Parameters
    ----------
    subject, visit, batch, tube : as they would stand in the sheet.
    role : None where no word names one.
    control_for : the marker or dye of an FMO or a single stain.
    not_a_role : a word for a tube that has no role here, such as an isotype control.
    """

    subject: str = ""
    visit: str = ""
    batch: str = ""
    tube: str = ""
    role: Role | None = None
    control_for: str = ""
    not_a_role: str = ""


def read_words(text: str) -> Words:
    """Read a file's stem, a folder's name or the value of a keyword.

    >>> words = read_words("P01_V1_tube1")
    >>> words.subject, words.visit, words.tube
    ('P01', 'V1', 'tube1')
    >>> read_words("Patient 3 week 12").visit, read_words("FMO_FOXP3_B1").control_for
    ('Week 12', 'FOXP3')
    """
    rest = _Rest(_GLUED.sub(r"\1_\2", text))
    tube = rest.take(_TUBE)
    for pattern in _NO_NAME:
        rest.take(pattern)
    role, control_for, not_a_role = _role(rest)
    visit = _visit(rest)
    batch = rest.take(_BATCH)
    subject = rest.take(_PERSON) or _code(rest)
    return Words(subject, visit, batch, tube, role, control_for, not_a_role)


def is_mere_name(text: str) -> bool:
    """Whether a folder's name says nothing that is known here, and is no word for a place where files are kept.

    >>> is_mere_name("Anna K"), is_mere_name("Week 4"), is_mere_name("2024-03-01"), is_mere_name("raw data")
    (True, False, False, False)
    """
    rest = _Rest(text)
    for pattern in _NO_NAME:
        rest.take(pattern)
    while rest.take(_STORE):
        pass
    return read_words(text) == Words() and any(sign.isalpha() for sign in rest.text)


class _Rest:
    """A text from which what has been understood is taken out."""

    def __init__(self, text: str) -> None:
        self.text = text

    def take(self, pattern: re.Pattern[str]) -> str:
        """The first match as written, without it from now on."""
        match = pattern.search(self.text)
        if match is None:
            return ""
        self.text = f"{self.text[: match.start()]} | {self.text[match.end() :]}"
        return re.sub(r"_+", " ", match[0]).strip(" .-")

    def tokens(self) -> list[str]:
        return [token for token in re.split(r"[\s_|,;()\[\]]+", self.text) if token.strip(".-+")]


def _role(rest: _Rest) -> tuple[Role | None, str, str]:
    if rest.take(_FMO):
        return Role.FMO, _stain(rest), ""
    if rest.take(_UNSTAINED):
        rest.take(_STAIN)
        rest.take(_CONTROL)
        return Role.UNSTAINED, "", ""
    if odd := rest.take(_NO_ROLE):
        return None, "", odd
    if rest.take(_STAIN):
        rest.take(_CONTROL)
        return Role.SINGLE_STAIN, _stain(rest), ""
    return (Role.CONTROL, "", "") if rest.take(_CONTROL) else (None, "", "")


def _stain(rest: _Rest) -> str:
    """The marker or dye that the text names: up to three neighbouring words, the longest reading first."""
    lexicon, tokens = Lexicon(), rest.tokens()
    for length in (3, 2, 1):
        for start in range(len(tokens) - length + 1):
            run = " ".join(tokens[start : start + length]).strip("-+.")
            if lexicon.canonical(run):
                rest.take(re.compile(r"[\s_]*".join(re.escape(token) for token in tokens[start : start + length])))
                return run
    for token in tokens:
        plain = token.strip("-+.")
        if is_only_dye(plain) or re.fullmatch(r"(?:CD|IL|CCR|CXCR)-?\d+\w*", plain, re.IGNORECASE):
            rest.take(re.compile(re.escape(token)))
            return plain
    return ""


def _visit(rest: _Rest) -> str:
    for pattern, form in _VISITS:
        match = pattern.search(rest.text)
        if match is None:
            continue
        written = rest.take(pattern)
        return form.format(match[1] if match.groups() else written)
    return ""


def _code(rest: _Rest) -> str:
    for pattern in _CODES:
        for match in _each(pattern, rest.text):
            if not _NOT_A_PERSON.fullmatch(match):
                return match
    return ""


def _each(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    return (match[0] for match in pattern.finditer(text))


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts P2 before P10."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts)
