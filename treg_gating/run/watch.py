"""Look at a folder again and again, take in what is complete, and run the cohort when there is something to do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from treg_gating.errors import InputError
from treg_gating.run.files import write_json
from treg_gating.run.intake import Intake
from treg_gating.run.lock import FolderLockedError

__all__ = ["STATUS_NAME", "Watch", "Work"]

log = logging.getLogger(__name__)

STATUS_NAME = "status.json"


@dataclass(frozen=True)
class Work:
    """What a run over the files taken in came to.

    Parameters
    ----------
    exit_code : of the run; None where no file has a row yet.
    left_out : files taken in that are no tube, by name, with why.
    absent : files that the sheet names and that have not arrived.
    """

    exit_code: int | None
    left_out: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()


class Watch:
    """A watched folder.

    Parameters
    ----------
    intake : takes files in.
    work : runs the cohort over what was taken in.
    fingerprint : of everything else that the work rests on, such as the sheet; work is done again when it changes.
    say : tells a sentence to the reader.
    interval : seconds between two looks.
    """

    def __init__(
        self,
        intake: Intake,
        work: Callable[[], Work],
        fingerprint: Callable[[], str],
        say: Callable[[str], None],
        interval: float,
    ) -> None:
        self._intake, self._work, self._fingerprint = intake, work, fingerprint
        self._say, self._interval = say, interval
        self._done: tuple[str, frozenset[str]] | None = None
        self._status: dict[str, Any] = {}
        self._told: dict[str, str] = {}

    def once(self) -> int:
        """Two looks, then the work; the exit code of the run, 0 where there was nothing to run."""
        self._look(told=False)
        time.sleep(self._interval)
        self._look()
        self._run(patient=False)
        return int(self._status.get("exit_code") or 0)

    def forever(self) -> None:
        """Until the process is ended."""
        while True:
            if self._look():
                self._run(patient=True)
            time.sleep(self._interval)

    def _look(self, *, told: bool = True) -> bool:
        """One look; whether there may be something to do."""
        try:
            look = self._intake.look()
        except InputError as error:
            self._tell({str(self._intake.watched): str(error)})
            return False
        for name in look.taken:
            log.info("taken in", extra={"data": {"file": name, **self._intake.index[name]}})
        if look.taken:
            self._say(f"Taken in: {', '.join(look.taken)}")
        self._status.update(taken_in=len(self._intake.index), waiting=dict(look.waiting), refused=dict(look.refused))
        if told:
            self._tell({**look.waiting, **look.refused})
        return self._done != (self._fingerprint(), frozenset(self._intake.index))

    def _run(self, *, patient: bool) -> None:
        state = (self._fingerprint(), frozenset(self._intake.index))
        with self._holding_on(state) if patient else nullcontext():
            work = self._work()
            self._done = state
            self._status.update(exit_code=work.exit_code, left_out=dict(work.left_out), absent=list(work.absent))
            self._status.pop("problem", None)
            self._tell(dict(work.left_out))
            if work.absent:
                self._say(f"{len(work.absent)} files of the sheet have not arrived.")
        write_json(self._intake.folder / STATUS_NAME, self._status)

    @contextmanager
    def _holding_on(self, state: tuple[str, frozenset[str]]) -> Iterator[None]:
        """A fault in what was handed in waits for a person, another run for its end; neither ends the watch."""
        try:
            yield
        except FolderLockedError as error:
            self._tell({"": str(error)})  # and try again at the next look
        except InputError as error:
            self._done = state  # the same would come of the same
            self._status["problem"] = str(error)
            self._tell({"": f"Nothing was run: {error}"})

    def _tell(self, sentences: Mapping[str, str]) -> None:
        """Say what was not said of a file before."""
        for name, text in sentences.items():
            if self._told.get(name) != text:
                self._told[name] = text
                self._say(f"{name}: {text}" if name else text)
                log.info(text, extra={"data": {"file": name}})
