"""Faults that only show between rows: the same tube twice, one subject in two spellings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from treg_gating.sheet_files import same_content
from treg_gating.sheet_rows import Draft
from treg_gating.tube import Role

__all__ = ["check_rows", "name_tubes"]

Report = Callable[..., None]
"""``report(row, column, problem, found=..., expected=..., action=...)``"""


def check_rows(drafts: Sequence[Draft], report: Report) -> None:
    """Report every fault between rows, each row by its number."""
    _same_file(drafts, report)
    _same_bytes(drafts, report)
    _same_tube(drafts, report)
    _spellings(drafts, report)


def _groups(drafts: Sequence[Draft], key: Callable[[Draft], Hashable | None]) -> list[list[Draft]]:
    groups: dict[Hashable, list[Draft]] = {}
    for draft in drafts:
        value = key(draft)
        if value is not None:
            groups.setdefault(value, []).append(draft)
    return [group for group in groups.values() if len(group) > 1]


def _rows(drafts: Sequence[Draft]) -> str:
    numbers = [str(draft.row) for draft in drafts]
    listed = ", ".join(numbers[:5]) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    return f"row {listed}" if len(numbers) == 1 else f"rows {listed}"


def _same_file(drafts: Sequence[Draft], report: Report) -> None:
    for first, *others in _groups(drafts, lambda draft: draft.path and (draft.path, draft.dataset or 1)):
        for draft in others:
            problem = f"duplicate tube: the file is listed already in {_rows([first])}"
            report(draft.row, "file", problem, found=repr(draft.file), expected="every file once")


def _same_bytes(drafts: Sequence[Draft], report: Report) -> None:
    by_path: dict[Path, Draft] = {}
    for draft in drafts:
        if draft.path:
            by_path.setdefault(draft.path, draft)
    for group in same_content(by_path):
        tubes = sorted((by_path[path] for path in group), key=lambda draft: draft.row)
        first = tubes[0]
        for draft in tubes[1:]:
            problem = f"duplicate tube: the file has the same bytes as {first.file!r} in {_rows([first])}"
            report(draft.row, "file", problem, found=repr(draft.file), expected="a tube's own file")


def _same_tube(drafts: Sequence[Draft], report: Report) -> None:
    """Sample tubes of one subject and visit need something that tells them apart, or none can be chosen."""

    def key(draft: Draft) -> Hashable | None:
        if draft.role is not Role.SAMPLE or not (draft.subject and draft.visit):
            return None
        return (draft.subject, draft.visit, draft.tube_id or (draft.date, draft.day))

    for first, *others in _groups(drafts, key):
        for draft in others:
            if draft.path is not None and draft.path == first.path:
                continue  # told already as a file listed twice
            problem = f"duplicate tube: subject {draft.subject!r} has visit {draft.visit!r} already in {_rows([first])}"
            action = "Where both tubes are right, tell them apart by tube_id, date or day"
            report(draft.row, "", problem, found=repr(draft.file), expected="one tube", action=action)


def _spellings(drafts: Sequence[Draft], report: Report) -> None:
    """Subjects that differ in leading zeros, case or blanks only are most likely one person, changed by Excel."""

    def folded(draft: Draft) -> str | None:
        text = re.sub(r"\s+", "", draft.subject).casefold()
        return re.sub(r"(?<!\d)0+(?=\d)", "", text) or None

    for group in _groups(drafts, folded):
        by_spelling: dict[str, list[Draft]] = {}
        for draft in group:
            by_spelling.setdefault(draft.subject, []).append(draft)
        if len(by_spelling) == 1:
            continue
        for draft in group:
            others = [f"{name!r} in {_rows(same)}" for name, same in by_spelling.items() if name != draft.subject]
            problem = f"the subject is also written {' and '.join(others)}"
            action = "Excel drops leading zeros: format the column as text and write every subject in one way"
            report(draft.row, "subject", problem, found=repr(draft.subject), expected="one spelling", action=action)


def name_tubes(drafts: Sequence[Draft]) -> tuple[list[str], list[str]]:
    """A unique name for every tube, in the order of the rows, and notes on names that were changed.

    The sheet's tube_id stands where it is unique; else the file's stem is added. Without one the stem is taken, with
    the folder before it where stems repeat.
    """
    stated = [draft.tube_id for draft in drafts]
    stems = [_stem(draft) for draft in drafts]
    longer = ["_".join((*Path(draft.file.replace("\\", "/")).parent.parts, _stem(draft))) for draft in drafts]
    names: list[str] = []
    times_stated, times_stem = Counter(stated), Counter(stems)
    for tube, stem, long in zip(stated, stems, longer, strict=True):
        own = stem if times_stem[stem] == 1 else long
        names.append(own if not tube else tube if times_stated[tube] == 1 else f"{tube}_{own}")
    taken: set[str] = set()
    at_first = frozenset(names)
    for at, name in enumerate(names):
        number, unique = 1, name
        while unique in taken or (number > 1 and unique in at_first):
            number += 1
            unique = f"{name}_{number}"
        names[at] = unique
        taken.add(unique)
    repeated = sorted({tube for tube in stated if tube and times_stated[tube] > 1})
    listed = ", ".join(repr(tube) for tube in repeated[:5]) + (" …" if len(repeated) > 5 else "")
    return names, [f"tube_id {listed} occurs more than once; the file's name was added."] if repeated else []


def _stem(draft: Draft) -> str:
    stem = Path(draft.file.replace("\\", "/")).stem
    return f"{stem}_dataset{draft.dataset}" if draft.dataset else stem
