"""openCyto's CSV templates: what has a counterpart becomes a template, the rest is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from treg_gating.errors import InputError
from treg_gating.gating.template import CombineStep, load_template
from treg_gating.interchange.opencyto import OpenCytoImport, import_opencyto

HEADER = (
    "alias,pop,parent,dims,gating_method,gating_args,collapseDataForGating,groupBy,preprocessing_method,"
    "preprocessing_args\n"
)

TREG = """\
boundary,boundary,root,"FSC-A,SSC-A",boundary,"max=c(2.5e5,2.5e5)",,,,
nonDebris,+,boundary,FSC-A,mindensity,"gate_range=c(5e4,1e5),adjust=1.5",,,,
singlets,+,nonDebris,"FSC-A,FSC-H",singletGate,prediction_level=0.98,,,,
lymph,+,singlets,"FSC-A,SSC-A",flowClust,"K=2,quantile=0.95,target=c(1e5,5e4)",,,prior_flowClust,K=2
Live,Live-,lymph,Viability,cytokine,tol=5e-2,,,,
cd3,+,Live,CD3,mindensity,,TRUE,4,,
TH,+-,cd3,"CD4,CD8",mindensity,"gate_range=c(1,3)",,,,
CD25,+,TH,CD25,mindensity,,,,,
CD127,+/-,CD25,CD127,mindensity,,,,,
other,+,TH,CD127,refGate,CD127-,,,,
Treg,Treg,TH,,boolGate,CD25 & !CD127+,,,,
clust,+,TH,CD25,flowClust,K=2,,,,
below,+,clust,FOXP3,mindensity,,,,,
quant,+,TH,FOXP3,quantileGate,probs=0.995,,,,
trans,+,CD25,"CD25,CD127",flowClust,"K=3,transitional=TRUE",,,,
two,+,"cd3,TH",CD25,mindensity,,,,,
odd,odd,TH,,boolGate,CD25 & clust,,,,
curved,+,TH,CD25,curv1gate,,,,,
"""


def convert(tmp_path: Path, text: str, **names: str) -> OpenCytoImport:
    (tmp_path / "their.csv").write_text(HEADER + text, encoding="utf-8")
    return import_opencyto(tmp_path / "their.csv", tmp_path / "ours", **names)


def test_methods_with_a_counterpart_become_a_template(tmp_path: Path) -> None:
    made = convert(tmp_path, TREG, cd4="TH")
    template = load_template(made.folder)
    rows = {row["population"]: row for row in template.rows}
    assert tuple(rows) == made.populations
    assert rows["nonDebris"]["parent"] == "clean"
    assert (rows["nonDebris"]["method"], rows["nonDebris"]["args"]) == ("valley", "low=50000; high=100000; adjust=1.5")
    assert (rows["singlets"]["method"], rows["singlets"]["args"]) == ("singlet_band", "level=0.98")
    assert (rows["lymph"]["method"], rows["lymph"]["args"]) == ("mixture_ellipse", "components=2; mass=0.95")
    assert (rows["Live"]["sign"], rows["Live"]["method"], rows["Live"]["args"]) == ("-", "tail", "tolerance=0.05")
    assert rows["cd3"]["share"] == "study"
    assert rows["TH"]["args"] == "TH.CD4+ & !TH.CD8+"
    assert (rows["CD127+"]["sign"], rows["CD127-"]["sign"]) == ("+", "-")
    assert (rows["other"]["sign"], rows["other"]["args"]) == ("+", "fit_on=CD25")
    assert rows["Treg"]["args"] == "CD25 & !CD127+"
    assert isinstance(template.step("Treg"), CombineStep)
    assert (template.primary.numerator, template.primary.denominator) == ("Treg", "TH")


def test_the_rest_is_named_with_its_line(tmp_path: Path) -> None:
    made = convert(tmp_path, TREG, cd4="TH")
    assert {(line, name): reason for line, name, reason in made.left_out} == {
        (13, "clust"): "flowClust on one dimension has no counterpart; valley or negative_peak may serve",
        (14, "below"): "its parent 'clust' is not taken over",
        (15, "quant"): "a quantile of the tube itself; control_quantile takes it from an FMO tube",
        (16, "trans"): "a transitional flowClust gate; see aligned_mixture",
        (17, "two"): "several parents in one row",
        (18, "odd"): "'clust' in its expression is not taken over",
        (19, "curved"): "curv1gate has no counterpart",
    }
    notes = dict(made.notes)
    assert "stands for clean" in notes[2]
    assert notes[8] == "TH: gate_range=c(1,3) is not taken over"
    assert any("target=c(1e5,5e4) is not taken over" in note for line, note in made.notes if line == 5)


def test_quadrants_and_references_of_two_gates(tmp_path: Path) -> None:
    text = """\
CD4,+,root,CD4,mindensity,,,,,
CCR7,+,CD4,CCR7,mindensity,,,,,
RA,+,CD4,CD45RA,tailgate,side=left,,,,
*,CCR7+/-CD45RA+/-,CD4,"CCR7,CD45RA",refGate,CCR7:RA,,,,
Treg,+,CCR7+CD45RA-,FOXP3,mindensity,,,,,
"""
    made = convert(tmp_path, text)
    rows = {row["population"]: row for row in load_template(made.folder).rows}
    assert rows["RA"]["args"] == "side=low"
    assert rows["CCR7+CD45RA-"]["args"] == "CD4.5.CCR7+ & !CD4.5.CD45RA+"
    assert {"CCR7+CD45RA+", "CCR7+CD45RA-", "CCR7-CD45RA+", "CCR7-CD45RA-"} <= set(rows)
    assert rows["Treg"]["parent"] == "CCR7+CD45RA-"
    assert made.left_out == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CD4,+,root,CD4,mindensity,,,,,\n", "no populations could be the Treg one"),
        ("Treg,+,root,CD4,curv1gate,,,,,\n", "line 2: Treg: curv1gate has no counterpart"),
        ("", "nothing in it has a counterpart"),
    ],
)
def test_templates_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        convert(tmp_path, text)
    assert not (tmp_path / "ours").exists()


def test_other_tables_and_folders_that_exist_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="not an openCyto template; found no column 'alias'"):
        import_opencyto(tmp_path / "x.csv", tmp_path / "ours")
    with pytest.raises(InputError, match="exists already"):
        import_opencyto(tmp_path / "x.csv", tmp_path)
