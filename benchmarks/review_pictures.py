"""Pictures of the review page for docs/review.md, from a finished run: a dragged threshold, and a turned line.

    treg-gating run sample_data/samples.csv -o RUN
    python benchmarks/review_pictures.py RUN

Works on a copy of RUN, so that nothing is decided in it. Needs chromium and playwright (extra: test).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from treg_gating.cli.finished import template_of
from treg_gating.reviewing.desk import Desk
from treg_gating.reviewing.server import ReviewServer

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "results"
        shutil.copytree(sys.argv[1], run)
        server, ready = ReviewServer(Desk(run, template_of(run))), threading.Event()
        thread = threading.Thread(target=server.run, args=(ready.set,))
        thread.start()
        try:
            ready.wait(30)
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                take(browser, server.url, 1280, "")
                take(browser, server.url, 390, "_phone")
                browser.close()
        finally:
            server.stop()
            thread.join()


def take(browser: Any, url: str, width: int, ending: str) -> None:
    page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
    page.goto(url)
    for population, number, dx, dy, name in (("treg", 0, 30, 0, "threshold"), ("cd25_cd127low", 1, 24, 16, "line")):
        page.locator(f"[data-gate='{population}']").click()
        page.wait_for_selector("#plot:not(.still)")
        handle = page.locator("#plot circle.handle").nth(number)
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx, y + dy, steps=6)
        page.mouse.up()
        page.wait_for_selector("#value.moved")
        page.wait_for_timeout(500)
        path = IMAGES / f"review_{name}{ending}.png"
        page.screenshot(path=path)
        print(path)
        page.locator("#reset").click()
        page.wait_for_selector("#value:not(.moved)")


if __name__ == "__main__":
    main()
