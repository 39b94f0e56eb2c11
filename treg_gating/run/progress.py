"""What a run tells while it works: bars on a terminal, plain lines elsewhere, JSON lines in the log."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

__all__ = ["LinesProgress", "Progress", "QuietProgress", "TerminalProgress", "log_to", "open_progress"]

_LINES_A_STAGE = 10
_SECONDS_A_LINE = 1.0


class Progress(Protocol):
    """What the runner calls while it works."""

    def stage(self, name: str, total: int, taken_over: int) -> None:
        """A stage begins: `total` tubes, of which an earlier run finished `taken_over`."""

    def tube(self, tube_id: str, problem: str = "") -> None:
        """A tube of the stage ended, with its problem if it failed."""

    def say(self, text: str) -> None:
        """A sentence for the reader."""

    def close(self) -> None:
        """The work ended."""


def open_progress(*, quiet: bool, stream: TextIO | None = None) -> Progress:
    """The form that suits where the words go (standard error, so that standard output stays clean)."""
    stream = stream or sys.stderr
    if quiet:
        return QuietProgress()
    return TerminalProgress() if stream.isatty() else LinesProgress(stream)


class QuietProgress:
    """Says nothing; the log has everything."""

    def stage(self, name: str, total: int, taken_over: int) -> None:
        """Nothing."""

    def tube(self, tube_id: str, problem: str = "") -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class LinesProgress:
    """Time-stamped lines, about ten a stage and at most one a second, beside failures and the end of a stage."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._name, self._total, self._done, self._began, self._new = "", 0, 0, 0.0, 0
        self._told = 0.0

    def stage(self, name: str, total: int, taken_over: int) -> None:
        """Say what begins."""
        self._name, self._total, self._done, self._began, self._new = name, total, taken_over, time.monotonic(), 0
        self._told = self._began
        known = f" ({taken_over} finished earlier)" if taken_over else ""
        self.say(f"{name}: {total} tubes{known}")

    def tube(self, tube_id: str, problem: str = "") -> None:
        """Say how far it is, now and then; say every failure."""
        self._done, self._new = self._done + 1, self._new + 1
        if problem:
            self.say(f"{tube_id} FAILED: {problem}")
        every, now = max(1, self._total // _LINES_A_STAGE), time.monotonic()
        ended = self._done == self._total
        if ended or (self._done % every == 0 and now - self._told >= _SECONDS_A_LINE):
            self._told = now
            rate = self._new / max(now - self._began, 1e-3)
            left = "" if ended else f", {(self._total - self._done) / rate:.0f} s left"
            self.say(f"{self._name}: {self._done}/{self._total}, {rate:.1f} tubes/s{left}")

    def say(self, text: str) -> None:
        """One line with the time, UTC."""
        print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}", file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to take away."""


class TerminalProgress:
    """A bar a stage with rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._console = Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description:<24}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: Any = None
        self._began, self._new = 0.0, 0
        self._bars.start()

    def stage(self, name: str, total: int, taken_over: int) -> None:
        """A new bar."""
        self._began, self._new = time.monotonic(), 0
        self._task = self._bars.add_task(name, total=total, completed=taken_over, rate="")

    def tube(self, tube_id: str, problem: str = "") -> None:
        """One step; a failure is said above the bars."""
        self._new += 1
        rate = self._new / max(time.monotonic() - self._began, 1e-3)
        self._bars.update(self._task, advance=1, rate=f"{rate:.1f}/s")
        if problem:
            self.say(f"{tube_id} FAILED: {problem}")

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the bars as they are."""
        self._bars.stop()


class _JsonLines(logging.FileHandler):
    """One JSON object a line; what a record carries under ``data`` becomes fields."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        entry = {"utc": moment, "level": record.levelname.lower(), "text": record.getMessage()}
        entry.update(getattr(record, "data", {}))
        if record.exc_info:
            entry["traceback"] = logging.Formatter().formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is logging's)
        """A full disk must not fill the screen; the ledger will say it."""


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Append what the package logs to a file of JSON lines."""
    logger = logging.getLogger("treg_gating")
    handler = _JsonLines(path, encoding="utf-8", delay=True)
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        with suppress(OSError):  # a full disk
            handler.close()
        logger.setLevel(before[0])
        logger.propagate = before[1]
