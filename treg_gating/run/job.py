"""One tube, one pass: what runs beside the coordinator, and what it answers. Never raises for a tube's fault."""

from __future__ import annotations

import importlib
import pickle
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from treg_gating.errors import TregGatingError
from treg_gating.gating.results import SampleFit, SampleResult
from treg_gating.run.codec import Payload, decode, encode
from treg_gating.run.keys import code_version, file_sha256
from treg_gating.run.processes import PIPELINE
from treg_gating.tube import Tube

__all__ = [
    "PIPELINE",
    "Errand",
    "Job",
    "Outcome",
    "Pipeline",
    "Shared",
    "TubeError",
    "execute",
    "failed_outcome",
    "load_pipeline",
]

# Failures of the moment, not of the tube: a later run tries again.
E_BUG, E_CHANGED, E_CRASH, E_MEMORY, E_TIMEOUT = "E_BUG", "E_CHANGED", "E_CRASH", "E_MEMORY", "E_TIMEOUT"
_TRANSIENT = frozenset({"E_OPEN", E_BUG, E_CHANGED, E_CRASH, E_MEMORY, E_TIMEOUT})


class TubeError(TregGatingError):
    """A tube failed for a reason that is not in its file: time, memory, a crash, a bug."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return (TubeError, (self.code, str(self)))


class Pipeline(Protocol):
    """The science as the engine sees it; :mod:`treg_gating.pipeline` is the one that ships."""

    first_pass: Callable[[Tube, Any], SampleFit]
    between_passes: Callable[..., Any]
    second_pass: Callable[[Tube, Any, Any, SampleFit], SampleResult]
    failed_result: Callable[[Tube, Exception, str], SampleResult]


@dataclass(frozen=True, slots=True)
class Shared:
    """What every tube of a stage needs.

    Parameters
    ----------
    pipeline : dotted name of the module that does the science.
    settings : the run's settings.
    cohort : the cohort's gates for pass 2, None in pass 1.
    """

    pipeline: str
    settings: Any
    cohort: Any = None


@dataclass(frozen=True, slots=True)
class Job:
    """One tube in one pass.

    Parameters
    ----------
    stage : "first", "second", or "override" for gates that a person set.
    fit : what pass 1 found, for pass 2; for "override", a mapping of ``result`` (of pass 2), ``gates`` and ``why``.
    sha256 : digest the file must have, where it is known already.
    """

    tube: Tube
    stage: str
    fit: Payload | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Errand:
    """Something else than a tube for a process to do.

    Parameters
    ----------
    work : a pickled function that takes no argument, so that a fault in unpickling it is told like its own.
    """

    work: bytes

    def run(self) -> tuple[Any, Exception | None]:
        """What it gives, or what it raises, either of which can be pickled."""
        try:
            return pickle.loads(self.work)(), None  # noqa: S301 (from our own parent)
        except TregGatingError as error:
            return None, error
        except Exception as error:  # noqa: BLE001 (told by the one who sent it)
            return None, RuntimeError(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Parameters
    ----------
    kind : "done"; "failed" for a tube with a reason; "lost" when the process that ran it died.
    payload : the encoded SampleFit or SampleResult; None when lost.
    sha256 : digest of the bytes that were read; empty where they could not be.
    code, reason, trace : for failures; `trace` is the traceback of a bug or the last words of a lost process.
    version : code version of the process that did the work.
    """

    tube_id: str
    stage: str
    kind: str
    payload: Payload | None = None
    sha256: str = ""
    code: str = ""
    reason: str = ""
    trace: str = ""
    seconds: float = 0.0
    version: str = ""

    @property
    def final(self) -> bool:
        """Another try would give the same."""
        return self.kind == "done" or self.code not in _TRANSIENT


def load_pipeline(name: str) -> Pipeline:
    """Import the module that does the science."""
    return cast("Pipeline", importlib.import_module(name))


def execute(job: Job, shared: Shared) -> Outcome:
    """Run one pass of one tube; every exception becomes a failed outcome."""
    begun = time.perf_counter()
    pipeline = load_pipeline(shared.pipeline)
    try:
        value, sha256 = _work(pipeline, job, shared)
        outcome = Outcome(job.tube.tube_id, job.stage, "done", encode(value), sha256)
        if isinstance(value, SampleResult) and value.status != "done":
            outcome = replace(outcome, kind="failed", code=value.code, reason=value.reason)
    except TregGatingError as error:
        outcome = failed_outcome(pipeline, job, error)
    except MemoryError:
        full = TubeError(E_MEMORY, "the computer's memory did not suffice for this file")
        outcome = failed_outcome(pipeline, job, full)
    except Exception as error:  # noqa: BLE001 (one tube's bug must not cost the others; its traceback is kept)
        text = f"unexpected {type(error).__name__}: {error}. This is a bug; the traceback stands in run.log.jsonl"
        outcome = replace(failed_outcome(pipeline, job, TubeError(E_BUG, text)), trace=traceback.format_exc())
    return replace(outcome, seconds=time.perf_counter() - begun, version=code_version())


def _work(pipeline: Pipeline, job: Job, shared: Shared) -> tuple[SampleFit | SampleResult, str]:
    if job.stage == "first":
        fit = pipeline.first_pass(job.tube, shared.settings)
        _same_file(job, fit.sha256)
        return fit, fit.sha256
    fit = decode(cast("Payload", job.fit))
    if job.stage == "override":
        from treg_gating.overrides import override_pass

        return override_pass(job.tube, shared.settings, **fit), job.sha256
    result = pipeline.second_pass(job.tube, shared.settings, shared.cohort, fit)
    if result.status == "done":
        _same_file(job, result.sha256)
    return result, result.sha256 or job.sha256


def _same_file(job: Job, found: str) -> None:
    if job.sha256 and found != job.sha256:
        text = f"{job.tube.file}: the file changed while the run was reading it. Run again when it is complete"
        raise TubeError(E_CHANGED, text)


def failed_outcome(pipeline: Pipeline, job: Job, error: Exception) -> Outcome:
    """The outcome of a tube that failed at `error`, with the digest of its file where it can be read."""
    sha256 = job.sha256 or _digest_or_empty(job)
    code = str(getattr(error, "code", "") or f"E_{type(error).__name__.removesuffix('Error').upper()}")
    result = pipeline.failed_result(job.tube, error, job.stage)
    # The sheet's name for the file, not this computer's: a copied study fails with the same words.
    reason = (result.reason or str(error)).replace(str(job.tube.path), job.tube.file)
    result = replace(result, status="failed", code=code, reason=reason, sha256=result.sha256 or sha256)
    return Outcome(job.tube.tube_id, job.stage, "failed", encode(result), sha256, code, reason)


def _digest_or_empty(job: Job) -> str:
    try:
        return file_sha256(job.tube.path)
    except TregGatingError:
        return ""
