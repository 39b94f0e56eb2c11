"""What short texts mean is found out once."""

from __future__ import annotations

from treg_gating.fcs.remembered import KEPT, LONGEST, remembered


def test_a_short_text_is_asked_about_once_and_a_long_one_is_never_kept() -> None:
    asked: list[str] = []

    @remembered
    def length(text: str) -> int:
        asked.append(text)
        return len(text)

    short, long = "x" * LONGEST, "x" * (LONGEST + 1)
    assert [length(short), length(short), length(long), length(long)] == [LONGEST, LONGEST, LONGEST + 1, LONGEST + 1]
    assert asked == [short, long, long]


def test_what_a_file_says_cannot_fill_the_memory() -> None:
    asked: list[str] = []

    @remembered
    def kept(text: str) -> str:
        asked.append(text)
        return text

    for i in range(2 * KEPT):
        kept(str(i))
    kept("0")  # forgotten since
    kept(str(2 * KEPT - 1))
    assert len(asked) == 2 * KEPT + 1
