"""A workspace of the run, edited as FlowJo edits it, read back as overrides of the gates that moved and no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lxml import etree

from treg_gating.cli.main import cli
from treg_gating.cli.review import _REASONS
from treg_gating.errors import InputError, ReviewError
from treg_gating.gating.gates import Polygon
from treg_gating.gating.template import load_template
from treg_gating.reviewing.desk import Desk
from treg_gating.reviewing.workspace import read_workspace
from treg_gating.run.decisions import GATE_REASONS

TUBE = "S01_Baseline"
GATING = "{http://www.isac-net.org/std/Gating-ML/v2.0/gating}"
DATA = "{http://www.isac-net.org/std/Gating-ML/v2.0/datatypes}"
SIGNED = {"name": "A. Lab", "reason": "other", "comment": "moved in FlowJo"}


@pytest.fixture
def workspace(study: Any) -> Path:
    """The run's workspace, as the command writes it."""
    path = study.folder / "study.wsp"
    words = ["export", "flowjo", str(study.out), "-o", str(path), "--data", str(study.folder)]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.exception is None, done.output
    return path


@pytest.fixture
def desk(study: Any) -> Desk:
    return Desk(study.out, load_template("treg_foxp3"), data=study.folder, blinded=False)


def edit(path: Path, tube: str, population: str, change: Callable[[Any], None]) -> None:
    tree = etree.parse(str(path))
    for sample in tree.iterfind(".//Sample"):
        if sample.find("SampleNode").get("name") == f"{tube}.fcs" or tube in sample.find("DataSet").get("uri"):
            node = next(n for n in sample.iter("Population") if n.get("name") == population)
            change(node)
    tree.write(str(path), xml_declaration=True, encoding="utf-8")


def raise_threshold(node: Any) -> None:
    dimension = node.find(f"Gate/{GATING}RectangleGate/{GATING}dimension")
    key = next(key for key in dimension.attrib if key.endswith(("min", "max")))
    dimension.set(key, repr(float(dimension.get(key)) * 1.5))


def test_untouched_gates_are_no_decisions(workspace, desk):
    found = read_workspace(workspace, desk, **SIGNED)
    assert found.decisions == ()
    assert found.notes == ()


def test_a_moved_threshold_becomes_an_override_of_that_gate(workspace, desk, study):
    edit(workspace, TUBE, "treg", raise_threshold)
    edit(workspace, "S02_Week4", "live", raise_threshold)
    found = read_workspace(workspace, desk, **SIGNED)
    assert [(d.tube_id, d.population, d.source) for d in found.decisions] == [
        (TUBE, "treg", "study.wsp"), ("S02_Week4", "live", "study.wsp"),
    ]  # fmt: skip
    result = study.result(TUBE)
    scale = load_template("treg_foxp3").transforms["FOXP3"]
    before = next(g.gate for g in result.gates if g.population == "treg")
    after = found.decisions[0].new_gate
    assert float(scale.inverse(after.low)) == pytest.approx(1.5 * float(scale.inverse(before.low)), rel=1e-6)
    live, old = (
        found.decisions[1].new_gate,
        next(g.gate for g in study.result("S02_Week4").gates if g.population == "live"),
    )
    assert live.low > old.low, "a gate that keeps what is outside still does"
    desk.keep(list(found.decisions))
    study.rerun()
    assert study.row(TUBE)["review"] == "overridden"
    assert float(study.row(TUBE)["treg_pct_of_cd4"]) < float(study.row(TUBE)["treg_pct_of_cd4_fitted"])
    desk.load()
    with pytest.raises(InputError, match="exported from another run"):
        read_workspace(workspace, desk, **SIGNED)


def test_a_moved_line_is_a_polygon(workspace, desk):
    def redraw(node: Any) -> None:
        shape = node.find(f"Gate/{GATING}PolygonGate")
        for vertex in shape.findall(f"{GATING}vertex"):
            shape.remove(vertex)
        for corner in ((500, -500), (100000, -500), (100000, 3000), (500, 100)):
            vertex = etree.SubElement(shape, f"{GATING}vertex")
            for value in corner:
                etree.SubElement(vertex, f"{GATING}coordinate").set(f"{DATA}value", str(value))

    edit(workspace, TUBE, "cd25_cd127low", redraw)
    found = read_workspace(workspace, desk, **SIGNED)
    assert [d.population for d in found.decisions] == ["cd25_cd127low"]
    gate, transforms = found.decisions[0].new_gate, load_template("treg_foxp3").transforms
    assert isinstance(gate, Polygon)
    assert gate.dims == ("CD25", "CD127")
    assert [round(float(transforms["CD127"].inverse(y))) for _, y in gate.vertices] == [-500, -500, 3000, 100]


def test_what_cannot_be_taken_over_is_told(workspace, desk):
    def turn(node: Any) -> None:
        node.find(f"Gate/{GATING}RectangleGate").set("eventsInside", "0")
        raise_threshold(node)
        dimension = node.find(f"Gate/{GATING}RectangleGate/{GATING}dimension")
        dimension.set(f"{GATING}max", "90000")

    edit(workspace, TUBE, "treg", turn)
    with pytest.raises(ReviewError, match="S01_Baseline, treg: the gate's inside and outside were exchanged"):
        read_workspace(workspace, desk, **SIGNED)


def test_a_deleted_gate_stays_and_is_told(workspace, desk):
    edit(workspace, TUBE, "naive_treg", lambda node: node.getparent().remove(node))
    found = read_workspace(workspace, desk, **SIGNED)
    assert found.decisions == ()
    assert any("S01_Baseline: naive_treg is not in study.wsp any more" in note for note in found.notes)


def test_the_command_wants_a_name(workspace, study):
    words = ["review", str(study.out), "--data", str(study.folder), "--read", str(workspace)]
    assert CliRunner().invoke(cli, words).exit_code == 2
    done = CliRunner().invoke(cli, [*words, "--name", "A. Lab"])
    assert "There is no decision in it" in done.output, done.output


def test_the_reasons_of_the_command_are_those_of_the_ledger():
    assert tuple(GATE_REASONS) == _REASONS
