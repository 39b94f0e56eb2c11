"""The report in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from treg_gating.report.page import build_report
from treg_gating.run.record import RunRecord

pytestmark = pytest.mark.browser
SIZES = pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desk", "phone"])


@SIZES
def test_report_works_in_a_browser(
    open_tab: Callable[..., Any], size: tuple[int, int], record: RunRecord, tmp_path: Path
) -> None:
    """Opened from a file: tubes are there, keys and filter work, nothing leaves the file, nothing complains."""
    path = tmp_path / "report.html"
    build_report(record, path)
    tab = open_tab(*size)
    page = tab.page
    page.goto(path.as_uri())
    tubes = page.locator(".tube")
    ids = "tubes => tubes.filter(t => !t.hidden).map(t => t.id)"
    assert tubes.count() == 12
    assert tubes.evaluate_all("tubes => tubes.map(t => t.dataset.level)")[:3] == ["failed", "unused", "review"]

    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.locator(".tube[open]").evaluate_all(ids) == ["tube-9"]
    page.keyboard.press("k")
    assert page.locator(".tube[open]").evaluate_all(ids) == ["tube-3"]
    page.keyboard.press("o")
    assert page.locator(".tube[open]").count() == 0

    page.keyboard.press("/")
    page.keyboard.type("gate_moved")
    assert tubes.evaluate_all(ids) == ["tube-6"]
    page.keyboard.press("Escape")
    assert page.locator("#shown").inner_text() == "12 tubes"

    page.locator("#sort").select_option("value")
    values = tubes.evaluate_all("tubes => tubes.map(t => t.dataset.value)")
    shares = [float(value) for value in values if value]
    assert shares == sorted(shares)
    assert values[10:] == ["", ""]

    page.locator("#toggle").click()
    assert page.locator(".tube[open]").count() == 12
    # Nothing but the tables and figures in their own scrolling boxes may be wider than the window.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.complaints == []
    assert tab.requests == [path.as_uri()]


@pytest.fixture
def report(record: RunRecord, tmp_path: Path) -> Path:
    """The report of the drawn run."""
    build_report(record, tmp_path / "report.html")
    return tmp_path / "report.html"


def test_names_from_outside_are_shown_and_not_run(open_tab: Callable[..., Any], report: Path) -> None:
    """A marker that is a script and a subject that is a formula are words on the page."""
    tab = open_tab()
    dialogs: list[Any] = []
    tab.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    tab.page.goto(report.as_uri())
    tab.page.locator("#toggle").click()
    words = tab.page.locator("body").inner_text()
    drawn = " ".join(tab.page.locator("svg text").all_text_contents())
    assert "=cmd|'/c calc'!A1" in words
    assert "<script>alert(1)</script>" in words
    assert "<script>alert(1)</script>" in drawn
    assert dialogs == []
    assert tab.complaints == []


def test_keyboard_alone_is_enough(open_tab: Callable[..., Any], report: Path) -> None:
    """Tab goes from the skip link to filter, sort and tubes; Enter opens; focus can be seen."""
    page = open_tab().page
    page.goto(report.as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    met, stops = [], 0
    while "tube-3" not in met and stops < 40:
        page.keyboard.press("Tab")
        stops += 1
        met.append(page.evaluate("(e => e.id || e.parentElement.id)(document.activeElement)"))
    assert met[:5] == ["filter", "show", "sort", "toggle", "print"]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.locator("#tube-3").get_attribute("open") is not None


@SIZES
def test_readable_without_colour(
    open_tab: Callable[..., Any], size: tuple[int, int], report: Path, faint_text: Callable[[Any], list[str]]
) -> None:
    """Every light has a shape and a word, every drawing words; every text stands out from its ground."""
    page = open_tab(*size).page
    page.goto(report.as_uri())
    page.locator("#toggle").click()
    lights = page.locator(".tube .light").all()
    assert len(lights) > 12
    assert all(light.locator("svg").count() and light.text_content().strip() for light in lights)
    assert faint_text(page) == []
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<p id=faint>faint</p>')")
    page.evaluate("document.getElementById('faint').style.color = '#a9b4bf'")
    assert faint_text(page) == [": faint"]
    # A drawing with links in it is a group; one without is an image: neither may hide its parts from a screen reader.
    roles = page.locator("svg[aria-label]").evaluate_all(
        "all => all.map(s => s.getAttribute('role') + (s.querySelector('a') ? ' links' : ''))"
    )
    assert set(roles) == {"img", "group links"}


def test_print_holds_every_tube_that_is_shown(open_tab: Callable[..., Any], report: Path) -> None:
    """A page a tube or more, nothing of the controls; filtered tubes stay out."""
    page = open_tab().page
    page.goto(report.as_uri())
    pages = [len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))]
    assert page.locator(".tube[open]").count() == 0  # printing leaves the page as it was
    page.locator("#filter").fill("gate_moved")
    pages.append(len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))))
    assert pages[0] >= 12 + 3
    assert pages[1] < pages[0] - 9
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator(".controls").is_visible()


def test_every_link_leads_to_a_place(open_tab: Callable[..., Any], report: Path) -> None:
    """Links of table, figures and heat map open the tube they name, also one that the filter hides."""
    page = open_tab().page
    page.goto(report.as_uri())
    targets = page.locator("a[href]").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert all(page.locator(target).count() == 1 for target in set(targets))
    page.locator("#filter").fill("no such tube")
    page.locator(".heat a").first.click()
    page.wait_for_selector("#tube-3[open]")  # the page is told of the new place behind the click
    assert page.locator(".tube[open]").evaluate_all("tubes => tubes.map(t => t.id)") == ["tube-3"]
    assert page.locator("#tube-3").is_visible()
