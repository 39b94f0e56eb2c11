"""Boolean expressions over populations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treg_gating.gating.expression import parse_expression

ROWS = np.array(list(itertools.product([False, True], repeat=3)))
MASKS = dict(zip("abc", ROWS.T, strict=True))


def evaluate(text: str) -> list[bool]:
    return parse_expression(text).evaluate(MASKS.__getitem__).tolist()


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("a", "a"),
        ("!a", "not a"),
        ("!!a", "a"),
        ("a & b", "a and b"),
        ("a&!b", "a and not b"),
        ("a | b & c", "a or (b and c)"),
        ("a & b | !c", "(a and b) or not c"),
        ("a & a", "a"),
    ],
)
def test_truth_tables(text: str, python: str) -> None:
    expected = [bool(eval(python, dict(zip("abc", row, strict=True)))) for row in ROWS.tolist()]
    assert evaluate(text) == expected


def test_names_once_and_in_order() -> None:
    assert parse_expression("t.reg-1 & !x_2 | x_2 & CD4+").names == ("t.reg-1", "x_2", "CD4+")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("a &", "ends where a population is expected"),
        ("!", "ends where a population is expected"),
        ("& a", "'&' stands where a population is expected"),
        ("a || b", r"'\|' stands where a population is expected"),
        ("a b", "'b' stands where & or | is expected"),
        ("a ! b", "'!' stands where & or | is expected"),
        ("a & (b)", r"cannot be read from '\(b\)'"),
        ("a and b", "'and' stands where & or | is expected"),
        ("a & 4b", "cannot be read from '4b'"),
        ("a; import os", "cannot be read from '; import os'"),
    ],
)
def test_anything_else_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_expression(text)


@given(st.text(alphabet="ab&|! ()", max_size=12))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        expression = parse_expression(text)
    except ValueError as error:
        expression, said = None, str(error)
    if expression is None:
        assert said.startswith(("cannot be read from", "ends where", "is empty", "'"))
    else:
        assert expression.names
        assert expression.evaluate(lambda name: np.ones(3, bool)).shape == (3,)
