"""The report in a real browser: Debian's chromium, driven over its own debugging protocol."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from treg_gating.report.page import build_report
from treg_gating.run.record import RunRecord

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """One tab: commands go out, and what the page logged or asked for is kept."""

    def __init__(self, profile: Path, width: int, height: int) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if program is None:
            pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
        command = [program, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
        self.loop = asyncio.new_event_loop()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.events: list[dict[str, Any]] = []
        self.number = 0
        self.socket = self.loop.run_until_complete(self._connect(profile / "DevToolsActivePort"))
        for domain in ("Runtime", "Page", "Log", "Network"):
            self.send(f"{domain}.enable")

    async def _connect(self, active: Path) -> Any:
        from tornado.httpclient import AsyncHTTPClient
        from tornado.websocket import websocket_connect

        for _ in range(300):
            if active.exists() and active.read_text().count("\n"):
                break
            await asyncio.sleep(0.1)
        port = active.read_text().split("\n")[0]
        answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/json/list")
        tab = next(target for target in json.loads(answer.body) if target["type"] == "page")
        return await websocket_connect(tab["webSocketDebuggerUrl"], max_message_size=2**28)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events met on the way are kept."""
        self.number += 1
        number = self.number

        async def exchange() -> dict[str, Any]:
            await self.socket.write_message(json.dumps({"id": number, "method": method, "params": parameters}))
            while True:
                message = json.loads(await asyncio.wait_for(self.socket.read_message(), 60))
                if message.get("id") == number:
                    assert "error" not in message, message
                    return message["result"]
                self.events.append(message)

        return self.loop.run_until_complete(exchange())

    def open(self, path: Path) -> None:
        """Open a file and wait until it has loaded."""
        self.send("Page.navigate", url=path.as_uri())
        for _ in range(200):
            if self.run("document.readyState === 'complete' && location.protocol === 'file:'"):
                return
            self.loop.run_until_complete(asyncio.sleep(0.05))
        pytest.fail("the report did not load")

    def run(self, expression: str) -> Any:
        """Value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = key if len(key) == 1 else ""
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def complaints(self) -> list[dict[str, Any]]:
        """Errors and warnings of console, scripts and content policy."""
        thrown = [event for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        calls = [e for e in self.events if e["method"] == "Runtime.consoleAPICalled"]
        logged = [e for e in self.events if e["method"] == "Log.entryAdded"]
        return thrown + calls + [e for e in logged if e["params"]["entry"]["level"] in ("error", "warning")]

    def requests(self) -> list[str]:
        """Addresses the page asked for, those inside the file left out."""
        urls = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith("data:")]

    def close(self) -> None:
        """End the browser."""
        self.send("Browser.close")
        self.process.wait(20)
        self.socket.close()
        self.loop.run_until_complete(asyncio.sleep(0.05))
        self.loop.close()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    """A tab in a fresh profile."""
    tab = Page(tmp_path / "profile", *request.param)
    tab.send(
        "Emulation.setDeviceMetricsOverride",
        width=request.param[0], height=request.param[1], deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    yield tab
    tab.close()


def test_report_works_in_a_browser(page: Page, record: RunRecord, tmp_path: Path) -> None:
    """Opened from a file: tubes are there, keys and filter work, nothing leaves the file, nothing complains."""
    path = tmp_path / "report.html"
    build_report(record, path)
    page.open(path)
    assert page.run("document.querySelectorAll('.tube').length") == 12
    assert page.run("[...document.querySelectorAll('.tube')].map(t => t.dataset.level).slice(0, 3)") == [
        "failed", "unused", "review",
    ]  # fmt: skip

    page.press("j")
    page.press("j")
    assert page.run("[...document.querySelectorAll('.tube[open]')].map(t => t.id)") == ["tube-9"]
    page.press("k")
    assert page.run("document.querySelector('.tube[open]').id") == "tube-3"
    page.press("o")
    assert page.run("document.querySelectorAll('.tube[open]').length") == 0

    page.press("/")
    page.send("Input.insertText", text="gate_moved")
    assert page.run("[...document.querySelectorAll('.tube')].filter(t => !t.hidden).map(t => t.id)") == ["tube-6"]
    page.press("Escape")
    assert page.run("document.getElementById('shown').textContent") == "12 tubes"

    page.run("(s => { s.value = 'value'; s.dispatchEvent(new Event('change')); })(document.getElementById('sort'))")
    values = page.run("[...document.querySelectorAll('.tube')].map(t => t.dataset.value)")
    shares = [float(value) for value in values if value]
    assert shares == sorted(shares)
    assert values[10:] == ["", ""]

    page.run("document.getElementById('toggle').click()")
    assert page.run("document.querySelectorAll('.tube[open]').length") == 12
    # Nothing but the tables and figures in their own scrolling boxes may be wider than the window.
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.complaints() == []
    assert page.requests() == [path.as_uri()]
