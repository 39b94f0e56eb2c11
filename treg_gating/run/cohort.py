"""One run over a cohort: pass 1, what lies between, pass 2, each tube committed as it comes, then the outputs."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from treg_gating.errors import RunStateError, TregGatingError
from treg_gating.run.changes import (
    COHORT_MOVED,
    Asked,
    asked_in,
    by_reason,
    cohort_moves,
    refuse_other_settings,
    refuse_other_template,
    tell,
)
from treg_gating.run.codec import decode, encode
from treg_gating.run.engine import Engine, open_engine, run_stage
from treg_gating.run.finish import Finished, finish_run, still_finished
from treg_gating.run.job import Job, Outcome, Shared, load_pipeline
from treg_gating.run.keys import code_version, digest, environment, file_sha256, tube_identity
from treg_gating.run.ledger import Ledger
from treg_gating.run.lock import folder_lock
from treg_gating.run.order import RunOrder
from treg_gating.run.plan import plan_of
from treg_gating.run.processes import cores, do_beside
from treg_gating.run.progress import Progress, log_to
from treg_gating.run.review_stage import ReviewStage, fitted_results
from treg_gating.run.shelves import FitShelf, SecondJobs
from treg_gating.run.stored import Stored
from treg_gating.tube import Role, Tube

if TYPE_CHECKING:
    from treg_gating.run.output_parts import Reports

__all__ = ["RunOrder", "run_cohort"]

log = logging.getLogger(__name__)

FIRST_ROLES = frozenset({Role.SAMPLE, Role.CONTROL, Role.FMO})
SECOND_ROLES = frozenset({Role.SAMPLE, Role.CONTROL})


def run_cohort(order: RunOrder, progress: Progress, reports: Reports = MappingProxyType({})) -> Finished:
    """Run a cohort, or whatever of it an earlier run in the same folder did not finish.

    Parameters
    ----------
    reports : what makes report.html and the workbooks from the record of the run, by file name.

    Raises
    ------
    InputError : a finished run in the folder had another template; `new_only` cannot keep what finished runs found.
    FolderLockedError : another run is at work in the folder.
    DiskError, RunStateError : see there; whatever was finished is kept.
    """
    do_beside(code_version, environment)  # asked for below, while the disk takes a new ledger
    with folder_lock(order.out), log_to(order.out / "run.log.jsonl"), Ledger(order.out) as ledger:
        run = _Run(order, progress, ledger)
        run.check_order()
        found = still_finished(ledger, order.out, None if order.new_only else run.plan, run.roster, run.code)
        if found is not None:
            progress.say("Nothing has changed since the last run in this folder.")
            return found
        try:
            run.begin()
            return run.work(reports)
        except BaseException as error:
            run.broken_off(error)
            raise


@dataclass(slots=True)
class _Known:
    """What is known of one tube while the run goes on; `fit` once pass 1 is done."""

    tube: Tube
    setting_key: str
    sha256: str = ""
    fit: Stored | None = None


class _Run:
    """The state of one run between its steps."""

    def __init__(self, order: RunOrder, progress: Progress, ledger: Ledger) -> None:
        self.order, self.progress, self.ledger = order, progress, ledger
        self.name = uuid.uuid4().hex[:12]
        self.code = code_version()
        choices = {**order.choices, "new_only": True} if order.new_only else order.choices
        plan = plan_of(order.sheet, order.settings, order.notes, choices)
        self.plan = encode(plan)
        settings_key = digest(plan["settings"], self.code, plan["environment"])
        # A control tells nothing of gates that came along: they stand on detectors, and are fitted to nothing.
        roles = SECOND_ROLES if order.settings.template.imported else FIRST_ROLES
        tubes = [tube for tube in order.sheet.tubes if tube.role in roles]
        self.known = {
            tube.tube_id: _Known(tube, digest(tube_identity(tube), plan["matrices"].get(tube.batch), settings_key))
            for tube in tubes
        }
        self._hash_what_is_known()
        self.last = ledger.last_run()
        self.before = asked_in(ledger, self.last) if self.last else None
        self.now = Asked.of_plan(plan, self.code, {tube_id: known.sha256 for tube_id, known in self.known.items()})
        self.reasons: dict[str, list[str]] = {}
        self.notes_of_files: tuple[str, ...] = ()

    def check_order(self) -> None:
        """Refuse what would overwrite or mix what finished runs found."""
        if self.before is None:
            return
        refuse_other_template(self.before, self.now, str(self.order.out))
        if self.order.new_only:
            refuse_other_settings(self.before, self.now, str(self.order.out))

    @property
    def roster(self) -> list[tuple[str, str, str]]:
        """(tube_id, setting_key, sha256) of every tube of the run."""
        return [(tube_id, known.setting_key, known.sha256) for tube_id, known in self.known.items()]

    def _hash_what_is_known(self) -> None:
        """Digest of each file that something was stored for; the others are hashed where they are read."""
        again = [known for known in self.known.values() if self.ledger.known_digests(known.setting_key)]
        with ThreadPoolExecutor(cores()) as pool:
            for known, sha256 in zip(again, pool.map(lambda item: _digest_or_empty(item.tube), again), strict=True):
                known.sha256 = sha256

    def begin(self) -> None:
        """Enter the run in the ledger; say what the files show before any of them is worked on."""
        samples = [(tube_id, known.setting_key) for tube_id, known in self.known.items()]
        self.ledger.begin_run(self.name, self.code, self.plan, samples)
        log.info("run started", extra={"data": {"run": self.name, "code": self.code, **environment()}})
        self.notes_of_files = tuple(self.order.notes_of_files())
        for note in self.notes_of_files:
            self.progress.say(f"Note: {note}")

    def work(self, reports: Reports) -> Finished:
        """Both passes, and the outputs, which the processes that the tubes were worked on in make."""
        first = self._not_finished_first()
        order = self.order
        with open_engine(self.name, len(first) or len(self.known), workers=order.workers,
                         scheduler=order.scheduler, pipeline=order.pipeline) as engine:  # fmt: skip
            log.info("working with %s", engine.description)
            names = (order.pipeline, "numpy.ma", "numpy.random")  # what lies between the passes asks for them
            do_beside(*(partial(import_module, name) for name in names))
            self._first(engine, first)
            self._second(engine)
            self._review(engine)
            return finish_run(self.ledger, order.out, self.name, reports, self.reasons, engine)

    def _not_finished_first(self) -> list[_Known]:
        """Tubes that pass 1 has still to see; what earlier runs found of the others is taken over."""
        failures: list[tuple[str, Stored]] = []
        for tube_id, known in self.known.items():
            if not known.sha256:
                continue
            fit = self.ledger.fit(_first_key(known))
            known.fit = fit.named if fit else None
            failure = self.ledger.result(_first_key(known)) if fit is None else None
            if failure is not None and failure.final:
                failures.append((tube_id, failure.named))
        fits = [(tube_id, known.fit) for tube_id, known in self.known.items() if known.fit is not None]
        self.ledger.take_over(self.name, fits, failures)
        finished = {tube_id for tube_id, _ in (*fits, *failures)}
        return [known for tube_id, known in self.known.items() if tube_id not in finished]

    def _first(self, engine: Engine, todo: Sequence[_Known]) -> None:
        self.progress.stage("Fitting gates", len(self.known), len(self.known) - len(todo))
        jobs = [Job(known.tube, "first", sha256=known.sha256) for known in todo]
        shared = Shared(self.order.pipeline, self.order.settings)
        self.ledger.mark_running(self.name, [job.tube.tube_id for job in jobs])
        for outcomes in run_stage(engine, jobs, shared, self.order.limits):
            with self.ledger.together():
                for outcome in outcomes:
                    self._keep_first(outcome)
            self._tell(outcomes)

    def _keep_first(self, outcome: Outcome) -> None:
        self._check_version(outcome)
        known = self.known[outcome.tube_id]
        known.sha256 = outcome.sha256
        if outcome.kind == "done" and outcome.payload is not None:
            fit = Stored(_first_key(known), known.setting_key, known.sha256, outcome.payload)
            self.ledger.commit_fit(self.name, outcome.tube_id, fit)
            known.fit = fit.named
        else:
            self._commit(known, _first_key(known), outcome)

    def _second(self, engine: Engine) -> None:
        fitted = {tube_id: known for tube_id, known in self.known.items() if known.fit is not None}
        fits = FitShelf(self.ledger, {tube_id: known.fit.key for tube_id, known in fitted.items() if known.fit})
        self.progress.say("Comparing gates over the cohort")
        tubes = [known.tube for known in fitted.values()]
        with threadpool_limits(1):  # sums depend on the number of threads
            cohort = load_pipeline(self.order.pipeline).between_passes(tubes, fits, self.order.settings)
        cohort_key = digest(cohort)
        due = [known for known in fitted.values() if known.tube.role in SECOND_ROLES]
        todo, older = self._not_finished_second(due, cohort_key)
        learned = _cohort_summary(cohort, self.notes_of_files, older)
        why = self._explain(todo, learned)
        self.progress.stage("Gating and counting", len(due), len(due) - len(todo))
        jobs = SecondJobs(self.ledger, [(known.tube, known.fit.key, known.sha256) for known in todo if known.fit])
        shared = Shared(self.order.pipeline, self.order.settings, cohort)
        with self.ledger.together():
            self.ledger.keep_cohort(self.name, encode(learned))
            self.ledger.mark_running(self.name, [known.tube.tube_id for known in todo])
        for outcomes in run_stage(engine, jobs, shared, self.order.limits):
            with self.ledger.together():
                for outcome in outcomes:
                    self._check_version(outcome)
                    known = self.known[outcome.tube_id]
                    self._commit(known, _second_key(known, cohort_key), outcome, why[outcome.tube_id])
            self._tell(outcomes)

    def _review(self, engine: Engine) -> None:
        """What persons decided in this folder, on the tubes it concerns."""
        tubes = {tube_id: known.tube for tube_id, known in self.known.items()}
        shared = Shared(self.order.pipeline, self.order.settings)
        stage = ReviewStage(self.ledger, self.name, self.ledger.results_of(self.name), tubes, shared)
        if stage.due:
            self.progress.stage("Applying decisions", len(stage.due), 0)
        stage.work(lambda: engine, self.order.limits, lambda outcome: self._tell([outcome]))

    def _explain(self, todo: Sequence[_Known], learned: Mapping[str, Any]) -> dict[str, str]:
        """Say which tubes are gated and why, where an earlier run had finished; the reason by tube."""
        if self.before is None or self.last is None:
            return dict.fromkeys((known.tube.tube_id for known in todo), "")
        files = {tube_id: known.sha256 for tube_id, known in self.known.items()}
        now, before = replace(self.now, files=files), self.before
        moved = ", ".join(cohort_moves(decode(self.last.cohort), learned)) if self.last.cohort.text else ""
        why = {known.tube.tube_id: now.why(before, known.tube.tube_id) for known in todo}
        why = {name: f"{text} ({moved})" if text == COHORT_MOVED and moved else text for name, text in why.items()}
        self.reasons = by_reason(why.items())
        for reason, tube_ids in self.reasons.items():
            self.progress.say(tell(reason, tube_ids))
        return why

    def _not_finished_second(self, due: Sequence[_Known], cohort_key: str) -> tuple[list[_Known], int]:
        """Those that pass 2 has still to see under these cohort gates, and how many keep an older cohort's."""
        kept = self._keep_finished(due)
        older = sum(result.key != _second_key(self.known[tube_id], cohort_key) for tube_id, result in kept.items())
        for known in due:
            found = self.ledger.result(_second_key(known, cohort_key))
            if found is not None and known.tube.tube_id not in kept:
                kept[known.tube.tube_id] = found.named
        self.ledger.take_over(self.name, results=list(kept.items()))
        return [known for known in due if known.tube.tube_id not in kept], older

    def _keep_finished(self, due: Sequence[_Known]) -> dict[str, Stored]:
        """With `new_only`, what the last run found of tubes whose file and row are the same."""
        if not self.order.new_only or self.last is None or self.before is None:
            return {}
        before = fitted_results(self.ledger, self.last.run)
        same = [known.tube.tube_id for known in due if known.sha256 == self.before.files.get(known.tube.tube_id)]
        return {
            tube_id: before[tube_id].named
            for tube_id in same
            if tube_id in before and before[tube_id].final and not self.now.of_tube(self.before, tube_id)
        }

    def _commit(self, known: _Known, key: str, outcome: Outcome, why: str = "") -> None:
        if outcome.payload is None:
            msg = f"{outcome.tube_id}: no result came back"
            raise RunStateError(msg)
        status = "done" if outcome.kind == "done" else "failed"
        stored = Stored(key, known.setting_key, known.sha256, outcome.payload, status, outcome.final)
        self.ledger.commit_result(self.name, outcome.tube_id, stored, outcome.reason or why)

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            problem = "" if outcome.kind == "done" else outcome.reason
            data = {"tube_id": outcome.tube_id, "stage": outcome.stage, "seconds": round(outcome.seconds, 3)}
            if problem:
                data.update(code=outcome.code, traceback=outcome.trace)
            log.log(logging.ERROR if problem else logging.INFO, problem or "tube done", extra={"data": data})
            self.progress.tube(outcome.tube_id, problem)

    def _check_version(self, outcome: Outcome) -> None:
        if outcome.version and outcome.version != self.code:
            msg = (
                f"a worker runs treg-gating {outcome.version}, this program is {self.code}. "
                "Install the same version on every computer of the cluster and restart its workers"
            )
            raise RunStateError(msg)

    def broken_off(self, error: BaseException) -> None:
        """Note why the run did not come to its end, if the ledger still takes it."""
        log.error("run broken off: %s", error or type(error).__name__, exc_info=error)
        try:
            self.ledger.end_run(self.name, "broken off", {"why": f"{type(error).__name__}: {error}"})
        except TregGatingError as second:
            log.warning("the ledger could not note it: %s", second)


def _cohort_summary(cohort: Any, notes_of_files: Sequence[str], older: int) -> dict[str, Any]:
    consensus = getattr(cohort, "consensus", {})
    gates = {name: getattr(found, "gate", None) for name, found in consensus.items()}
    notes = (*notes_of_files, *cohort.notes)
    if older:
        said = f"{older} tubes keep what an earlier run found with the cohort's gates of then (--new-only)."
        notes = (*notes, f"{said} Run once without it before the values are used.")
    return {"notes": notes, "consensus": gates}


def _first_key(known: _Known) -> str:
    return digest(known.setting_key, known.sha256, "first")


def _second_key(known: _Known, cohort_key: str) -> str:
    return digest(known.setting_key, known.sha256, "second", cohort_key)


def _digest_or_empty(tube: Tube) -> str:
    try:
        return file_sha256(tube.path)
    except TregGatingError:
        return ""  # the tube will fail with its reason where it is read
