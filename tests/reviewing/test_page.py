"""The review page in a real browser: a gate is dragged, overridden with a reason, and found in the tables."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from treg_gating.run.ledger import Ledger

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
TUBE = "S01_Baseline"


class Program:
    """`treg-gating review` as a person starts it."""

    def __init__(self, study: Any, *words: str) -> None:
        command = [sys.executable, "-m", "treg_gating", "review", str(study.out), "--data", str(study.folder), *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\S+", line)
        assert found, line
        self.url = found.group(0)

    def end(self, how: int = signal.SIGINT) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.communicate(timeout=20)
        finally:
            self.process.kill()  # nothing is left running, even where it did not obey


@pytest.fixture
def review(study: Any) -> Iterator[Any]:
    programs: list[Program] = []

    def start(*words: str) -> Program:
        programs.append(Program(study, *words))
        return programs[-1]

    yield start
    for program in programs:
        program.end()


def middle(locator: Any) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Any, locator: Any, dx: float, dy: float = 0) -> None:
    locator.hover()  # unlike scrolling alone it asks again when the picture is drawn anew meanwhile
    x, y = middle(locator)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=6)
    page.mouse.up()


def open_tube(page: Any, name: str) -> None:
    page.locator(f"[data-tube='{name}']").click()
    page.wait_for_selector("#plot:not(.still)")


def number(text: str) -> float:
    return float(text.split()[0])


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_a_dragged_gate_reaches_the_tables(open_tab, study, review, size):
    before = study.row(TUBE)
    program = review("--not-blinded")
    tab = open_tab(*size)
    page = tab.page
    page.goto(program.url)
    open_tube(page, TUBE)
    page.locator("[data-gate='treg']").click()
    page.wait_for_selector("#plot:not(.still)")
    shown = number(page.locator("#value").inner_text())
    assert shown == pytest.approx(float(before["treg_pct_of_cd4"]), abs=0.01)

    drag(page, page.locator("#plot circle.handle"), 25)
    page.wait_for_selector("#value.moved")
    page.wait_for_selector("#counts tr.changed")
    dragged = number(page.locator("#value").inner_text())
    assert dragged < shown, "the threshold went up, so fewer are above it"
    assert page.locator("#plot path.was").count() == 1, "the fitted gate stays in view"
    page.locator("#undo").click()
    page.wait_for_selector("#value:not(.moved)")
    drag(page, page.locator("#plot circle.handle"), 25)
    page.wait_for_selector("#value.moved")

    page.locator("#save").click()
    assert "reason" in page.locator("#say").inner_text()
    page.locator("#reason").select_option("too_low")
    page.locator("#comment").fill("tail of the FOXP3− cells <b>")
    page.locator("#save").click()
    assert "your name" in page.locator("#say").inner_text()
    page.locator("#who").fill("Dr. C. Reviewer")
    page.locator("#save").click()
    page.wait_for_selector("#state.overridden")
    saved = number(page.locator("#value").inner_text())

    page.reload()
    page.wait_for_selector("#state.overridden")
    page.wait_for_selector("#value.moved")
    assert number(page.locator("#value").inner_text()) == saved
    assert "tail of the FOXP3− cells <b>" in page.locator("#decided").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.complaints == []
    assert all(address.startswith(program.url) for address in tab.requests)
    program.end()

    study.rerun()
    row = study.row(TUBE)
    assert float(row["treg_pct_of_cd4"]) == pytest.approx(saved, abs=0.006)
    assert row["treg_pct_of_cd4_fitted"] == before["treg_pct_of_cd4"]
    assert row["review"] == "overridden"
    assert row["reviewed_by"].startswith("Dr. C. Reviewer")
    with Ledger(study.out) as ledger:
        trail = ledger.connection.execute("SELECT what, subject, why FROM audit WHERE what LIKE 'decision%'").fetchall()
        assert ledger.first_broken_audit_row() is None
    assert [entry[:2] for entry in trail] == [("decision: override", f"{TUBE}/treg")]
    assert "signed Dr. C. Reviewer" in trail[0][2]


def test_lines_polygons_keys_and_verdicts(open_tab, study, review):
    program = review()
    tab = open_tab(1280, 900)
    page = tab.page
    page.goto(program.url)
    page.wait_for_selector("#plot:not(.still)")
    assert page.locator("#blinded").inner_text() == "Blinded review: pseudonyms only"
    page.locator("#who").fill("D. Lab")
    first = page.locator("#name").inner_text()

    page.locator("[data-gate='cd25_cd127low']").click()
    page.wait_for_selector("[data-gate='cd25_cd127low'][aria-current='true']")
    drag(page, page.locator("#plot circle.handle").nth(1), 30, 20)
    page.wait_for_selector("#value.moved")
    turned = page.locator("#share").inner_text()
    page.locator("#plot").press("ArrowDown")
    page.locator("#reset").click()
    page.wait_for_selector("#value:not(.moved)")
    assert page.locator("#share").inner_text() != turned
    page.locator("#polygon").click()
    corners = page.locator("#plot circle.handle").count()
    assert corners >= 3
    x, y = (
        sum(pair) / 2
        for pair in zip(*(middle(page.locator("#plot circle.handle").nth(i)) for i in (0, 1)), strict=True)
    )
    page.mouse.dblclick(x, y)
    assert page.locator("#plot circle.handle").count() == corners + 1
    page.keyboard.press("u")
    page.keyboard.press("r")
    page.wait_for_selector("#value:not(.moved)")

    page.locator("[data-gate='lymphocytes']").click()
    page.wait_for_selector("[data-gate='lymphocytes'][aria-current='true']")
    drag(page, page.locator("#plot path.body"), 12, -12)
    page.wait_for_selector("#value.moved")
    assert page.locator("#accept").is_disabled(), "a moved gate is saved or put back first"
    page.keyboard.press("r")
    page.wait_for_selector("#value:not(.moved)")

    page.keyboard.press("a")
    page.wait_for_selector(f"[data-tube='{first}'] .mark.accepted")
    page.wait_for_selector(f"#name:not(:text-is('{first}'))")  # the next tube
    page.wait_for_selector("#plot:not(.still)")
    page.keyboard.press("k")
    page.wait_for_selector("#state.accepted")
    page.keyboard.press("j")
    page.wait_for_selector("#state:empty", state="attached")
    page.locator("#excluding").click()
    page.locator("#tubereason").select_option("sample")
    page.locator("#exclude button").click()
    page.wait_for_selector("#state.excluded")
    assert "2 of 6" in page.locator("#done").inner_text()
    assert tab.complaints == []

    program.end(signal.SIGKILL)
    with Ledger(study.out) as ledger:
        assert [d.action for d in ledger.decisions()] == ["accept", "exclude"], "a killed program loses no decision"
        assert all(d.name == "D. Lab" for d in ledger.decisions())


def test_a_tube_whose_file_is_gone_can_still_be_judged(open_tab, study, review):
    for path in (study.folder / "fcs").iterdir():
        path.unlink()
    program = review()
    tab = open_tab(1280, 900)
    page = tab.page
    page.goto(program.url)
    page.wait_for_selector("#events.bad")
    assert "Gates cannot be moved here" in page.locator("#events").inner_text()
    assert page.locator("#plot.still").count() == 1
    page.locator("#who").fill("D. Lab")
    page.locator("#accept").click()
    page.wait_for_selector("#tubes .mark.accepted")
