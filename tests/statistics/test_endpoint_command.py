"""From FCS files to adjusted ratios: the sample data through the command line."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from treg_gating.cli.main import cli
from treg_gating.errors import StudyError
from treg_gating.run.ledger import Ledger

SAMPLE_DATA = Path(__file__).resolve().parents[2] / "sample_data"
TRUE_RATIOS = {
    "Rapamycin / LD-IL2": 1.15 / 1.6,
    "LD-IL2+Rapamycin / LD-IL2": 1.8 / 1.6,
    "LD-IL2+Rapamycin / Rapamycin": 1.8 / 1.15,
}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run") / "results"
    done = CliRunner().invoke(cli, ["run", str(SAMPLE_DATA / "samples.csv"), "-o", str(out), "--workers", "0", "-q"])
    assert done.exception is None, done.output
    return out


def endpoint(run_dir: Path, out: Path, *more: str, arms: Path = SAMPLE_DATA / "arms.csv"):
    words = ["endpoint", str(run_dir), "--arms", str(arms), "-o", str(out), *more]
    return CliRunner().invoke(cli, words)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_the_simulated_arm_effects_lie_within_their_intervals(run_dir, tmp_path):
    done = endpoint(run_dir, tmp_path / "stats", "--clinical", str(SAMPLE_DATA / "clinical.csv"))
    assert done.exception is None, done.output
    rows = {row["comparison"]: row for row in rows_of(tmp_path / "stats" / "primary.csv") if row["scale"] == "ratio"}
    assert set(rows) == set(TRUE_RATIOS)
    for name, true in TRUE_RATIOS.items():
        assert float(rows[name]["low_95"]) < true < float(rows[name]["high_95"]), name
        assert (rows[name]["n"], rows[name]["df"]) == ("6", "2.0")
    for file in ("statistics.html", "statistics.xlsx", "adverse_events.csv", "scores.csv", "model_log.csv"):
        assert (tmp_path / "stats" / file).stat().st_size > 0


def test_unblinding_is_in_the_audit_trail(run_dir, tmp_path):
    assert endpoint(run_dir, tmp_path / "stats").exception is None
    with closing(sqlite3.connect(run_dir / "ledger.sqlite")) as database:
        what = database.execute("SELECT what, subject, why FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    assert what == ("unblinded", "arms.csv", "arm list of 6 subjects read for the analysis of the endpoint")
    with Ledger(run_dir) as ledger:
        assert ledger.first_broken_audit_row() is None
        assert ledger.audit_head() in (tmp_path / "stats" / "statistics.html").read_text()


def test_no_arm_reaches_the_runs_own_folder(run_dir, tmp_path):
    arms = tmp_path / "arms.csv"
    text = (SAMPLE_DATA / "arms.csv").read_text()
    arms.write_text(text.replace("S01,LD-IL2+Rapamycin", "S01,Rapamycin"))
    before = {
        path.name: path.read_bytes() for path in run_dir.iterdir() if not path.name.startswith(("ledger", "audit."))
    }
    assert endpoint(run_dir, tmp_path / "stats", arms=arms).exception is None
    after = {
        path.name: path.read_bytes() for path in run_dir.iterdir() if not path.name.startswith(("ledger", "audit."))
    }
    assert after == before


def test_a_faulty_arm_list_stops_before_it_is_noted(run_dir, tmp_path):
    arms = tmp_path / "arms.csv"
    arms.write_text("subject,arm\nS01,LD-IL2\nS01,Rapamycin\n")
    with Ledger(run_dir) as ledger:
        head = ledger.audit_head()
    done = endpoint(run_dir, tmp_path / "stats", arms=arms)
    assert isinstance(done.exception, StudyError)
    assert not (tmp_path / "stats").exists()
    with Ledger(run_dir) as ledger:
        assert ledger.audit_head() == head


def test_cdisc_files_of_the_sample_data(run_dir, tmp_path):
    pytest.importorskip("pyreadstat", reason="pyreadstat is not installed (extra 'cdisc')")
    import pandas as pd

    words = ["export", "cdisc", str(run_dir), "--arms", str(SAMPLE_DATA / "arms.csv"), "-o"]
    for folder in ("one", "two"):
        done = CliRunner().invoke(cli, [*words, str(tmp_path / folder)])
        assert done.exception is None, done.output
    for name in ("cp.xpt", "suppcp.xpt", "adtreg.xpt"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    frame = pd.read_sas(tmp_path / "one" / "cp.xpt", format="xport", encoding="ascii")
    values = {row["tube_id"]: float(row["treg_pct_of_cd4"]) for row in rows_of(run_dir / "endpoint.csv")}
    primary = frame[frame["CPTESTCD"] == "TLHRTLH"]
    assert dict(zip(primary["CPREFID"], primary["CPSTRESN"], strict=True)) == pytest.approx(values)
