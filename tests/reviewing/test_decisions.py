"""Decisions from the ledger to the tables: applied where they hold, never in silence where they do not."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from treg_gating.errors import InputError, RunStateError
from treg_gating.gating.gates import Interval
from treg_gating.gating.results import Flag, FlagLevel, GateStatus
from treg_gating.run.decisions import Decision, checked, gate_text, in_force, value_of
from treg_gating.run.ledger import Ledger
from treg_gating.run.review_stage import reviewed

TUBE = "S01_Baseline"
SAMPLE_DATA = Path(__file__).resolve().parents[2] / "sample_data"


def override(study, moved, by=0.05, tube=TUBE, **more) -> Decision:
    gate = moved(study.result(tube), by)
    return study.decision(tube, "treg", "override", gate=gate_text(gate), reason="too_low", **more)


@contextmanager
def raw(study):
    """The ledger's file, without the ledger."""
    with closing(sqlite3.connect(study.out / "ledger.sqlite")) as database, database:
        yield database


def digests(study) -> dict[str, str]:
    with raw(study) as database:
        query = "SELECT tube_id, result_key FROM samples WHERE run = (SELECT run FROM runs ORDER BY rowid DESC LIMIT 1)"
        return dict(database.execute(query))


def test_an_override_changes_its_tube_alone_and_both_values_are_kept(study, moved):
    before, keys = {row["tube_id"]: row for row in study.rows("endpoint.csv")}, digests(study)
    study.decide(override(study, moved))
    study.rerun()
    row = study.row(TUBE)
    assert row["review"] == "overridden"
    assert row["overridden_gates"] == "treg"
    assert row["reviewed_by"].startswith("A. Reviewer, 2")
    assert row["review_reason"] == "treg: gate lies too low: takes in negatives"
    assert row["treg_pct_of_cd4_fitted"] == before[TUBE]["treg_pct_of_cd4"]
    assert float(row["treg_pct_of_cd4"]) < float(before[TUBE]["treg_pct_of_cd4"])
    assert row["n_cd4_t"] == before[TUBE]["n_cd4_t"]
    after = digests(study)
    assert {tube for tube in keys if keys[tube] != after[tube]} == {TUBE}
    others = [r for r in study.rows("endpoint.csv") if r["subject"] != "S01"]
    assert others == [r for r in before.values() if r["subject"] != "S01"]

    gate = next(g for g in study.rows("gates.csv") if (g["tube_id"], g["population"]) == (TUBE, "treg"))
    assert (gate["status"], gate["rule"]) == ("overridden", "by hand")
    assert json.loads(gate["own_numbers"])["low"] == pytest.approx(json.loads(gate["numbers"])["low"] - 0.05, abs=1e-5)
    fitted = study.result(TUBE)
    assert next(g for g in fitted.gates if g.population == "treg").status is GateStatus.OVERRIDDEN


def test_what_is_counted_is_what_the_gate_holds(study, moved):
    """The number in the table is a plain count over the file's own events."""
    from treg_gating.gating.template import load_template
    from treg_gating.overrides import OpenTube
    from treg_gating.pipeline import RunSettings
    from treg_gating.run.last import open_last_run

    with open_last_run(study.out) as last:
        tube = next(tube for tube in last.tubes if tube.tube_id == TUBE)
        opened = OpenTube(tube, RunSettings(load_template("treg_foxp3"), last.study), study_result(last))
    gate = moved(opened.fitted, 0.05)
    walk = opened._walk({})
    parent = walk.rows["cd25_cd127low"]
    foxp3 = opened._view.values(("FOXP3",), parent)[:, 0]
    expected = int(np.sum(foxp3 >= gate.low))
    assert opened.look({"treg": gate}).numbers["treg"] == expected
    study.decide(override(study, moved))
    study.rerun()
    assert int(study.row(TUBE)["n_treg"]) == expected


def study_result(last):
    return next(sample for sample in last.record.samples if sample.tube_id == TUBE)


def test_an_upper_gate_carries_the_lower_ones_along(study):
    result = study.result(TUBE)
    cd4 = next(gate.gate for gate in result.gates if gate.population == "cd4_t")
    gate = gate_text(replace(cd4, low=cd4.low + 0.2))
    study.decide(study.decision(TUBE, "cd4_t", "override", gate=gate, reason="too_low"))
    study.rerun()
    after = study.result(TUBE)
    assert after.count("cd4_t").n < result.count("cd4_t").n
    assert after.count("treg").n <= result.count("treg").n
    same = [g for g in after.gates if g.population not in ("cd4_t",)]
    assert [g.gate for g in same] == [g.gate for g in result.gates if g.population != "cd4_t"]


def test_an_ordinary_run_applies_them_too_but_not_to_a_file_that_changed(study, moved):
    other = "S02_Baseline"
    study.decide(override(study, moved), override(study, moved, tube=other))
    shutil.copy(SAMPLE_DATA / "fcs" / "S03_Baseline.fcs", study.folder / "fcs" / f"{other}.fcs")
    study.run()
    assert study.row(TUBE)["review"] == "overridden"
    row = study.row(other)
    assert row["review"] == "stale"
    assert "an override of treg by A. Reviewer" in row["review_reason"]
    assert "the file has changed since" in row["review_reason"]
    assert row["status"] == "review"
    assert "DECISION_STALE" in row["flags"]
    assert row["overridden_gates"] == row["treg_pct_of_cd4_fitted"] == ""
    finished = study.run()  # nothing changed: at once
    assert any("Decisions 1 overridden, 1 NOT APPLIED" in line for line in finished.lines)


def test_withdrawn_is_fitted_again(study, moved):
    before = study.row(TUBE)
    study.decide(override(study, moved))
    study.rerun()
    study.decide(study.decision(TUBE, "treg", "withdraw"))
    study.rerun()
    assert study.row(TUBE) == before


def test_an_excluded_tube_has_no_value_and_a_reason_but_keeps_its_counts(study):
    before = study.row(TUBE)
    study.decide(study.decision(TUBE, "", "exclude", reason="sample", comment="clot in the tube"))
    study.rerun()
    row = study.row(TUBE)
    assert row["treg_pct_of_cd4"] == row["treg_pct_of_cd4_low"] == row["treg_gate_high"] == ""
    assert row["status"] == "not_estimable"
    assert "excluded at review by A. Reviewer" in row["reason"]
    assert "clot in the tube" in row["reason"]
    assert row["review"] == "excluded"
    assert row["n_treg"] == before["n_treg"]
    baseline_gone = [r["change_from_baseline"] for r in study.rows("endpoint.csv") if r["subject"] == "S01"]
    assert baseline_gone == ["", "", ""]


def test_an_accepted_tube_needs_no_further_look(study):
    flags = (
        Flag("GATE_OUTLIER", FlagLevel.REVIEW, "moved", "treg"),
        Flag("FEW_CD4", FlagLevel.REVIEW, "few", "cd4_t"),
        Flag("DARK", FlagLevel.FAIL, "no light"),
    )
    result = replace(study.result(TUBE), flags=flags)
    template = study.decision(TUBE, "", "accept").template_sha256

    def levels(*decisions):
        found = reviewed(result, result, decisions, template, lambda r: value_of(r, "treg", "cd4_t"))
        return found, [str(flag.level) for flag in found.flags]

    gate = study.decision(TUBE, "treg", "accept")
    assert levels(gate)[1] == ["note", "review", "fail"]
    whole, found = levels(study.decision(TUBE, "", "accept"))
    assert found == ["note", "note", "fail"], "what must not be used stays so"
    assert "[accepted by A. Reviewer" in whole.flags[0].text
    assert whole.review.verdict == "accepted"
    study.decide(study.decision(TUBE, "", "accept", comment="looks right"))
    study.rerun()
    assert (study.row(TUBE)["review"], study.row(TUBE)["review_reason"]) == ("accepted", "looks right")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"template_sha256": "0" * 64}, "the gating template has changed since"),
        ({"scale": "0" * 64}, "the spillover matrix or a scale has changed since"),
        ({"sha256": "0" * 64}, "the file has changed since"),
    ],
)
def test_what_it_rests_on_has_changed(study, moved, change, words):
    study.decide(override(study, moved, **change))
    finished = study.rerun()
    row = study.row(TUBE)
    assert row["review"] == "stale"
    assert words in row["review_reason"]
    assert any("1 NOT APPLIED" in line for line in finished.lines)


def test_an_acceptance_is_of_the_count_that_was_seen(study, moved):
    study.decide(study.decision(TUBE, "", "accept"), override(study, moved))
    study.rerun()
    row = study.row(TUBE)
    assert row["review"] == "overridden"
    assert "the count has changed since" in row["review_reason"]
    assert row["status"] == "review"


def test_an_accepted_gate_that_moved_is_not_accepted(study):
    study.decide(study.decision(TUBE, "treg", "accept", replaced=gate_text(Interval(("FOXP3",), 0.1))))
    study.rerun()
    assert "the gate has moved since it was accepted" in study.row(TUBE)["review_reason"]


def test_a_file_that_is_gone_leaves_the_value_flagged_and_is_tried_again(study, moved):
    study.decide(override(study, moved))
    path = study.folder / "fcs" / f"{TUBE}.fcs"
    content = path.read_bytes()
    path.unlink()
    study.rerun()
    row = study.row(TUBE)
    assert "an override of treg by A. Reviewer" in row["review_reason"]
    assert row["status"] == "review"
    path.write_bytes(content)
    study.rerun()
    assert study.row(TUBE)["review"] == "overridden"


def test_a_rerun_reads_no_other_file(study, moved):
    for path in (study.folder / "fcs").iterdir():
        if path.stem != TUBE:
            path.unlink()
    study.decide(override(study, moved))
    study.rerun()
    assert study.row(TUBE)["review"] == "overridden"
    assert {row["status"] for row in study.rows("endpoint.csv")} <= {"ok", "review"}


def test_a_rerun_without_decisions_does_nothing(study):
    with raw(study) as database:
        runs = database.execute("SELECT count(*) FROM runs").fetchone()
    study.rerun()
    with raw(study) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == runs


def test_another_template_is_refused(study):
    from treg_gating.gating.template import load_template
    from treg_gating.run.progress import QuietProgress
    from treg_gating.run.rerun import rerun

    study.decide(study.decision(TUBE, "", "accept"))
    with pytest.raises(RunStateError, match="treg_surface has changed since the run"):
        rerun(study.out, load_template("treg_surface"), QuietProgress())


def test_every_decision_is_in_the_audit_trail_which_stays_whole(study, moved):
    study.decide(override(study, moved, comment="dim FMO"), study.decision(TUBE, "treg", "withdraw"))
    with Ledger(study.out) as ledger:
        assert ledger.first_broken_audit_row() is None
        assert [d.action for d in ledger.decisions()] == ["override", "withdraw"]
        assert in_force(ledger.decisions()) == {}
    with raw(study) as database:
        rows = database.execute("SELECT what, subject, old, new, why FROM audit WHERE what LIKE 'decision%'").fetchall()
        assert rows[0][:2] == ("decision: override", f"{TUBE}/treg")
        new = json.loads(json.loads(rows[0][3])["gate"])
        assert new["low"] == pytest.approx(json.loads(rows[0][2])["low"] + 0.05)
        assert "dim FMO" in rows[0][4]
        assert "signed A. Reviewer" in rows[0][4]
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute("DELETE FROM audit")


@pytest.mark.parametrize(
    ("population", "action", "more", "words"),
    [
        ("treg", "override", {"name": " "}, "name"),
        ("treg", "override", {"reason": ""}, "a reason is missing"),
        ("treg", "override", {"reason": "other"}, "say in a comment"),
        ("treg", "override", {"gate": ""}, "needs a gate"),
        ("treg", "exclude", {}, "none of accept, override, withdraw"),
        ("", "override", {}, "none of accept, exclude, withdraw"),
        ("", "exclude", {"reason": "too_low"}, "a reason is missing"),
        ("nothing", "accept", {}, "no gate 'nothing'"),
        ("cd4_t", "override", {}, "the gate is on FOXP3, cd4_t is on CD4"),
        ("treg", "accept", {"gate": ""}, None),
        ("treg", "override", {"comment": "x" * 1001}, "longer than 1000"),
    ],
)
def test_incomplete_decisions_are_refused(study, population, action, more, words):
    given = {"gate": gate_text(Interval(("FOXP3",), 0.5)) if action == "override" else "", "reason": "too_low"}
    decision = study.decision(TUBE, population, action, **{**given, **more})
    if words is None:
        assert checked(decision, study.result(TUBE)) == decision
        return
    with pytest.raises(InputError, match=words):
        checked(decision, study.result(TUBE))
