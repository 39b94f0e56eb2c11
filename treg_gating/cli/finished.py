"""What commands on a finished run take from its ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from treg_gating.gating.template import GatingTemplate
    from treg_gating.run.ledger import Ledger

__all__ = ["template_of", "was_blinded", "was_blinded_in"]


def template_of(run_dir: Path, given: str = "") -> GatingTemplate:
    """The gating template of the last finished run: `given`, or the one the run was told.

    Raises
    ------
    InputError : the folder holds no run. TemplateError : the template is not there any more, or has faults.
    """
    from treg_gating.interchange.load import load_gates
    from treg_gating.run.last import open_last_run

    if given:
        return load_gates(given)
    with open_last_run(run_dir) as last:
        asked = str(last.record.settings.get("template", last.record.template.name))
    return load_gates(asked)


def was_blinded(ledger: Ledger) -> bool:
    """Whether the last finished run was asked for a blinded report."""
    from treg_gating.run.plan import plan_in

    row = ledger.last_run()
    return row is not None and plan_in(row)["choices"].get("report") == "blinded"


def was_blinded_in(run_dir: Path) -> bool:
    """The same, by the run's folder.

    Raises
    ------
    InputError : the folder holds no run.
    """
    from treg_gating.run.last import open_last_run

    with open_last_run(run_dir) as last:
        return was_blinded(last.ledger)
