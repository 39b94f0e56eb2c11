"""Decisions from an edited review.xlsx: every fault with its row, and nothing kept where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from treg_gating.errors import InputError, ReviewError, SampleSheetError, TregGatingError
from treg_gating.gating.gates import Gate
from treg_gating.reviewing.desk import Desk, Seat
from treg_gating.reviewing.numbers import gate_of_words
from treg_gating.reviewing.workbook import COLUMNS, ENTERED, WHOLE, scales_of, seen_digest
from treg_gating.run.decisions import ACCEPT, ACTIONS, GATE_REASONS, OVERRIDE, TUBE_REASONS, Decision
from treg_gating.sheet_table import Row, read_table

__all__ = ["read_workbook"]

_NEEDED = ("tube", "gate", "decision", "new numbers", "reason", "comment", "name", "seen")


def _ours(headers: Sequence[str]) -> dict[int, str]:
    return {at: text for at, text in enumerate(headers) if text in COLUMNS}


def read_workbook(path: Path, desk: Desk) -> list[Decision]:
    """Decisions of a workbook, complete and checked, in its order; not yet kept.

    Raises
    ------
    ReviewError : with every fault, by row.
    """
    try:
        table = read_table(path, _ours, "a review workbook")
    except SampleSheetError as error:
        raise ReviewError(error.faults) from error
    missing = [name for name in _NEEDED if name not in table.headers]
    if missing:
        problem = "this is not a review workbook: columns are missing"
        fault = InputError(problem, file=path.name, expected=", ".join(missing), action="Write it anew: --workbook")
        raise ReviewError([fault])
    reader = _Reader(path.name, desk)
    decisions = [found for row in table.rows if (found := reader.read(row)) is not None]
    faults = [*table.faults, *reader.faults, *reader.unseen()]
    if faults:
        raise ReviewError(faults)
    return decisions


class _Reader:
    """Reads rows one after the other; the name of a signature is carried down."""

    def __init__(self, file: str, desk: Desk) -> None:
        self.file, self.desk = file, desk
        self.faults: list[InputError] = []
        self._name = ""
        self._accepted: list[tuple[int, str]] = []
        self._changed: set[str] = set()

    def read(self, row: Row) -> Decision | None:
        cells = {name: cell.text for name, cell in row.cells.items()}
        problems = [f"{name}: {cell.problem}" for name, cell in row.cells.items() if name in ENTERED and cell.problem]
        if not any(cells.get(name) for name in ENTERED):
            return None
        try:
            if problems:
                raise InputError("; ".join(problems))
            return self._decision(row.number, cells)
        except TregGatingError as error:
            self._fault(row.number, error)
            return None

    def _fault(self, number: int, error: TregGatingError) -> None:
        plain = InputError(
            getattr(error, "problem", "") or str(error),
            file=self.file,
            where=f"row {number}",
            found=getattr(error, "found", ""),
            expected=getattr(error, "expected", ""),
            action=getattr(error, "action", ""),
        )
        self.faults.append(plain)

    def _decision(self, number: int, cells: Mapping[str, str]) -> Decision | None:
        action = cells["decision"].strip().lower()
        self._name = cells["name"].strip() or self._name
        if not action:
            entered = [name for name in ENTERED if cells[name] and name != "name"]
            if not entered:
                return None
            problem = f"{' and '.join(entered)} without a decision"
            raise InputError(problem, expected=f"one of {', '.join(ACTIONS)}")
        seat = self.desk.seat(cells["tube"].strip())
        population = "" if cells["gate"].strip() == WHOLE else cells["gate"].strip()
        self._check_seen(seat, population, cells["seen"].strip())
        gate = self._gate(seat, population, cells["new numbers"], action)
        reason = _key_of(cells["reason"], TUBE_REASONS if not population else GATE_REASONS)
        if action == ACCEPT and not population:
            self._accepted.append((number, seat.name))
        if population and action in (OVERRIDE, "withdraw"):
            self._changed.add(seat.name)
        return self.desk.draft(
            seat,
            population=population,
            action=action,
            gate=gate,
            name=self._name,
            reason=reason,
            comment=cells["comment"],
            source=self.file,
        )

    def _check_seen(self, seat: Seat, population: str, seen: str) -> None:
        fitted = next((gate for gate in seat.fitted.gates if gate.population == population), None)
        gate: Gate | None = self.desk.overrides(seat).get(population) or (fitted.gate if fitted else None)
        value = "" if population else self.desk.shown_value(seat)
        if seen != seen_digest(self.desk, seat, population, gate, value):
            problem = "the tube, its gate or its value is no longer what this row shows"
            raise InputError(problem, action="Write the workbook anew with --workbook, and look again")

    def _gate(self, seat: Seat, population: str, text: str, action: str) -> Gate | None:
        if not text.strip():
            return None
        if action != OVERRIDE:
            problem = f"new numbers stand beside {action!r}"
            raise InputError(problem, expected="override")
        dims = self.desk.dims_of(seat, population)
        fitted = next((gate.gate for gate in seat.fitted.gates if gate.population == population), None)
        before = self.desk.overrides(seat).get(population) or fitted or self.desk.suggestion(population)
        return gate_of_words(text, before, dims, scales_of(seat, dims))

    def unseen(self) -> Sequence[InputError]:
        """Tubes accepted in the same workbook that moves their gates: nobody has seen that value yet."""
        problem = "the tube is accepted while this workbook changes its gates: its new value has not been seen"
        action = "Accept it after 'treg-gating rerun', from a new workbook"
        return [
            InputError(problem, file=self.file, where=f"row {number}", action=action)
            for number, name in self._accepted
            if name in self._changed
        ]


def _key_of(words: str, reasons: Mapping[str, str]) -> str:
    """Key of a reason by its words, or by itself; what is not in the list stays as it is and is refused later."""
    text = words.strip()
    return next((key for key, said in reasons.items() if text.casefold() in (said.casefold(), key)), text)
