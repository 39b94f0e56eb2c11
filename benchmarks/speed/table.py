"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from speed import fixed_pipelines as fixed
from speed.bars import judged

__all__ = ["markdown"]


def markdown(results: Mapping[str, Any]) -> str:
    """Bars first, then each mode's own table, then the machine."""
    parts = ["# Throughput\n", _bars(results)]
    for mode, table in (("fixed", _fixed), ("reader", _reader), ("adaptive", _adaptive), ("memory", _memory),
                        ("cold", _cold)):  # fmt: skip
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
    return title + _seconds(found["seconds"], "FlowKit, fixed gates")


def _machines(machines: Mapping[str, Mapping[str, Any]]) -> str:
    if not machines:
        return ""
    last = list(machines.values())[-1]
    loads = ", ".join(f"{mode} {m['load_before']}" for mode, m in machines.items())
    lines = [f"{key.replace('_', ' ')}: {value}" for key, value in last.items() if key != "load_before"]
    return "## Machine\n\n" + "; ".join(lines) + f"\n\nLoad average after each mode: {loads}\n"
