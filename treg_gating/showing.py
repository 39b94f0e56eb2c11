"""What the outputs show of a tube's populations beside their counts, made in parts that know nothing of each other.

A population that the cohort has settled can be looked at while the gates below it are still being placed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from treg_gating.gate_interval import Changes, changes, gate_interval, moved_gates, moving_gates
from treg_gating.gating.axes import Column
from treg_gating.gating.gates import Gate
from treg_gating.gating.hierarchy import EventView, Walk
from treg_gating.gating.results import FittedGate, GatePicture
from treg_gating.gating.steps import BEFORE
from treg_gating.gating.template import CombineStep, GateStep, GatingTemplate
from treg_gating.intensities import Medians
from treg_gating.pictures import drawable, picture_gate
from treg_gating.threads import side_by_side

__all__ = ["Showing"]


class Showing:
    """Medians, pictures and the gate interval of one tube.

    Parameters
    ----------
    linear : by marker, what gives the compensated linear values of some events.
    limits : (low, high) in gate units by dimension, of the pictures; the same for every tube of a run.
    controls : densities of the matching control tubes, by population.

    """

    def __init__(
        self,
        template: GatingTemplate,
        view: EventView,
        linear: Mapping[str, Column],
        limits: Mapping[str, tuple[float, float]],
        controls: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self._template = template
        self._view = view
        self._linear = linear
        self._limits = limits
        self._controls = controls or {}
        self._medians: list[dict[str, dict[str, float]]] = []
        self._seen: set[str] = set()  # populations whose medians are begun
        self._begun: set[tuple[str, str]] = set()  # what else is, and for which population
        self.interval: tuple[float, float] | None = None
        self._pictures: dict[str, GatePicture] = {}
        self._changes: dict[str, Changes] = {}

    def parts(self, walk: Walk, *, last: bool = False) -> list[Callable[[], None]]:
        """What is left to be made of the populations that a walk has come to; each may be done by any thread.

        Medians of large populations are made together: of those that are there at first, and of the others at `last`.
        """
        new = [name for name in walk.rows if name not in self._seen and name not in BEFORE]
        if self._seen and not last:
            new = [name for name in new if walk.rows.few(name) is not None]
        self._seen.update(new)
        medians = Medians(self._template, walk.rows, new, self._linear)
        self._medians.append(medians.found)  # the rest is let go when it is done
        moving = moving_gates(self._template, walk, self._template.primary.numerator)
        drawn = drawable(self._template, walk, self._view)
        told = last or self._tells_interval(walk)
        return [
            # What others wait for first, and then the longest, so that no thread waits long for another at the end. The
            # lowest gates before all: they take least, and the main thread will soon ask the other for columns.
            *(partial(self._move, name, walk) for name in reversed(moving) if self._begins("move", name)),
            *([partial(self._find_interval, walk)] if told and self._begins("interval", "") else []),
            *medians.parts(),
            *(partial(self._draw, step, walk) for step in drawn if self._begins("draw", step.population)),
        ]

    def moved(self, gate: FittedGate) -> list[Gate]:
        """A final gate moved down and up, where the gate interval will ask for its :func:`changes`."""
        asked = moving_gates(self._template, Walk({gate.population: gate}), self._template.primary.numerator)
        return moved_gates(gate) if asked else []

    def _tells_interval(self, walk: Walk) -> bool:
        """Whether all that the gate interval depends on is known: for combinations, that is the whole walk."""
        ends = (self._template.primary.numerator, self._template.primary.denominator)
        steps = [self._template.step(name) for end in ends for name in self._template.path(end)]
        return all(end in walk.rows for end in ends) and not any(isinstance(step, CombineStep) for step in steps)

    def _begins(self, what: str, population: str) -> bool:
        """Whether this was not begun before."""
        new = (what, population) not in self._begun
        self._begun.add((what, population))
        return new

    def complete(self, walk: Walk) -> None:
        """Make all that is left, of a walk that has come to its end."""
        while parts := self.parts(walk, last=True):
            side_by_side(_do, parts)

    def medians(self) -> dict[str, dict[str, float]]:
        """By marker, then by population that a gate made (all events hold debris and doublets)."""
        return {
            marker: {name: median for found in self._medians for name, median in found[marker].items()}
            for marker in self._linear
        }

    def pictures(self) -> tuple[GatePicture, ...]:
        """In the order of the template."""
        steps = self._template.gate_steps
        return tuple(self._pictures[step.population] for step in steps if step.population in self._pictures)

    def _draw(self, step: GateStep, walk: Walk) -> None:
        control = self._controls.get(step.population)
        self._pictures[step.population] = picture_gate(step, walk, self._view, self._limits, control)

    def _find_interval(self, walk: Walk) -> None:
        primary = self._template.primary
        if any(name not in self._changes for name in moving_gates(self._template, walk, primary.numerator)):
            self._begun.discard(("interval", ""))  # another thread is at one; it will be begun again
            return
        ends = (primary.numerator, primary.denominator)
        self.interval = gate_interval(self._template, walk, self._view, *ends, self._changes)

    def _move(self, name: str, walk: Walk) -> None:
        self._changes[name] = changes(self._template, walk, self._view, name)


def _do(part: Callable[[], None]) -> None:
    part()
