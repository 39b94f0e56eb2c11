"""Size of a report, time to build it, and first paint in headless chromium, from the stored results of a run.

    treg-gating run sample_data/samples.csv && python benchmarks/report.py results --tubes 150

The run's tubes are repeated under new names until there are as many as asked. Each paint is a fresh browser: from the
start of the navigation to the first text or image (first contentful paint), and until all is loaded.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from treg_gating.report.page import build_report
from treg_gating.run.last import open_last_run
from treg_gating.run.record import RunRecord

PAINT = """new Promise(done => requestAnimationFrame(() => setTimeout(() => done([
    performance.getEntriesByName('first-contentful-paint')[0].startTime,
    performance.getEntriesByType('navigation')[0].loadEventEnd]), 300)))"""


def repeated(record: RunRecord, tubes: int) -> RunRecord:
    """The same run with more tubes: every round of subjects gets a name of its own."""
    rounds = [f"-{1 + at // len(record.samples)}" for at in range(tubes)]
    samples = tuple(
        replace(sample, tube_id=sample.tube_id + mark, subject=sample.subject and sample.subject + mark)
        for sample, mark in zip(islice(cycle(record.samples), tubes), rounds, strict=True)
    )
    rows: list[dict[str, Any]] = []
    known = {sample.tube_id for sample in samples}
    for mark in dict.fromkeys(rounds):
        for row in record.endpoint:
            tube = f"{row['tube_id']}{mark}" if row["tube_id"] else None
            if tube is None or tube in known:
                rows.append({**row, "tube_id": tube, "subject": f"{row['subject']}{mark}"})
    return replace(record, samples=samples, endpoint=tuple(rows))


def paints(path: Path, width: int, times: int) -> list[tuple[float, float]]:
    """First contentful paint and end of loading, in seconds, each in a browser of its own."""
    from playwright.sync_api import sync_playwright

    measured = []
    with sync_playwright() as driver:
        for _ in range(times):
            browser = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.goto(path.as_uri())
            first, loaded = page.evaluate(PAINT)
            measured.append((first / 1000, loaded / 1000))
            browser.close()
    return measured


def main() -> None:
    """Build once, paint several times, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--tubes", type=int, default=150)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    with open_last_run(options.run) as last:
        record = repeated(last.record, options.tubes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        start = time.perf_counter()
        build_report(record, path)
        took = time.perf_counter() - start
        print(f"{len(record.samples)} tubes: {path.stat().st_size / 1e6:.1f} MB (bar: 25), built in {took:.1f} s")
        for width in (1280, 390):
            measured = paints(path, width, options.times)
            first, loaded = (median(column) for column in zip(*measured, strict=True))
            worst = max(value for value, _ in measured)
            print(f"{width} pixels wide: first paint {first:.2f} s (worst of {len(measured)}: {worst:.2f}; bar: 2), "
                  f"loaded {loaded:.2f} s")  # fmt: skip


if __name__ == "__main__":
    main()
