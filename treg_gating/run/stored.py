"""What the ledger gives out: stored fits and results, and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from treg_gating.run.codec import Payload

__all__ = ["RunRow", "Stored"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A fit or result with what it was stored under.

    Parameters
    ----------
    key, setting_key, sha256 : see :mod:`treg_gating.run.keys`.
    payload : the encoded value.
    status : "done" or "failed"; always "done" for a fit.
    final : False for a failure that another try may mend (time, memory, an unreadable disk, a bug).
    """

    key: str
    setting_key: str
    sha256: str
    payload: Payload
    status: str = "done"
    final: bool = True


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as the ledger knows it.

    Parameters
    ----------
    plan : what was asked. cohort : what lay between the passes; its text is empty before that.
    closing : what was said at the end.
    finals : for each result, whether another try would give the same.
    """

    run: str
    started: str
    ended: str
    state: str
    code: str
    plan: Payload
    cohort: Payload
    closing: Mapping[str, Any]
    finals: tuple[bool, ...]
