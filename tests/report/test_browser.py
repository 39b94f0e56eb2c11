"""The report in a real browser."""

from __future__ import annotations

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
