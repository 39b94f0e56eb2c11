"""Fixtures every test may use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# One thread for OpenMP, set before anything loads it: its threads wait for each other in a busy loop, and where a
# core is taken by something else a fit of a second lasts minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline: on a busy machine it fails tests that are right.
settings.register_profile("treg-gating", deadline=None)
settings.load_profile("treg-gating")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the reference data and tools, beside the repository; a test that needs it skips without."""
    folder = Path(os.environ.get("TREG_GATING_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"reference data absent: {folder} (set TREG_GATING_SHARED)")
    return folder


@dataclass
class Tab:
    """A tab of chromium (`page` is playwright's), with all it logged and all it asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of console, scripts and content policy."""
    requests: list[str] = field(default_factory=list)
    """Addresses the tab asked for, those inside the document (data:, blob:) left out."""

    def listen(self) -> Tab:
        """Note what happens from here on."""
        self.page.on("console", lambda entry: self.complaints.append(f"{entry.type}: {entry.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"thrown: {error}"))
        self.page.on("crash", lambda _: self.complaints.append("the tab crashed"))
        self.page.on("request", lambda request: self._note(request.url))
        return self

    def _note(self, url: str) -> None:
        if not url.startswith(("data:", "blob:")):
            self.requests.append(url)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's chromium under playwright, for the tests of one file; a test that needs it skips without.

    Not for the whole session: playwright keeps an event loop running in this thread, and other tests' asyncio would
    meet it.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra: test)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_tab(chromium: Any) -> Iterator[Callable[..., Tab]]:
    """Open tabs, `open_tab(width=1280, height=900)`, each with a profile of its own; they close after the test."""
    contexts = []

    def tab(width: int = 1280, height: int = 900, **options: Any) -> Tab:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        return Tab(context.new_page()).listen()

    yield tab
    for context in contexts:
        context.close()


_FAINT = """() => {
  const parse = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1]; };
  const linear = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const found = [];
  for (const element of document.querySelectorAll('body *:not(svg *)')) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest('.sr, .skip, [hidden], script, style')) continue;
    let back = [255, 255, 255, 1];
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 1) { back = colour; break; }
    }
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const [a, b] = [light(parse(style.color)), light(back)].sort((x, y) => y - x);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if ((a + 0.05) / (b + 0.05) < (large ? 3 : 4.5)) found.push(`${element.className}: ${element.textContent.trim()}`);
  }
  return found;
}"""


@pytest.fixture
def faint_text() -> Callable[[Any], list[str]]:
    """Texts of a page whose contrast is below 4.5 (3 where large): WCAG 2.2, success criterion 1.4.3."""
    return lambda page: page.evaluate(_FAINT)
