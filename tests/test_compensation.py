"""Compensation by hand, against flowutils, and matrices in tables."""

from __future__ import annotations

from pathlib import Path

import flowutils
import numpy as np
import pytest

from treg_gating import Sample, read_fcs
from treg_gating.compensation import compensate, read_spillover_csv, write_spillover_csv
from treg_gating.errors import CompensationError
from treg_gating.sample import Channel, EventState, Spillover

MATRIX = Spillover(("B", "R"), np.array([[1, 0.5], [0.25, 1]]), "by hand")


def sample_of(events: np.ndarray, names: str = "FSC-A B R Time") -> Sample:
    return Sample(np.asfortranarray(events), tuple(Channel(name) for name in names.split()))


@pytest.fixture
def by_hand() -> Sample:
    """True signals (100, 0) and (0, 200) as the detectors of MATRIX see them."""
    return sample_of(np.array([[7, 100, 50, 1], [8, 50, 200, 2]], "f4"))


def test_by_hand(by_hand: Sample) -> None:
    result = compensate(by_hand, MATRIX)
    np.testing.assert_allclose(result.events, [[7, 100, 0, 1], [8, 0, 200, 2]], atol=1e-5)
    assert result.state is EventState.COMPENSATED
    assert result.events.dtype == np.float32
    assert by_hand.events[0, 2] == 50


def test_order_of_the_matrix_does_not_matter(by_hand: Sample) -> None:
    turned = Spillover(("R", "B"), MATRIX.matrix[::-1, ::-1])
    np.testing.assert_allclose(compensate(by_hand, turned).events, compensate(by_hand, MATRIX).events, atol=1e-12)


def test_only_what_is_needed(by_hand: Sample) -> None:
    """The detector that was not asked for is left out, so no raw value passes for a compensated one."""
    result = compensate(by_hand, MATRIX, ["R"])
    assert result.channel_names == ("FSC-A", "R", "Time")
    np.testing.assert_allclose(result.column("R"), [0, 200], atol=1e-12)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_against_flowutils_across_chunks(dtype: str) -> None:
    rng = np.random.default_rng(5)
    names = [f"D{i}" for i in range(8)]
    matrix = np.eye(8) + np.where(np.eye(8), 0, rng.uniform(-0.02, 0.3, (8, 8)))
    events = rng.normal(1000, 2000, (40_000, 8)).astype(dtype)
    ours = compensate(sample_of(events, " ".join(names)), Spillover(tuple(names), matrix)).events
    theirs = flowutils.compensate.compensate(events.astype("f8"), matrix, list(range(8)))
    np.testing.assert_allclose(
        ours, theirs, rtol=1e-6 if dtype == "f4" else 1e-12, atol=1e-3 if dtype == "f4" else 1e-8
    )


def test_spilling_and_compensating_cancel(by_hand: Sample) -> None:
    rng = np.random.default_rng(6)
    true = rng.normal(0, 5000, (1000, 4))
    seen = true.copy()
    seen[:, 1:3] = true[:, 1:3] @ MATRIX.matrix
    np.testing.assert_allclose(compensate(sample_of(seen), MATRIX).events, true, atol=1e-8)


def test_refusals(by_hand: Sample) -> None:
    with pytest.raises(CompensationError, match="no spillover matrix"):
        compensate(by_hand, None)
    with pytest.raises(CompensationError, match="compensated already"):
        compensate(compensate(by_hand, MATRIX), MATRIX)
    with pytest.raises(CompensationError, match="names Q"):
        compensate(by_hand, Spillover(("B", "Q"), np.eye(2)))
    with pytest.raises(CompensationError, match="FSC-A asked for, but not in the matrix"):
        compensate(by_hand, MATRIX, ["FSC-A"])


def test_published_matrix_and_stained_sample(shared: Path) -> None:
    controls = shared / "data/compensation_controls"
    matrix = read_spillover_csv(controls / "Compensation-Spillover-Matrix.csv")
    assert matrix.channels[:2] == ("Alexa Fluor 488-A", "PE-A")
    assert matrix.matrix[0, 1] == 0.180901
    sample = read_fcs(controls / "stained_Activation_1.fcs")
    ours = compensate(sample, matrix)
    at = [sample.index(name) for name in matrix.channels]
    theirs = flowutils.compensate.compensate(sample.events.astype("f8"), matrix.matrix, at)
    np.testing.assert_allclose(ours.events, theirs, rtol=1e-5, atol=0.05)


def test_table_round_trip(tmp_path: Path) -> None:
    matrix = Spillover(("B, 1", 'R "2"'), np.array([[1, 1 / 3], [0.1, 1]]))
    write_spillover_csv(tmp_path / "m.csv", matrix)
    again = read_spillover_csv(tmp_path / "m.csv")
    assert again.channels == matrix.channels
    np.testing.assert_array_equal(again.matrix, matrix.matrix)
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


@pytest.mark.parametrize(
    "text",
    [
        ",B,R\nB,1,0.5\nR,0.25,1\n",
        "B,R\n1,0.5\n0.25,1\n",
        "B,R\nB,1,0.5\nR,0.25,1\n",  # R's write.table
        ",B,R\nR,0.25,1\nB,1,0.5\n",
        "\ufeff,B,R\r\nB,1,0.5\r\nR,0.25,1\r\n\r\n",
        "\tB\tR\nB\t1\t0.5\nR\t0.25\t1\n",
        ";B;R\nB;1;0.5\nR;0.25;1\n",
        ' , "B" , R\nB, 1 ,5e-1\nR,.25,+1.\n'.replace(' "B" ', '"B"'),
    ],
)
def test_layouts(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text, encoding="utf-8")
    matrix = read_spillover_csv(path)
    assert matrix.channels == ("B", "R")
    np.testing.assert_array_equal(matrix.matrix, MATRIX.matrix)
    assert matrix.source == str(path)


def test_a_matrix_is_refused_where_its_condition_number_is_too_large_and_only_there() -> None:
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(400):
        n = int(rng.integers(2, 7))
        matrix = rng.uniform(-1, 1, (n, n)) * rng.choice([0.1, 0.3, 1])
        np.fill_diagonal(matrix, 1)
        if rng.random() < 0.3:  # two dyes that hardly any detector tells apart
            matrix[0, 1], matrix[1, 0] = 1, 1 + rng.uniform(-1e-3, 1e-3)
            matrix[:2, 2:] = 0
        names = tuple("ABCDEFG"[:n])
        if np.linalg.cond(matrix) < 1e4:
            np.testing.assert_array_equal(Spillover(names, matrix).matrix, matrix)
        else:
            refused += 1
            with pytest.raises(CompensationError, match="singular"):
                Spillover(names, matrix)
    assert 5 < refused < 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (",B,R\n", "no rows"),
        (",B,R\nB,1,0.5\n", "1 rows for 2 detectors"),
        (",B,R\nB,1,0.5\nR,0.25\n", ":3: 1 values; expected 2"),
        (",B,R\nB,1,x\nR,0.25,1\n", ":2: value 2 is 'x'"),
        (",B,R\nB,1,nan\nR,0.25,1\n", "value 2 is 'nan'"),
        (";B;R\nB;1;0,5\nR;0,25;1\n", "decimal point"),
        (",B,R\nB,1,0.5\nG,0.25,1\n", "differ in G, R"),
        (",B,B\nB,1,0.5\nB,0.25,1\n", "more than once"),
        (",B,R\nB,100,50\nR,25,100\n", "fractions, not percent"),
        (",B,R\nB,1,1\nR,1,1\n", "singular"),
        ('"B\n1', ":2: unexpected end of data"),
        ("B\0,R\n1,2\n3,4\n", "zero bytes"),
    ],
)
def test_refused_tables(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CompensationError) as caught:
        read_spillover_csv(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_unreadable_tables(tmp_path: Path) -> None:
    with pytest.raises(CompensationError, match="No such file"):
        read_spillover_csv(tmp_path / "absent.csv")
    (tmp_path / "latin.csv").write_bytes(b"\xb5,B\n1,2\n")
    with pytest.raises(CompensationError, match="not UTF-8"):
        read_spillover_csv(tmp_path / "latin.csv")
