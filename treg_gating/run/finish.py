"""The end of a run: tables, summary and report from the ledger. Can be done again any time, without FCS files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from treg_gating.errors import RunStateError
from treg_gating.run.audit import now
from treg_gating.run.codec import Payload
from treg_gating.run.files import all_or_none, write_json
from treg_gating.run.ledger import OUTPUT_MADE_AGAIN, Ledger
from treg_gating.run.stored import RunRow

if TYPE_CHECKING:
    from treg_gating.run.output_parts import Reports

__all__ = ["Finished", "Hands", "finish_run", "rebuild", "still_finished"]

T = TypeVar("T")


class Hands(Protocol):
    """Who calls functions beside each other; an :class:`treg_gating.run.engine.Engine` is one."""

    @property
    def hands(self) -> int:
        """How many at a time."""

    def do(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """What each of them gives."""


class _Here:
    """In this process."""

    hands = 1

    def do(self, works: Sequence[Callable[[], T]]) -> list[T]:
        return [work() for work in works]


@dataclass(frozen=True)
class Finished:
    """What a run came to.

    Parameters
    ----------
    exit_code : 0 all done, 4 samples need review, 5 samples failed.
    lines : the last screen.
    run : its name. attention : (subject, visit, state) of tubes that failed or need review.
    changed : False where nothing was left to do.
    """

    exit_code: int
    lines: tuple[str, ...]
    run: str = ""
    attention: tuple[tuple[str, str, str], ...] = ()
    changed: bool = field(default=True, compare=False)

    @classmethod
    def from_closing(cls, run: str, closing: Mapping[str, Any], *, changed: bool = True) -> Finished:
        """From what was said at the run's end."""
        attention = tuple((subject, visit, state) for subject, visit, state in closing.get("attention", ()))
        return cls(closing["exit_code"], tuple(closing["lines"]), run, attention, changed)


def finish_run(
    ledger: Ledger,
    folder: Path,
    run: str,
    reports: Reports,
    reasons: Mapping[str, Sequence[str]] | None = None,
    hands: Hands | None = None,
) -> Finished:
    """Make all outputs of a run and close it in the ledger.

    Parameters
    ----------
    reports : what to write beside the tables.
    hands : who makes the files; by default this process, which then keeps the memory that drawing takes.
    reasons : where the run went on from an earlier one, the tubes it gated, by reason.
    """
    ended = now()
    row = replace(ledger.run(run), ended=ended, closing={"gated_because": dict(reasons or {})})
    with all_or_none(folder) as place:
        closing = _write(place, folder, ledger, row, reports, hands or _Here())
        closing["decisions"] = len(ledger.decisions())
        ledger.end_run(run, "ended", closing, ended)  # the last thing that may find the disk full
    return Finished.from_closing(run, closing)


def rebuild(ledger: Ledger, folder: Path, reports: Reports) -> Finished:
    """Make all outputs of the last finished run again.

    Raises
    ------
    RunStateError : no run came to its end in this folder.
    """
    row = ledger.last_run()
    if row is None:
        msg = f"{folder}: no run came to its end here. Run 'treg-gating run' first"
        raise RunStateError(msg)
    before = ledger.outputs_of(row)
    with all_or_none(folder) as place:
        closing = _write(place, folder, ledger, row, reports, _Here())
        for name, sha256 in closing["outputs"].items():
            if before.get(name) != sha256:  # the same results, written by another version of this program
                why = "made again from the ledger"
                ledger.note(row.run, OUTPUT_MADE_AGAIN, subject=name, old=before.get(name, ""), new=sha256, why=why)
    return Finished.from_closing(row.run, closing)


def still_finished(
    ledger: Ledger, folder: Path, plan: Payload | None, roster: Sequence[tuple[str, str, str]], code: str
) -> Finished | None:
    """The last run's end, if the same is asked again, nothing could come out otherwise, and the outputs are intact.

    Parameters
    ----------
    plan : None where only the tubes count.
    """
    row = ledger.last_run()
    if row is None or (row.plan, row.code) != (plan or row.plan, code) or not row.closing.get("complete"):
        return None
    if row.closing.get("decisions", 0) != len(ledger.decisions()):
        return None
    before = [entry[:3] for entry in ledger.roster_of(row.run)]
    if before != list(roster) or not all(entry[2] for entry in roster):
        return None
    outputs = ledger.outputs_of(row)
    if any(_digest_or_empty(folder / name) != sha256 for name, sha256 in outputs.items()):
        return None
    return Finished.from_closing(row.run, row.closing, changed=False)


def _write(place: Path, folder: Path, ledger: Ledger, row: RunRow, reports: Reports, hands: Hands) -> dict[str, Any]:
    """Write every output in `place`, from where they go to `folder`; what is to be said at the run's end."""
    from treg_gating.run.output_parts import Making, write_part

    making = Making(folder, place, row, tuple(reports))
    # The first, the page, takes about as long as all the rest; with one process to read the results, it reads once.
    apart = 1 if hands.hands > 1 else 0
    first, others = dict(list(reports.items())[:apart]), dict(list(reports.items())[apart:])
    parts = [partial(write_part, making, others, tables=True)]
    if first:
        parts.append(partial(write_part, making, first, tables=False))
    with ledger.lent():
        made = hands.do(parts)
    said, outputs = made[0].said, {name: digest for part in made for name, digest in part.outputs.items()}
    assert said is not None  # noqa: S101 (the first part has the tables)
    write_json(place / "manifest.json", {**said.manifest, "outputs": dict(outputs)})
    outputs["manifest.json"] = _digest_or_empty(place / "manifest.json")
    write_json(place / "summary.json", {**said.summary, "outputs": dict(outputs)})
    outputs["summary.json"] = _digest_or_empty(place / "summary.json")
    return {**said.closing, "outputs": outputs}


def _digest_or_empty(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
