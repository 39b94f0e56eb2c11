"""`compare`: what came out otherwise between two runs, and why."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import replace

import pytest

from treg_gating.errors import InputError, RunStateError
from treg_gating.gating.gates import Interval
from treg_gating.gating.results import FittedGate, GateStatus, SampleResult
from treg_gating.run.compare import compare_runs, read_run
from treg_gating.run.ledger import Ledger


def compared(*places: object) -> dict[str, tuple[str, str, str]]:
    found = compare_runs(*(read_run(str(place)) for place in places))
    return {row.tube_id: (row.before, row.after, row.why) for row in found.differences}


def test_causes_within_one_folder(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90", B_W="10", C_W="20")
    study.run(workers=0)
    study.files |= {"A_W": "value 91", "D_W": "value 5"}
    study.files.pop("C_W")
    study.run(workers=0)
    out = tmp_path / "out"
    assert compared(f"{out}@-1", out) == {
        "A_W": ("15.0 % (150 of 1000)", "15.1 % (151 of 1000)", "input: the file's content changed"),
        "C_W": ("8.0 % (80 of 1000)", "no such tube", "no longer in the sheet"),
        "D_W": ("no such tube", "6.5 % (65 of 1000)", "new tube"),
    }
    study.files |= {"B_B": "value 40"}
    study.run(workers=0)
    found = compared(f"{out}@-1", out)
    assert found.pop("B_B")[2] == "new tube"
    assert {why for _, _, why in found.values()} == {"the cohort's gates moved"}
    assert found["A_B"][:2] == ("12.0 % (120 of 1000)", "11.0 % (110 of 1000)")
    first = read_run(f"{out}@-2")
    assert read_run(f"{out}@{first.row.run[:6]}").row.run == first.row.run


def test_causes_between_folders(small_study, small_template, tmp_path, monkeypatch):
    study = small_study(A_B="60", A_W="90", B_W="PNG")
    study.run("one", workers=0)
    study.run("same", workers=0)
    study.run("settings", workers=0, offset=1.0)
    study.run("template", workers=0, offset=1.0, template=small_template(version="2", sha256="1" * 64))
    for name in ("cohort", "job"):
        monkeypatch.setattr(f"treg_gating.run.{name}.code_version", lambda: "9.9.9+other")
    study.run("code", workers=0, offset=2.0)
    one, same = (read_run(str(tmp_path / name)) for name in ("one", "same"))
    assert compare_runs(one, same).differences == ()
    assert compare_runs(one, same).same == ("A_B", "A_W", "B_W")
    assert {why for _, _, why in compared(tmp_path / "one", tmp_path / "settings").values()} == {"setting offset"}
    found = compare_runs(*(read_run(str(tmp_path / name)) for name in ("one", "template")))
    assert found.run_wide == ("template: small 1 (000000000000) became small 2 (111111111111)", "setting offset")
    assert found.same == ("B_W",)  # a PNG is a PNG under any template
    changed = compare_runs(*(read_run(str(tmp_path / name)) for name in ("settings", "code")))
    assert changed.run_wide[0] == "setting offset"
    assert changed.run_wide[1].endswith("became 9.9.9+other")


def test_a_changed_row_and_a_failure(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90")
    study.run("one", workers=0)
    study.files["A_W"] = "PNG"
    sheet = study.write()
    sheet.write_text(sheet.read_text().replace("A_B.fcs,A,Baseline,1", "A_B.fcs,A,Baseline,2"))
    study.write = lambda: sheet
    (tmp_path / "A_B.fcs").write_text("value 61")
    study.run("two", workers=0)
    found = compared(tmp_path / "one", tmp_path / "two")
    assert found["A_W"] == ("15.0 % (150 of 1000)", "failed [E_NOT_FCS]", "input: the file's content changed")
    assert found["A_B"][2] == "input: the file's content changed; sheet: batch '1' became '2'"


def test_an_override_is_named_with_its_reason(small_study, tmp_path):
    study = small_study(A_B="60")
    study.run(workers=0)
    view = read_run(str(tmp_path / "out"))
    own = FittedGate("treg", "cd4_t", "+", Interval(("FOXP3",), 1.0), GateStatus.FITTED, "valley")
    by_hand = replace(own, gate=Interval(("FOXP3",), 1.2), status=GateStatus.OVERRIDDEN, reason="dim stain, JD")

    def with_gate(gate: FittedGate) -> object:
        result: SampleResult = replace(view.results["A_B"], gates=(gate,))
        return replace(view, results={"A_B": result})

    (found,) = compare_runs(with_gate(own), with_gate(by_hand)).differences
    assert (found.what, found.why) == ("gates of treg", "override of treg set: dim stain, JD")
    (back,) = compare_runs(with_gate(by_hand), with_gate(own)).differences
    assert back.why == "override of treg taken back: dim stain, JD"


def test_places_that_hold_no_run(small_study, tmp_path):
    study = small_study(A_B="60")
    study.run(workers=0)
    for place, said in ((tmp_path, "holds no run"), (f"{tmp_path / 'out'}@zz", "no such finished run")):
        with pytest.raises(InputError, match=said):
            read_run(str(place))
    (tmp_path / "begun").mkdir()
    with Ledger(tmp_path / "begun"):
        pass
    with pytest.raises(RunStateError, match="no run came to its end"):
        read_run(str(tmp_path / "begun"))


def test_the_command_and_its_table(small_study, tmp_path):
    study = small_study(A_B="60", A_W="90")
    study.run("one", workers=0)
    study.files["A_W"] = "value 91"
    study.run("two", workers=0)
    command = [sys.executable, "-m", "treg_gating", "compare", "one", "two", "-o", "changes.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Tubes: 1 the same, 1 otherwise" in done.stdout
    assert "A_W (A Week 12): 15.0 % (150 of 1000) -> 15.1 % (151 of 1000)" in done.stdout
    with (tmp_path / "changes.csv").open(newline="") as file:
        assert [row["why"] for row in csv.DictReader(file)] == ["input: the file's content changed"]
