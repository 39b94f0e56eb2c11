"""Several data sets in one file, supplemental TEXT, and offsets beyond what HEADER can say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from treg_gating import FCSError, Sample, read_fcs
from treg_gating.fcs import read_header

Build, Read = Callable[..., bytes], Callable[..., Sample]


@pytest.fixture
def chained(build: Build, floats: np.ndarray) -> bytes:
    """Three data sets, as Guava's software writes a plate: each is one well."""
    sets = [floats[:50], floats[50:120], floats[120:]]
    raw = [build(part, NEXTDATA="00000000", tail=b"00000000") for part in sets]
    return b"".join(r.replace(b"/00000000/", b"/%08d/" % len(r)) for r in raw[:-1]) + raw[-1]


def test_never_the_first_in_silence(read: Read, chained: bytes) -> None:
    with pytest.raises(FCSError) as caught:
        read(chained)
    assert (caught.value.code, caught.value.found) == ("E_DATASETS", "3 data sets")
    assert "dataset=1" in caught.value.action


@pytest.mark.parametrize(("number", "rows"), [(1, slice(0, 50)), (2, slice(50, 120)), (3, slice(120, 200))])
def test_by_number(read: Read, chained: bytes, floats: np.ndarray, number: int, rows: slice) -> None:
    sample = read(chained, number)
    np.testing.assert_array_equal(sample.events[:, :4], floats[rows, :4])
    assert sample.warnings == ()


@pytest.mark.parametrize("odd", [1, 2])
def test_what_is_odd_about_one_text_is_told_once_and_of_no_other(read: Read, chained: bytes, odd: int) -> None:
    places = [i for i in range(len(chained)) if chained.startswith(b"FL1-A", i)]
    at = places[(odd - 1) * len(places) // 3]
    raw = chained[:at] + b"FL\xe9-A" + chained[at + 5 :]
    for number in (1, 2, 3):
        told = [warning.code for warning in read(raw, number).warnings]
        assert told == (["W_ENCODING"] if number == odd else [])


@pytest.mark.parametrize("number", [0, 4, -1])
def test_no_such_number(read: Read, chained: bytes, number: int) -> None:
    with pytest.raises(FCSError, match="E_DATASETS"):
        read(chained, number)


def test_header_names_the_data_set(tmp_path: Path, chained: bytes) -> None:
    path = tmp_path / "x.fcs"
    path.write_bytes(chained)
    header = read_header(path, 2)
    assert (header.dataset, header.n_datasets, header.n_events) == (2, 3, 70)


def test_hidden_data_set(read: Read, build: Build, floats: np.ndarray) -> None:
    one = build(floats, tail=b"00000000")
    sample = read(one + one)
    assert [warning.code for warning in sample.warnings] == ["W_DATASETS"]
    np.testing.assert_array_equal(sample.events[:, :4], floats[:, :4])


def test_next_data_set_within_this_one(read: Read, build: Build, floats: np.ndarray) -> None:
    with pytest.raises(FCSError, match="E_DATASETS"):
        read(build(floats, NEXTDATA="58"))


def test_a_long_chain_is_followed_in_linear_time(read: Read, build: Build, floats: np.ndarray) -> None:
    one = build(floats[:1], NEXTDATA="00000000")
    one = one.replace(b"/00000000/", b"/%08d/" % len(one))
    with pytest.raises(FCSError, match="1000 data sets"):
        read(one * 1500)


def supplemented(build: Build, floats: np.ndarray, supplement: bytes) -> bytes:
    """A file with `supplement` behind DATA, as $BEGINSTEXT says."""
    raw = build(floats, BEGINSTEXT="00000001", ENDSTEXT="00000002")
    begin, end = b"%08d" % len(raw), b"%08d" % (len(raw) + len(supplement) - 1)
    return raw.replace(b"/00000001/", b"/" + begin + b"/").replace(b"/00000002/", b"/" + end + b"/") + supplement


def test_supplemental_text_counts(read: Read, build: Build, floats: np.ndarray) -> None:
    text = b"/$P3S/CD4/$SPILLOVER/2,FL1-A,FL2-A,1,0.1,0.2,1/"
    sample = read(supplemented(build, floats, text))
    assert sample.channels[2].marker == "CD4"
    assert sample.spillover is not None
    np.testing.assert_array_equal(sample.spillover.matrix, [[1, 0.1], [0.2, 1]])
    assert sample.warnings == ()


@pytest.mark.parametrize(
    ("supplement", "code"),
    [(b"/$P3N/CD4/", "E_KEYWORD"), (b"|$P3S|CD4|", "E_TEXT"), (b"garbage", "E_TEXT"), (b"/$P3S/", "E_TEXT")],
)
def test_supplemental_text_that_contradicts(
    read: Read, build: Build, floats: np.ndarray, supplement: bytes, code: str
) -> None:
    with pytest.raises(FCSError) as caught:
        read(supplemented(build, floats, supplement))
    assert caught.value.code == code


def test_an_archive_in_place_of_supplemental_text(read: Read, build: Build, floats: np.ndarray) -> None:
    sample = read(supplemented(build, floats, b"PK\x03\x04 and so on"))
    assert "W_STEXT" in {warning.code for warning in sample.warnings}


def test_segments_of_the_vendors_own(read: Read, build: Build, floats: np.ndarray) -> None:
    """Between TEXT and DATA lies what belongs to no segment only if no offset behind HEADER names it."""
    raw = build(floats)
    at = raw.rindex(b"$BEGINDATA/") + 11
    text_end, begin = int(raw[18:26]) + 64, int(raw[at : at + 8]) + 64 + 11
    offsets = b"%8d" % begin, b"%8d" % (begin + 3999)
    head = raw[:10] + b"%8d%8d" % (58 + 64, text_end) + offsets[0] + offsets[1] + raw[42:58]
    text = raw[58:at] + offsets[0] + b"/$ENDDATA/" + offsets[1] + b"/"
    named = b"%8d%8d" % (text_end + 1, text_end + 11)
    sample = read(head + named.ljust(64) + text + b"vendor data" + floats.tobytes())
    np.testing.assert_array_equal(sample.events[:, :4], floats[:, :4])
    assert sample.warnings == ()
    with pytest.raises(FCSError, match="E_OFFSETS"):
        read(head + b" " * 64 + text + b"vendor data" + floats.tobytes())


@pytest.mark.parametrize(("header", "code"), [((0, 0), None), ((99_999_999, 99_999_999), "W_HEADER_OFFSETS")])
def test_data_beyond_the_header(
    tmp_path: Path, build: Build, floats: np.ndarray, header: tuple[int, int], code: str | None
) -> None:
    raw = build(floats)
    at = raw.rindex(b"$BEGINDATA/") + 11
    begin = 100_000_500
    offsets = b"%9d/$ENDDATA/%9d/" % (begin, begin + 3999)
    text_end = b"%8d" % (at + len(offsets) - 1)
    path = tmp_path / "large.fcs"
    path.write_bytes(raw[:18] + text_end + b"%8d%8d" % header + raw[42:at] + offsets)
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(floats.tobytes())
    assert path.stat().st_blocks * 512 < 1_000_000  # a hole, not 100 MB of disk
    sample = read_fcs(path, digest=False)
    np.testing.assert_array_equal(sample.events[:, :4], floats[:, :4])
    assert [warning.code for warning in sample.warnings] == ([code] if code else [])
