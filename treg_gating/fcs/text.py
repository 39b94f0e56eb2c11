"""The TEXT segment: keywords and their values.

A delimiter inside a value is written twice, and a value may not be empty (FCS 3.1, section 3.2). Empty ones are common
all the same, and a reader that takes ``/$OP//$P5G/2.0/`` at its word loses ``$P5G``. No keyword holds a
delimiter, so one doubled right behind a keyword is an empty value, and one doubled within a value is a literal one.
"""

from __future__ import annotations

import re

from treg_gating.fcs.inspection import Inspection, shown
from treg_gating.fcs.remembered import remembered

__all__ = ["MAX_TEXT", "Keywords", "is_standard", "parse_text", "unknown_keywords"]

Keywords = dict[str, str]

MAX_TEXT = 16 << 20  # bytes
PADDING = b" \0\r\n\t"
_STANDARD = re.compile(
    r"\$(BEGIN|END)(ANALYSIS|DATA|STEXT|DATETIME)|\$P[0-9]+(B|E|N|R|D|F|G|L|O|P|S|T|V|CALIBRATION|DET|TAG|TYPE|FEATURE"
    r"|ANALYTE|DATATYPE)|\$(BYTEORD|DATATYPE|MODE|NEXTDATA|PAR|TOT|ABRT|BTIM|CELLS|COM|CSMODE|CSVBITS|CYT|CYTSN|DATE"
    r"|ETIM|EXP|FIL|GATE|GATING|INST|LAST_MODIFIED|LAST_MODIFIER|LOST|OP|ORIGINALITY|PLATEID|PLATENAME|PROJ|SMNO"
    r"|SPILLOVER|SRC|SYS|TIMESTEP|TR|VOL|WELLID|UNICODE|COMP|CARRIERID|CARRIERTYPE|LOCATIONID|FLOWRATE|UNSTAINEDINFO"
    r"|UNSTAINEDCENTERS)|\$DFC[0-9]+TO[0-9]+|\$CSV[0-9]+FLAG|\$R[0-9]+[IW]|\$G[0-9]+[EFNPRSTV]|\$PKN?[0-9]+"
)


@remembered
def is_standard(key: str) -> bool:
    """Whether `key` (in capitals) is a keyword of FCS 2.0 to 3.2."""
    return _STANDARD.fullmatch(key) is not None


def unknown_keywords(keywords: Keywords) -> list[str]:
    """Keywords with a ``$`` that no version of the standard knows."""
    return [key for key in keywords if key.startswith("$") and not is_standard(key)]


def parse_text(raw: bytes, inspection: Inspection, delimiter: str | None = None) -> Keywords:
    """Split a TEXT segment into keywords (in capitals, with their ``$``) and values (as they stand).

    Parameters
    ----------
    raw : the bytes from the first delimiter to the end of the segment.
    delimiter : what it must be; a supplemental TEXT has that of the primary one.

    Raises
    ------
    FCSError : E_TEXT, E_KEYWORD.
    """
    delim = _delimiter(raw, inspection, delimiter)
    text = _decode(raw, inspection)
    tokens = _tokens(text, delim, inspection)
    keywords: Keywords = {}
    for key, value in zip(tokens[::2], tokens[1::2], strict=True):
        _check_pair(key, value, delim, inspection)
        name = key.strip().upper()
        known = keywords.setdefault(name, value)
        if known is not value and known.strip() != value.strip():
            inspection.refuse(
                "E_KEYWORD",
                "given twice with two values",
                where=name,
                found=f"{shown(known)} and {shown(value)}",
            )
    return keywords


def _delimiter(raw: bytes, inspection: Inspection, wanted: str | None) -> str:
    delim = raw[:1].decode("latin-1")
    if not delim or not "\x00" < delim < "\x7f" or delim.isalnum() or delim in "$ ":
        inspection.refuse(
            "E_TEXT", "TEXT does not begin with a delimiter", where="TEXT", found=shown(raw[:8]), expected="e.g. '/'"
        )
    if wanted is not None and delim != wanted:
        inspection.refuse(
            "E_TEXT", "another delimiter than in TEXT", where="STEXT", found=shown(delim), expected=shown(wanted)
        )
    return delim


def _decode(raw: bytes, inspection: Inspection) -> str:
    body = raw.rstrip(b"\0")
    if b"\0" in body:
        inspection.refuse("E_TEXT", "zero bytes within TEXT (UTF-16, or not TEXT at all)", where="TEXT")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        inspection.warn("W_ENCODING", "TEXT is not UTF-8; read as Latin-1")
        return body.decode("latin-1")


def _tokens(text: str, delim: str, inspection: Inspection) -> list[str]:
    """Keys and values in turn."""
    closed = _without_tail(text, delim, inspection)
    body = closed[1:]
    tokens = _join_doubled(body, delim, inspection) if delim * 2 in body + delim else body.split(delim)
    if len(tokens) % 2:
        if tokens[-1].strip().startswith("$"):
            inspection.refuse("E_TEXT", "the last keyword has no value", where="TEXT", found=shown(tokens[-1]))
        inspection.warn("W_TEXT_END", f"a lone word at the end of TEXT was left out: {shown(tokens[-1])}")
        del tokens[-1]
    return tokens


def _without_tail(text: str, delim: str, inspection: Inspection) -> str:
    """`text` without the closing delimiter and blanks behind it."""
    trimmed = text.rstrip(" \r\n\t\0") if delim not in " \r\n\t" else text.rstrip("\0 ")
    if not trimmed.endswith(delim):
        inspection.warn("W_TEXT_END", "TEXT does not end in its delimiter; its last value was taken as it stands")
        return text
    if trimmed != text:
        inspection.warn("W_TEXT_END", "blanks follow the last delimiter of TEXT")
    return trimmed[:-1]


def _join_doubled(body: str, delim: str, inspection: Inspection) -> list[str]:
    """Tell doubled delimiters within values from empty values."""
    tokens: list[str] = []
    parts: list[str] = []
    empty: list[str] = []
    pieces = re.split(f"({re.escape(delim)}+)", body + delim)
    for piece, run in zip(pieces[::2], pieces[1::2], strict=False):
        parts.append(piece)
        at_key = len(tokens) % 2 == 0
        if at_key and len(run) > 2:
            inspection.refuse(
                "E_TEXT",
                "several delimiters behind a keyword: an empty value or a literal delimiter, there is no telling",
                where=shown("".join(parts)),
            )
        if at_key and len(run) == 2:
            empty.append("".join(parts))
            tokens += [empty[-1], ""]
            parts = []
            continue
        parts.append(delim * (len(run) // 2))
        if len(run) % 2:
            tokens.append("".join(parts))
            parts = []
    if parts:
        tokens.append("".join(parts))
    for key in empty:
        inspection.warn("W_EMPTY_VALUE", "an empty value, which the standard forbids", key[:40])
    return tokens


def _check_pair(key: str, value: str, delim: str, inspection: Inspection) -> None:
    """Refuse a pair that shows that keys and values are out of step."""
    if not key.strip() or (not key.isprintable() and key.startswith("$")):
        inspection.refuse("E_TEXT", "a keyword without a name", where="TEXT", found=shown(key + delim + value))
    if "$" not in value:
        return
    if is_standard(value.strip().upper()) or re.search(re.escape(delim) + r"\$[A-Za-z]", value):
        inspection.refuse(
            "E_TEXT",
            "a keyword stands where a value should: keywords and values are out of step",
            where=shown(key),
            found=shown(value),
            expected="a value",
        )
