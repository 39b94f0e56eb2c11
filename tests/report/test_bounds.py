"""A page of thousands of tubes shows some of them, whole subjects, the worst first, and says so."""

from __future__ import annotations

from dataclasses import replace

from treg_gating.report.bounds import shown_part
from treg_gating.report.levels import sample_level
from treg_gating.report.page import report_html


def test_a_run_that_fits_is_shown_whole(record) -> None:
    assert shown_part(record) is record


def test_whole_subjects_the_worst_first_and_it_is_said(record) -> None:
    part = shown_part(record, most=6)
    shown = {result.subject for result in part.samples}
    assert 0 < len(part.samples) <= 6
    assert [r for r in record.samples if r.subject in shown] == list(part.samples)
    assert {row["subject"] for row in part.endpoint} <= shown
    assert len(part.endpoint) == sum(row["subject"] in shown for row in record.endpoint)

    def worst(subject: str) -> int:
        return min(sample_level(r, record.template.numerator).rank for r in record.samples if r.subject == subject)

    by_subject = {r.subject: worst(r.subject) for r in record.samples}
    assert min(by_subject.values()) in {by_subject[subject] for subject in shown}
    assert f"This page shows {len(part.samples)} tubes of {len(record.samples)}" in part.notes[0]
    assert "with tubes to look at" in part.notes[0]


def test_a_page_of_many_tubes_stays_small(record) -> None:
    many = tuple(
        replace(result, subject=f"S{turn}-{result.subject}", tube_id=f"{turn}-{result.tube_id}")
        for turn in range(100)
        for result in record.samples
    )
    html = report_html(replace(record, samples=many))
    assert "tubes of 1,200" in html
    assert len(html) < 1.2 * 500 / len(record.samples) * len(report_html(record))
