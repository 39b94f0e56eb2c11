"""The last finished run of a folder, for what is done with it afterwards: statistics and exports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from treg_gating.errors import InputError, RunStateError
from treg_gating.run.ledger import LEDGER_NAME, Ledger
from treg_gating.run.lock import folder_lock
from treg_gating.run.plan import plan_in
from treg_gating.run.record import RunRecord
from treg_gating.run.whole_record import record_of
from treg_gating.study import Study
from treg_gating.tube import Tube

__all__ = ["LastRun", "open_last_run"]


@dataclass(frozen=True, eq=False)
class LastRun:
    """A finished run.

    Parameters
    ----------
    run : its name in the ledger.
    record : what reports are made from. study, tubes : as they were given.
    ledger : open as long as the context lasts.
    """

    run: str
    record: RunRecord
    study: Study
    tubes: tuple[Tube, ...]
    ledger: Ledger


@contextmanager
def open_last_run(folder: Path) -> Iterator[LastRun]:
    """Open the ledger of a run's folder under the folder's lock.

    Raises
    ------
    InputError : the folder holds no run. RunStateError : none came to its end, or the ledger is damaged.
    """
    if not (folder / LEDGER_NAME).is_file():
        problem = "the folder holds no run"
        raise InputError(problem, file=str(folder), expected=LEDGER_NAME, action="Run 'treg-gating run' first")
    with folder_lock(folder), Ledger(folder) as ledger:
        row = ledger.last_run()
        if row is None:
            msg = f"{folder}: no run came to its end here. Run 'treg-gating run' first"
            raise RunStateError(msg)
        plan = plan_in(row)
        yield LastRun(row.run, record_of(ledger, row, row.ended), plan["study"], tuple(plan["tubes"]), ledger)
