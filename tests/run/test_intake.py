"""Files that arrive: taken in when complete, by content, and whose tube they are is told or waits."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from treg_gating.errors import FCSError, InputError
from treg_gating.run.arrivals import NamePattern, sheet_text, without_row
from treg_gating.run.intake import Intake
from treg_gating.run.keys import file_sha256
from treg_gating.run.watch import Watch, Work


@pytest.fixture
def watched(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def test_a_file_is_taken_in_when_two_looks_agree(watched, tmp_path):
    intake = Intake(watched, tmp_path / "store")
    (watched / "a.fcs").write_bytes(b"half")
    assert list(intake.look().waiting) == ["a.fcs"]
    (watched / "a.fcs").write_bytes(b"half and half")  # still being copied
    assert list(intake.look().waiting) == ["a.fcs"]
    look = intake.look()
    assert (look.taken, look.waiting, look.refused) == (("a.fcs",), {}, {})
    assert intake.look().taken == ()
    kept = tmp_path / "store" / "files" / "a.fcs"
    sha256 = file_sha256(watched / "a.fcs")
    assert kept.read_bytes() == b"half and half"
    assert kept.stat().st_mode & 0o222 == 0
    assert kept.samefile(tmp_path / "store" / "store" / f"{sha256}.fcs")
    entry = json.loads((tmp_path / "store" / "intake.json").read_text())["a.fcs"]
    assert (entry["sha256"], entry["bytes"]) == (sha256, 13)


def test_same_size_and_other_content_waits(watched, tmp_path):
    intake = Intake(watched, tmp_path / "store")
    (watched / "a.fcs").write_bytes(b"\0\0\0\0")  # a preallocated copy
    intake.look()
    (watched / "a.fcs").write_bytes(b"full")
    assert list(intake.look().waiting) == ["a.fcs"]
    assert intake.look().taken == ("a.fcs",)


def test_what_was_taken_in_stays_whatever_becomes_of_the_original(watched, tmp_path):
    for name in ("a.fcs", "b.fcs"):
        (watched / name).write_text(name)
    first = Intake(watched, tmp_path / "store")
    first.look()
    assert first.look().taken == ("a.fcs", "b.fcs")
    (watched / "a.fcs").unlink()
    (watched / "b.fcs").write_text("measured again")
    for intake in (first, Intake(watched, tmp_path / "store")):  # also after a restart
        look = intake.look()
        assert look.taken == ()
        assert "its content is not what was taken in" in look.refused["b.fcs"]
    assert (tmp_path / "store" / "files" / "a.fcs").read_text() == "a.fcs"
    assert (tmp_path / "store" / "files" / "b.fcs").read_text() == "b.fcs"


def test_only_regular_files_with_content_of_their_own(watched, tmp_path):
    (watched / "sub").mkdir()
    (watched / "sub" / "a.FCS").write_text("a")
    (watched / "b.fcs").write_text("a")
    (watched / "c.fcs").touch()
    (watched / "notes.txt").write_text("x")
    (watched / ".hidden.fcs").write_text("x")
    os.mkfifo(watched / "pipe.fcs")
    (tmp_path / "secret.fcs").write_text("secret")
    (watched / "link.fcs").symlink_to(tmp_path / "secret.fcs")
    intake = Intake(watched, watched / "store")  # a store inside the watched folder does not feed itself
    intake.look()
    look = intake.look()
    assert look.taken == ("b.fcs",)
    assert list(look.waiting) == ["c.fcs"]
    assert look.refused["link.fcs"] == look.refused["pipe.fcs"] == "not a regular file"
    assert "same content as b.fcs" in look.refused["sub/a.FCS"]


def test_a_watched_folder_that_is_gone_is_told(tmp_path):
    intake = Intake(tmp_path / "absent", tmp_path / "store")
    with pytest.raises(InputError, match="the watched folder is not there"):
        intake.look()


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("{subject}_{visit}", "S01_Week 4.fcs", {"subject": "S01", "visit": "Week 4"}),
        ("{subject}_{visit}", "sub/S01_W4.fcs", {"subject": "S01", "visit": "W4"}),
        ("{batch}/{subject}-{visit}", "B 1/S01-W4.fcs", {"batch": "B 1", "subject": "S01", "visit": "W4"}),
        ("{subject}_{visit}", "S01_Week_4.fcs", "can be read in two ways"),
        ("{subject}_{visit}", "S01.fcs", "does not follow"),
        ("{batch}/{subject}_{visit}", "S01_W4.fcs", "does not follow"),
        ("{subject}_{visit}_Treg", "S01_W4_treg.fcs", "does not follow"),
    ],
)
def test_names_are_read_or_left_out(pattern, name, expected):
    found = NamePattern(pattern).read(name)
    assert found == expected or (isinstance(expected, str) and expected in found)


@pytest.mark.parametrize("pattern", ["{subject}", "{subject}_{visit}_{arm}", "{subject}_{visit}_{visit}", ""])
def test_patterns_that_are_none(pattern):
    with pytest.raises(InputError, match="not a pattern of file names"):
        NamePattern(pattern)


def test_a_sheet_from_names():
    text, left = sheet_text(NamePattern("{subject}_{visit}"), ["S2_W4.fcs", "=S1_W4.fcs", "odd.fcs"])
    assert text == "file,subject,visit\n=S1_W4.fcs,=S1,W4\nS2_W4.fcs,S2,W4\n"
    assert list(left) == ["odd.fcs"]


def test_files_without_a_row(tmp_path):
    for name in ("a.fcs", "b.fcs"):
        (tmp_path / name).write_text(name)
    assert list(without_row([tmp_path / "a.fcs"], ["a.fcs", "b.fcs"], tmp_path)) == ["b.fcs"]


def test_a_watch_works_when_something_is_new_and_only_then(watched, tmp_path, monkeypatch):
    done: list[int] = []
    said: list[str] = []
    sheet = ["one"]
    results = iter([Work(None), InputError("row 2 is wrong"), Work(4, {"a.fcs": "no row"}, ("c.fcs",)), Work(0)])

    def work() -> Work:
        done.append(1)
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    intake = Intake(watched, tmp_path / "store")
    watch = Watch(intake, work, lambda: sheet[0], said.append, 60)
    steps = iter(
        [
            lambda: (watched / "a.fcs").write_text("a"),
            lambda: None,
            lambda: None,
            lambda: sheet.__setitem__(0, "two"),
            lambda: shutil.move(watched, tmp_path / "away"),
            lambda: shutil.move(tmp_path / "away", watched),
            lambda: sheet.__setitem__(0, "three"),
        ]
    )
    counts: list[int] = []

    def sleep(seconds: float) -> None:
        assert seconds == 60
        counts.append(len(done))
        next(steps)()

    monkeypatch.setattr("treg_gating.run.watch.time.sleep", sleep)
    with pytest.raises(StopIteration):
        watch.forever()
    # first look; a.fcs seen; taken in and run, at fault; nothing new; sheet mended; folder away; back; sheet again
    assert counts == [1, 1, 2, 2, 3, 3, 3, 4]
    assert any("Nothing was run: row 2 is wrong" in text for text in said)
    assert any("watched folder is not there" in text for text in said)
    assert said.count("Taken in: a.fcs") == 1
    status = json.loads((tmp_path / "store" / "status.json").read_text())
    assert (status["exit_code"], status["taken_in"], status.get("problem")) == (0, 1, None)


def test_a_copy_that_cannot_be_read_back_as_it_was_is_not_kept(watched, tmp_path, monkeypatch):
    (watched / "a.fcs").write_text("a")
    intake = Intake(watched, tmp_path / "store")
    intake.look()
    monkeypatch.setattr("treg_gating.run.intake.shutil.copyfile", lambda _, to: to.write_text("torn"))
    look = intake.look()
    assert look.taken == ()
    assert "changed while it was copied" in look.waiting["a.fcs"]
    assert list((tmp_path / "store" / "store").iterdir()) == []
    monkeypatch.setattr("treg_gating.run.intake.file_sha256", lambda _: (_ for _ in ()).throw(FCSError("E_OPEN", "no")))
    assert "cannot be read" in intake.look().waiting["a.fcs"]
