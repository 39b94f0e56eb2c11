"""Reading study.toml: types, keys and sense, every fault with its line."""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from treg_gating.errors import InputError, StudyError
from treg_gating.study_plan import Endpoint, Limits, Statistics, Study, Visit, fold_visit

__all__ = ["parse_study"]

_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "study": ("id", "title"),
    "endpoint": ("population", "denominator", "visit", "interval", "baseline_rule"),
    "visit": ("name", "day", "window", "baseline", "synonyms"),
    "limits": tuple(asdict(Limits())),
    "statistics": ("multiplicity", "strata", "responder_ratio", "arms", "combination"),
}
_CHOICES = {
    "interval": ("wilson", "clopper_pearson"),
    "baseline_rule": ("visit", "last_evaluable"),
    "multiplicity": ("closed", "holm", "tukey", "min_test", "none"),
}
_MAX_BYTES = 1_000_000


def parse_study(path: Path) -> Study:
    """Read, check and build; raises StudyError with every fault."""
    text, digest = _read(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault = InputError(f"not valid TOML: {error}", file=path.name, action="Texts need quotes, lists need [ ]")
        raise StudyError([fault]) from None
    reader = _Reader(path.name, text, data)
    study = reader.study(str(path), digest)
    if reader.faults:
        raise StudyError(reader.faults)
    return study


def _read(path: Path) -> tuple[str, str]:
    try:
        if not path.is_file():
            fault = InputError("there is no such file", file=str(path), expected="a study.toml")
            raise StudyError([fault])
        if path.stat().st_size > _MAX_BYTES:
            fault = InputError("too large for a study.toml", file=str(path), expected=f"at most {_MAX_BYTES} bytes")
            raise StudyError([fault])
        raw = path.read_bytes()
        return raw.decode("utf-8-sig"), hashlib.sha256(raw).hexdigest()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        fault = InputError("not UTF-8 text", file=path.name, where=f"line {line}", action="Save it as UTF-8")
        raise StudyError([fault]) from None
    except OSError as error:
        raise StudyError([InputError(f"cannot be read: {error.strerror}", file=str(path))]) from None


def _lines_of_keys(text: str) -> dict[tuple[str, int, str], int]:
    """Line of every (section, number of the section, key) that can be found by looking at the text."""
    lines: dict[tuple[str, int, str], int] = {}
    counts: dict[str, int] = {}
    section, number = "", 0
    for at, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?", line)
        key = re.match(r"""\s*["']?([^\s"'=]+)["']?\s*=""", line)
        if header:
            section = header[1].strip("\"' ")
            number = counts.get(section, 0)
            counts[section] = number + 1
            lines[(section, number, "")] = at
        elif key:
            lines.setdefault((section, number, key[1]), at)
    return lines


def _near(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word.casefold(), [*known], n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


class _Reader:
    """One file's tables, with the faults met so far."""

    def __init__(self, file: str, text: str, data: Mapping[str, Any]) -> None:
        self.file = file
        self.data = data
        self.lines = _lines_of_keys(text)
        self.faults: list[InputError] = []

    def fault(self, at: tuple[str, int, str], problem: str, *, found: object = None, expected: str = "") -> None:
        section, number, key = at
        line = self.lines.get(at) or self.lines.get((section, number, ""))
        name = f"[[visit]] {number + 1}" if section == "visit" else f"[{section}]" if section else "top level"
        where = f"line {line}, {name} {key}" if line else f"{name} {key}"
        shown = "" if found is None else repr(found)[:80]
        self.faults.append(InputError(problem, file=self.file, where=where.strip(), found=shown, expected=expected))

    def study(self, path: str, digest: str) -> Study:
        self._unknown_keys()
        head, end, limits, stats = (self._table(name) for name in ("study", "endpoint", "limits", "statistics"))
        visits = self._visits()
        notes: list[str] = []
        endpoint = Endpoint(
            population=self._text("endpoint", end, "population", "treg"),
            denominator=self._text("endpoint", end, "denominator", "cd4_t"),
            visit=self._endpoint_visit(end, visits, notes),
            interval=self._choice("endpoint", end, "interval", "wilson"),
            baseline_rule=self._choice("endpoint", end, "baseline_rule", "visit"),
        )
        statistics = self._statistics(stats)
        notes += _overlaps(visits)
        return Study(
            id=self._text("study", head, "id", ""),
            title=self._text("study", head, "title", ""),
            visits=visits,
            endpoint=endpoint,
            limits=self._limits(limits),
            statistics=statistics,
            notes=tuple(notes),
            path=path,
            sha256=digest,
        )

    def _statistics(self, table: Mapping[str, Any]) -> Statistics:
        arms = self._texts(("statistics", 0, "arms"), table.get("arms", []))
        combination = self._text("statistics", table, "combination", "")
        multiplicity = self._choice("statistics", table, "multiplicity", "closed")
        at = ("statistics", 0, "combination")
        if combination and combination not in arms:
            expected = "one of arms" + (": " + ", ".join(arms) if arms else "; list them in arms = [...]")
            self.fault(at, f"not among the arms{_near(combination, arms)}", found=combination, expected=expected)
        elif multiplicity == "min_test" and not combination:
            self.fault(at, "the min test needs the combination's arm", expected="its name, as in arms")
        if len(set(arms)) < len(arms):
            self.fault(("statistics", 0, "arms"), "an arm is named twice", found=list(arms), expected="each once")
        ratio = self._positive("statistics", table, "responder_ratio", 2.0)
        if ratio == 0:
            self.fault(("statistics", 0, "responder_ratio"), "every subject would respond", expected="above 0")
        strata = self._texts(("statistics", 0, "strata"), table.get("strata", []))
        return Statistics(multiplicity, strata, ratio, arms, combination)

    def _unknown_keys(self) -> None:
        for section, value in self.data.items():
            if section not in _SECTIONS:
                at = (section, 0, "") if isinstance(value, dict | list) else ("", 0, section)
                self.fault(at, f"unknown section {section!r}{_near(section, tuple(_SECTIONS))}")
                continue
            for number, table in enumerate(value if isinstance(value, list) else [value]):
                known = _SECTIONS[section]
                for key in table if isinstance(table, dict) else ():
                    if key not in known:
                        expected = "one of " + ", ".join(known)
                        self.fault((section, number, key), f"unknown key{_near(key, known)}", expected=expected)

    def _table(self, name: str) -> Mapping[str, Any]:
        table = self.data.get(name, {})
        if isinstance(table, dict):
            return table
        self.fault((name, 0, ""), "not a table", found=table, expected=f"a section [{name}]")
        return {}

    def _text(self, section: str, table: Mapping[str, Any], key: str, default: str, number: int = 0) -> str:
        value = table.get(key, default)
        if isinstance(value, str) and (value.strip() or key not in table):
            return value.strip()
        self.fault((section, number, key), "not a text", found=value, expected="a text in quotes, not empty")
        return default

    def _choice(self, section: str, table: Mapping[str, Any], key: str, default: str) -> str:
        value = self._text(section, table, key, default)
        if value not in _CHOICES[key]:
            known = _CHOICES[key]
            self.fault((section, 0, key), f"unknown{_near(value, known)}", found=value, expected=" or ".join(known))
        return value

    def _texts(self, at: tuple[str, int, str], value: object) -> tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value):
            return tuple(item.strip() for item in value)
        self.fault(at, "not a list of texts", found=value, expected='such as ["BL", "V0"]')
        return ()

    def _positive(self, section: str, table: Mapping[str, Any], key: str, default: float) -> float:
        value = table.get(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and 0 <= value < float("inf"):
            return float(value)
        self.fault((section, 0, key), "not a usable number", found=value, expected="a number of 0 or more, no quotes")
        return default

    def _limits(self, table: Mapping[str, Any]) -> Limits:
        defaults = asdict(Limits())
        values = {name: self._positive("limits", table, name, default) for name, default in defaults.items()}
        for name, value in values.items():
            if name.endswith("_pct") and value > 100:
                self.fault(("limits", 0, name), "more than 100 %", found=value, expected="a percentage")
        # A limit of the worse kind on the better side of the milder one would never be said aloud.
        ordered = [("margin_warn_pct", "margin_fail_pct"), ("time_warn_pct", "time_fail_pct")]
        ordered += [("singlets_low_pct", "singlets_high_pct"), ("foxp3_share_low_pct", "foxp3_share_high_pct")]
        ordered += [("cd4_fail", "cd4_warn"), ("count_report", "count_flag")]
        for low, high in ordered:
            if values[low] > values[high]:
                at = ("limits", 0, low if low in table else high)
                self.fault(at, f"{low} is above {high}", found=values[low], expected=f"at most {values[high]:g}")
        return Limits(**values)

    def _visits(self) -> tuple[Visit, ...]:
        tables = self.data.get("visit", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.fault(("visit", 0, ""), "not a list of visits", expected="one section [[visit]] a visit")
            return ()
        if not tables:
            self.fault(("", 0, ""), "no visit is planned", expected="one section [[visit]] a visit")
            return ()
        visits = [self._visit(number, table) for number, table in enumerate(tables)]
        self._check_names(visits)
        baselines = [number for number, visit in enumerate(visits) if visit.baseline]
        if not baselines:
            self.fault(("visit", 0, ""), "no visit is the baseline", expected="baseline = true in one [[visit]]")
        for number in baselines[1:]:
            first = visits[baselines[0]].name
            self.fault(("visit", number, "baseline"), f"a second baseline beside {first!r}", expected="one baseline")
        return tuple(sorted(visits, key=lambda visit: (visit.day or 0, not visit.baseline)))

    def _visit(self, number: int, table: Mapping[str, Any]) -> Visit:
        if "name" not in table:
            self.fault(("visit", number, "name"), "the visit has no name", expected='such as name = "Week 12"')
        day = table.get("day")
        if not isinstance(day, int) or isinstance(day, bool):
            self.fault(("visit", number, "day"), "no target day", found=day, expected="a whole number, no quotes")
            day = 0
        baseline = table.get("baseline", False)
        if not isinstance(baseline, bool):
            self.fault(("visit", number, "baseline"), "neither yes nor no", found=baseline, expected="true or false")
        return Visit(
            name=self._text("visit", table, "name", f"visit {number + 1}", number),
            day=day,
            window=self._window(number, day, table.get("window")),
            baseline=bool(baseline),
            synonyms=self._texts(("visit", number, "synonyms"), table.get("synonyms", [])),
        )

    def _window(self, number: int, day: int, value: object) -> tuple[int, int] | None:
        if value is None:
            return None
        at = ("visit", number, "window")
        whole = isinstance(value, list) and len(value) == 2 and all(type(item) is int for item in value)
        if not whole or not isinstance(value, list):
            self.fault(at, "not a window", found=value, expected="two whole numbers, such as [-7, 7]")
            return None
        low, high = value
        if low <= 0 <= high:
            return (low, high)
        relative = [low - day, high - day]
        absolute = relative[0] <= 0 <= relative[1]
        hint = f"; for study days {low} to {high} write {relative}" if absolute else ""
        expected = "days around the target day, low ≤ 0 ≤ high"
        self.fault(at, f"the window leaves out its target day {day}{hint}", found=value, expected=expected)
        return None

    def _check_names(self, visits: Sequence[Visit]) -> None:
        seen: dict[str, int] = {}
        for number, visit in enumerate(visits):
            for name in dict.fromkeys(fold_visit(name) for name in (visit.name, *visit.synonyms)):
                first = seen.setdefault(name, number)
                if first != number:
                    problem = f"the name {name!r} also belongs to visit {visits[first].name!r}"
                    self.fault(("visit", number, "name"), problem, expected="every name and synonym once")

    def _endpoint_visit(self, table: Mapping[str, Any], visits: Sequence[Visit], notes: list[str]) -> str | None:
        if "visit" not in table:
            later = [visit.name for visit in visits if not visit.baseline]
            if later:
                notes.append(f"{self.file} names no endpoint visit: the last planned, {later[-1]!r}, is taken.")
            return later[-1] if later else None
        written = self._text("endpoint", table, "visit", "")
        name = Study(visits=tuple(visits)).find_visit(written) if written else None
        names = [visit.name for visit in visits]
        if written and name is None:
            problem = f"no such visit is planned{_near(written, names)}"
            self.fault(("endpoint", 0, "visit"), problem, found=written, expected="one of " + ", ".join(names))
        elif any(visit.baseline and visit.name == name for visit in visits):
            self.fault(("endpoint", 0, "visit"), "the baseline cannot be the endpoint visit", found=written)
        return name


def _overlaps(visits: Sequence[Visit]) -> list[str]:
    """A day that lies in two windows could count for either visit."""
    notes = []
    placed = [visit for visit in visits if visit.first_day is not None]
    for before, after in pairwise(placed):
        if before.last_day is not None and after.first_day is not None and before.last_day >= after.first_day:
            notes.append(
                f"The windows of {before.name!r} and {after.name!r} overlap on days {after.first_day} "
                f"to {before.last_day}; the sheet's visit decides."
            )
    return notes
