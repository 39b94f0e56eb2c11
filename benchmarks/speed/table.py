"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from speed import fixed_pipelines as fixed
from speed import single
from speed.bars import judged

__all__ = ["markdown"]


def markdown(results: Mapping[str, Any]) -> str:
    """Bars first, then each mode's own table, then the machine."""
    parts = ["# Throughput\n", _bars(results)]
    for mode, table in _TABLES.items():
        if mode in results:
            parts.append(table(results[mode]))
    if "decisions" in results:
        found = results["decisions"]
        parts.append(f"Decisions compared with FlowKit's: {found['decisions']:,}; {found['differ']} differ.\n")
    parts.append(_machines(results.get("machine", {})))
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _bars(results: Mapping[str, Any]) -> str:
    rows = [
        (row["what"], f"{row['value']:.3g} {row['unit']}", f"{row['reach']:g}", f"{row['beyond']:g}", row["verdict"])
        for row in judged(results)
    ]
    return _table(("what", "measured", "to reach", "beyond", "verdict"), rows)


def _fixed(rows: Sequence[Mapping[str, Any]]) -> str:
    text = ["## Eight fixed gates\n"]
    for row in rows:
        seconds, n = row["seconds"], row["events"]
        floor, flowkit = seconds[fixed.FLOOR], seconds[fixed.FLOWKIT]
        text.append(f"### {n:,} events, {row['bytes'] / 1e6:.0f} MB\n")
        text.append(
            _table(
                ("way", "ms", "million events/s", "× readinto", "FlowKit's time, ×"),
                (
                    (name, f"{s * 1e3:.1f}", f"{n / s / 1e6:.2f}", f"{s / floor:.1f}", f"{flowkit / s:.1f}")
                    for name, s in sorted(seconds.items(), key=lambda item: item[1])
                ),
            )
        )
    return "\n".join(text)


def _seconds(seconds: Mapping[str, float], against: str) -> str:
    return _table(
        ("way", "ms", f"{against}: its time, ×"),
        ((name, f"{s * 1e3:.1f}", f"{seconds[against] / s:.1f}") for name, s in seconds.items()),
    )


def _reader(found: Mapping[str, Any]) -> str:
    return f"## Readers, {found['events']:,} float events\n\n" + _seconds(found["seconds"], "FlowIO, as_array")


def _adaptive(rows: Sequence[Mapping[str, Any]]) -> str:
    text = ["## Adaptive pipeline\n"]
    for row in rows:
        text += [f"### {row['events']:,} events\n", _seconds(row["seconds"], fixed.FLOWKIT)]
    return "\n".join(text)


def _memory(found: Mapping[str, float]) -> str:
    rows = ((name, f"{value:.2f}") for name, value in found.items())
    return "## Peak memory over the import baseline\n\n" + _table(("way", "× DATA"), rows)


def _cold(found: Mapping[str, Any]) -> str:
    title = f"## Cold start, one tube of {found['events']:,} events\n\n"
    seconds, whole, against = found["seconds"], found["to_the_end"], found["seconds"][single.COLD_FLOWKIT]
    rows = (
        (name, f"{s * 1e3:.0f}", f"{against / s:.2f}", f"{whole[name] * 1e3:.0f}")
        for name, s in sorted(seconds.items(), key=lambda item: item[1])
    )
    return title + _table(("way", "first tube done, ms", "FlowKit's time, ×", "program ended, ms"), rows)


_PARTS = ("start_up", "first", "learning", "second", "outputs", "wall")


def _run_rows(runs: Mapping[str, Mapping[str, Any]]) -> str:
    head = ("tubes or processes", "start-up s", "pass 1", "learning", "pass 2", "outputs", "whole", "ms a tube",
            "overhead %", "ledger s", "growth MB", "largest child MB")  # fmt: skip
    rows = (
        (name, *(f"{run[part]:.1f}" for part in _PARTS), f"{1e3 * run['wall'] / run['tubes']:.0f}",
         f"{run['overhead_pct']:.1f}", f"{run['ledger']:.2f}", f"{run['growth_mb']:.0f}",
         f"{run.get('child_mb', float('nan')):.0f}")
        for name, run in runs.items()
    )  # fmt: skip
    return _table(head, rows)


def _workers(found: Mapping[str, Any]) -> str:
    title = f"## Processes, {found['tubes']} tubes of {found['events']:,} events\n\n"
    return title + _run_rows(found["runs"])


def _dask(found: Mapping[str, Any]) -> str:
    title = f"## Dask and ledger, {found['tubes']} tubes of {found['events']:,} events, two processes\n\n"
    known = {
        f"{run['how']}, {1e3 * run['seconds']:.0f} ms a pass, at most {run['most_in_batch']} in a task": run
        for run in found["known"]
    }
    said = "\nThe same for tubes whose work is a sleep of known length, 200 tubes:\n\n"
    return title + _run_rows({"the run": found["run"]}) + said + _run_rows(known)


def _cohort(found: Mapping[str, Any]) -> str:
    how = "every tube read and gated" if found["real"] else "answers from a store: the coordinator's share alone"
    return f"## Cohorts of tubes of {found['events']:,} events ({how})\n\n" + _run_rows(found["runs"])


def _accuracy(found: Mapping[str, Any]) -> str:
    head = ("cohort", "fits", "residual CV %", "bias %", "slope", "CCC", "F1")
    rows = [
        (kind["kind"], how, f"{one['cv']:.2f}", f"{one['bias']:+.2f}", f"{one['slope']:.3f}", f"{one['ccc']:.4f}",
         f"{one['f1']:.4f}")
        for kind in found["kinds"]
        for how, one in (("as they are", kind["short"]), ("the long way", kind["long"]))
    ]  # fmt: skip
    apart = "; ".join(
        f"{kind['kind']}: median {kind['median_apart']:.2f} %, most {kind['most_apart']:.2f} %"
        for kind in found["kinds"]
    )
    said = f"\nTreg % of a tube, one way against the other, of itself: {apart}.\n"
    return f"## Accuracy with the shortcuts of the fits and without ({found['what']})\n\n" + _table(head, rows) + said


def _machines(machines: Mapping[str, Mapping[str, Any]]) -> str:
    if not machines:
        return ""
    last = list(machines.values())[-1]
    loads = ", ".join(f"{mode} {m['load_before']}" for mode, m in machines.items())
    lines = [f"{key.replace('_', ' ')}: {value}" for key, value in last.items() if key != "load_before"]
    return "## Machine\n\n" + "; ".join(lines) + f"\n\nLoad average after each mode: {loads}\n"


_TABLES = {
    "fixed": _fixed,
    "reader": _reader,
    "adaptive": _adaptive,
    "memory": _memory,
    "cold": _cold,
    "workers": _workers,
    "dask": _dask,
    "cohort": _cohort,
    "accuracy": _accuracy,
}
