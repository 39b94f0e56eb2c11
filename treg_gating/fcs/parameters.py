"""The parameters of a data set: name, marker, width, range, amplification, gain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from treg_gating.fcs.inspection import Inspection, shown
from treg_gating.fcs.text import Keywords
from treg_gating.sample import Channel

__all__ = ["Parameter", "byte_order", "check_mode", "read_parameters", "time_step"]

_WIDTHS = {"F": 32, "D": 64}
_LITTLE, _BIG = "1,2,3,4,5,6,7,8", "8,7,6,5,4,3,2,1"
MAX_DECADES, MAX_LOG_ZERO = 10.0, 1e6
MAX_PARAMETERS = 10_000
MIN_BITS, MAX_BITS = 8, 64  # narrower ones would let a small file ask for a lot of memory
MAX_CHARACTERS = 64  # of a number written as text; instruments pad
FREE = 0  # bits of a number written as text of any length


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter as TEXT describes it.

    Parameters
    ----------
    channel : name, marker and range.
    kind : ``"F"``, ``"D"``, ``"I"``, or ``"A"`` for numbers written as text.
    bits : width of a value; 0 for text of any length.
    decades, log_zero : $PnE of integers on a logarithmic scale; decades 0 is linear.
    gain : what values are divided by.
    """

    channel: Channel
    kind: str
    bits: int
    decades: float = 0.0
    log_zero: float = 0.0
    gain: float = 1.0


def required(keywords: Keywords, key: str, inspection: Inspection) -> str:
    """Value of a keyword that must be there and must not be blank."""
    value = keywords.get(key, "")
    if not value.strip():
        inspection.refuse("E_KEYWORD", "required keyword absent or blank", where=key)
    return value


def _word(keywords: Keywords, key: str, legal: Sequence[str], code: str, inspection: Inspection) -> str:
    """A keyword's value, one of a few letters."""
    raw = required(keywords, key, inspection)
    value = raw.strip()
    if value != raw:
        inspection.warn("W_PADDED", "blanks around the value were removed", key)
    if value not in legal and value.upper() in legal:
        inspection.warn("W_CASE", f"{key} is {shown(value)}; read as {value.upper()}")
        value = value.upper()
    if value not in legal:
        inspection.refuse(code, "not a legal value", where=key, found=shown(raw), expected=" or ".join(legal))
    return value


def check_mode(keywords: Keywords, version: str, inspection: Inspection) -> None:
    """List mode only."""
    if not keywords.get("$MODE", "").strip():
        if version != "FCS3.2":
            inspection.warn("W_MODE", "$MODE is absent; list mode assumed")
        return
    _word(keywords, "$MODE", ["L"], "E_MODE", inspection)


def byte_order(keywords: Keywords, widest: int, inspection: Inspection) -> str:
    """``"<"`` or ``">"``; `widest` is the widest parameter in bits."""
    raw = required(keywords, "$BYTEORD", inspection)
    value = "".join(raw.split())
    n = value.count(",") + 1
    little, big = _LITTLE[: 2 * n - 1], _BIG[1 - 2 * n :]
    if n not in {1, 2, 4, 8} or value not in {little, big}:
        inspection.refuse(
            "E_BYTEORD",
            "not a byte order this reader knows",
            where="$BYTEORD",
            found=shown(raw),
            expected="1,2,3,4 or 4,3,2,1",
        )
    if (n != 4 and 8 * n < widest) or n > 4:
        inspection.warn("W_BYTEORD", f"$BYTEORD is {value} for values of up to {widest} bits")
    return "<" if value == little else ">"


def read_parameters(
    keywords: Keywords, version: str, inspection: Inspection, *, ascii: bool = False
) -> tuple[Parameter, ...]:
    """Describe the parameters 1 to $PAR.

    Parameters
    ----------
    ascii : whether numbers written as text ($DATATYPE A) are asked for.

    Raises
    ------
    FCSError : E_PARAMETER, E_KEYWORD, E_DATATYPE, E_ASCII.
    """
    count = inspection.integer(required(keywords, "$PAR", inspection), "$PAR")
    if keywords["$PAR"] != keywords["$PAR"].strip():
        inspection.warn("W_PADDED", "blanks around the value were removed", "$PAR")
    present = sum(f"$P{i}N" in keywords for i in range(1, min(count, len(keywords)) + 1))
    if not 0 < count <= MAX_PARAMETERS or present < count:
        inspection.refuse(
            "E_PARAMETER", "not every parameter has a name", where="$PAR", found=f"$PAR {shown(count)}, {present} names"
        )
    kind = _kind(keywords, "$DATATYPE", inspection)
    if kind == "A" and not ascii:
        inspection.refuse(
            "E_ASCII",
            "numbers written as text are not supported unless they are asked for",
            where="$DATATYPE",
            found="A",
            expected="F, D or I",
        )
    parameters = tuple(_parameter(keywords, i, kind, version, inspection) for i in range(1, count + 1))
    _check_names(parameters, inspection)
    _check_scales(keywords, parameters, version, inspection)
    extra = [key for key in (f"$P{count + 1}{letter}" for letter in "NBRE") if key in keywords]
    if extra:
        inspection.warn("W_EXTRA_PARAMETER", f"$PAR is {count} but {', '.join(extra)} present; ignored")
    return parameters


def _kind(keywords: Keywords, key: str, inspection: Inspection) -> str:
    return _word(keywords, key, ["F", "D", "I", "A"], "E_DATATYPE", inspection)


def _parameter(keywords: Keywords, i: int, kind: str, version: str, inspection: Inspection) -> Parameter:
    p = f"$P{i}"
    if keywords.get(p + "DATATYPE", "").strip():
        own = _kind(keywords, p + "DATATYPE", inspection)
        if (version != "FCS3.2" or "A" in {own, kind}) and own != kind:
            inspection.refuse(
                "E_DATATYPE",
                f"a type of its own, which {version} does not know beside {kind}",
                where=p + "DATATYPE",
                found=own,
                expected=kind,
            )
        kind = own
    bits = _bits(keywords, p + "B", kind, inspection)
    channel = Channel(
        _label(keywords, p + "N", inspection),
        _label(keywords, p + "S", inspection),
        _range(keywords, p + "R", kind, bits, inspection),
    )
    decades, log_zero = _amplification(keywords, p + "E", kind, inspection)
    gain = _gain(keywords, p + "G", inspection)
    if decades and gain != 1:
        inspection.refuse(
            "E_KEYWORD",
            "a gain on a logarithmic scale, which the standard forbids",
            where=p + "G",
            found=f"{gain:g}",
            expected="1 or absent",
        )
    return Parameter(channel, kind, bits, decades, log_zero, gain)


def _bits(keywords: Keywords, key: str, kind: str, inspection: Inspection) -> int:
    """$PnB in bits; of text it counts characters, or is ``*`` for any number of them."""
    raw = required(keywords, key, inspection)
    if kind == "A" and raw.strip() == "*":
        return FREE
    width = inspection.integer(raw, key)
    low, high = (1, MAX_CHARACTERS) if kind == "A" else (MIN_BITS, MAX_BITS)
    unit = "characters or *" if kind == "A" else "bits"
    if width != _WIDTHS.get(kind, width) or not low <= width <= high:
        inspection.refuse(
            "E_DATATYPE",
            f"a width that does not go with data type {kind}",
            where=key,
            found=f"{width}",
            expected=f"{_WIDTHS[kind]} bits" if kind in _WIDTHS else f"{low} to {high} {unit}",
        )
    return 8 * width if kind == "A" else width


def _label(keywords: Keywords, key: str, inspection: Inspection) -> str:
    raw = required(keywords, key, inspection) if key.endswith("N") else keywords.get(key, "")
    label = raw.strip()
    if label != raw and label:
        inspection.warn("W_PADDED", "blanks around the value were removed", key)
    return label


def _range(keywords: Keywords, key: str, kind: str, bits: int, inspection: Inspection) -> float | None:
    largest = inspection.number(required(keywords, key, inspection), key)
    if kind in "IA":
        if largest < 1:
            inspection.refuse(
                "E_RANGE", "a range that leaves no value", where=key, found=f"{largest:g}", expected="≥ 1"
            )
        if kind == "I" and largest > 2.0**bits:
            inspection.warn("W_RANGE", f"{key} is {largest:g}, more than {bits} bits can hold")
    elif largest <= 0:
        inspection.warn("W_RANGE", f"a range of {largest:g} was not used", key)
        return None
    return largest


def _amplification(keywords: Keywords, key: str, kind: str, inspection: Inspection) -> tuple[float, float]:
    """$PnE as (decades, value at channel 0); (0, 0) is linear."""
    raw = keywords.get(key)
    if raw is None:
        return 0.0, 0.0  # judged by _check_scales, which sees all of them
    parts = raw.split(",")
    if len(parts) != 2:
        inspection.refuse(
            "E_KEYWORD", "not an amplification", where=key, found=shown(raw), expected="two numbers, e.g. 0,0"
        )
    decades, log_zero = (inspection.number(part, key) for part in parts)
    if decades < 0 or log_zero < 0 or decades > MAX_DECADES or log_zero > MAX_LOG_ZERO:
        inspection.refuse(
            "E_KEYWORD", "not an amplification", where=key, found=shown(raw), expected="decades and offset ≥ 0"
        )
    if decades == 0:
        if log_zero:
            inspection.warn("W_AMPLIFICATION", f"{shown(raw)} was read as linear", key)
        return 0.0, 0.0
    if kind not in "IA":
        inspection.warn("W_AMPLIFICATION", f"{shown(raw)} stands on data that are not integers; not applied", key)
        return 0.0, 0.0
    if log_zero == 0:
        inspection.warn("W_AMPLIFICATION", f"{shown(raw)} was read as {decades:g},1 as the standard says", key)
        log_zero = 1.0
    return decades, log_zero


def _gain(keywords: Keywords, key: str, inspection: Inspection) -> float:
    raw = keywords.get(key)
    if raw is None:
        return 1.0
    if not raw.strip():
        inspection.warn("W_GAIN", "a blank gain was not applied", key)
        return 1.0
    gain = inspection.number(raw, key)
    if gain == 0:
        inspection.warn("W_GAIN", "a gain of 0 was not applied", key)
        return 1.0
    if not 1e-9 < gain < 1e9:
        inspection.refuse("E_KEYWORD", "not a gain", where=key, found=shown(raw), expected="a number above 0")
    return gain


def _check_names(parameters: Sequence[Parameter], inspection: Inspection) -> None:
    counts = Counter(parameter.channel.name for parameter in parameters)
    twice = [name for name, n in counts.items() if n > 1]
    if twice:
        inspection.refuse(
            "E_PARAMETER",
            "two parameters of the same name",
            where="$PnN",
            found=", ".join(map(shown, twice)),
            expected="distinct names",
        )


def _check_scales(keywords: Keywords, parameters: Sequence[Parameter], version: str, inspection: Inspection) -> None:
    """$PnE absent: harmless for floats; for integers the scale would be a guess where others have one."""
    without = [f"$P{i}E" for i in range(1, len(parameters) + 1) if f"$P{i}E" not in keywords]
    if not without:
        return
    integers = [key for key in without if parameters[int(key[2:-1]) - 1].kind in "IA"]
    if integers and (len(without) < len(parameters) or version != "FCS2.0"):
        inspection.refuse(
            "E_KEYWORD",
            "integers without their amplification: linear or logarithmic, there is no telling",
            where=", ".join(integers[:4]),
            expected="e.g. 0,0",
        )
    for key in without:
        inspection.warn("W_AMPLIFICATION", "absent, read as linear", key)


def time_step(keywords: Keywords, parameters: Sequence[Parameter], inspection: Inspection) -> float:
    """Seconds a tick of the Time channel; 1 where there is no such channel or the file does not say."""
    clocks = [parameter for parameter in parameters if parameter.channel.is_time]
    if not clocks:
        return 1.0
    if not keywords.get("$TIMESTEP", "").strip():
        inspection.warn("W_TIMESTEP", "$TIMESTEP is absent; Time stays in the instrument's ticks")
        return 1.0
    step = inspection.number(keywords["$TIMESTEP"], "$TIMESTEP")
    if not 0 < step < 1e6:
        inspection.refuse(
            "E_KEYWORD",
            "not a time step",
            where="$TIMESTEP",
            found=shown(keywords["$TIMESTEP"]),
            expected="seconds, above 0",
        )
    odd = [clock for clock in clocks if not any(_close(clock.gain, g) for g in (1.0, step, 1 / step))]
    if odd:
        inspection.warn(
            "W_GAIN", f"gain {odd[0].gain:g} on {odd[0].channel.name}; Time is $TIMESTEP × value, no gain applied"
        )
    return step


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-6 * max(a, b)
