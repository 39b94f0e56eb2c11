"""Published conformance rules on exported records, one test a rule; each rule is also shown a record that breaks it.

Ids are those of CDISC's open rules (CORE-…), with the rule of "SDTM and SDTMIG Conformance Rules 2.0" (CG…) or of the
FDA's business rules (FB…) where that is known; the wording is ours. The engine itself: benchmarks/cdisc_conformance.py.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from treg_gating.endpoint import endpoint_table
from treg_gating.gating.gates import Interval
from treg_gating.gating.results import FittedGate, GateStatus, PopulationCount, SampleResult
from treg_gating.interchange import cdisc
from treg_gating.interchange.cdisc_variables import CP, SUPPCP
from treg_gating.run.record import RunRecord, TemplateRow, TemplateSummary
from treg_gating.samplesheet import Tube
from treg_gating.study import Study, Visit

Record = dict[str, Any]
Rule = Callable[[Sequence[Record]], list[Record]]
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
STUDY = Study(id="NCT1", visits=(Visit("Baseline", 0, baseline=True), Visit("Week 12", 84, (-7, 7))))
PLAN = TemplateSummary(
    "treg_foxp3", "1.0", "", "f" * 64, "treg", "cd4_t", "Treg of CD4 T, %",
    (TemplateRow("cd4_t", "clean", ("CD4",), "+", "valley"), TemplateRow("treg", "cd4_t", ("FOXP3",), "+", "valley"),
     TemplateRow("naive_treg", "treg", ("CD45RA",), "+", "valley")),
)  # fmt: skip


def result(tube_id: str, treg: int | None) -> SampleResult:
    counts = (
        PopulationCount("t_cells", "clean", 2500, 4000),
        PopulationCount("cd4_t", "t_cells", 2000, 2500),
        PopulationCount("treg", "cd4_t", treg, 2000, "ok" if treg else "not_estimable", "no cut", {"CD25": 3210.5}),
        PopulationCount("naive_treg", "treg", 30 if treg else None, treg),
    )
    gates = tuple(
        FittedGate(row.population, row.parent, "+", Interval(row.dims, 0.5), GateStatus.FITTED, "valley")
        for row in PLAN.rows
    )
    return SampleResult(tube_id, f"{tube_id}.fcs", "001", "", "B1", "sample", "done", counts=counts, gates=gates)


@pytest.fixture
def sets() -> dict[str, list[Record]]:
    """Three subjects; the third has no value at week 12."""
    tubes, results = [], {}
    for number, (subject, visit, treg) in enumerate(
        [("001", "Baseline", 100), ("001", "Week 12", 230), ("002", "Baseline", 90), ("002", "Week 12", 120),
         ("003", "Baseline", 80), ("003", "Week 12", None)]
    ):  # fmt: skip
        name, day = f"T{number}", 0 if visit == "Baseline" else 84
        date = "2026-01-05" if visit == "Baseline" else "2026-03-30"
        tubes.append(
            Tube(name, f"{name}.fcs", Path("/x.fcs"), subject, visit, "B1", date=date, day=day, cd4_per_ul=800.0)
        )
        results[name] = result(name, treg)
    rows = endpoint_table(results, tubes, STUDY, PLAN, "0.1.0")
    record = RunRecord(
        "t", "2026-01-05T10:11:12Z", "0.1.0", PLAN, samples=tuple(results.values()), endpoint=tuple(rows)
    )
    given = cdisc.CdiscInput(record, STUDY, tuple(tubes))
    cp = cdisc.cp_records(given)
    arms = {"001": "A", "002": "B", "003": "A"}
    return {"CP": cp, "SUPPCP": cdisc.suppcp_records(given, cp), "ADTREG": cdisc.adtreg_records(given, cp, arms, "AB")}


def each(broken: Callable[[Record], object]) -> Rule:
    """A rule on single records."""
    return lambda records: [record for record in records if broken(record)]


def paired(one: str, other: str) -> Rule:
    """A rule that two variables go together one to one."""

    def rule(records: Sequence[Record]) -> list[Record]:
        left, right = defaultdict(set), defaultdict(set)
        for record in records:
            left[record.get(one)].add(record.get(other))
            right[record.get(other)].add(record.get(one))
        return [r for r in records if len(left[r.get(one)]) > 1 or len(right[r.get(other)]) > 1]

    return rule


def unique(*names: str) -> Rule:
    """A rule that no two records share these variables."""

    def rule(records: Sequence[Record]) -> list[Record]:
        keys = Counter(tuple(record.get(name) for name in names) for record in records)
        return [record for record in records if keys[tuple(record.get(name) for name in names)] > 1]

    return rule


def one_unit(records: Sequence[Record]) -> list[Record]:
    names = ("CPTESTCD", "CPCAT", "CPSPEC", "CPMETHOD", "CPSTAT")
    units = defaultdict(set)
    for record in records:
        units[tuple(record.get(name) for name in names)].add(record.get("CPSTRESU"))
    return [record for record in records if len(units[tuple(record.get(name) for name in names)]) > 1]


def numeric(record: Record) -> bool:
    return bool(NUMBER.fullmatch(record.get("CPSTRESC") or ""))


def texts(record: Record) -> list[str]:
    return [value for value in record.values() if isinstance(value, str)]


RULES: list[tuple[str, str, Rule, Record]] = [
    # id, data set, rule, what breaks it in the first record
    ("CORE-000021 CG0397", "CP", each(lambda r: r.get("CPORRES") and not r.get("CPSTRESC")), {"CPSTRESC": ""}),
    ("CORE-000083 CG0553", "CP", each(lambda r: r.get("CPLOBXFL") == "Y" and not r.get("CPORRES")), {"CPORRES": ""}),
    ("CORE-000099", "CP", each(lambda r: r.get("CPORRES") and r.get("CPSTAT")), {"CPSTAT": "NOT DONE"}),
    ("CORE-000105", "CP", each(lambda r: r.get("CPLOBXFL") == "Y" and not r.get("CPSTRESC")), {"CPSTRESC": ""}),
    ("CORE-000133 CG0426", "CP", each(lambda r: r.get("CPSTRESU") and not r.get("CPSTRESC")), {"CPSTRESC": ""}),
    ("CORE-000159", "CP", each(lambda r: r["CPTESTCD"] == "OTHER"), {"CPTESTCD": "OTHER"}),
    ("CORE-000162", "CP", each(lambda r: r["CPTESTCD"] == "MULTIPLE"), {"CPTESTCD": "MULTIPLE"}),
    ("CORE-000170", "CP", each(lambda r: (r.get("CPLOBXFL") or "Y") != "Y"), {"CPLOBXFL": "N"}),
    ("CORE-000180", "CP", each(lambda r: len(r["DOMAIN"]) != 2), {"DOMAIN": "CPX"}),
    ("CORE-000199 CG0402", "CP", each(lambda r: len(r["CPTEST"]) > 40), {"CPTEST": "x" * 41}),
    ("CORE-000200", "CP", each(lambda r: not r.get("CPORRES") and not r.get("CPSTAT")), {"CPORRES": ""}),
    ("CORE-000220", "CP", each(lambda r: not re.fullmatch(r"[A-Za-z_]\w{0,7}", r["CPTESTCD"])), {"CPTESTCD": "1A"}),
    (
        "CORE-000225 CG0094",
        "CP",
        each(lambda r: r.get("CPREASND") and r.get("CPSTAT") != "NOT DONE"),
        {"CPREASND": "lost"},
    ),
    ("CORE-000272", "CP", each(lambda r: r["CPCAT"].casefold() == CP.label.casefold()), {"CPCAT": CP.label}),
    ("CORE-000303 FB0901", "CP", paired("CPTESTCD", "CPTEST"), {"CPTEST": "another"}),
    (
        "CORE-000542 FB3102",
        "CP",
        each(lambda r: numeric(r) and float(r["CPSTRESC"]) != r.get("CPSTRESN")),
        {"CPSTRESN": 1.5},
    ),
    ("CORE-000544", "CP", unique("USUBJID", "CPSEQ"), {"CPSEQ": 2}),
    ("CORE-000502 CG0369", "SUPPCP", each(lambda r: r["RDOMAIN"] != CP.name), {"RDOMAIN": "LB"}),
    ("CORE-000699 FB3001", "CP", one_unit, {"CPSTRESU": "g/L"}),
    (
        "CORE-000732 FB3103",
        "CP",
        each(lambda r: r.get("CPSTRESC") and not numeric(r) and r.get("CPSTRESN") is not None),
        {"CPSTRESC": "LOW"},
    ),
    (
        "CORE-000863 FB3101",
        "CP",
        each(lambda r: numeric(r) and r.get("CPSTRESN") is None),
        {"CPSTRESN": None},
    ),
    ("CORE-000867 FB1501", "CP", each(lambda r: any(text.startswith(" ") for text in texts(r))), {"CPGATE": " TREG"}),
    ("CORE-000890 FB1502", "CP", each(lambda r: "." in texts(r)), {"CPGATE": "."}),
    (
        "CORE-000774 FB4202",
        "CP",
        each(lambda r: r.get("CPSTAT") == "NOT DONE" and not r.get("CPREASND")),
        {"CPSTAT": "NOT DONE"},
    ),
    ("CORE-000134", "SUPPCP", each(lambda r: not r["IDVAR"]), {"IDVAR": ""}),
    ("CORE-000135", "SUPPCP", each(lambda r: r["IDVAR"] and not r["IDVARVAL"]), {"IDVARVAL": ""}),
    ("CORE-000203", "SUPPCP", unique("USUBJID", "IDVAR", "IDVARVAL", "QNAM"), {"QNAM": "CPDENEVT"}),
    (
        "CORE-000221 CG0417",
        "SUPPCP",
        each(lambda r: not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,7}", r["QNAM"])),
        {"QNAM": "a"},
    ),
    ("CORE-000222", "SUPPCP", each(lambda r: len(r["QLABEL"]) > 40), {"QLABEL": "x" * 41}),
    ("CORE-000302", "SUPPCP", paired("QNAM", "QLABEL"), {"QLABEL": "another"}),
    ("CORE-000538 CG0334", "SUPPCP", each(lambda r: r["RDOMAIN"] != SUPPCP.name[4:6]), {"RDOMAIN": "LB"}),
    (
        "CORE-000712 CG0370",
        "SUPPCP",
        each(lambda r: r["IDVAR"] not in {v.name for v in CP.variables}),
        {"IDVAR": "CPX"},
    ),
    # ADaMIG 1.3, BDS; its conformance rules are among CDISC's open rules as drafts only.
    ("BDS: PARAM and PARAMCD", "ADTREG", paired("PARAM", "PARAMCD"), {"PARAM": "another"}),
    ("BDS: AVISIT and AVISITN", "ADTREG", paired("AVISIT", "AVISITN"), {"AVISITN": 9}),
    ("BDS: TRTP and TRTPN", "ADTREG", paired("TRTP", "TRTPN"), {"TRTPN": 9}),
    ("BDS: BASE at baseline", "ADTREG", each(lambda r: r["ABLFL"] == "Y" and r["BASE"] != r["AVAL"]), {"BASE": 1.25}),
    ("BDS: flags", "ADTREG", each(lambda r: {r["ABLFL"], r["ANL01FL"]} - {"", "Y"}), {"ABLFL": "N"}),
    ("BDS: one analysed record", "ADTREG", unique("USUBJID", "PARAMCD", "AVISIT", "ANL01FL"), {"AVISIT": "Week 12"}),
]


@pytest.mark.parametrize(("name", "data_set", "rule", "breaks"), RULES, ids=[rule[0] for rule in RULES])
def test_rule(sets: dict[str, list[Record]], name: str, data_set: str, rule: Rule, breaks: Record) -> None:
    records = sets[data_set]
    assert rule(records) == [], name
    broken = [{**records[0], **breaks}, *records[1:]]
    assert broken[0] in rule(broken), f"{name} does not notice what breaks it"


def test_idvarval_is_a_record_of_the_parent(sets: dict[str, list[Record]]) -> None:
    """CORE-000206."""
    parents = {(record["USUBJID"], str(record["CPSEQ"])) for record in sets["CP"]}
    assert {(record["USUBJID"], record["IDVARVAL"]) for record in sets["SUPPCP"]} <= parents


def test_change_and_ratio_are_what_their_names_say(sets: dict[str, list[Record]]) -> None:
    """ADaMIG 1.3, BDS: CHG = AVAL - BASE, R2BASE = AVAL / BASE."""
    with_change = [record for record in sets["ADTREG"] if record["CHG"] is not None]
    assert len(with_change) >= 6
    assert all(record["CHG"] == record["AVAL"] - record["BASE"] for record in with_change)
    ratios = [record for record in with_change if record["R2BASE"] is not None]
    assert all(record["R2BASE"] == record["AVAL"] / record["BASE"] for record in ratios)


def test_every_required_and_expected_variable_is_there() -> None:
    """CORE-000334 CG0016, CORE-000355: by SDTMIG 3.4's tables of CP and SUPPQUAL."""
    core = {plan.name: {v.name: v.core for v in plan.variables if v.core != "Perm"} for plan in (CP, SUPPCP)}
    required = ("STUDYID", "DOMAIN", "USUBJID", "CPSEQ", "CPTESTCD", "CPTEST")
    expected = ("CPMRKSTR", "CPORRES", "CPSTRESC", "CPDTC")
    assert core["CP"] == dict.fromkeys(required, "Req") | dict.fromkeys(expected, "Exp")
    required = ("STUDYID", "RDOMAIN", "USUBJID", "QNAM", "QLABEL", "QVAL", "QORIG")
    assert core["SUPPCP"] == dict.fromkeys(required, "Req") | dict.fromkeys(("IDVAR", "IDVARVAL", "QEVAL"), "Exp")


def test_no_variable_of_other_domains_or_of_animal_studies() -> None:
    """CORE-000049 to 67, 74, 111 to 113, 242 to 247: never in human studies, or in MS alone."""
    forbidden = "USCHFL RSTIND RSTMOD IMPLBL DTHREL EXCLFL REASEX RPDY RPSTDY RPENDY DETECT NOMDY NOMLBL RESLOC"
    names = {variable.name for variable in CP.variables}
    assert not names & {f"CP{name}" for name in (*forbidden.split(), "AGENT", "CONC", "CONCU")}
    assert not names & {"FETUSID", "RPHASE", "RPPLDY", "RPPLSTDY", "RPPLENDY"}


@pytest.mark.parametrize("plan", [CP, SUPPCP], ids=lambda plan: plan.name)
def test_names_and_labels(plan: Any) -> None:
    """CORE-000019 CG0311, CORE-000182, CORE-000207 CG0467, CORE-000321, CORE-000594 CG0359, CORE-000700 FB3204."""
    small = {"a", "an", "the", "as", "and", "per", "to", "but", "or", "for", "in", "is", "of", "on", "with", "within"}
    names = {variable.name for variable in plan.variables}
    for variable in plan.variables:
        assert len(variable.name) <= 8
        assert len(variable.label) <= 40
        words = [word for word in variable.label.split() if word.isalpha() and word not in small]
        assert all(word[0].isupper() for word in words), variable.label
    assert not [name for name in names if name.endswith("STDTC")]
    assert ("CPDTC" in names) == ("CPDY" in names)
