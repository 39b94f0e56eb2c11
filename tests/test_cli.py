"""The command line as a user meets it: real processes, real files, exit codes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_DATA = ROOT / "sample_data"
OUTPUTS = (
    *("endpoint.csv", "gates.csv", "manifest.json", "miflowcyt.xlsx", "populations.parquet", "report.html"),
    *("results.xlsx", "run.log.jsonl", "summary.json"),
)
MADE_AGAIN = tuple(name for name in OUTPUTS if name not in {"run.log.jsonl", "summary.json"})


def treg(*words: object, cwd: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "treg_gating", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **more}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=180)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Two subjects of the sample data with their controls, and a picture that calls itself an FCS file."""
    folder = tmp_path_factory.mktemp("cohort")
    sheet = rows_of(SAMPLE_DATA / "samples.csv")
    kept = [row for row in sheet if row["subject"] in {"S01", "S02"} or row["role"] in {"fmo", "control"}]
    (folder / "fcs").mkdir()
    for row in kept:
        shutil.copy(SAMPLE_DATA / row["file"], folder / row["file"])
    shutil.copy(SAMPLE_DATA / "study.toml", folder)
    (folder / "fcs" / "S02_Week4.fcs").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    with (folder / "samples.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*kept[0], "arm"])
        writer.writeheader()
        writer.writerows({**row, "arm": "secret arm"} for row in kept)
    return folder


@pytest.fixture(scope="module")
def ran(cohort) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The cohort, run with two workers."""
    return cohort / "results", treg("run", "samples.csv", "--workers", 2, cwd=cohort)


def test_a_picture_fails_with_its_reason_and_all_others_are_done(ran):
    out, done = ran
    assert done.returncode == 5, done.stderr
    assert sorted(path.name for path in out.iterdir() if path.name in OUTPUTS) == list(OUTPUTS)
    rows = {(row["subject"], row["visit"]): row for row in rows_of(out / "endpoint.csv")}
    assert list(rows) == [(subject, visit) for subject in ("S01", "S02") for visit in ("Baseline", "Week 4", "Week 12")]
    bad = rows.pop(("S02", "Week 4"))
    assert bad["status"] == "failed"
    assert bad["reason"].startswith("[E_NOT_FCS] fcs/S02_Week4.fcs")
    assert bad["treg_pct_of_cd4"] == ""
    for row in rows.values():
        low, value, high = (float(row[f"treg_pct_of_cd4{end}"]) for end in ("_low", "", "_high"))
        assert 0 < low < value < high < 100
        assert value == pytest.approx(100 * int(row["n_treg"]) / int(row["n_cd4_t"]), rel=1e-5)
        assert row["sha256"]


def test_the_last_screen_says_in_five_lines_what_came_out(ran):
    out, done = ran
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert "1 failed" in lines[0]
    assert "S02_Week4 [E_NOT_FCS]" in lines[3]
    assert "report.html" in lines[4]
    assert out.name in lines[4]


def test_where_files_lack_the_same_the_last_screen_names_the_command_that_says_it_once(tmp_path):
    rows = []
    for visit in ("Baseline", "Week 4"):
        raw = (SAMPLE_DATA / "fcs" / f"S01_{visit.replace(' ', '')}.fcs").read_bytes()
        (tmp_path / f"{visit}.fcs").write_bytes(raw.replace(b"CD25", b"CDxx"))
        rows.append(f"{visit}.fcs,S01,{visit},1\n")
    (tmp_path / "s.csv").write_text("file,subject,visit,batch\n" + "".join(rows))
    done = treg("run", "s.csv", cwd=tmp_path)
    assert done.returncode == 5
    (advice,) = (line for line in done.stdout.splitlines() if line.startswith("Advice"))
    assert "treg-gating check" in advice
    assert "E_PANEL" in advice
    told = treg("check", "s.csv", cwd=tmp_path)
    assert told.stdout.count("CD25: no channel carries it") + told.stderr.count("CD25: no channel carries it") == 1


def test_the_treatment_column_is_set_aside_and_said(ran, cohort):
    out, done = ran
    assert "Not read, because they tell the treatment: column 'arm'" in done.stderr
    for path in out.iterdir():
        assert b"secret arm" not in path.read_bytes(), path.name


def test_values_are_near_the_truth(ran):
    out, _ = ran
    truth = {row["file"]: float(row["treg_pct_of_cd4"]) for row in rows_of(SAMPLE_DATA / "truth.csv")}
    found = {
        row["file"]: float(row["treg_pct_of_cd4"]) for row in rows_of(out / "endpoint.csv") if row["treg_pct_of_cd4"]
    }
    assert len(found) == 5
    for file, value in found.items():
        assert value == pytest.approx(truth[file], rel=0.35), file


def test_summary_and_log_are_for_scripts(ran):
    out, _ = ran
    summary = json.loads((out / "summary.json").read_text())
    assert summary["exit_code"] == 5
    assert [entry["code"] for entry in summary["failed"]] == ["E_NOT_FCS"]
    log = [json.loads(line) for line in (out / "run.log.jsonl").read_text().splitlines()]
    assert {"utc", "level", "text"} <= set(log[0])


def test_a_second_run_does_nothing_and_ends_the_same(ran, cohort):
    out, first = ran
    before = {name: (out / name).read_bytes() for name in OUTPUTS if name != "run.log.jsonl"}
    again = treg("run", "samples.csv", cwd=cohort)
    assert "Nothing has changed" in again.stderr
    assert (again.returncode, again.stdout) == (first.returncode, first.stdout)
    assert {name: (out / name).read_bytes() for name in before} == before


def test_report_comes_back_from_the_ledger(ran, tmp_path):
    out, first = ran
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    for name in MADE_AGAIN:
        (copy / name).unlink()
    done = treg("report", copy, cwd=tmp_path)
    assert done.returncode == first.returncode
    for name in MADE_AGAIN:
        assert (copy / name).read_bytes() == (out / name).read_bytes(), name


def test_one_process_gives_the_same_bytes(ran, cohort, tmp_path):
    out, _ = ran
    done = treg("run", "samples.csv", "--workers", 1, "-o", tmp_path / "alone", "--quiet", cwd=cohort)
    assert (done.returncode, done.stdout) == (5, "")
    for name in ("endpoint.csv", "gates.csv", "populations.parquet"):
        assert (tmp_path / "alone" / name).read_bytes() == (out / name).read_bytes(), name


def test_ctrl_c_keeps_what_was_done_and_the_same_command_goes_on(ran, cohort, tmp_path):
    out, _ = ran
    command = [sys.executable, "-m", "treg_gating", "run", "samples.csv", "--workers", "2", "-o", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command,
        cwd=cohort,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "Fitting gates: " in line and "/" in line:  # the first tubes are committed
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 130
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    again = treg(*command[3:], cwd=cohort)
    assert again.returncode == 5
    assert "finished earlier" in again.stderr
    for name in ("endpoint.csv", "gates.csv", "populations.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (out / name).read_bytes(), name


def test_a_sheet_with_faults_ends_before_any_event_is_read(cohort, tmp_path):
    rows = (cohort / "samples.csv").read_text().splitlines()
    sheet = cohort / "faulty.csv"
    faulty = [rows[1].replace("S01_Baseline", "absent"), rows[2], rows[2], rows[3].replace("Week 12", "Week 99")]
    sheet.write_text("\n".join([rows[0], *faulty]) + "\n")
    for words in (("run", sheet, "-o", tmp_path / "out"), ("check", sheet)):
        done = treg(*words, cwd=cohort)
        assert done.returncode == 3
        said = done.stdout + done.stderr
        for expected in ("row 2", "absent.fcs", "row 4", "duplicate", "row 5", "Week 99"):
            assert expected in said, (words[0], expected)
    assert not (tmp_path / "out").exists()


def test_subject_001_stays_text(cohort, tmp_path):
    sheet = cohort / "text.csv"
    sheet.write_text("file,subject,visit\nfcs/S01_Baseline.fcs,001,Baseline\n")
    done = treg("run", sheet, "-o", tmp_path / "out", "-q", cwd=cohort)
    assert done.returncode in {0, 4}, done.stderr
    assert rows_of(tmp_path / "out" / "endpoint.csv")[0]["subject"] == "001"


def test_check_reads_headers_and_lists_files_at_fault(cohort):
    done = treg("check", "samples.csv", cwd=cohort)
    assert done.returncode == 3
    assert "E_NOT_FCS" in done.stdout
    assert "1 file has faults" in done.stdout
    wrong = treg("check", SAMPLE_DATA / "samples.csv", "-t", "treg_pregated")
    assert wrong.returncode == 0  # the panel is there; that the events are raw shows only when they are read


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", "samples.csv", "-t", "treg_foxp"), 2, "treg_foxp3"),
        (("run", "absent.csv"), 3, "absent.csv"),
        (("run",), 2, "Missing argument 'SHEET'"),
        (("rnu",), 2, "Did you mean 'run'?"),
        (("run", "samples.csv", "--spillover", "absent.csv"), 2, "absent.csv"),
        (("run", "samples.csv", "--study", "absent.toml"), 2, "absent.toml"),
        (("report", "fcs"), 2, "holds no run"),
        (("inspect", "samples.csv"), 74, "E_NOT_FCS"),
        (("methods", "vally"), 2, "valley"),
        (("templates", "copy", "treg_foxp3", "fcs"), 2, "exists already"),
        (("simulate", "-o", "x"), 2, "foxp3"),
    ],
)
def test_wrong_use_says_what_to_do(cohort, words, code, said):
    done = treg(*words, cwd=cohort)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_exit_74(cohort, tmp_path):
    script = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    script += "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000));"
    script += "from treg_gating.cli import main; main()"
    command = [sys.executable, "-c", script, "run", "samples.csv", "-o", str(tmp_path / "out"), "--workers", "0"]
    done = subprocess.run(
        command, cwd=cohort, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 74
    assert "run the same again" in done.stderr


def test_inspect_as_text_and_json():
    file = SAMPLE_DATA / "fcs" / "S01_Week4.fcs"
    shown = treg("inspect", file)
    assert shown.returncode == 0
    assert "CD25 PE" in shown.stdout
    assert "condition" in shown.stdout
    told = json.loads(treg("inspect", file, "--json").stdout)
    assert told["n_events"] == 5500
    assert len(told["sha256"]) == 64
    assert {channel["name"] for channel in told["channels"]} >= {"FSC-A", "Time"}
    assert len(told["spillover"]["matrix"]) == len(told["spillover"]["channels"])


def test_templates_are_listed_and_copied(tmp_path):
    assert all(name in treg("templates").stdout for name in ("treg_foxp3", "treg_surface", "treg_pregated"))
    done = treg("templates", "copy", "treg_surface", tmp_path / "mine")
    assert done.returncode == 0
    assert (tmp_path / "mine" / "gates.csv").read_bytes() == (
        ROOT / "gating_templates/treg_surface/gates.csv"
    ).read_bytes()


def test_methods_are_listed_with_arguments():
    shown = treg("methods").stdout
    assert "valley" in shown
    assert "mixture_ellipse" in shown
    assert "mass = 0.95" in treg("methods", "mixture_ellipse").stdout


def test_simulate_makes_a_study_that_check_accepts(tmp_path):
    done = treg("simulate", "foxp3", "-o", tmp_path / "made", "--seed", 1, "--subjects", 1, "--events", 2000)
    assert done.returncode == 0, done.stderr
    assert "treg-gating run" in done.stdout
    assert treg("check", tmp_path / "made" / "samples.csv").returncode == 0


@pytest.mark.parametrize("command", ["run", "check", "report", "inspect", "templates", "methods", "simulate"])
def test_help_has_examples(command):
    done = treg(command, "--help")
    assert done.returncode == 0
    assert f"treg-gating {command}" in done.stdout
    assert "Example" in done.stdout


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (
            ("--help",),
            {"numpy", "pandas", "scipy", "sklearn", "flowkit", "dask", "distributed", "matplotlib", "pyarrow"},
        ),
        (
            ("check", "samples.csv"),
            {"pandas", "sklearn", "flowkit", "dask", "distributed", "matplotlib", "pyarrow", "rich"},
        ),
        (
            ("run", "samples.csv", "--workers", "0", "--quiet", "-o", "light"),
            {"pandas", "scipy", "sklearn", "flowkit", "dask", "distributed", "matplotlib"},
        ),
        (  # what draws and writes does so in the process of the tubes, which takes its memory along when it ends
            ("run", "samples.csv", "--workers", "1", "--quiet", "-o", "lighter"),
            {"pandas", "scipy", "flowkit", "dask", "matplotlib", "pyarrow", "jinja2", "PIL", "xlsxwriter"},
        ),
    ],
)
def test_light_commands_import_nothing_heavy(cohort, words, heavy):
    script = "import sys\nfrom treg_gating.cli import main\ntry:\n    main()\n"
    script += "finally:\n    print(*sys.modules, file=sys.stderr)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=cohort, env=environment, capture_output=True, text=True
    )
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "treg_gating" in loaded
    assert not heavy & loaded


def test_readme_and_ci_say_the_same():
    readme, script = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    commands = [line.strip() for line in readme.splitlines() if line.startswith("    python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("treg-gating run sample_data/samples.csv")
    assert commands[1].endswith("-m pytest")
    assert "README.md" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_reader_that_goes_away_is_no_bug():
    command = f"{sys.executable} -m treg_gating methods | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
