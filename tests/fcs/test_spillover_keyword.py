"""$SPILLOVER and its relatives: read, mended with a warning, or refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from treg_gating import FCSError, Sample

Build, Read = Callable[..., bytes], Callable[..., Sample]
GOOD = "2,FL1-A,FL2-A,1,0.1,0.2,1"
MATRIX = np.array([[1, 0.1], [0.2, 1]])


def codes(sample: Sample) -> set[str]:
    return {warning.code for warning in sample.warnings}


@pytest.mark.parametrize(
    ("change", "warned"),
    [
        ({"SPILLOVER": GOOD}, set()),
        ({"SPILL": GOOD}, set()),
        ({"SPILLOVER": GOOD, "SPILL": GOOD}, set()),
        ({"SPILLOVER": " 2 , FL1-A, FL2-A, 1, 0.1, 2e-1, 1.0 "}, set()),
        ({"SPILLOVER": "2,FL2-A,FL1-A,1,0.2,0.1,1"}, set()),
        ({"SPILLOVER": "2,3,4,1,0.1,0.2,1"}, {"W_SPILLOVER"}),
        ({"SPILLOVER": "2,CD4,CD25,1,0.1,0.2,1", "P3S": "CD4", "P4S": "CD25"}, {"W_SPILLOVER"}),
    ],
)
def test_read(read: Read, build: Build, floats: np.ndarray, change: dict[str, str], warned: set[str]) -> None:
    sample = read(build(floats, **change))
    assert sample.spillover is not None
    order = [sample.spillover.channels.index(name) for name in ("FL1-A", "FL2-A")]
    np.testing.assert_array_equal(sample.spillover.matrix[np.ix_(order, order)], MATRIX)
    assert codes(sample) == warned


@pytest.mark.parametrize(
    "change",
    [
        {"SPILLOVER": "0"},
        {"SPILLOVER": " "},
        {"SPILLOVER": "2,FL1-A,FL2-A"},  # MACSQuant 3.1 writes names alone
        {"COMP": "2,1,0.1,0.2,1"},  # of which two channels?
        {"DFC3TO4": "28.40"},
    ],
)
def test_no_matrix_with_a_warning(read: Read, build: Build, floats: np.ndarray, change: dict[str, str]) -> None:
    sample = read(build(floats, **change))
    assert sample.spillover is None
    assert "W_SPILLOVER" in codes(sample)


@pytest.mark.parametrize(
    "value",
    [
        "x", "-1", "2.0", "99999,a", "2", "2,FL1-A,FL2-A,1,0.1,0.2", "2,FL1-A,FL2-A,1,0.1,0.2,1,1",
        "3,FL1-A,FL2-A,1,0.1,0.2,1", "2,FL1-A,FL9-A,1,0.1,0.2,1", "2,FL1-A,FL1-A,1,0.1,0.2,1",
        "2,FL1-A,FL2-A,1,nan,0.2,1", "2,FL1-A,FL2-A,1,inf,0.2,1", "2,FL1-A,FL2-A,100,10,20,100",
        "2,FL1-A,FL2-A,0,0.1,0.2,1", "2,FL1-A,FL2-A,1,1,1,1", "2,FL1-A,FL2-A,1,9,0.2,1", "2,6,7,1,0.1,0.2,1",
        "2,FL1-A,FL2-A,1,0.99999,1,1", "2;FL1-A;FL2-A;1;0,1;0,2;1", "2,FL1-A,FL2-A,1,0.1 0.2,1",
        "2,FL1-A,FL2-A,1,1_0,0.2,1", "/etc/passwd",
    ],
)  # fmt: skip
def test_malformed_is_refused(read: Read, build: Build, floats: np.ndarray, value: str) -> None:
    raw = build(floats, SPILLOVER=value, delim="|")
    with pytest.raises(FCSError) as caught:
        read(raw)
    assert (caught.value.code, caught.value.where) == ("E_SPILLOVER", "$SPILLOVER")
    sample = read(raw, ignore_spillover=True)
    assert sample.spillover is None
    assert codes(sample) == {"W_SPILLOVER"}


def test_two_that_differ(read: Read, build: Build, floats: np.ndarray) -> None:
    with pytest.raises(FCSError) as caught:
        read(build(floats, SPILLOVER=GOOD, SPILL="2,FL1-A,FL2-A,1,0.1,0.3,1"))
    assert caught.value.where == "$SPILLOVER and SPILL"


def test_nameless_comp_over_all_channels(read: Read, build: Build, floats: np.ndarray) -> None:
    """FCS 3.0 gives $COMP without names: usable only where it has as many rows as there are channels."""
    matrix = np.eye(5)
    matrix[2, 3] = 0.25
    value = ",".join(["5", *(f"{v:g}" for v in matrix.ravel())])
    sample = read(build(floats, COMP=value))
    assert sample.spillover is not None
    assert sample.spillover.source == "$COMP"
    np.testing.assert_array_equal(sample.spillover.matrix, matrix)
