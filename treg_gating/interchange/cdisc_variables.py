"""Variables of the CDISC data sets: name, label, type, origin, code list, in the order of SDTMIG 3.4 and ADaM BDS."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ADTREG", "CP", "SUPPCP", "DatasetPlan", "Variable"]


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable.

    Parameters
    ----------
    name, label : at most 8 and 40 characters.
    kind : "Char" or "Num".
    core : Req (never empty), Exp, or Perm.
    codelist : controlled terminology, where there is one.
    origin, comment : for the define document.
    """

    name: str
    label: str
    kind: str = "Char"
    core: str = "Perm"
    codelist: str = ""
    origin: str = "Derived"
    comment: str = ""


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """One data set: its name, label, class, structure, keys, variables."""

    name: str
    label: str
    observation_class: str
    structure: str
    keys: tuple[str, ...]
    variables: tuple[Variable, ...]


_Y = "C66742 (No Yes Response)"

CP = DatasetPlan(
    "CP",
    "Cell Phenotype Findings",
    "FINDINGS",
    "One record per test per specimen per visit per subject",
    ("STUDYID", "USUBJID", "CPTESTCD", "CPSBMRKS", "CPREFID", "VISITNUM"),
    (
        Variable("STUDYID", "Study Identifier", core="Req", origin="Protocol"),
        Variable("DOMAIN", "Domain Abbreviation", core="Req", origin="Assigned"),
        Variable("USUBJID", "Unique Subject Identifier", core="Req", comment="STUDYID and the sheet's subject"),
        Variable("CPSEQ", "Sequence Number", "Num", core="Req"),
        Variable("CPREFID", "Reference ID", origin="Collected", comment="tube of the sample sheet"),
        Variable("CPTESTCD", "Test or Examination Short Name", core="Req", codelist="C181173", origin="Assigned"),
        Variable(
            "CPTEST", "Name of Measurement, Test or Examination", core="Req", codelist="C181174", origin="Assigned"
        ),
        Variable("CPSBMRKS", "Sublineage Marker String", origin="Assigned"),
        Variable("CPMRKSTR", "Marker String", core="Exp", comment="stained markers of the gates, viability last"),
        Variable("CPGATE", "Gate", origin="Assigned", comment="population of the gating template"),
        Variable("CPGATDEF", "Gate Definition", comment="gates from the first to the last, joined by |"),
        Variable("CPCAT", "Category", codelist="C181171", origin="Assigned"),
        Variable("CPORRES", "Result or Finding in Original Units", core="Exp"),
        Variable("CPORRESU", "Original Units", codelist="C71620", origin="Assigned"),
        Variable("CPRESSCL", "Result Scale", codelist="C177910", origin="Assigned"),
        Variable("CPRESTYP", "Result Type", codelist="C179588", origin="Assigned"),
        Variable("CPSTRESC", "Result or Finding in Standard Format", core="Exp"),
        Variable("CPSTRESN", "Numeric Result/Finding in Standard Units", "Num"),
        Variable("CPSTRESU", "Standard Units", codelist="C71620", origin="Assigned"),
        Variable("CPSTAT", "Completion Status", codelist="C66789"),
        Variable("CPREASND", "Reason Not Done"),
        Variable("CPSPEC", "Specimen Type", codelist="C78734", origin="Assigned"),
        Variable("CPMETHOD", "Method of Test or Examination", codelist="C85492", origin="Assigned"),
        Variable("CPANMETH", "Analysis Method", comment="program, its version, gating template"),
        Variable(
            "CPLOBXFL", "Last Observation Before Exposure Flag", codelist=_Y, comment="the subject's baseline value"
        ),
        Variable("VISITNUM", "Visit Number", "Num", origin="Assigned", comment="order in study.toml"),
        Variable("VISIT", "Visit Name", origin="Protocol"),
        Variable("VISITDY", "Planned Study Day of Visit", "Num", origin="Protocol"),
        Variable("CPDTC", "Date/Time of Collection", core="Exp", origin="Collected", comment="ISO 8601"),
        Variable("CPDY", "Study Day of Visit/Collection/Exam", "Num", comment="there is no day 0"),
    ),
)

SUPPCP = DatasetPlan(
    "SUPPCP",
    "Supplemental Qualifiers for CP",
    "RELATIONSHIP",
    "One record per supplemental qualifier per related parent record",
    ("STUDYID", "RDOMAIN", "USUBJID", "IDVAR", "IDVARVAL", "QNAM"),
    (
        Variable("STUDYID", "Study Identifier", core="Req", origin="Protocol"),
        Variable("RDOMAIN", "Related Domain Abbreviation", core="Req", origin="Assigned"),
        Variable("USUBJID", "Unique Subject Identifier", core="Req"),
        Variable("IDVAR", "Identifying Variable", core="Exp", origin="Assigned"),
        Variable("IDVARVAL", "Identifying Variable Value", core="Exp"),
        Variable("QNAM", "Qualifier Variable Name", core="Req", origin="Assigned"),
        Variable("QLABEL", "Qualifier Variable Label", core="Req", origin="Assigned"),
        Variable("QVAL", "Data Value", core="Req"),
        Variable("QORIG", "Origin", core="Req", origin="Assigned"),
        Variable("QEVAL", "Evaluator", core="Exp", origin="Assigned"),
    ),
)

ADTREG = DatasetPlan(
    "ADTREG",
    "Treg Analysis Dataset",
    "BASIC DATA STRUCTURE",
    "One record per subject per parameter per analysis visit",
    ("STUDYID", "USUBJID", "PARAMCD", "AVISITN"),
    (
        Variable("STUDYID", "Study Identifier", core="Req", origin="Predecessor", comment="CP.STUDYID"),
        Variable("USUBJID", "Unique Subject Identifier", core="Req", origin="Predecessor", comment="CP.USUBJID"),
        Variable("SUBJID", "Subject Identifier for the Study", core="Req", origin="Collected"),
        Variable("TRTP", "Planned Treatment", core="Req", origin="Assigned", comment="arm list"),
        Variable("TRTPN", "Planned Treatment (N)", "Num", core="Req", origin="Assigned"),
        Variable("PARAM", "Parameter", core="Req", origin="Assigned"),
        Variable("PARAMCD", "Parameter Code", core="Req", origin="Assigned"),
        Variable("AVISIT", "Analysis Visit", origin="Protocol"),
        Variable("AVISITN", "Analysis Visit (N)", "Num", origin="Assigned"),
        Variable("ADY", "Analysis Relative Day", "Num", origin="Predecessor", comment="CP.CPDY"),
        Variable("AWTARGET", "Analysis Window Target", "Num", origin="Protocol"),
        Variable("AWLO", "Analysis Window Beginning Timepoint", "Num", origin="Protocol"),
        Variable("AWHI", "Analysis Window Ending Timepoint", "Num", origin="Protocol"),
        Variable("AVAL", "Analysis Value", "Num"),
        Variable("BASE", "Baseline Value", "Num"),
        Variable("CHG", "Change from Baseline", "Num", comment="AVAL - BASE"),
        Variable("R2BASE", "Ratio to Baseline", "Num", comment="AVAL / BASE; empty for logarithms"),
        Variable("ABLFL", "Baseline Record Flag", codelist=_Y),
        Variable("ANL01FL", "Analysis Flag 01", codelist=_Y, comment="the record that counts for its visit"),
        Variable("CRIT1", "Analysis Criterion 1", origin="Protocol"),
        Variable("CRIT1FL", "Criterion 1 Evaluation Result Flag", codelist=_Y),
        Variable("SRCDOM", "Source Data", origin="Assigned"),
        Variable("SRCVAR", "Source Variable", origin="Assigned"),
        Variable("SRCSEQ", "Source Sequence Number", "Num"),
    ),
)
