"""A run as CDISC data sets: CP and SUPPCP (SDTMIG 3.4), ADTREG (ADaM BDS) once the arms are known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from treg_gating.errors import InputError, StudyError
from treg_gating.gating.results import PopulationCount, SampleResult
from treg_gating.interchange.cdisc_markers import gate_definition, marker_string, sublineage, whole_string
from treg_gating.interchange.cdisc_xpt import Record
from treg_gating.proportion import rounded
from treg_gating.run.record import EndpointRow, RunRecord
from treg_gating.study import Study, Visit
from treg_gating.tube import Tube

__all__ = ["SPECIMENS", "CdiscInput", "adtreg_records", "cp_records", "suppcp_records"]

SPECIMENS = {"blood": "BLOOD", "pbmc": "PERIPHERAL BLOOD MONONUCLEAR CELL"}
_LYMPHOCYTES = ("live", "lymphocytes")
PRIMARY, ABSOLUTE = "TLHRTLH", "TLYHR"
MEDIAN = "MdFI"


@dataclass(frozen=True, eq=False)
class CdiscInput:
    """What the data sets are made from: record of the run, its study and tubes, and the specimen."""

    record: RunRecord
    study: Study
    tubes: tuple[Tube, ...]
    specimen: str = "blood"


@dataclass(frozen=True, slots=True)
class _Test:
    """One result of a tube."""

    code: str
    name: str
    population: str
    denominator: str
    value: float | None
    unit: str
    kind: str
    subset: str = ""
    part: PopulationCount | None = None
    whole: PopulationCount | None = None


def cp_records(given: CdiscInput) -> list[dict[str, str | float | int | None]]:
    """Records of CP: every tube that counts for a planned visit.

    Raises
    ------
    InputError, StudyError : the study has no id, a tube's denominator is not CD4 T, or dates and days contradict.
    """
    study = given.study
    if not study.id:
        problem = "the study has no id, which CDISC needs in every record"
        raise InputError(problem, file=study.path or "study.toml", where="[study] id", expected='such as "NCT05605665"')
    if (given.record.template.numerator, given.record.template.denominator) != ("treg", "cd4_t"):
        found = f"{given.record.template.numerator} of {given.record.template.denominator}"
        problem = "the endpoint has no CDISC test of its own here"
        raise InputError(problem, found=found, expected="treg of cd4_t")
    results = {sample.tube_id: sample for sample in given.record.samples}
    tubes = {tube.tube_id: tube for tube in given.tubes}
    days = _Days(study, given.tubes)
    records: list[dict[str, str | float | int | None]] = []
    sequence: dict[str, int] = {}
    for row in given.record.endpoint:
        tube_id = str(row["tube_id"] or "")
        if tube_id not in results:
            continue
        for test in _tests(row, results[tube_id], given.record):
            subject = f"{study.id}-{row['subject']}"
            sequence[subject] = sequence.get(subject, 0) + 1
            common = _common(given, row, tubes[tube_id], days)
            records.append(
                {**common, "USUBJID": subject, "CPSEQ": sequence[subject], **_result(test, row, results[tube_id])}
            )
            is_baseline = row["visit"] == row["baseline_from"]
            records[-1]["CPLOBXFL"] = "Y" if is_baseline and test.value is not None else ""
    return records


def _common(given: CdiscInput, row: EndpointRow, tube: Tube, days: _Days) -> dict[str, str | float | int | None]:
    study, template = given.study, given.record.template
    visit = study.visit(str(row["visit"]))
    return {
        "STUDYID": study.id,
        "DOMAIN": "CP",
        "CPREFID": tube.tube_id,
        "CPCAT": "IMMUNOPHENOTYPING",
        "CPSPEC": SPECIMENS[given.specimen],
        "CPMETHOD": "FLOW CYTOMETRY",
        "CPANMETH": f"treg-gating {given.record.version}, template {template.name} {template.version}",
        "VISITNUM": study.visits.index(visit) + 1,
        "VISIT": visit.name,
        "VISITDY": days.study_day(visit.day),
        "CPDTC": tube.date,
        "CPDY": days.study_day(tube.day),
    }


class _Days:
    """Days of the sheet as CDISC counts them: the first dose is day 1, the day before it -1."""

    def __init__(self, study: Study, tubes: Sequence[Tube]) -> None:
        numbers = [visit.day for visit in study.visits] + [tube.day for tube in tubes]
        # Where a day 0 occurs it is the day of the first dose, as in study.toml of this package.
        self.from_zero = 0 in numbers

    def study_day(self, day: int | None) -> int | None:
        """CDISC's day, or None where none is known."""
        return day + 1 if day is not None and self.from_zero and day >= 0 else day


def _tests(row: EndpointRow, result: SampleResult, record: RunRecord) -> Iterator[_Test]:
    treg, cd4 = result.count("treg"), result.count("cd4_t")
    value = row["treg_pct_of_cd4"]
    primary = float(value) if isinstance(value, int | float) else None
    yield _Test(PRIMARY, "TLym Help Reg/TLym Help", "treg", "cd4_t", primary, "%", "NUMBER FRACTION", "", treg, cd4)
    if primary is None:
        return  # the tube's other numbers share its reason; one NOT DONE record says it
    absolute = row.get("treg_per_ul")
    if isinstance(absolute, int | float):
        # Cells per microlitre and 10^6 per litre are the same number.
        yield _Test(ABSOLUTE, "TLym Help Reg", "treg", "", float(absolute), "10^6/L", "NUMBER CONCENTRATION")
    lymphocytes = next((name for name in _LYMPHOCYTES if result.count(name) is not None), "")
    shares = [
        ("TLYHRLY", "TLym Help Reg/Lym", "treg", lymphocytes),
        ("THRLY", "TLym Help Reg/TLym", "treg", "t_cells"),
        ("TLYHTLY", "TLym Help/TLym", "cd4_t", "t_cells"),
    ]
    for code, name, population, denominator in shares:
        yield from _share(code, name, result, population, denominator)
    mfi = row.get("cd25_mfi_treg")
    if isinstance(mfi, int | float):
        yield _Test("CD25X", "CD25 Expression", "treg", "", float(mfi), MEDIAN, "")
    for row_of_template in record.template.rows:
        if row_of_template.parent == "treg":
            subset = sublineage(result, row_of_template.population, "treg")
            if subset:
                yield from _share(
                    "TLHRSP", "TLym Help Reg Sub/TLymHR", result, row_of_template.population, "treg", subset
                )


def _share(
    code: str, name: str, result: SampleResult, population: str, denominator: str, subset: str = ""
) -> Iterator[_Test]:
    part, whole = result.count(population), result.count(denominator)
    if part is None or whole is None or part.n is None or not whole.n:
        return
    percent = rounded(100 * part.n / whole.n)
    yield _Test(code, name, population, denominator, percent, "%", "NUMBER FRACTION", subset, part, whole)


def _result(test: _Test, row: EndpointRow, result: SampleResult) -> dict[str, str | float | int | None]:
    markers = marker_string(result, "treg" if test.subset else test.population, subset=test.subset)
    if test.unit == MEDIAN:  # SDTMIG 3.4, CP, assumption 6b: marker measured, its unit, the population's markers
        markers = f"{test.name.removesuffix(' Expression')} {MEDIAN} {markers}"
    below = whole_string(result, test.denominator) if test.denominator else ""
    record: dict[str, str | float | int | None] = {
        "CPTESTCD": test.code,
        "CPTEST": test.name,
        "CPSBMRKS": test.subset,
        "CPMRKSTR": f"{markers}/{below}" if below else markers,
        "CPGATE": test.population.upper().replace("_", " "),
        "CPGATDEF": gate_definition(result, test.population),
        "CPRESSCL": "QUANTITATIVE",
        "CPRESTYP": test.kind,
    }
    if test.value is None:
        reason = _ascii(f"{row['status']}: {row['reason']}" if row["reason"] else str(row["status"]))
        return {**record, "CPSTAT": "NOT DONE", "CPREASND": reason, "CPRESSCL": "", "CPRESTYP": ""}
    text = _plain(test.value)
    return {**record, "CPORRES": text, "CPORRESU": test.unit, "CPSTRESC": text, "CPSTRESN": test.value,
            "CPSTRESU": test.unit}  # fmt: skip


def _plain(value: float) -> str:
    """A number in digits, never with an exponent."""
    return f"{value:.10f}".rstrip("0").rstrip(".")


def _ascii(text: str) -> str:
    """A reason that the program itself wrote, in ASCII and at most 200 characters."""
    for odd, plain in (
        ("µ", "u"),
        ("×", "x"),
        ("–", "-"),
        ("−", "-"),
        ("≥", ">="),
        ("≤", "<="),
        ("’", "'"),
        ("→", "->"),
    ):
        text = text.replace(odd, plain)
    text = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)
    return text if len(text) <= 200 else text[:197] + "..."


def suppcp_records(given: CdiscInput, cp: Sequence[Record]) -> list[dict[str, str | float | int | None]]:
    """Counted events of numerator and denominator of every share in CP."""
    results = {sample.tube_id: sample for sample in given.record.samples}
    rows = {str(row["tube_id"]): row for row in given.record.endpoint if row["tube_id"]}
    by_tube: dict[str, list[Record]] = {}
    for record in cp:
        by_tube.setdefault(str(record["CPREFID"]), []).append(record)
    records: list[dict[str, str | float | int | None]] = []
    for tube_id, found in by_tube.items():
        for record, test in zip(found, _tests(rows[tube_id], results[tube_id], given.record), strict=True):
            for name, label, count in (
                ("CPNUMEVT", "Numerator Events", test.part),
                ("CPDENEVT", "Denominator Events", test.whole),
            ):
                if count is not None and count.n is not None:
                    records.append(
                        {"STUDYID": given.study.id, "RDOMAIN": "CP", "USUBJID": record["USUBJID"], "IDVAR": "CPSEQ",
                         "IDVARVAL": str(record["CPSEQ"]), "QNAM": name, "QLABEL": label, "QVAL": str(count.n),
                         "QORIG": "Derived", "QEVAL": ""}
                    )  # fmt: skip
    return records


_PARAMETERS = (
    ("TREGCD4", "Treg of CD4 T Cells (%)", PRIMARY),
    ("LTREGCD4", "Natural Log of Treg of CD4 T Cells (%)", PRIMARY),
    ("TREGABS", "Treg Absolute Count (10^6/L)", ABSOLUTE),
)


def adtreg_records(
    given: CdiscInput, cp: Sequence[Record], arm_of: Mapping[str, str], arms: Sequence[str]
) -> list[dict[str, str | float | int | None]]:
    """Records of ADTREG: subjects with an arm, visits with a value.

    Raises
    ------
    StudyError : a subject with a value has no arm.
    """
    study = given.study
    days = _Days(study, given.tubes)
    subjects = tuple(dict.fromkeys(str(row["subject"]) for row in given.record.endpoint))
    without = [s for s in subjects if s not in arm_of]
    if without:
        raise StudyError([InputError(f"subject {s!r} has no arm", file="arm list") for s in without])
    records: list[dict[str, str | float | int | None]] = []
    for subject in subjects:
        own = [record for record in cp if record["USUBJID"] == f"{study.id}-{subject}"]
        for code, label, test in _PARAMETERS:
            values = {str(r["VISIT"]): r for r in own if r["CPTESTCD"] == test and r.get("CPSTRESN") is not None}
            from_visit = next((name for name in study.baseline_visits if _aval(values.get(name), code) is not None), "")
            base = _aval(values.get(from_visit), code)
            for visit in study.visits:
                record = values.get(visit.name)
                aval = _aval(record, code)
                if record is None or aval is None:
                    continue
                records.append(
                    {
                        "STUDYID": study.id,
                        "USUBJID": f"{study.id}-{subject}",
                        "SUBJID": subject,
                        "TRTP": arm_of[subject],
                        "TRTPN": list(arms).index(arm_of[subject]) + 1,
                        "PARAM": label,
                        "PARAMCD": code,
                        **_window(study, visit, days),
                        **_analysis(study, visit, code, aval, base, from_visit),
                        "ADY": record["CPDY"],
                        "SRCDOM": "CP",
                        "SRCVAR": "CPSTRESN",
                        "SRCSEQ": record["CPSEQ"],
                    }
                )
    return records


def _aval(record: Record | None, code: str) -> float | None:
    value = record.get("CPSTRESN") if record is not None else None
    if not isinstance(value, int | float) or (code == "LTREGCD4" and value <= 0):
        return None
    return math.log(value) if code == "LTREGCD4" else float(value)


def _window(study: Study, visit: Visit, days: _Days) -> dict[str, str | float | int | None]:
    return {
        "AVISIT": visit.name,
        "AVISITN": study.visits.index(visit) + 1,
        "AWTARGET": days.study_day(visit.day),
        "AWLO": days.study_day(visit.first_day),
        "AWHI": days.study_day(visit.last_day),
    }


def _analysis(
    study: Study, visit: Visit, code: str, aval: float, base: float | None, from_visit: str
) -> dict[str, str | float | int | None]:
    after = visit.name not in study.baseline_visits and base is not None
    ratio = aval / base if after and base and code != "LTREGCD4" else None
    criterion = f"AVAL >= {study.statistics.responder_ratio:g} x BASE" if code == "TREGCD4" else ""
    met = "" if ratio is None or not criterion else ("Y" if ratio >= study.statistics.responder_ratio else "N")
    return {
        "AVAL": aval,
        "BASE": base,
        "CHG": aval - base if after and base is not None else None,
        "R2BASE": ratio,
        "ABLFL": "Y" if visit.name == from_visit else "",
        "ANL01FL": "Y",
        "CRIT1": criterion if met else "",
        "CRIT1FL": met,
    }
