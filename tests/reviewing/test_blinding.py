"""Blinded reports: not a byte that tells whose tube it is; the key lies apart; unblinding is on record."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from click.testing import CliRunner

from treg_gating.cli.main import cli
from treg_gating.errors import InputError
from treg_gating.flags import Flag, FlagLevel
from treg_gating.report.blinded import blinded, report_writer
from treg_gating.run.blinding import BLINDED, Scrubber, open_key, read_key
from treg_gating.run.last import open_last_run

SECRETS = {"subject": "Zebra-07", "visit": "Nightfall", "batch": "Kettle9", "file": "deep/Quokka_11.fcs"}


def renamed(record):
    """The record with names that occur nowhere else, in every place where the engine may put them."""
    sample = replace(
        record.samples[0], **SECRETS, tube_id="Quokka_11", acquired="07-OCT-2031 10:22:05",
        flags=(Flag("X", FlagLevel.REVIEW, "Quokka_11 of batch Kettle9 differs from deep/Quokka_11.fcs at Nightfall"),),
        gates=tuple(replace(g, reason="the gate of batch Kettle9, 2031-10-07") for g in record.samples[0].gates),
        warnings=("deep/Quokka_11.fcs: zebra-07 stands in a keyword",),
    )  # fmt: skip
    row = {
        **record.endpoint[0],
        **SECRETS,
        "tube_id": "Quokka_11",
        "reason": "Zebra-07 at NIGHTFALL",
        "selection": "Nightfall",
    }
    missing = {**row, "tube_id": "", "status": "missing", "reason": "no tube at Nightfall"}
    return replace(
        record,
        samples=(sample, *record.samples[1:]),
        endpoint=(row, missing, *record.endpoint[1:]),
        other_tubes=({**row, "why_not_counted": "outside Nightfall"},),
        notes=("Quokka_11: read at Nightfall", "Zebra-07 has no baseline"),
        set_aside=("treatment_Xylophone",),
        study=replace(record.study, visits=(("Nightfall", 0.0), *record.study.visits)),
        study_assumed="visits as in the sheet: Nightfall",
        settings={**record.settings, "sheet": "Zebra-07.xlsx"},
        overrides=({"subject": "Zebra-07", "visit": "Nightfall", "tube_id": "Quokka_11"},),
        audit=({"subject": "Quokka_11", "why": "Zebra-07"},),
    )


@pytest.fixture
def finished(study):
    with open_last_run(study.out) as last:
        return renamed(last.record)


def test_no_byte_of_a_blinded_report_tells_whose_tube_it_is(finished, study, tmp_path):
    plain, hidden = tmp_path / "plain.html", tmp_path / "hidden.html"
    report_writer(tmp_path, blind=False)(finished, plain)
    report_writer(tmp_path, blind=True)(finished, hidden)
    words = ["Zebra", "Nightfall", "Kettle9", "Quokka", "deep/", "OCT-2031", "2031-10-07", "Xylophone"]
    shown, said = plain.read_bytes().lower(), hidden.read_bytes().lower()
    assert [word for word in words if word.lower().encode() in shown], "the words are there to be found"
    for word in words:
        assert word.lower().encode() not in said, word
    for sample in finished.samples[1:]:
        for word in (sample.tube_id, sample.file, sample.sha256):
            assert word.lower().encode() not in said, word
    key = read_key(tmp_path / "blinding_key.csv")
    assert all(name.encode() in hidden.read_bytes() for name in key.pseudonym_of.values())
    assert b"Quokka_11" in (tmp_path / "blinding_key.csv").read_bytes()


def test_values_stay_and_order_does_not_tell(finished):
    names = {sample.tube_id: f"P{9 - i}" for i, sample in enumerate(finished.samples)}
    found = blinded(finished, names)
    assert [sample.tube_id for sample in found.samples] == sorted(names.values())
    for before in finished.samples:
        after = next(sample for sample in found.samples if sample.tube_id == names[before.tube_id])
        assert [count.n for count in after.counts] == [count.n for count in before.counts]
    values = {row["tube_id"]: row["treg_pct_of_cd4"] for row in found.endpoint}
    for row in finished.endpoint:
        if row["tube_id"]:
            assert values[names[row["tube_id"]]] == row["treg_pct_of_cd4"]
    assert all(row["change_from_baseline"] is None for row in found.endpoint)
    assert len(found.endpoint) == len(finished.samples), "rows without a tube would tell a subject's missing visit"


def test_the_key_is_private_and_its_pseudonyms_stay(tmp_path):
    path = tmp_path / "key.csv"
    tubes = [f"t{i}" for i in range(60)]
    first = open_key(path, tubes)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(set(first.pseudonym_of.values())) == 60
    assert sorted(tubes, key=lambda tube: first.pseudonym_of[tube]) != tubes
    more = open_key(path, [*tubes, "new"])
    assert {tube: more.pseudonym_of[tube] for tube in tubes} == first.pseudonym_of
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="not a blinding key"):
        open_key(path, tubes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12 of 400 events in batch 12", f"12 of 400 events in batch {BLINDED}"),
        ("visit 2: 2 tubes", f"visit {BLINDED}: 2 tubes"),
        ("subject 001 and s7", f"subject {BLINDED} and {BLINDED}"),
        ("s70 is another word", "s70 is another word"),
        ("other/file_9.fcs is odd", f"{BLINDED} is odd"),
        ("on 2024-03-11 and 11-MAR-2024", f"on {BLINDED} and {BLINDED}"),
    ],
)
def test_names_leave_sentences_and_counts_stay(text, expected):
    scrub = Scrubber(dict.fromkeys(("12", "2", "001", "S7"), BLINDED))
    assert scrub(text) == expected


def test_unblinding_is_in_the_audit_trail_before_anything_is_shown(study):
    runner = CliRunner()
    made = runner.invoke(cli, ["report", str(study.out), "--blinded"], standalone_mode=False)
    assert made.exception is None, made.output
    html = (study.out / "report.html").read_bytes()
    assert b"S01_Baseline" not in html
    names = read_key(study.out / "blinding_key.csv")
    assert runner.invoke(cli, ["unblind", str(study.out), "--name", " ", "--why", "x"]).exit_code == 2
    word = names.pseudonym_of["S01_Baseline"]
    done = runner.invoke(cli, ["unblind", str(study.out), "--name", "E. Stat", "--why", "locked", "--only", word])
    assert done.output.splitlines()[1] == f"{word}\tS01_Baseline\tS01\tBaseline\tB1\tfcs/S01_Baseline.fcs"
    assert len(done.output.splitlines()) == 2
    with closing(sqlite3.connect(study.out / "ledger.sqlite")) as database:
        rows = database.execute("SELECT subject, why FROM audit WHERE what = 'pseudonyms unblinded'").fetchall()
    assert rows == [(word, "locked (signed E. Stat)")]
