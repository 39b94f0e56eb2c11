"""The report as text: complete, closed to the outside, and no name becomes markup."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from treg_gating.gating.results import Flag, FlagLevel, SampleResult
from treg_gating.report.levels import CLEAN, FAILED, NOTE, REVIEW, UNUSED, headline, sample_level
from treg_gating.report.page import build_report, report_html
from treg_gating.run.record import RunRecord, StudySummary, TemplateSummary

ADDRESSES = {"src", "href", "xlink:href", "action", "srcset", "poster", "data", "formaction"}
VOID = {"meta", "br", "input", "img", "hr", "link"}


class Reading(HTMLParser):
    """What a browser would meet: tags, addresses, text; and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.stack: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack, tag
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html(record: RunRecord) -> str:
    return report_html(record)


@pytest.fixture(scope="module")
def reading(html: str) -> Reading:
    return Reading(html)


def test_every_tag_closes(reading: Reading) -> None:
    assert reading.stack == []
    assert len(reading.tags) > 1000


def test_nothing_leaves_the_file(html: str, reading: Reading) -> None:
    used = [value for _, attributes in reading.tags for name, value in attributes.items() if name in ADDRESSES]
    assert len(used) > 100
    assert {value.split(",")[0].split("#")[0] for value in used} == {"", "data:image/png;base64"}
    assert "url(" not in html.replace("url(#frame)", "")
    assert "@import" not in html


def test_content_policy_names_the_very_style_and_script(html: str, reading: Reading) -> None:
    policy = next(a["content"] for a in reading.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    for tag in ("style", "script"):
        ((body),) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not [
        name for _, attributes in reading.tags for name in attributes if name.startswith("on") or name == "style"
    ]


def test_names_stay_text(html: str, reading: Reading) -> None:
    assert len(reading.all("script")) == 1
    assert "<script>alert" not in html
    text = " ".join(reading.text)
    assert "<script>alert(1)</script>" in text
    assert "=cmd|'/c calc'!A1" in text


def test_hostile_words_everywhere_stay_text(record: RunRecord) -> None:
    bad = '"><img src=x onerror=alert(1)>'
    failed = next(result for result in record.samples if result.status == "failed")
    sample = replace(
        record.samples[0], tube_id=bad, file=bad, subject=bad, visit=bad, batch=bad, sha256=bad, acquired=bad,
        cytometer=bad, compensation=bad, panel=((bad, bad, bad),), warnings=(bad,), quality={bad: 1.0},
        flags=(Flag(bad, FlagLevel.REVIEW, bad, bad),), spillover={"channels": [bad], "matrix": [[1.0]]},
        counts=tuple(replace(c, mfi={bad: 1.0}) for c in record.samples[0].counts),
        gates=tuple(replace(g, rule=bad, reason=bad) for g in record.samples[0].gates),
    )  # fmt: skip
    worse = replace(failed, tube_id=bad + "2", reason=bad, code=bad, stage=bad)
    row = {**record.endpoint[0], "subject": bad, "visit": bad, "file": bad, "reason": bad, "flags": bad, "status": bad}
    template = replace(record.template, name=bad, version=bad, description=bad, label=bad)
    html = report_html(
        replace(
            record,
            title=bad,
            created=bad,
            version=bad,
            template=template,
            notes=(bad,),
            set_aside=(bad,),
            study=StudySummary(bad, bad, ((bad, 0.0),)),
            study_assumed=bad,
            settings={bad: bad},
            samples=(sample, worse),
            endpoint=(row,),
            consensus={},
        )
    )
    reading = Reading(html)
    assert reading.all("img") == []
    assert not [name for _, attributes in reading.tags for name in attributes if name.startswith("on")]
    assert " ".join(reading.text).count("onerror=alert(1)") > 30


def test_worst_first_with_reasons(reading: Reading, record: RunRecord) -> None:
    tubes = [a for a in reading.all("details") if a.get("class", "").startswith("tube")]
    assert [tube["data-level"] for tube in tubes] == ["failed", "unused", "review"] + ["clean"] * 9
    assert [tube["id"] for tube in tubes[:3]] == ["tube-3", "tube-9", "tube-6"]
    text = " ".join(reading.text)
    assert "found a PNG image" in text
    assert "fewer than 20 events in the FMO control's parent" in text


def test_every_image_has_words(reading: Reading) -> None:
    drawings = reading.all("svg")
    assert len(drawings) > 90
    assert all(a.get("aria-hidden") == "true" or len(a.get("aria-label", "")) > 5 for a in drawings)
    labels = [a["aria-label"] for a in drawings if a.get("class") == "gate"]
    assert any(re.search(r"CD25 × CD127 of CD4 T, tube T001: CD25 CD127low [\d.]+ %", label) for label in labels)
    assert any("Treg not estimable" in label for label in labels)


def test_tables_have_scopes(reading: Reading) -> None:
    assert len(reading.all("th")) > 200
    assert all(a.get("scope") in ("col", "row") for a in reading.all("th"))


def test_ids_are_unique_and_links_lead_somewhere(reading: Reading) -> None:
    ids = [attributes["id"] for _, attributes in reading.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"][1:] for tag in ("a", "use") for a in reading.all(tag) if a["href"].startswith("#")}
    assert len(targets) > 15
    assert targets <= set(ids)


def test_shared_axes_are_drawn_once(html: str) -> None:
    assert html.count('class="axes"') == 8  # one a gate of the template, whatever the number of tubes
    assert html.count('href="#ax0"') == 11


def test_arm_is_named_only_as_set_aside(reading: Reading) -> None:
    text = " ".join(reading.text)
    assert "Not read from the sample sheet: arm." in text
    assert len(re.findall(r"\barms?\b", text)) == 2


def test_what_the_table_withholds_is_not_shown_as_a_value(record: RunRecord) -> None:
    row = {**record.endpoint[0], "treg_pct_of_cd4": None, "treg_pct_of_cd4_low": None, "treg_pct_of_cd4_high": None}
    html = report_html(replace(record, samples=record.samples[:1], endpoint=(row,)))
    (tube,) = [a for a in Reading(html).all("details") if a.get("class", "").startswith("tube")]
    assert tube["data-value"] == ""
    shown = report_html(replace(record, samples=record.samples[:1], endpoint=record.endpoint[:1]))
    (tube,) = [a for a in Reading(shown).all("details") if a.get("class", "").startswith("tube")]
    assert float(tube["data-value"]) == record.endpoint[0]["treg_pct_of_cd4"]


def test_control_outside_the_table_is_withheld_when_a_limit_is_broken(record: RunRecord) -> None:
    control = replace(record.samples[0], role="control")
    broken = replace(control, flags=(Flag("FEW_CD4", FlagLevel.FAIL, "12 CD4 T cells (limit 500)"),))
    values = []
    for tube in (control, broken):
        html = report_html(replace(record, samples=(tube,), endpoint=()))
        values += [a["data-value"] for a in Reading(html).all("details") if a.get("class", "").startswith("tube")]
    treg, cd4 = control.count("treg"), control.count("cd4_t")
    assert treg is not None
    assert cd4 is not None
    assert float(values[0]) == pytest.approx(100 * treg.n / cd4.n)
    assert values[1] == ""


def test_levels(record: RunRecord) -> None:
    clean = record.samples[0]
    assert sample_level(clean, "treg") == CLEAN
    for level, light in ((FlagLevel.NOTE, NOTE), (FlagLevel.REVIEW, REVIEW), (FlagLevel.FAIL, UNUSED)):
        assert sample_level(with_flags(clean, level), "treg") == light
    both = with_flags(clean, FlagLevel.NOTE, FlagLevel.REVIEW)
    assert sample_level(both, "treg") == REVIEW
    assert headline(both, "treg") == "text review (+1 more)"
    failed = record.samples[2]
    assert sample_level(failed, "treg") == FAILED
    assert headline(failed, "treg") == failed.reason
    silent = replace(record.samples[8], flags=())  # not estimable, and no flag says so
    assert sample_level(silent, "treg") == UNUSED
    assert headline(silent, "treg") == "fewer than 20 events in the FMO control's parent"


def with_flags(result: SampleResult, *levels: FlagLevel) -> SampleResult:
    return replace(result, flags=tuple(Flag(f"CODE_{level}", level, f"text {level}") for level in levels))


def test_a_run_of_nothing_still_reports() -> None:
    record = RunRecord("Empty run", "2024-01-01T00:00:00+00:00", "0.1.0", TemplateSummary(*("t",) * 7))
    html = report_html(record)
    assert "The sheet held no tube." in html
    assert "No value of the endpoint could be estimated" in html


def test_one_failed_tube_alone(record: RunRecord) -> None:
    html = report_html(replace(record, samples=record.samples[2:3], endpoint=record.endpoint[2:3]))
    assert "1 tube failed." in html
    assert 'class="gate"' not in html


def test_same_record_same_bytes(record: RunRecord, tmp_path: Path) -> None:
    build_report(record, tmp_path / "a.html")
    build_report(record, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_size_of_a_study(record: RunRecord, record_of: Callable[..., RunRecord]) -> None:
    """The bytes of one tube, times 150, stay far below 25 MB."""
    small, large = (len(report_html(record_of(n, events=6000)).encode()) for n in (2, 4))
    assert (large - small) / 8 * 150 < 10e6
    assert len(record.samples) == 12
