"""$DATATYPE A: refused unless asked for, read exactly where it is, and converted so that nothing is lost."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.fcs.conftest import NAMES, assemble, keywords_for
from treg_gating import FCSError, Sample, read_fcs
from treg_gating.cli.main import cli
from treg_gating.fcs import read_header
from treg_gating.fcs.convert import SOURCE_KEY, convert_fcs

Read = Callable[..., Sample]
WIDTHS = (6, 6, 6, 6, 5)


@pytest.fixture
def numbers(rng: np.random.Generator) -> np.ndarray:
    """40 events of whole numbers, Time going up."""
    events = rng.integers(0, 262144, (40, len(NAMES)))
    events[:, -1] = np.sort(rng.integers(0, 6000, 40))
    return events


def fixed(numbers: np.ndarray, **more: str) -> bytes:
    widths = {f"P{i}B": str(width) for i, width in enumerate(WIDTHS, start=1)}
    data = "".join(f"{value:{width}d}" for row in numbers for value, width in zip(row, WIDTHS, strict=True)).encode()
    return assemble(keywords_for(NAMES, len(numbers), DATATYPE="A", **{**widths, **more}), data)


def free(numbers: np.ndarray, data: bytes | None = None, **more: str) -> bytes:
    widths = {f"P{i}B": "*" for i in range(1, len(NAMES) + 1)}
    data = b"\r\n".join(b",".join(b"%d" % v for v in row) for row in numbers) if data is None else data
    return assemble(keywords_for(NAMES, len(numbers), DATATYPE="A", **{**widths, **more}), data)


def code_of(read: Read, raw: bytes) -> str:
    with pytest.raises(FCSError) as caught:
        read(raw, ascii=True)
    return caught.value.code


def test_refused_unless_asked_for_and_the_message_says_how(read: Read, numbers: np.ndarray) -> None:
    for raw in (fixed(numbers), free(numbers)):
        with pytest.raises(FCSError, match=r"E_ASCII.*not supported.*convert IN OUT --ascii.*ascii=True"):
            read(raw)


def test_fields_of_characters(read: Read, numbers: np.ndarray) -> None:
    raw = fixed(numbers)
    sample = read(raw, ascii=True)
    np.testing.assert_array_equal(sample.events[:, :-1], numbers[:, :-1])
    np.testing.assert_array_equal(sample.events[:, -1], (numbers[:, -1] * 0.01).astype("f4"))
    assert sample.events.dtype == np.float32
    assert sample.sha256 == hashlib.sha256(raw).hexdigest()
    some = read(raw, ascii=True, channels=["FL2-A", "FSC-A"])
    np.testing.assert_array_equal(some.events, numbers[:, [3, 0]])


def test_free_numbers_with_any_delimiters(read: Read, numbers: np.ndarray) -> None:
    expected = read(fixed(numbers), ascii=True).events
    for between, behind in ((b",", b"\r\n"), (b" ", b" "), (b"\t", b"\n"), (b" , ", b"  ")):
        data = behind.join(between.join(b"%d" % v for v in row) for row in numbers) + behind
        np.testing.assert_array_equal(read(free(numbers, data), ascii=True).events, expected)


def test_logarithmic_amplification_is_applied(read: Read, numbers: np.ndarray) -> None:
    numbers[:, 2] %= 1024
    found = read(fixed(numbers, P3E="4,1", P3R="1024"), ascii=True).column("FL1-A")
    np.testing.assert_allclose(found, 10 ** (4 * numbers[:, 2] / 1024), rtol=1e-6)


def test_more_digits_than_float32_holds(read: Read, numbers: np.ndarray) -> None:
    numbers[:, 2] += 2**40
    data = b"\n".join(b" ".join(b"%d" % v for v in row) for row in numbers)
    sample = read(free(numbers, data, P3R=str(2**41)), ascii=True)
    np.testing.assert_array_equal(sample.column("FL1-A"), numbers[:, 2])


@pytest.mark.parametrize("stray", [b"x", b"-", b".", b"\0", b"\x80"])
def test_nothing_but_digits(read: Read, numbers: np.ndarray, stray: bytes) -> None:
    raw = fixed(numbers)
    begin = int(read_header_of(raw)["$BEGINDATA"])
    assert code_of(read, raw[: begin + 5] + stray + raw[begin + 6 :]) == "E_NUMBER"
    raw = free(numbers)
    begin = int(read_header_of(raw)["$BEGINDATA"])
    assert code_of(read, raw[:begin] + stray + raw[begin + 1 :]) == "E_NUMBER"


def read_header_of(raw: bytes) -> dict[str, str]:
    text = raw[58:].decode("latin-1").split("/")[1:]
    return dict(zip(text[::2], text[1::2], strict=False))


def test_faults_of_fields(read: Read, numbers: np.ndarray) -> None:
    good = fixed(numbers)
    begin = int(read_header_of(good)["$BEGINDATA"])

    def with_field(text: bytes) -> bytes:
        return good[:begin] + text + good[begin + 6 :]

    assert read(with_field(b"  12  "), ascii=True).events[0, 0] == 12
    assert read(with_field(b"000012"), ascii=True).events[0, 0] == 12
    assert code_of(read, with_field(b"      ")) == "E_NUMBER"
    assert code_of(read, with_field(b"12  12")) == "E_NUMBER"
    assert code_of(read, with_field(b"999999")) == "E_RANGE"
    assert code_of(read, good[:-3]) == "E_TRUNCATED"
    assert code_of(read, fixed(numbers, TOT="41")) in {"E_COUNT", "E_TRUNCATED"}
    assert code_of(read, fixed(numbers, P1B="7")) in {"E_COUNT", "E_TRUNCATED"}
    assert code_of(read, fixed(numbers, P1B="0")) == "E_DATATYPE"
    assert code_of(read, fixed(numbers, P1B="*")) == "E_DATATYPE"


def test_faults_of_free_numbers(read: Read, numbers: np.ndarray) -> None:
    data = b" ".join(b"%d" % v for v in numbers.ravel())
    assert code_of(read, free(numbers, data + b" 7")) == "E_COUNT"
    assert code_of(read, free(numbers, data[: data.rindex(b" ")])) == "E_COUNT"
    assert code_of(read, free(numbers, data.replace(b" ", b"", 1))) in {"E_COUNT", "E_RANGE"}
    assert code_of(read, free(numbers, b"1" * 16 + data[data.index(b" ") :])) == "E_NUMBER"
    assert code_of(read, free(numbers)[:-2]) == "E_TRUNCATED"
    assert code_of(read, free(numbers, TOT=None)) == "E_OFFSETS"


def test_time_that_runs_backwards_and_runs_of_zeros_are_seen(read: Read, numbers: np.ndarray) -> None:
    shuffled = numbers.copy()
    shuffled[:, -1] = numbers[::-1, -1]
    assert code_of(read, free(shuffled)) == "E_TIME"
    numbers[10:30] = 0
    assert code_of(read, fixed(numbers)) == "E_ZERO_RUN"


def test_conversion_keeps_events_markers_matrix_and_keywords(tmp_path: Path, numbers: np.ndarray) -> None:
    old, new = tmp_path / "old.fcs", tmp_path / "new.fcs"
    old.write_bytes(fixed(numbers, CYT="Old one", P3S="CD4", SPILLOVER="2,FL1-A,FL2-A,1,0.1,0.02,1"))
    with pytest.raises(FCSError, match="E_ASCII"):
        convert_fcs(old, new)
    before, left_out = convert_fcs(old, new, ascii=True)
    after = read_fcs(new)
    np.testing.assert_array_equal(after.events, before.events)
    assert after.channels == before.channels
    np.testing.assert_array_equal(after.spillover.matrix, before.spillover.matrix)
    assert left_out == ()
    assert after.keywords["$CYT"] == "Old one"
    assert after.keywords["$DATATYPE"] == "F"
    assert hashlib.sha256(old.read_bytes()).hexdigest() in after.keywords[SOURCE_KEY]
    assert "old.fcs" in after.keywords[SOURCE_KEY]
    assert after.keywords["$ORIGINALITY"] == "DataModified"
    assert read_header(new).n_events == len(numbers)
    with pytest.raises(FCSError, match="E_WRITE"):
        convert_fcs(new, new)


def test_the_command(tmp_path: Path, numbers: np.ndarray) -> None:
    old, new = tmp_path / "old.fcs", tmp_path / "new.fcs"
    old.write_bytes(free(numbers))
    run = CliRunner().invoke
    assert isinstance(run(cli, ["convert", str(old), str(new)]).exception, FCSError)
    assert not new.exists()
    done = run(cli, ["convert", str(old), str(new), "--ascii"], standalone_mode=False)
    assert done.return_value == 0
    assert "40 events, 5 channels" in done.output
    again = run(cli, ["convert", str(old), str(new), "--ascii"])
    assert again.exit_code == 2
    assert "--force" in again.output
