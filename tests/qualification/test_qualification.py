"""`verify --installation`: it passes here, fails where something is not as released, and the page says which."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib import metadata

import pytest

from treg_gating.qualification import installed
from treg_gating.qualification.check import Check, Verdict
from treg_gating.qualification.page import qualification_page
from treg_gating.qualification.reference import EXPECTED, compared, reference_folder


def test_this_installation_qualifies(tmp_path):
    """Fails when the gating was changed: then make the stored results again, as reference.py says."""
    command = [sys.executable, "-m", "treg_gating", "verify", "--installation", "-o", "check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "check" / "installation_check.json").read_text())
    operational = [check["name"] for check in told["checks"] if check["part"] == "OQ"]
    assert sum(name.startswith("Treg of") for name in operational) == 18
    assert len(operational) == 18 + 6
    page = (tmp_path / "check" / "installation_check.html").read_text()
    assert "Reviewed by" in page
    assert told["about"]["version"] in page


def test_every_visit_of_the_reference_study_has_a_stored_value():
    rows = list(csv.DictReader(EXPECTED.read_text().splitlines()))
    assert len(rows) == 18
    assert all(0 < float(row["treg_pct_of_cd4"]) < 100 for row in rows)
    assert (reference_folder() / "samples.csv").is_file()


@pytest.mark.parametrize(
    ("found", "verdicts"),
    [
        ("S1,W4,ok,3000,300,10.0\n", ["passed"]),
        ("S1,W4,ok,3001,301,10.03\n", ["passed"]),  # another processor's rounding
        ("S1,W4,ok,3000,310,10.33\n", ["FAILED"]),
        ("S1,W4,review,3000,300,10.0\n", ["FAILED"]),
        ("S1,W4,not_estimable,3000,,\n", ["FAILED"]),
        ("", ["FAILED"]),
        ("S1,W4,ok,3000,300,10.0\nS2,W4,ok,1,1,1\n", ["passed", "FAILED"]),
    ],
)
def test_values_are_compared(found, verdicts):
    head = "subject,visit,status,n_cd4_t,n_treg,treg_pct_of_cd4\n"
    checks = compared(head + "S1,W4,ok,3000,300,10.0\n", head + found)
    assert [check.verdict for check in checks] == verdicts


class Wheel:
    """A distribution as an installer leaves it."""

    def __init__(self, folder, requires=()):
        self.files = [_File(folder / "a.py"), _File(folder / "b.py")]
        self.requires = list(requires)

    def read_text(self, name):
        return None


class _File:
    def __init__(self, path):
        path.write_text(path.name)
        self._path = path
        self.hash = metadata.FileHash(f"sha256={installed._digest(path)}")

    def locate(self):
        return self._path

    def __str__(self):
        return self._path.name


def test_a_file_that_was_changed_or_is_gone_is_named(tmp_path):
    wheel = Wheel(tmp_path)
    assert installed._files(wheel).verdict is Verdict.PASSED
    (tmp_path / "a.py").write_text("patched")
    found = installed._files(wheel)
    assert (found.verdict, found.found) == (Verdict.FAILED, "1 of 2 as listed; not: a.py")
    (tmp_path / "b.py").unlink()
    assert installed._files(wheel).found == "0 of 2 as listed; not: a.py, b.py"


def test_libraries_out_of_range_or_absent(tmp_path):
    wheel = Wheel(tmp_path, ["numpy<1", "no-such-library-here>=1", "pytest; extra == 'test'", "click>=8"])
    found = {check.name: (check.verdict, check.found) for check in installed._requirements(wheel)}
    assert found["library numpy"][0] is Verdict.FAILED
    assert found["library no-such-library-here"] == (Verdict.FAILED, "not installed")
    assert found["library click"][0] is Verdict.PASSED
    assert "library pytest" not in found


def test_the_page_escapes_and_says_what_failed():
    checks = [
        Check("IQ", "<b>x</b>", "1", "2", Verdict.FAILED),
        Check("OQ", "y", "1", "1", Verdict.PASSED),
        Check("IQ", "z", "1", "", Verdict.NOT_CHECKED),
    ]
    page = qualification_page(checks, {"computer": "<script>"})
    assert "1 of 3 checks FAILED. 1 could not be checked." in page
    assert "<b>x</b>" not in page
    assert "<script>" not in page
    assert "All 1 checks passed." in qualification_page(checks[1:2], {})


def test_a_wheel_holds_the_reference_study():
    about = metadata.distribution("treg-gating")
    if json.loads(about.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable"):
        pytest.skip("an editable installation has no wheel to look into")
    names = {str(file) for file in about.files or []}
    for file in ("samples.csv", "study.toml", "fcs/S01_Baseline.fcs"):
        assert f"treg_gating/sample_data/{file}" in names
    assert not [name for name in names if "sample_data/truth" in name or "sample_data/arms" in name]
