"""The errors a caller may meet, and nothing else.

::

    TregGatingError
    ├─ InputError                what was handed in is wrong; found before any work is done
    │  ├─ SampleSheetError       the sample sheet; carries every fault with its row
    │  ├─ StudyError             study.toml
    │  ├─ FCSError               one FCS file; carries a stable code
    │  ├─ PanelError             markers of one file against the template
    │  ├─ TemplateError          gating template; carries every fault with its file and line
    │  └─ ReviewError            review.xlsx or an edited workspace; carries every fault with its row
    ├─ CompensationError         spillover matrix cannot be used
    ├─ GateFitError              the data do not support a gate
    └─ RunStateError             locked, ledger damaged, disk full

Anything else that leaves the program is a bug and shows its traceback. A message says what is wrong,
where, what was found, what was expected, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "CompensationError",
    "FCSError",
    "GateFitError",
    "InputError",
    "PanelError",
    "ReviewError",
    "RunStateError",
    "SampleSheetError",
    "StudyError",
    "TemplateError",
    "TregGatingError",
]


class TregGatingError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(TregGatingError):
    """Something handed in is wrong.

    Parameters
    ----------
    problem : what is wrong, in a sentence.
    file : the file at fault.
    where : row, line or keyword in that file.
    found, expected : the value met, and what would have been right.
    action : what the reader can do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str = "",
        where: str = "",
        found: str = "",
        expected: str = "",
        action: str = "",
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.file = file
        self.where = where
        self.found = found
        self.expected = expected
        self.action = action

    def __str__(self) -> str:
        place = ":".join(part for part in (self.file, self.where) if part)
        text = f"{place}: {self.problem}" if place else self.problem
        if self.found:
            text += f"; found {self.found}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.action:
            text += f". {self.action}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders under Dask; keyword-only arguments need this to be pickled.
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(kind: type[InputError], args: tuple[object, ...], state: dict[str, object]) -> InputError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class FCSError(InputError):
    """An FCS file cannot be read, or cannot be trusted.

    Parameters
    ----------
    code : stable identifier such as ``E_TRUNCATED``; listed in :mod:`treg_gating.fcs`.
    problem : what is wrong, in a sentence.
    """

    def __init__(self, code: str, problem: str, **details: str) -> None:
        super().__init__(problem, **details)
        self.code = code

    def __str__(self) -> str:
        return f"[{self.code}] {super().__str__()}"


class _FaultListError(InputError):
    """An input whose faults are all reported at once."""

    def __init__(self, faults: Sequence[InputError]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


class SampleSheetError(_FaultListError):
    """The sample sheet has faults; ``faults`` holds every one of them with its row."""


class TemplateError(_FaultListError):
    """The gating template has faults; ``faults`` holds every one of them with its line."""


class ReviewError(_FaultListError):
    """What a reviewer wrote outside the page has faults; ``faults`` holds every one of them with its row."""


class StudyError(_FaultListError):
    """study.toml has faults; ``faults`` holds every one of them with its key."""


class PanelError(InputError):
    """The markers of one file do not answer the template without ambiguity."""


class CompensationError(TregGatingError):
    """A spillover matrix is unusable, does not fit the sample, or was applied before."""


class GateFitError(TregGatingError):
    """The data do not support the gate; the hierarchy turns this into a status with its reason."""


class RunStateError(TregGatingError):
    """The run's folder is locked, damaged or full."""
