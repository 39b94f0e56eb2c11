"""What a result depends on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from treg_gating.errors import FCSError
from treg_gating.run.keys import code_version, digest, file_sha256, tube_identity
from treg_gating.samplesheet import Role, Tube
from treg_gating.study import Study


def tube(**more: object) -> Tube:
    values = {
        "tube_id": "T",
        "file": "t.fcs",
        "path": Path("/a/t.fcs"),
        "subject": "001",
        "visit": "B",
        "batch": "1",
        "row": 2,
    }
    return Tube(**{**values, **more})


def test_where_a_file_lies_is_no_part_of_its_identity():
    assert digest(tube_identity(tube())) == digest(tube_identity(tube(path=Path("/b/t.fcs"), row=7)))


@pytest.mark.parametrize(
    "change",
    [{"subject": "1"}, {"visit": "W"}, {"batch": "2"}, {"role": Role.CONTROL}, {"markers": {"A": "CD3"}}, {"day": 1}],
)
def test_everything_the_sheet_says_is(change):
    assert digest(tube_identity(tube())) != digest(tube_identity(tube(**change)))


def test_equal_values_equal_digest_and_types_count():
    assert digest({"b": 1, "a": (1.5, None)}) == digest({"a": [1.5, None], "b": 1})
    assert digest(1) != digest("1")
    assert digest(1) != digest(1.0)
    assert digest(np.zeros(3)) != digest(np.zeros(3, np.float32))
    assert digest(np.zeros((2, 3))) != digest(np.zeros((3, 2)))
    assert digest(np.asfortranarray(np.eye(3) + 1)) == digest(np.eye(3) + 1)
    assert digest(Study(path="/a")) == digest(Study(path="/b"))
    assert digest(float("nan")) == digest(float("nan"))


def test_what_cannot_be_told_in_order_is_refused():
    with pytest.raises(TypeError, match="cannot hash"):
        digest(object())


def test_digest_of_a_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_001)
    assert file_sha256(path) == hashlib.sha256(b"x" * 3_000_001).hexdigest()


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, code in (("pipe", "E_NOT_REGULAR"), ("absent", "E_OPEN"), (".", "E_NOT_REGULAR")):
        with pytest.raises(FCSError) as caught:
            file_sha256(tmp_path / name)
        assert caught.value.code == code


def test_code_version_names_package_and_source():
    version, _, source = code_version().partition("+")
    assert version.count(".") == 2
    assert len(source) == 12
