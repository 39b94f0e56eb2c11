"""TEXT, HEADER and parameter keywords: what each oddity does to the reading, by code and keyword."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from treg_gating import FCSError, Sample
from treg_gating.fcs.inspection import Inspection
from treg_gating.fcs.text import parse_text

Build, Read = Callable[..., bytes], Callable[..., Sample]


def codes(sample: Sample) -> set[str]:
    return {warning.code for warning in sample.warnings}


def parsed(text: str) -> tuple[dict[str, str], set[str]]:
    inspection = Inspection("x.fcs")
    return parse_text(text.encode(), inspection), {warning.code for warning in inspection.warnings}


@pytest.mark.parametrize(
    ("text", "expected", "warned"),
    [
        ("/A/1/B/2/", {"A": "1", "B": "2"}, set()),
        ("/a/1/", {"A": "1"}, set()),
        ("/A/x//y/B/2/", {"A": "x/y", "B": "2"}, set()),
        ("/A/x////y/B/2/", {"A": "x//y", "B": "2"}, set()),
        ("/A/x///B/2/", {"A": "x/", "B": "2"}, set()),
        ("/A//$P1N/x/", {"A": "", "$P1N": "x"}, {"W_EMPTY_VALUE"}),
        ("/A//B//C/1/", {"A": "", "B": "", "C": "1"}, {"W_EMPTY_VALUE"}),
        ("/A//", {"A": ""}, {"W_EMPTY_VALUE"}),
        ("/A/1/B/23", {"A": "1", "B": "23"}, {"W_TEXT_END"}),
        ("/A/1/ \r\n", {"A": "1"}, {"W_TEXT_END"}),
        ("/A/1/LONELY/", {"A": "1"}, {"W_TEXT_END"}),
        ("/A/ 1 /", {"A": " 1 "}, set()),
        ("/A/1/A/1/", {"A": "1"}, set()),
        ("\rA\r1\r", {"A": "1"}, set()),
        ("\nA\n1\nB\n2\n", {"A": "1", "B": "2"}, set()),  # the delimiter FCS 3.2 recommends
    ],
)
def test_tokens(text: str, expected: dict[str, str], warned: set[str]) -> None:
    assert parsed(text) == (expected, warned)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "E_TEXT"),
        ("A/1/", "E_TEXT"),
        ("$PAR$1$", "E_TEXT"),
        (" A 1 ", "E_TEXT"),
        ("/A///B/1/", "E_TEXT"),  # an empty value or one that begins with a delimiter
        ("/A/x//$P4N/y/", "E_TEXT"),  # a value that swallowed a keyword
        ("/A/1/B/$TOT/5/", "E_TEXT"),  # out of step
        ("/A/1/$TOT/", "E_TEXT"),
        ("// /1/", "E_TEXT"),
        ("/A/1/A/2/", "E_KEYWORD"),
        ("/A/\0/", "E_TEXT"),
    ],
)
def test_text_that_cannot_be_split_without_doubt(text: str, code: str) -> None:
    with pytest.raises(FCSError) as caught:
        parsed(text)
    assert caught.value.code == code


def test_many_doubled_delimiters_take_linear_time() -> None:
    keywords, _ = parsed("/A/" + "x//" * 400_000 + "y/")
    assert keywords["A"] == "x/" * 400_000 + "y"


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"PAR": "0"}, "E_PARAMETER", "$PAR"),
        ({"PAR": "99999999999"}, "E_PARAMETER", "$PAR"),
        ({"PAR": "5.0"}, "E_KEYWORD", "$PAR"),
        ({"PAR": "٥"}, "E_KEYWORD", "$PAR"),  # a digit to Python, none to the standard
        ({"P2N": "FSC-A"}, "E_PARAMETER", "$PnN"),
        ({"P2N": None}, "E_PARAMETER", "$PAR"),
        ({"P2N": "  "}, "E_KEYWORD", "$P2N"),
        ({"P2B": None}, "E_KEYWORD", "$P2B"),
        ({"P2B": "*"}, "E_KEYWORD", "$P2B"),
        ({"P2B": "16"}, "E_DATATYPE", "$P2B"),
        ({"P2R": "1,5"}, "E_KEYWORD", "$P2R"),
        ({"P2E": "4"}, "E_KEYWORD", "$P2E"),
        ({"P2E": "4,x"}, "E_KEYWORD", "$P2E"),
        ({"P2E": "-1,0"}, "E_KEYWORD", "$P2E"),
        ({"P2G": "1_0"}, "E_KEYWORD", "$P2G"),
        ({"P2G": "inf"}, "E_KEYWORD", "$P2G"),
        ({"P2G": "-1"}, "E_KEYWORD", "$P2G"),
        ({"TIMESTEP": "1e9"}, "E_KEYWORD", "$TIMESTEP"),
        ({"MODE": "C"}, "E_MODE", "$MODE"),
        ({"DATATYPE": "A"}, "E_ASCII", "$DATATYPE"),
        ({"DATATYPE": "float"}, "E_DATATYPE", "$DATATYPE"),
        ({"P2DATATYPE": "I"}, "E_DATATYPE", "$P2DATATYPE"),
        ({"BYTEORD": "2,1,4,3"}, "E_BYTEORD", "$BYTEORD"),
        ({"BYTEORD": "1,2,3"}, "E_BYTEORD", "$BYTEORD"),
        ({"TOT": "-1"}, "E_KEYWORD", "$TOT"),
        ({"BEGINSTEXT": "10", "ENDSTEXT": "90"}, "E_OFFSETS", "$BEGINSTEXT"),
        ({"BEGINSTEXT": "90000", "ENDSTEXT": "90010"}, "E_OFFSETS", "$BEGINSTEXT"),
        ({"BEGINSTEXT": "x", "ENDSTEXT": "90010"}, "E_OFFSETS", "$BEGINSTEXT"),
    ],
)
def test_refused_keywords(
    read: Read, build: Build, floats: np.ndarray, change: dict[str, str], code: str, where: str
) -> None:
    with pytest.raises(FCSError) as caught:
        read(build(floats, **change))
    assert (caught.value.code, caught.value.where) == (code, where)


@pytest.mark.parametrize("digits", [25, 5000])  # of more than 4300 Python itself makes no number
def test_whole_numbers_may_be_padded_with_many_zeros(read: Read, build: Build, floats: np.ndarray, digits: int) -> None:
    """As offsets of twenty digits and more are, whatever they need."""
    padded = {"TOT": f"{len(floats):0{digits}d}", "BEGINANALYSIS": "0" * digits, "ENDANALYSIS": "0" * digits}
    sample = read(build(floats, **padded))
    assert codes(sample) == set()
    np.testing.assert_array_equal(sample.events, read(build(floats)).events)
    with pytest.raises(FCSError, match="not a whole number"):
        read(build(floats, TOT="1" * 19))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"MODE": None}, "W_MODE"),
        ({"MODE": "l"}, "W_CASE"),
        ({"NEXTDATA": None}, "W_NEXTDATA"),
        ({"NEXTDATA": "3000"}, "W_NEXTDATA"),
        ({"P2E": None}, "W_AMPLIFICATION"),
        ({"P2E": "0,1"}, "W_AMPLIFICATION"),
        ({"P2E": "4,1"}, "W_AMPLIFICATION"),
        ({"P2G": "0"}, "W_GAIN"),
        ({"P5G": "3"}, "W_GAIN"),
        ({"P2R": "0"}, "W_RANGE"),
        ({"P2N": " SSC-A"}, "W_PADDED"),
        ({"P6N": "Ghost"}, "W_EXTRA_PARAMETER"),
        ({"Q5G": "3"}, "W_KEYWORD"),
        ({"BYTEORD": "1,2"}, "W_BYTEORD"),
        ({"BEGINANALYSIS": "90000", "ENDANALYSIS": "90010"}, "W_ANALYSIS"),
    ],
)
def test_oddities_are_read_with_one_warning(
    read: Read, build: Build, floats: np.ndarray, change: dict[str, str], code: str
) -> None:
    sample = read(build(floats, **change))
    assert codes(sample) == {code}
    np.testing.assert_array_equal(sample.events[:, :4], floats[:, :4])


def test_32_needs_no_mode_and_no_nextdata(read: Read, build: Build, floats: np.ndarray) -> None:
    assert codes(read(build(floats, version="FCS3.2", MODE=None, NEXTDATA=None))) == set()


def test_gain_divides_and_time_step_multiplies(read: Read, build: Build, floats: np.ndarray) -> None:
    sample = read(build(floats, P2G="4", P5G="0.01"))
    np.testing.assert_array_equal(sample.events[:, 1], floats[:, 1] / 4)
    np.testing.assert_array_equal(sample.events[:, 4], (floats[:, 4].astype("f8") * 0.01).astype("f4"))
    assert sample.warnings == ()


def test_same_oddity_of_many_channels_is_one_warning(read: Read, build: Build, floats: np.ndarray) -> None:
    sample = read(build(floats, **{f"P{i}E": None for i in range(1, 6)}))
    assert [str(warning) for warning in sample.warnings] == [
        "[W_AMPLIFICATION] $P1E, $P2E, $P3E, $P4E, $P5E: absent, read as linear"
    ]


def test_exports_of_compensated_values_say_so(read: Read, build: Build, floats: np.ndarray) -> None:
    sample = read(build(floats, names=("FSC-A", "SSC-A", "Comp-B-A", "Comp-R-A", "Time")))
    assert (sample.state, codes(sample)) == ("compensated", {"W_COMPENSATED"})
    assert read(build(floats, names=("FSC-A", "SSC-A", "Comp-B-A", "R-A", "Time"))).state == "raw"


@pytest.mark.parametrize(
    ("at", "new", "code"),
    [
        (0, b"FCS1.0", "E_VERSION"),
        (0, b"fcs3.1", "E_NOT_FCS"),
        (6, b"x   ", "E_NOT_FCS"),
        (10, b"      5x", "E_OFFSETS"),
        (10, b"       0       0", "E_OFFSETS"),
        (10, b"      10", "E_OFFSETS"),
        (10, b"     200", "E_TEXT"),
        (18, b"99999999", "E_TRUNCATED"),
        (18, b"     400", "E_TEXT"),
        (26, b"    6x00", "E_OFFSETS"),
    ],
)
def test_damaged_header(read: Read, build: Build, floats: np.ndarray, at: int, new: bytes, code: str) -> None:
    raw = build(floats)
    with pytest.raises(FCSError) as caught:
        read(raw[:at] + new + raw[at + len(new) :])
    assert caught.value.code == code
