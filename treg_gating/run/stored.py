"""What the ledger gives out: stored fits and results, and runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from treg_gating.run.codec import Payload

__all__ = ["RunRow", "Stored", "text_digest"]


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

    @property
    def named(self) -> Stored:
        """The same without its payload: what it is stored under."""
        return replace(self, payload=Payload(""))

    @property
    def digest(self) -> str:
        """Hexadecimal sha256 of all of it; stands in the audit trail."""
        return text_digest([self.key, self.setting_key, self.sha256, self.status, int(self.final), self.payload.digest])


def text_digest(values: Sequence[str | int]) -> str:
    """Hexadecimal sha256 of a few texts and numbers, in order."""
    return hashlib.sha256(json.dumps(list(values)).encode("ascii")).hexdigest()


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
