"""The state behind the review page: one finished run, what was decided on it, and the events of the last few tubes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from treg_gating.errors import InputError, RunStateError, TregGatingError
from treg_gating.gating.gates import Gate
from treg_gating.gating.results import FittedGate, SampleResult
from treg_gating.gating.template import GatingTemplate
from treg_gating.overrides import OpenTube
from treg_gating.reviewing.shapes import gate_of_shape, typical_gate
from treg_gating.run.blinding import KEY_NAME, Scrubber, names_of_tubes, open_key
from treg_gating.run.codec import decode
from treg_gating.run.decisions import (
    ACCEPT,
    OVERRIDE,
    Decision,
    checked,
    gate_text,
    in_force,
    scale_of,
    staleness,
    value_of,
)
from treg_gating.run.last import open_last_run
from treg_gating.run.record import RunRecord
from treg_gating.run.review_stage import fitted_results
from treg_gating.settings import RunSettings
from treg_gating.study import Study
from treg_gating.tube import Tube

__all__ = ["Desk", "Seat"]

_KEPT_OPEN = 3


@dataclass(frozen=True, eq=False)
class Seat:
    """One tube as it is reviewed.

    Parameters
    ----------
    name : what the page calls it: a pseudonym, or the tube's own name.
    fitted, current : its result before any decision, and as the last run has it.
    """

    name: str
    tube: Tube
    fitted: SampleResult
    current: SampleResult


class Desk:
    """A run under review.

    Parameters
    ----------
    folder : the run's. template : its own.
    data : folder below which the files lie, where that is no longer the run's.
    blinded : show pseudonyms, and nothing that tells subject, visit, batch, file or day.
    key : where the blinding key lies; in the run's folder by default.

    Raises
    ------
    InputError, RunStateError : no finished run, or the template is not the run's.
    """

    def __init__(
        self,
        folder: Path,
        template: GatingTemplate,
        *,
        data: Path | None = None,
        blinded: bool = True,
        key: Path | None = None,
    ) -> None:
        self.folder, self.template, self.data = folder, template, data
        self.blinded, self.key = blinded, key or folder / KEY_NAME
        self._open: OrderedDict[str, OpenTube] = OrderedDict()
        self.load()

    def load(self) -> None:
        """Take the last finished run from the ledger."""
        with open_last_run(self.folder) as last:
            self.run, self.record, self.study = last.run, last.record, last.study
            self.decisions: list[Decision] = last.ledger.decisions()
            fitted = {name: decode(stored.payload) for name, stored in fitted_results(last.ledger, last.run).items()}
            tubes = {tube.tube_id: tube for tube in last.tubes}
            # Results are read from the ledger when asked, and it closes here.
            current = {sample.tube_id: sample for sample in last.record.samples}
        if self.template.sha256 != self.record.template.sha256:
            msg = (
                f"template {self.template.name} is not the run's any more ({self.record.template.sha256[:12]} then, "
                f"{self.template.sha256[:12]} now). Give the run's own with --template, or run again"
            )
            raise RunStateError(msg)
        self._open.clear()
        names = {tube_id: tube_id for tube_id in fitted}
        if self.blinded:
            names = dict(open_key(self.key, list(fitted)).pseudonym_of)
        seats = [
            Seat(names[tube_id], self._placed(tubes[tube_id]), result, current[tube_id])
            for tube_id, result in fitted.items()
        ]
        self.seats = {seat.name: seat for seat in sorted(seats, key=lambda seat: seat.name if self.blinded else "")}
        self.scrub = Scrubber(names_of_tubes(tubes.values(), names)) if self.blinded else str

    def _placed(self, tube: Tube) -> Tube:
        return tube if self.data is None else replace(tube, path=self.data.resolve() / tube.file)

    @property
    def endpoint(self) -> tuple[str, str]:
        """Numerator and denominator."""
        return self.record.template.numerator, self.record.template.denominator

    def seat(self, name: str) -> Seat:
        """A tube by the name the page knows it by.

        Raises
        ------
        InputError : there is none.
        """
        if name not in self.seats:
            problem = "no such tube"
            raise InputError(problem, found=name[:40])
        return self.seats[name]

    def standing(self, seat: Seat) -> dict[str, Decision]:
        """Decisions that hold on a tube, by population; that on the whole tube under an empty name."""
        found = in_force(self.decisions).get(seat.tube.tube_id, ())
        return {d.population: d for d in found if not staleness(d, seat.fitted, self.template.sha256)}

    def stale(self, seat: Seat) -> list[str]:
        """Sentences on decisions that no longer hold."""
        found = in_force(self.decisions).get(seat.tube.tube_id, ())
        said = [(d, staleness(d, seat.fitted, self.template.sha256)) for d in found]
        return [f"{d.action} {d.population or 'tube'} by {d.signed}: {why}" for d, why in said if why]

    def overrides(self, seat: Seat) -> dict[str, Gate]:
        """Gates that persons set and that hold."""
        standing = self.standing(seat).items()
        return {name: d.new_gate for name, d in standing if d.action == OVERRIDE and d.new_gate is not None}

    def dims_of(self, seat: Seat, population: str) -> tuple[str, ...]:
        """Dimensions of a gate that a person may set.

        Raises
        ------
        InputError : it has none.
        """
        step = next((step for step in self.template.steps if step.population == population), None)
        dims = getattr(step, "dims", None)
        if dims is None:  # gates of an imported document, one a file
            gate = self._gate(seat, population)
            dims = gate.gate.dims if gate is not None and gate.gate is not None else None
        if dims is None:
            problem = "this population has no gate of its own that could be set"
            raise InputError(problem, where=population)
        return tuple(dims)

    @staticmethod
    def _gate(seat: Seat, population: str) -> FittedGate | None:
        return next((gate for gate in seat.fitted.gates if gate.population == population), None)

    def suggestion(self, population: str) -> Gate | None:
        """Where the gate of the other tubes lies, for a tube that has none."""
        found = [self._gate(seat, population) for seat in self.seats.values()]
        return typical_gate([gate.gate for gate in found if gate is not None and gate.gate is not None])

    def events(self, seat: Seat) -> OpenTube:
        """The tube's events, read where they are not in memory.

        Raises
        ------
        TregGatingError : the file is absent, has changed, or does not give the stored counts.
        """
        name = seat.name
        if name not in self._open:
            if seat.fitted.status != "done":
                problem = "the tube failed; it has no gates"
                raise InputError(problem)
            self._open[name] = OpenTube(seat.tube, RunSettings(self.template, self.study), seat.fitted)
            while len(self._open) > _KEPT_OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(name)
        return self._open[name]

    def gates_from(self, seat: Seat, shapes: Mapping[str, Any]) -> dict[str, Gate]:
        """Gates from the page's shapes."""
        return {name: gate_of_shape(shape, self.dims_of(seat, name)) for name, shape in shapes.items()}

    def value(self, seat: Seat, overrides: Mapping[str, Gate]) -> str:
        """The endpoint's counts with these gates, as they are kept with a decision.

        Raises
        ------
        TregGatingError : events would be needed and cannot be read.
        """
        if not overrides:
            return value_of(seat.fitted, *self.endpoint)
        numbers = self.events(seat).look(overrides).numbers
        counted = tuple(
            replace(count, n=numbers[count.population]) for count in seat.fitted.counts if count.population in numbers
        )
        return value_of(replace(seat.fitted, counts=counted), *self.endpoint)

    def decide(self, seat: Seat, asked: Mapping[str, Any]) -> Decision:
        """Keep a decision.

        Parameters
        ----------
        asked : ``population`` (empty for the tube), ``action``, ``name``, ``reason``, ``comment``, and for an override
            ``gate``.

        Raises
        ------
        InputError : it is not complete. FolderLockedError : a run is at work in the folder; nothing was kept.
        RunStateError : another run has ended since the page was opened; nothing was kept.
        """
        population, action = str(asked.get("population", "")), str(asked.get("action", ""))
        gate = gate_of_shape(asked.get("gate"), self.dims_of(seat, population)) if action == OVERRIDE else None
        words = {name: str(asked.get(name, "")) for name in ("name", "reason", "comment")}
        return self.keep([self.draft(seat, population=population, action=action, gate=gate, **words)])[0]

    def draft(
        self,
        seat: Seat,
        *,
        population: str,
        action: str,
        gate: Gate | None,
        name: str,
        reason: str,
        comment: str,
        source: str = "page",
    ) -> Decision:
        """A decision with all that it is bound to, checked and not yet kept.

        Raises
        ------
        InputError : it is not complete, or the tube cannot have it.
        """
        fitted = self._gate(seat, population)
        decision = Decision(
            tube_id=seat.tube.tube_id,
            population=population,
            action=action,
            name=name,
            reason=reason,
            comment=comment,
            gate=gate_text(gate),
            replaced=gate_text(fitted.gate) if fitted is not None else "",
            sha256=seat.fitted.sha256,
            template_sha256=self.template.sha256,
            scale=scale_of(seat.fitted),
            source=source,
            run=self.run,
        )
        decision = checked(decision, seat.fitted)
        overrides = self.overrides(seat)
        if gate is not None:
            overrides[population] = gate
        elif population:
            overrides.pop(population, None)
        return replace(decision, value=self._seen(seat, overrides, action, population))

    def _seen(self, seat: Seat, overrides: Mapping[str, Gate], action: str, population: str) -> str:
        """The value that the person saw; it may be unknown where the decision does not rest on it."""
        try:
            return self.value(seat, overrides)
        except TregGatingError:
            if action == OVERRIDE or (action == ACCEPT and not population):
                raise
            return ""

    def shown_value(self, seat: Seat) -> str:
        """The endpoint's counts with what was decided so far; dashes where the events that needs are not there."""
        try:
            return self.value(seat, self.overrides(seat))
        except TregGatingError:
            return "–/–"

    def keep(self, decisions: list[Decision]) -> list[Decision]:
        """Write decisions to the ledger; they are on the disk when this returns."""
        with open_last_run(self.folder) as last:
            if last.run != self.run:
                self._changed()
            kept = [last.ledger.decide(decision) for decision in decisions]
            self.decisions = last.ledger.decisions()
        return kept

    def note(self, what: str, why: str) -> None:
        """Add an act to the audit trail."""
        with open_last_run(self.folder) as last:
            last.ledger.note(last.run, what, why=why)

    @staticmethod
    def _changed() -> None:
        msg = "the run was done again since this page was opened: nothing was kept. Load the page again and look again"
        raise RunStateError(msg)


def record_title(record: RunRecord, study: Study) -> str:
    """Heading of the page."""
    return study.title or study.id or record.title
