"""FlowJo workspaces: the authors' gates on their files, and our gates read back by FlowKit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from treg_gating.cli.main import cli
from treg_gating.errors import InputError
from treg_gating.fcs import read_fcs, read_header
from treg_gating.gating.gates import Ellipse, Polygon
from treg_gating.gating.results import GateStatus
from treg_gating.interchange.flowjo import WorkspaceTemplate, compare_counts, import_flowjo, markers_from_workspace
from treg_gating.interchange.flowjo_export import export_flowjo
from treg_gating.interchange.flowjo_parts import ellipse_polygon
from treg_gating.pipeline import RunSettings, between_passes, first_pass, second_pass
from treg_gating.samplesheet import Tube
from treg_gating.study import default_study

# FlowJo's own counts of the authors' gates, as the reference data's README gives them.
MANUAL = {
    "412C_Blood_025": (20114, 1355),
    "412C_BM_032": (3467, 118),
    "412C_mLN_026": (5534, 1186),
    "423_Donor_Liver_022": (1114, 54),
    "423_Donor_Lung_032": (1049, 109),
    "423_Donor_Ileum_033": (238, 18),
}


def run(template: Any, path: Path) -> Any:
    tube = Tube(path.stem, path.name, path, "1", "v", "")
    settings = RunSettings(template, default_study(["v"]))
    fit = first_pass(tube, settings)
    return second_pass(tube, settings, between_passes([tube], {tube.tube_id: fit}, settings), fit)


@pytest.fixture(scope="module")
def atlas(shared: Path) -> Path:
    folder = shared / "data" / "flowatlas"
    if not folder.is_dir():
        pytest.skip(f"reference data absent: {folder}")
    return folder


@pytest.fixture(scope="module")
def authors(atlas: Path) -> WorkspaceTemplate:
    return import_flowjo(atlas / "workspace.wsp")


def test_authors_gates_agree_with_flowjo_on_every_file(atlas: Path, authors: WorkspaceTemplate) -> None:
    assert authors.left_out == ()
    files = sorted(atlas.glob("4*/4*_0*.fcs"))
    assert len(files) == 7
    for path in files:
        result = run(authors, path)
        rows = {row["population"]: row for row in compare_counts([result])}
        assert len(rows) == len(result.counts) - 2  # root and clean are ours alone
        treg, cd4 = rows["treg"], rows["cd4_t"]
        if path.stem in MANUAL:
            assert (cd4["n_there"], treg["n_there"]) == MANUAL[path.stem]
        assert abs(treg["pct_of_cd4"] - treg["pct_of_cd4_there"]) <= 0.2
        assert abs(cd4["n"] - cd4["n_there"]) <= 3
        assert {gate.status for gate in result.gates} == {GateStatus.FIXED}
        assert result.count("clean").n <= result.n_events


def test_flowkit_applies_the_same_gates_alike(atlas: Path, authors: WorkspaceTemplate, flowkit: Any) -> None:
    path = atlas / "412C" / "412C_mLN_026.fcs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sample = flowkit.Sample(str(path), sample_id="Specimen_001_412C mLN_026.fcs", use_flowjo_labels=True)
        workspace = flowkit.Workspace(str(atlas / "workspace.wsp"), fcs_samples=[sample])
        workspace.analyze_samples(use_mp=False)
        theirs = workspace.get_gating_results(sample.id)
    counts = {name: theirs.get_gate_count(name, above) for name, above in workspace.get_gate_ids(sample.id)}
    ours = {c.population: c.n for c in run(authors, path).counts if c.reference is not None}
    counts["treg"], counts["cd4_t"] = counts.pop("Treg"), counts.pop("CD4")
    assert ours == counts


def test_a_file_is_found_by_fil_and_by_its_events(atlas: Path, authors: WorkspaceTemplate) -> None:
    sample = read_fcs(atlas / "423C" / "423_Donor_Ileum_033.fcs")
    assert authors.for_file(sample).imported.counts["treg"] == 18

    def other(**changes: str) -> Any:
        keywords = {**sample.keywords, **{f"${key}": value for key, value in changes.items()}}
        return replace(sample, keywords=keywords)

    with pytest.raises(InputError, match="another number of events; found 2849; expected 2848"):
        authors.for_file(other(TOT="2849"), "x.fcs")
    with pytest.raises(InputError, match=r"no sample of this name; found 'renamed\.fcs'"):
        authors.for_file(other(FIL="renamed.fcs"), "x.fcs")
    twice = replace(authors, samples=(*authors.samples, *authors.samples))
    with pytest.raises(InputError, match="2 samples of the workspace are this file"):
        twice.for_file(sample, "x.fcs")


def test_markers_are_taken_from_the_workspace(atlas: Path) -> None:
    workspace = atlas / "workspace.wsp"
    blood = read_header(atlas / "412C" / "412C_Blood_025.fcs")
    assert not any(channel.marker for channel in blood.channels)
    markers = markers_from_workspace(workspace, blood.keywords["$FIL"])
    assert markers["FJComp-355 820_60-A"] == "CD4"
    assert markers["FJComp-561 585_15-A"] == "Foxp3-IgM"
    assert set(markers) == {c.name for c in blood.channels if not (c.is_scatter or c.is_time)} & set(markers)
    with pytest.raises(InputError, match=r"name the marker of .* differently"):
        markers_from_workspace(workspace)
    with pytest.raises(InputError, match="no sample of this name"):
        markers_from_workspace(workspace, "x.fcs")


# Documents made by hand ---------------------------------------------------------------------------------------------

HEAD = (
    '<Workspace xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating"'
    ' xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes"'
    ' xmlns:transforms="http://www.isac-net.org/std/Gating-ML/v2.0/transformations" flowJoVersion="10.8.1">'
)


def rectangle(name: str, detector: str, low: float, below: str = "", kind: str = "RectangleGate") -> str:
    inner = f"<Subpopulations>{below}</Subpopulations>" if below else ""
    return (
        f'<Population name="{name}" owningGroup="" count="7"><Gate gating:id="ID1"><gating:{kind} gating:id="ID1">'
        f'<gating:dimension gating:min="{low}"><data-type:fcs-dimension data-type:name="{detector}"/>'
        f"</gating:dimension></gating:{kind}></Gate>{inner}</Population>"
    )


def workspace(populations: str, *, fil: str = "t.fcs", scales: str = "", matrix: str = "", prolog: str = "") -> str:
    return (
        f'{prolog}{HEAD}<Groups/><SampleList><Sample><DataSet uri="t.fcs"/><Transformations>{scales}</Transformations>'
        f'<Keywords><Keyword name="$FIL" value="{fil}"/></Keywords>{matrix}<SampleNode name="{fil}" sampleID="1">'
        f"<Subpopulations>{populations}</Subpopulations></SampleNode></Sample></SampleList></Workspace>"
    )


def imported(tmp_path: Path, text: str, **names: str) -> WorkspaceTemplate:
    path = tmp_path / "w.wsp"
    path.write_text(text, encoding="utf-8")
    return import_flowjo(path, **names)


def test_gates_without_counterpart_are_named_with_all_below_them(tmp_path: Path) -> None:
    odd = '<transforms:miltenyi><data-type:parameter data-type:name="B"/></transforms:miltenyi>'
    curly = rectangle("curly", "A", 1, rectangle("child", "A", 2), kind="CurlyQuad")
    plug_in = '<Population name="cluster 1" owningGroup="" count="3"/>'
    populations = rectangle("CD4", "A", 5, rectangle("Tregs", "A", 9) + curly + rectangle("odd", "B", 2)) + plug_in
    template = imported(tmp_path, workspace(populations, scales=odd))
    assert [step.population for step in template.steps] == ["cd4_t", "treg"]
    assert {entry[1:] for entry in template.left_out} == {
        ("CD4/curly", "a CurlyQuad"),
        ("CD4/curly/child", "its parent curly is not taken over"),
        ("CD4/odd", "FlowJo's miltenyi scale of B"),
        ("cluster 1", "no gate (made by a plug-in)"),
    }


def test_the_endpoint_must_be_unambiguous_and_taken_over(tmp_path: Path) -> None:
    two = rectangle("CD4", "A", 5, rectangle("Treg", "A", 9) + rectangle("Tregs", "A", 8))
    with pytest.raises(InputError, match="2 populations could be the Treg one"):
        imported(tmp_path, workspace(two))
    assert imported(tmp_path, workspace(two), treg="Tregs").primary.numerator == "treg"
    with pytest.raises(InputError, match="no CD4 T cell population"):
        imported(tmp_path, workspace(rectangle("Treg", "A", 9)))
    lost = rectangle("CD4", "A", 5, rectangle("Treg", "A", 9, kind="CurlyQuad"))
    with pytest.raises(InputError, match="Treg population cannot be taken over; found a CurlyQuad"):
        imported(tmp_path, workspace(lost))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (workspace("", prolog='<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>'), "DOCTYPE"),
        ("<Workspace", "not readable as XML"),
        ("<other/>", "not a FlowJo 10 workspace"),
        (HEAD.replace("10.8.1", "9.9") + "</Workspace>", "not a FlowJo 10 workspace; found FlowJo 9.9"),
        (HEAD + "</Workspace>", "it has no samples"),
    ],
    ids=["doctype", "torn", "other", "flowjo9", "empty"],
)
def test_documents_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        imported(tmp_path, text)


def test_gates_on_raw_values_of_a_compensated_detector_are_refused(tmp_path: Path) -> None:
    cell = '<transforms:coefficient data-type:parameter="A" transforms:value="1"/>'
    matrix = (
        '<transforms:spilloverMatrix prefix="Comp-" suffix="" name="m"><data-type:parameters>'
        '<data-type:parameter data-type:name="A"/></data-type:parameters>'
        f'<transforms:spillover data-type:parameter="A">{cell}</transforms:spillover></transforms:spilloverMatrix>'
    )
    populations = rectangle("CD4", "Comp-A", 5, rectangle("Treg", "Comp-A", 9) + rectangle("raw", "A", 2))
    template = imported(tmp_path, workspace(populations, matrix=matrix))
    assert [entry[1:] for entry in template.left_out] == [
        ("CD4/raw", "A uncompensated, in a sample that has a compensation matrix")
    ]
    one = template.samples[0][1]
    assert one.compensation == "file"
    assert one.imported.spillover.channels == ("A",)


# Export -------------------------------------------------------------------------------------------------------------


def counted_by_flowkit(flowkit: Any, path: Path, tube: Any) -> Mapping[str, np.ndarray[Any, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sample = flowkit.Sample(str(tube.path))
        book = flowkit.Workspace(str(path), fcs_samples=[sample])
        book.analyze_samples(use_mp=False)
        return {name: book.get_gate_membership(sample.id, name, above) for name, above in book.get_gate_ids(sample.id)}


def test_real_tubes_keep_their_counts_through_a_workspace(flowatlas: Any, tmp_path: Path, flowkit: Any) -> None:
    files = {tube.result.tube_id: tube.path for tube in flowatlas}
    export = export_flowjo([tube.result for tube in flowatlas], tmp_path / "study.wsp", files)
    assert len(export.samples) == 7
    for tube in flowatlas:
        theirs = counted_by_flowkit(flowkit, export.path, tube)
        left_out = {name for tube_id, name, _ in export.left_out if tube_id == tube.result.tube_id}
        stained = {g.population for g in tube.result.gates if g.status is not GateStatus.NOT_STAINED}
        for name in {"clean", *stained} - left_out:
            np.testing.assert_array_equal(theirs[name], tube.masks[name], err_msg=name)
        again = run(import_flowjo(export.path), tube.path) if "treg" not in left_out else None
        if again is not None:
            assert again.count("treg").n == tube.result.count("treg").n == again.count("treg").reference


def test_simulated_tubes_differ_by_no_clean_event(simulated: Any, tmp_path: Path, flowkit: Any) -> None:
    files = {tube.result.tube_id: tube.path for tube in simulated}
    export = export_flowjo([tube.result for tube in simulated], tmp_path / "study.wsp", files)
    said = {note for _, note in export.notes}
    assert any("polygon of 512 corners" in note for note in said)
    assert any("top of the range of a fluorescence detector" in note for note in said)
    for tube in simulated:
        theirs = counted_by_flowkit(flowkit, export.path, tube)
        for name in (count.population for count in tube.result.counts if count.population != "root"):
            odd = theirs[name] & tube.masks["clean"] ^ tube.masks[name]
            # Only the ellipse is approximated; below it an event on its edge may be missing too.
            assert odd.sum() <= (0 if name in {"clean", "singlets"} else 1), name


def test_controls_take_no_part_in_a_run_by_a_workspace(simulated: Any, tmp_path: Path) -> None:
    """Its gates are fitted to nothing, and a workspace of stained tubes has no FMO tube to fail."""
    export = export_flowjo(
        [t.result for t in simulated], tmp_path / "s.wsp", {t.result.tube_id: t.path for t in simulated}
    )
    (sheet,) = (up / "samples.csv" for up in simulated[0].path.parents if (up / "samples.csv").exists())
    lines = [line for line in sheet.read_text().splitlines() if ",control," not in line]  # the workspace has none
    assert any(",fmo," in line for line in lines)
    data, sheet = sheet.parent, tmp_path / "samples.csv"
    sheet.write_text("\n".join(lines) + "\n")

    def command(*words: object) -> Result:
        return CliRunner().invoke(cli, list(map(str, words)), standalone_mode=False)

    checked = command("check", sheet, "--data", data, "-t", export.path)
    assert checked.return_value == 0, checked.output
    done = command("run", sheet, "--data", data, "-t", export.path, "-o", tmp_path / "out", "--workers", 1)
    assert "0 failed" in done.output
    assert done.return_value in {0, 4}


def test_polygon_of_an_ellipse_has_its_area() -> None:
    ellipse = Ellipse(("x", "y"), (1.0, 2.0), ((4.0, 1.0), (1.0, 2.0)), 5.0)
    corners = np.array(ellipse_polygon(ellipse).vertices)
    x, y = corners[:, 0], corners[:, 1]
    area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    assert area == pytest.approx(np.pi * 5.0 * np.sqrt(4.0 * 2.0 - 1.0), rel=1e-12)
    assert isinstance(ellipse_polygon(ellipse), Polygon)
    with pytest.raises(ValueError, match="3 dimensions"):
        ellipse_polygon(Ellipse(("x", "y", "z"), (0.0,) * 3, tuple(map(tuple, np.eye(3))), 1.0))


def test_a_workspace_without_tubes_is_refused(tmp_path: Path, flowatlas: Any) -> None:
    failed = replace(flowatlas[0].result, status="failed")
    with pytest.raises(InputError, match="no finished tube"):
        export_flowjo([failed], tmp_path / "study.wsp", {})
    assert not (tmp_path / "study.wsp").exists()
