"""Imported gates kept as a file: the same template, without FlowKit, and no other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from treg_gating.cli.main import cli
from treg_gating.errors import InputError
from treg_gating.gating.template import load_template
from treg_gating.interchange.gatingml import export_gatingml
from treg_gating.interchange.kept import keep_gates, read_kept
from treg_gating.interchange.load import load_gates
from treg_gating.pipeline import RunSettings, between_passes, first_pass, second_pass
from treg_gating.run.codec import encode
from treg_gating.run.keys import digest
from treg_gating.samplesheet import Tube
from treg_gating.study import default_study


@pytest.fixture(scope="module")
def gated(simulated: list[Any]) -> Any:
    return simulated[0]


@pytest.fixture
def document(gated: Any, tmp_path: Path) -> Path:
    path = tmp_path / "gates.xml"
    export_gatingml(gated.result, path)
    return path


def result_of(template: Any, path: Path) -> Any:
    tube = Tube(path.stem, path.name, path, "1", "v", "")
    settings = RunSettings(template, default_study(["v"]))
    fit = first_pass(tube, settings)
    return second_pass(tube, settings, between_passes([tube], {tube.tube_id: fit}, settings), fit)


def test_kept_gates_are_the_documents_own(document: Path, gated: Any, tmp_path: Path) -> None:
    kept = tmp_path / "study.gates.json"
    imported = load_gates(document)
    keep_gates(imported, kept)
    again = load_gates(kept)
    assert type(again) is type(imported)
    assert digest(again) == digest(imported)
    assert encode(result_of(again, gated.path)) == encode(result_of(imported, gated.path))
    before = kept.read_bytes()
    keep_gates(again, kept)
    assert kept.read_bytes() == before


def test_a_workspace_is_kept_with_the_gates_of_every_sample(shared: Path, tmp_path: Path) -> None:
    workspace = shared / "data" / "flowatlas" / "workspace.wsp"
    if not workspace.is_file():
        pytest.skip(f"reference data absent: {workspace}")
    imported = load_gates(workspace)
    keep_gates(imported, tmp_path / "w.gates.json")
    again = read_kept(tmp_path / "w.gates.json")
    assert digest(again) == digest(imported)
    assert len(again.samples) == len(imported.samples)  # type: ignore[attr-defined]
    path = next(workspace.parent.glob("4*/4*_0*.fcs"))
    assert encode(result_of(again, path)) == encode(result_of(imported, path))


def test_reading_kept_gates_needs_no_flowkit(document: Path, tmp_path: Path) -> None:
    kept = tmp_path / "study.gates.json"
    keep_gates(load_gates(document), kept)
    code = (
        "import sys; from treg_gating.interchange.load import load_gates; load_gates(sys.argv[1]);"
        "assert not {'flowkit', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(kept)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_changed_file_is_refused(document: Path, tmp_path: Path) -> None:
    kept = tmp_path / "study.gates.json"
    keep_gates(load_gates(document), kept)
    body = json.loads(kept.read_text())
    body["source"] = "another.xml"
    kept.write_text(json.dumps(body))
    with pytest.raises(InputError, match=r"changed after it was written.*templates import"):
        read_kept(kept)
    for text, words in (("{}", "not gates that this program keeps"), ("[1", "cannot be read"), ("[]", "not gates")):
        kept.write_text(text)
        with pytest.raises(InputError, match=words):
            read_kept(kept)


def test_our_own_templates_and_other_names_are_refused(document: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="templates copy"):
        keep_gates(load_template("treg_foxp3"), tmp_path / "t.gates.json")
    with pytest.raises(InputError, match=r"ends in \.gates\.json"):
        keep_gates(load_gates(document), tmp_path / "t.json")


def test_another_endpoint_of_the_same_document_is_another_template(document: Path) -> None:
    usual, asked = load_gates(document), load_gates(document, treg="treg", cd4="t_cells")
    assert asked.primary.numerator == "treg"
    assert asked.sha256 != usual.sha256


def test_the_command_keeps_gates_and_says_how_to_use_them(document: Path, tmp_path: Path) -> None:
    kept = str(tmp_path / "study.gates.json")
    done = CliRunner().invoke(cli, ["templates", "import", str(document), kept])
    assert done.exit_code == 0, done.output
    assert "endpoint treg of cd4_t" in done.output
    again = CliRunner().invoke(cli, ["templates", "import", str(document), kept])
    assert again.exit_code == 2
    assert "exists already" in again.output
