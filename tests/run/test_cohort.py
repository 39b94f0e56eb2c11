"""A cohort from order to outputs: isolation, resume, what recomputes and what does not."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from treg_gating.errors import InputError, RunStateError
from treg_gating.run import keys
from treg_gating.run.child import Limits
from treg_gating.run.finish import rebuild
from treg_gating.run.ledger import Ledger


def endpoint(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (folder / "endpoint.csv").open(newline="") as file:
        return {(row["subject"], row["visit"]): row for row in csv.DictReader(file)}


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run.log.jsonl").read_text().splitlines()]


def test_a_cohort_runs_and_leaves_its_tables(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90", B_B="40", FMO_1="0")
    finished = study.run()
    rows = endpoint(tmp_path / "out")
    # mean of the baselines is 50, so A's baseline counts 60 + 50 = 110 of 1000
    assert rows["A", "Baseline"]["treg_pct_of_cd4"] == "11.0"
    assert rows["A", "Week 12"]["treg_pct_of_cd4"] == "14.0"
    assert rows["A", "Week 12"]["change_from_baseline"] == "3.0"
    assert rows["B", "Week 12"]["status"] == "missing"
    assert finished.exit_code == 0
    assert len(finished.lines) == 5
    assert study.diary() == [
        "A_B first",
        "A_B second",
        "A_W first",
        "A_W second",
        "B_B first",
        "B_B second",
        "FMO_1 first",
    ]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["tubes"] == {"done": 3}
    assert summary["notes"][-1] == "a note of the cohort"


def test_one_bad_file_never_stops_the_others(small_study, tmp_path):
    study = small_study(A_B="60", A_W="PNG", B_B="40\nfirst bug", B_W="70\nsecond bug", C_B="50", C_W="20")
    finished = study.run()
    rows = endpoint(tmp_path / "out")
    assert finished.exit_code == 5
    assert rows["A", "Week 12"]["reason"] == "[E_NOT_FCS] A_W.fcs: not an FCS file"
    assert rows["A", "Week 12"]["treg_pct_of_cd4"] == ""
    assert "[E_BUG] unexpected ZeroDivisionError" in rows["B", "Baseline"]["reason"]
    assert rows["B", "Week 12"]["status"] == "failed"
    assert [rows[key]["status"] for key in (("A", "Baseline"), ("C", "Baseline"), ("C", "Week 12"))] == ["ok"] * 3
    traces = [line["traceback"] for line in log_of(tmp_path / "out") if line.get("code") == "E_BUG"]
    assert len(traces) == 2
    assert "division by a thing that is zero" in traces[0]


def test_hang_crash_and_hunger_cost_only_their_own_tube(small_study, tmp_path):
    study = small_study(
        A_B="60",
        A_W="90\nfirst hang",
        B_B="40\nfirst crash",
        B_W="70\nsecond crash",
        C_B="50\nfirst print",
        C_W="20\nfirst eat",
    )
    finished = study.run(limits=Limits(seconds=4, memory_mb=400))
    rows = endpoint(tmp_path / "out")
    assert finished.exit_code == 5
    assert "[E_TIMEOUT]" in rows["A", "Week 12"]["reason"]
    assert "SIGSEGV" in rows["B", "Baseline"]["reason"]
    assert "[E_CRASH]" in rows["B", "Week 12"]["reason"]
    assert "[E_MEMORY]" in rows["C", "Week 12"]["reason"]
    assert rows["A", "Baseline"]["status"] == rows["C", "Baseline"]["status"] == "ok"
    crashes = [line for line in log_of(tmp_path / "out") if line.get("code") == "E_CRASH"]
    assert "Segmentation fault" in crashes[0]["traceback"]


def test_a_tube_whose_process_a_stranger_killed_is_not_blamed(small_study, tmp_path):
    study = small_study(
        A_B=f"60\nfirst crash_once {tmp_path / 'once'}", B_B=f"40\nsecond crash_once {tmp_path / 'twice'}"
    )
    finished = study.run()
    assert finished.exit_code == 0
    assert (tmp_path / "once").exists()
    assert (tmp_path / "twice").exists()


def test_nothing_is_done_again_when_nothing_changed(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90", B_B="PNG")
    first = study.run()
    study.diary()
    before = (tmp_path / "out" / "endpoint.csv").stat().st_mtime_ns
    again = study.run()
    assert again == first
    assert study.diary() == []
    assert (tmp_path / "out" / "endpoint.csv").stat().st_mtime_ns == before


def test_what_the_files_say_is_asked_where_there_is_work_and_kept(small_study, tmp_path):
    asked = []

    def notes_of_files():
        asked.append("asked")
        return ("b.fcs: its matrix is odd",)

    study = small_study(A_B="60", A_W="90")
    study.run(notes_of_files=notes_of_files)
    assert asked == ["asked"]
    study.run(notes_of_files=notes_of_files)
    assert asked == ["asked"]
    notes = json.loads((tmp_path / "out" / "summary.json").read_text())["notes"]
    assert "b.fcs: its matrix is odd" in notes
    study.files["A_W"] = "value 91"
    study.run(notes_of_files=notes_of_files)
    assert asked == ["asked", "asked"]


def test_a_plan_that_lacks_what_is_needed_now_is_refused(small_study, tmp_path):
    study = small_study(A_B="60")
    study.run(workers=0)
    database = sqlite3.connect(tmp_path / "out" / "ledger.sqlite")
    database.execute("DROP TRIGGER runs_no_update")
    plan = json.loads(database.execute("SELECT plan FROM runs").fetchone()[0])
    del plan["environment"]
    database.execute("UPDATE runs SET plan = ?", (json.dumps(plan),))
    database.commit()
    database.close()
    with Ledger(tmp_path / "out") as ledger, pytest.raises(RunStateError, match="did not keep environment"):
        rebuild(ledger, tmp_path / "out", {})
    with pytest.raises(RunStateError, match="another output folder"):
        study.run(workers=0)


def test_outputs_that_were_changed_are_made_again_from_the_ledger(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90")
    study.run()
    study.diary()
    good = (tmp_path / "out" / "endpoint.csv").read_bytes()
    (tmp_path / "out" / "endpoint.csv").write_text("A,Baseline,100 %\n")
    study.run()
    assert (tmp_path / "out" / "endpoint.csv").read_bytes() == good
    assert study.diary() == []


def test_a_new_tube_recomputes_itself_and_what_its_consensus_touches(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90")
    study.run()
    study.diary()
    study.files["B_W"] = "value 30"  # no baseline: the consensus stays
    study.run()
    assert study.diary() == ["B_W first", "B_W second"]
    study.files["B_B"] = "value 40"  # a baseline: the consensus moves, so every tube is gated again, none fitted again
    study.run()
    assert study.diary() == ["A_B second", "A_W second", "B_B first", "B_B second", "B_W second"]
    assert endpoint(tmp_path / "out")["A", "Baseline"]["n_treg"] == "110"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("bytes", ["A_W first", "A_W second"]),
        ("settings", ["A_B first", "A_B second", "A_W first", "A_W second"]),
        ("code", ["A_B first", "A_B second", "A_W first", "A_W second"]),
        ("touch", []),
        ("move", []),
    ],
)
def test_what_changed_is_computed_anew_and_nothing_else(small_study, tmp_path, monkeypatch, change, expected):
    study = small_study(A_B="60", A_W="90")
    study.run(workers=0)
    study.diary()
    more: dict[str, Any] = {}
    if change == "bytes":
        study.files["A_W"] = "value 91"
    elif change == "settings":
        more["offset"] = 1.0
    elif change == "code":
        monkeypatch.setattr("treg_gating.run.cohort.code_version", lambda: "9.9.9+other")
        monkeypatch.setattr("treg_gating.run.job.code_version", lambda: "9.9.9+other")
    elif change == "move":
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "out").rename(tmp_path / "elsewhere" / "out")
        study.folder = tmp_path / "elsewhere"
    study.run(workers=0, **more)
    study.folder = tmp_path
    assert study.diary() == expected


def test_a_new_template_is_a_new_run(small_study, small_template, tmp_path):
    study = small_study(A_B="60", A_W="90")
    study.run(workers=0)
    before = sorted((path.name, path.read_bytes()) for path in (tmp_path / "out").glob("*.csv"))
    other = small_template(sha256="1" * 64, version="2")
    with pytest.raises(InputError, match=r"another gating template.*small 2.*expected small 1.*another folder"):
        study.run(workers=0, template=other)
    assert sorted((path.name, path.read_bytes()) for path in (tmp_path / "out").glob("*.csv")) == before
    assert study.run("elsewhere", workers=0, template=other).exit_code == 0


def test_the_run_says_which_tubes_it_gates_and_why(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90", B_W="10")
    study.run(workers=0)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["gated_because"] == {}
    study.files |= {"B_B": "value 40", "A_W": "value 91"}
    study.run(workers=0)
    expected = {
        "new tube": ["B_B"],
        "input: the file's content changed": ["A_W"],
        "the cohort's gates moved": ["A_B", "B_W"],
    }
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["gated_because"] == expected
    with sqlite3.connect(tmp_path / "out" / "ledger.sqlite") as database:
        query = "SELECT subject, why FROM audit WHERE what = 'result done' AND seq > (SELECT max(seq) FROM audit WHERE "
        acts = dict(database.execute(query + "what = 'run started')").fetchall())
    database.close()
    assert acts == {tube: why for why, tubes in expected.items() for tube in tubes}
    study.run(workers=0, offset=1.0)
    gated = json.loads((tmp_path / "out" / "summary.json").read_text())["gated_because"]
    assert gated == {"setting offset": ["A_B", "A_W", "B_W", "B_B"]}


def test_new_only_leaves_finished_tubes_to_the_digit(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90")
    study.run(workers=0)
    before = endpoint(tmp_path / "out")
    study.diary()
    study.files["B_B"] = "value 40"
    study.run(workers=0, new_only=True)
    assert study.diary() == ["B_B first", "B_B second"]
    rows = endpoint(tmp_path / "out")
    assert {key: rows[key] for key in before} == before
    assert rows["B", "Baseline"]["n_treg"] == "90"  # 40 + the mean of both baselines
    note = json.loads((tmp_path / "out" / "summary.json").read_text())["notes"][-1]
    assert note.startswith("2 tubes keep what an earlier run found")
    again = tmp_path / "out" / "endpoint.csv"
    moment = again.stat().st_mtime_ns
    study.run(workers=0, new_only=True)
    assert (study.diary(), again.stat().st_mtime_ns) == ([], moment)
    study.run(workers=0)  # without it, all tubes stand on one cohort's gates again
    assert study.diary() == ["A_B second", "A_W second"]
    assert endpoint(tmp_path / "out")["A", "Baseline"]["n_treg"] == "110"
    notes = json.loads((tmp_path / "out" / "summary.json").read_text())["notes"]
    assert not any("earlier run" in note for note in notes)


def test_new_only_works_on_a_changed_file_and_refuses_other_settings(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90", B_B="40\nsecond bug")
    study.run(workers=0)
    study.diary()
    study.files["A_W"] = "value 91"
    study.run(workers=0, new_only=True)
    assert study.diary() == ["A_W first", "A_W second"]  # and B_B was tried again, a failure of the moment
    with pytest.raises(InputError, match=r"--new-only cannot keep.*setting offset.*without --new-only"):
        study.run(workers=0, new_only=True, offset=1.0)


def test_a_failure_of_the_moment_is_tried_again_and_a_lasting_one_is_not(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90\nfirst bug", B_B="PNG")
    assert study.run(workers=0).exit_code == 5
    study.diary()
    # the bug is mended by nothing here, yet the tube is tried again; the PNG is not even opened by the pipeline
    assert study.run(workers=0).exit_code == 5
    with sqlite3.connect(tmp_path / "out" / "ledger.sqlite") as database:
        acts = database.execute("SELECT subject, count(*) FROM audit WHERE what = 'result failed' GROUP BY subject")
        assert dict(acts.fetchall()) == {"A_W": 2, "B_B": 1}
    database.close()


def test_tables_are_the_same_bytes_whatever_the_way(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90", B_B="40", B_W="PNG")
    study.run("one", workers=0)
    study.run("two", workers=1)
    study.files.pop("B_B")
    study.run("three")
    study.files = {"A_B": "value 60", "A_W": "value 90", "B_B": "value 40", "B_W": "PNG"}
    study.run("three")
    for name in ("endpoint.csv", "gates.csv", "populations.parquet"):
        first = (tmp_path / "one" / name).read_bytes()
        assert (tmp_path / "two" / name).read_bytes() == first
        assert (tmp_path / "three" / name).read_bytes() == first


def test_outputs_come_back_from_the_ledger_alone(small_study, tmp_path):
    study = small_study(A_B="60", A_W="99")
    finished = study.run()
    out = tmp_path / "out"
    before = {
        name: (out / name).read_bytes() for name in ("endpoint.csv", "gates.csv", "populations.parquet", "summary.json")
    }
    for path in (*tmp_path.glob("*.fcs"), *(out / name for name in before)):
        path.unlink()
    with Ledger(out) as ledger:
        again = rebuild(ledger, out, {})
        assert ledger.first_broken_audit_row() is None
    assert again == finished
    assert again.exit_code == 4
    assert {name: (out / name).read_bytes() for name in before} == before


def test_a_worker_with_other_code_is_refused(small_study, monkeypatch):
    study = small_study(A_B="60")
    monkeypatch.setattr("treg_gating.run.cohort.code_version", lambda: "0.0.1+elsewhere")
    with pytest.raises(RunStateError, match=r"0\.0\.1\+elsewhere.*Install the same version"):
        study.run(workers=0)
    assert keys.code_version() != "0.0.1+elsewhere"


def test_a_killed_run_is_noted_by_the_next(small_study, tmp_path):
    study = small_study(A_B="60")
    study.run(workers=0)
    database = sqlite3.connect(tmp_path / "out" / "ledger.sqlite")
    database.execute("DROP TRIGGER runs_no_update")
    database.execute("UPDATE runs SET state = 'running'")
    database.commit()
    database.close()
    study.run(workers=0)
    with Ledger(tmp_path / "out") as ledger:
        states = ledger.connection.execute("SELECT state FROM runs ORDER BY rowid").fetchall()
    assert states == [("broken off",), ("ended",)]
