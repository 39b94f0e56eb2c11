"""The last run again, with what persons decided since: only the tubes concerned are read and counted again."""

from __future__ import annotations

import logging
import uuid
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from treg_gating.errors import RunStateError
from treg_gating.gating.template import GatingTemplate
from treg_gating.run.child import Limits
from treg_gating.run.engine import open_engine
from treg_gating.run.finish import Finished, finish_run, still_finished
from treg_gating.run.job import PIPELINE, Outcome, Shared
from treg_gating.run.keys import code_version
from treg_gating.run.ledger import Ledger
from treg_gating.run.lock import folder_lock
from treg_gating.run.plan import plan_in
from treg_gating.run.progress import Progress, log_to
from treg_gating.run.review_stage import ReviewStage, fitted_results
from treg_gating.run.stored import RunRow
from treg_gating.settings import RunSettings
from treg_gating.tube import Tube

if TYPE_CHECKING:
    from treg_gating.run.output_parts import Reports

__all__ = ["rerun"]

log = logging.getLogger(__name__)


def rerun(
    folder: Path,
    template: GatingTemplate,
    progress: Progress,
    reports: Reports = MappingProxyType({}),
    *,
    data: Path | None = None,
    workers: int | None = None,
    limits: Limits | None = None,
) -> Finished:
    """Apply every decision in force to the last finished run, and make its outputs.

    Parameters
    ----------
    template : the run's own; another is refused.
    data : folder below which the files lie, where that is no longer the run's.

    Raises
    ------
    RunStateError : no run came to its end here, or program or template are others than the run's.
    """
    with folder_lock(folder), log_to(folder / "run.log.jsonl"), Ledger(folder) as ledger:
        row = ledger.last_run()
        if row is None:
            msg = f"{folder}: no run came to its end here. Run 'treg-gating run' first"
            raise RunStateError(msg)
        roster = ledger.roster_of(row.run)
        found = still_finished(ledger, folder, row.plan, [entry[:3] for entry in roster], row.code)
        if found is not None:
            progress.say("No decision was made since the last run in this folder.")
            return found
        plan = plan_in(row)
        _same_as_then(row, plan["template"].sha256, template)
        tubes = {tube.tube_id: _moved(tube, data) for tube in plan["tubes"]}
        shared = Shared(PIPELINE, RunSettings(template, plan["study"]))
        name = uuid.uuid4().hex[:12]
        ledger.begin_run(name, row.code, row.plan, [entry[:2] for entry in roster])
        try:
            ledger.keep_cohort(name, row.cohort)
            fitted = fitted_results(ledger, row.run)
            ledger.take_over(name, results=[(tube_id, stored.named) for tube_id, stored in fitted.items()])
            stage = ReviewStage(ledger, name, fitted, tubes, shared)
            progress.stage("Applying decisions", len(stage.due), 0)
            with ExitStack() as stack:
                stage.work(
                    lambda: stack.enter_context(open_engine(name, len(stage.due), workers=workers, scheduler="")),
                    limits or Limits(),
                    lambda outcome: _tell(outcome, progress),
                )
            return finish_run(ledger, folder, name, reports)
        except BaseException as error:
            ledger.end_run(name, "broken off", {"why": f"{type(error).__name__}: {error}"})
            raise


def _same_as_then(row: RunRow, template_sha256: str, template: GatingTemplate) -> None:
    if row.code != code_version():
        msg = (
            f"the run was made by treg-gating {row.code}, this program is {code_version()}. Run 'treg-gating run' "
            "again with the same sheet and options: every tube is computed anew, and decisions are applied there too"
        )
        raise RunStateError(msg)
    if template.sha256 != template_sha256:
        msg = (
            f"template {template.name} has changed since the run ({template_sha256[:12]} then, {template.sha256[:12]} "
            "now). Give the run's own with --template, or run 'treg-gating run' again"
        )
        raise RunStateError(msg)


def _moved(tube: Tube, data: Path | None) -> Tube:
    return tube if data is None else replace(tube, path=data.resolve() / tube.file)


def _tell(outcome: Outcome, progress: Progress) -> None:
    problem = "" if outcome.kind == "done" else outcome.reason
    data = {"tube_id": outcome.tube_id, "stage": outcome.stage, "seconds": round(outcome.seconds, 3)}
    if problem:
        data.update(code=outcome.code, traceback=outcome.trace)
    log.log(logging.ERROR if problem else logging.INFO, problem or "tube done", extra={"data": data})
    progress.tube(outcome.tube_id, problem)
