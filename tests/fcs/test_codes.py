"""Codes are stable names: all used, all explained in the document."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from treg_gating import FCSError
from treg_gating.fcs.codes import ERRORS, WARNINGS
from treg_gating.fcs.inspection import Inspection

ROOT = Path(__file__).resolve().parents[2]


def test_every_code_is_used_and_no_other() -> None:
    source = "".join(p.read_text() for p in (ROOT / "treg_gating/fcs").glob("*.py") if p.name != "codes.py")
    assert set(re.findall(r'"([EW]_[A-Z_]+)"', source)) == set(ERRORS) | set(WARNINGS)


def test_the_document_explains_every_code() -> None:
    text = (ROOT / "docs/reading_fcs.md").read_text()
    rows = dict(re.findall(r"^\| `([EW]_[A-Z_]+)` \| (.+) \|$", text, flags=re.MULTILINE))
    expected = {code: f"{meaning} | {action}" for code, (meaning, action) in ERRORS.items()} | WARNINGS
    assert rows == expected


def test_an_error_says_all_and_survives_pickling() -> None:
    with pytest.raises(FCSError) as caught:
        Inspection("a.fcs").refuse("E_COUNT", "too few", where="$TOT", found="1", expected="2")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == "[E_COUNT] a.fcs:$TOT: too few; found 1; expected 2. " + ERRORS["E_COUNT"][1]
    assert again.code == "E_COUNT"


def test_unknown_warnings_are_bugs() -> None:
    with pytest.raises(KeyError):
        Inspection("a.fcs").warn("W_NONSENSE", "x")
