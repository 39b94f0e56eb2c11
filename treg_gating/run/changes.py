"""What differs between two runs, and why a tube's result may: its file, its row, settings, code, cohort, a person.

The same words serve a run that goes on from an earlier one and the comparison of two runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from treg_gating.errors import InputError
from treg_gating.run.keys import digest, tube_identity
from treg_gating.run.ledger import Ledger
from treg_gating.run.plan import plan_in
from treg_gating.run.stored import RunRow
from treg_gating.tube import Tube

__all__ = [
    "COHORT_MOVED",
    "Asked",
    "asked_in",
    "by_reason",
    "cohort_moves",
    "differing",
    "refuse_other_settings",
    "refuse_other_template",
    "tell",
]

COHORT_MOVED = "the cohort's gates moved"
_SHOWN = 8


@dataclass(frozen=True, eq=False)
class Asked:
    """What a run was asked, as far as results rest on it.

    Parameters
    ----------
    code : code version. settings : digest by name; the template's under ``template``. environment : library versions.
    tubes : by tube_id, what the sheet says of it.
    files : for each tube, digest of its file; empty where not read.
    matrices : for each batch with single stains, digest of the matrix they gave.
    template : name and version, for people.
    """

    code: str
    settings: Mapping[str, str]
    environment: Mapping[str, str]
    tubes: Mapping[str, Tube]
    files: Mapping[str, str]
    matrices: Mapping[str, str]
    template: str = ""

    @classmethod
    def of_plan(cls, plan: Mapping[str, Any], code: str, files: Mapping[str, str]) -> Asked:
        """From a run's plan."""
        template = plan["template"]
        return cls(
            code=code,
            settings=plan["settings"],
            environment=plan["environment"],
            tubes={tube.tube_id: tube for tube in plan["tubes"]},
            files=files,
            matrices=plan["matrices"],
            template=f"{template.name} {template.version}",
        )

    def run_wide(self, before: Asked) -> list[str]:
        """Differences that touch every tube."""
        said = []
        if self.settings["template"] != before.settings["template"]:
            said.append(f"template: {_told(before)} became {_told(self)}")
        said += [f"setting {name}" for name in differing(before.settings, self.settings) if name != "template"]
        if self.code != before.code:
            said.append(f"code: {before.code} became {self.code}")
        said += [
            f"{name}: {before.environment.get(name, 'none')} became {self.environment.get(name, 'none')}"
            for name in differing(before.environment, self.environment)
        ]
        return said

    def of_tube(self, before: Asked, tube_id: str) -> list[str]:
        """Differences of one tube's own: its file and its row."""
        if tube_id not in before.tubes:
            return ["new tube"]
        said = []
        if self.files.get(tube_id) and self.files[tube_id] != before.files.get(tube_id):
            said.append("input: the file's content changed" if before.files.get(tube_id) else "input: now readable")
        rows = tube_identity(before.tubes[tube_id]), tube_identity(self.tubes[tube_id])
        said += [
            f"sheet: {name} {rows[0].get(name)!r} became {rows[1].get(name)!r}"
            for name in differing(*rows)
            if name != "class"
        ]
        batch = self.tubes[tube_id].batch
        if self.matrices.get(batch) != before.matrices.get(batch):
            said.append(f"spillover matrix of batch {batch}")
        return said

    def why(self, before: Asked, tube_id: str) -> str:
        """Why a tube had to be worked on again, or for the first time."""
        own = self.of_tube(before, tube_id)
        said = own if own == ["new tube"] else [*own, *self.run_wide(before)]
        return "; ".join(said) or COHORT_MOVED


def asked_in(ledger: Ledger, row: RunRow) -> Asked:
    """What a run in the ledger was asked."""
    files = {tube_id: sha256 for tube_id, _, sha256, _ in ledger.roster_of(row.run)}
    return Asked.of_plan(plan_in(row), row.code, files)


def refuse_other_template(before: Asked, now: Asked, folder: str) -> None:
    """A finished run is not overwritten by another template's.

    Raises
    ------
    InputError : it would be.
    """
    if before.settings["template"] == now.settings["template"]:
        return
    problem = "the folder holds a finished run with another gating template; a new template is a new run"
    raise InputError(
        problem,
        file=folder,
        found=_told(now),
        expected=_told(before),
        action="Give another folder with --out, and see with 'treg-gating compare' what the new template changes",
    )


def refuse_other_settings(before: Asked, now: Asked, folder: str) -> None:
    """New tubes alone are worked on only where the finished ones would come out the same.

    Raises
    ------
    InputError : they would not. Logicle widths may move: they are learnt, as the cohort's gates are.
    """
    changed = [said for said in now.run_wide(before) if said != "setting widths"]
    if not changed:
        return
    problem = "--new-only cannot keep what the finished run found: it was found under other conditions"
    raise InputError(
        problem,
        file=folder,
        found="; ".join(changed),
        action="Run without --new-only to compute every tube anew, or give another folder with --out",
    )


def cohort_moves(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Populations whose consensus gate differs between two runs' cohorts."""
    old, new = before.get("consensus", {}), now.get("consensus", {})
    return differing(
        {name: digest(gate) for name, gate in old.items()}, {name: digest(gate) for name, gate in new.items()}
    )


def by_reason(reasons: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Tubes by reason, from (tube_id, reason)."""
    grouped: dict[str, list[str]] = {}
    for tube_id, reason in reasons:
        grouped.setdefault(reason, []).append(tube_id)
    return grouped


def tell(reason: str, tube_ids: Sequence[str]) -> str:
    """A sentence for the screen."""
    shown = ", ".join(tube_ids[:_SHOWN])
    more = f" and {len(tube_ids) - _SHOWN} more, listed in summary.json" if len(tube_ids) > _SHOWN else ""
    return f"To be gated, because of {reason}: {len(tube_ids)} ({shown}{more})"


def _told(asked: Asked) -> str:
    return f"{asked.template} ({asked.settings['template'][:12]})"


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Names whose values differ, or that only one of the two has."""
    return [name for name in dict.fromkeys([*first, *second]) if first.get(name) != second.get(name)]
