"""The corpus of malformed files: none read wrong in silence, none refused obscurely, every refusal with its code."""

from __future__ import annotations

import ast
import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

CODES = Path(__file__).with_name("corpus_codes.tsv")
PROBE = """
import json, resource, sys
from treg_gating import FCSError, read_fcs
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
for path in sys.stdin.read().split("\\n"):
    try:
        sample = read_fcs(path)
        print(json.dumps(["read", sorted({w.code for w in sample.warnings}), "", True]), flush=True)
    except FCSError as e:
        complete = bool(e.file and e.action and str(e).startswith(f"[{e.code}] ") and e.file in str(e))
        print(json.dumps(["refused", [e.code], str(e), complete]), flush=True)
"""


@pytest.fixture(scope="module")
def corpus(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tool = shared / "tools" / "bad_fcs" / "make_bad_fcs.py"
    if not tool.exists():
        pytest.skip(f"tool absent: {tool}")
    folder = tmp_path_factory.mktemp("corpus")
    subprocess.run([sys.executable, tool, folder], check=True, capture_output=True, timeout=300)
    return folder


def test_official_grading(corpus: Path, shared: Path) -> None:
    """Values, names, markers, counts and compensated values against the truth files, one bounded child a file."""
    grade = shared / "tools" / "bad_fcs" / "grade.py"
    done = subprocess.run(
        [sys.executable, grade, corpus, "0"], capture_output=True, text=True, timeout=900, check=False
    )
    counts = ast.literal_eval(done.stdout.strip().splitlines()[-1])
    assert counts == {"fine": 201}, done.stdout
    assert done.returncode == 0


def test_codes_are_stable_and_complete(corpus: Path) -> None:
    """Every file ends as it did when the table was reviewed; refusals carry file, code and action."""
    with (corpus / "manifest.tsv").open() as file:
        names = [row["name"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    paths = "\n".join(str(corpus / f"{name}.fcs") for name in names)
    done = subprocess.run(
        [sys.executable, "-c", PROBE], input=paths, capture_output=True, text=True, timeout=600, check=True
    )
    found = dict(zip(names, map(json.loads, done.stdout.splitlines()), strict=True))
    assert all(complete for *_, complete in found.values())
    with CODES.open() as file:
        expected = {row["name"]: (row["outcome"], row["codes"].split()) for row in csv.DictReader(file, delimiter="\t")}
    assert {name: (outcome, codes) for name, (outcome, codes, *_) in found.items()} == expected
