"""Fixtures every test may use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

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
