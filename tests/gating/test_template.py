"""Reading templates: a right one, and every way in which one is wrong."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from treg_gating.errors import TemplateError
from treg_gating.gating.methods.fixed import Fixed
from treg_gating.gating.methods.tail import Tail
from treg_gating.gating.methods.valley import Valley
from treg_gating.gating.template import CombineStep, GateStep, load_template
from treg_gating.transforms import Asinh, Linear, Logicle


def edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
    (folder / file).write_text(text.replace(old, new), encoding="utf-8")


def faults_of(folder: Path) -> list[str]:
    with pytest.raises(TemplateError) as caught:
        load_template(folder)
    return [str(fault).replace(f"{folder}/", "") for fault in caught.value.faults]


def test_a_right_template_is_read_as_written(folder: Path) -> None:
    template = load_template(folder)
    assert (template.name, template.version, template.compensation) == ("small", "1", "none")
    assert [spec.marker for spec in template.panel] == ["FSC-A", "FSC-H", "CD3", "CD4", "CD8", "FOXP3"]
    assert template.panel[2].synonyms == ("T3", "OKT3")
    assert [spec.required for spec in template.panel] == [True, True, True, True, False, True]
    assert template.transforms["CD8"] == Asinh(cofactor=100)
    assert template.transforms["FSC-A"] == Linear()
    assert template.transforms["CD3"] == Logicle(w=0.6)
    not_cd8 = template.step("not_cd8")
    assert isinstance(not_cd8, GateStep)
    assert [rule.name for rule in not_cd8.chain] == ["valley", "tail", "consensus", "fixed"]
    assert [rule.method for rule in not_cd8.chain] == [Valley(), Tail(tolerance=0.02), None, Fixed(low=0.4)]
    assert (not_cd8.sign, not_cd8.share, not_cd8.line, not_cd8.fit_on) == ("-", "shrink", 3, "t_cells")
    assert template.step("treg").fit_on == "t_cells"  # type: ignore[union-attr]
    tconv = template.step("tconv")
    assert isinstance(tconv, CombineStep)
    assert tconv.expression.names == ("cd4_t", "treg")
    assert template.primary.numerator == "treg"
    assert template.path("treg") == ("t_cells", "not_cd8", "cd4_t", "treg")
    assert template.path("clean") == ()
    with pytest.raises(KeyError):
        template.step("clean")


def test_line_ends_and_byte_order_marks_change_nothing(folder: Path) -> None:
    unix = load_template(folder)
    for path in folder.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    windows = load_template(folder)
    assert windows.sha256 == unix.sha256
    assert windows.steps == unix.steps
    assert windows.rows == unix.rows


def test_digest_follows_every_file(folder: Path) -> None:
    digests = {load_template(folder).sha256}
    for file, old, new in (
        ("template.toml", "three gates", "three good gates"),
        ("panel.csv", "OKT3", "OKT-3"),
        ("gates.csv", "low=1,", "low=1.1,"),
        ("endpoints.csv", "Tconv of CD4 T", "Conventional"),
    ):
        edit(folder, file, old, new)
        digests.add(load_template(folder).sha256)
    assert len(digests) == 5


def test_comments_blank_lines_and_missing_last_cells(folder: Path) -> None:
    plain = load_template(folder)
    edit(folder, "gates.csv", "not_cd8,t", '# a "comment", with, commas, and "an open quote\n,,,\n\nnot_cd8,t')
    edit(folder, "gates.csv", "cd4_t & !treg,,", "cd4_t & !treg")
    commented = load_template(folder)
    assert commented.step("not_cd8").line == 6  # the line in an editor
    assert [step.population for step in commented.steps] == [step.population for step in plain.steps]


def test_a_template_travels_between_processes(folder: Path) -> None:
    template = load_template(folder)
    assert pickle.loads(pickle.dumps(template)) == template


WRONG = [
    ("template.toml", 'name = "small"', "", ["template.toml:name: name is missing or not text"]),
    ("template.toml", 'version = "1"', "version = 1", ["template.toml:version: version is missing or not text"]),
    ("template.toml", 'name = "small"', 'name = " "', ["template.toml:name: name is missing"]),
    ("template.toml", "version", "versoin", ["unknown key 'versoin'. did you mean 'version'?", "version is missing"]),
    ("template.toml", '"none"', '"None"', ["compensation is neither file nor none; found 'None'"]),
    ("template.toml", '"three gates"', "3", ["template.toml:description: description is not text"]),
    ("template.toml", '"three gates"', "three", ["template.toml: cannot be read: Invalid value"]),
    ("panel.csv", "CD4,,logicle", "CD3,,logicle", ["panel.csv:5: marker 'CD3' stands twice", "'CD4' is not in panel"]),
    ("panel.csv", "CD8,,asinh", ",,asinh", ["panel.csv:6: marker is empty", "gates.csv:3: dimension 'CD8'"]),
    ("panel.csv", "asinh", "arcsinh", ["panel.csv:6: unknown transform 'arcsinh'", "did you mean 'asinh'?"]),
    ("panel.csv", "cofactor=100", "cofactor=-1", ["panel.csv:6: asinh cofactor must be positive"]),
    (
        "panel.csv",
        "cofactor=100",
        "cofacter=1",
        ["panel.csv:6: unknown argument 'cofacter'", "did you mean 'cofactor'?"],
    ),
    (
        "panel.csv",
        "cofactor=100,no",
        "cofactor=100,maybe",
        ["panel.csv:6: required is neither yes nor no; found 'maybe'"],
    ),
    ("panel.csv", "synonyms", "synonims", ["panel.csv:1: column 'synonyms' is missing", "did you mean 'synonyms'?"]),
    ("panel.csv", "required,channel", "required,required", ["panel.csv:1: column 'required' stands twice"]),
    ("gates.csv", "dims,", "", ["gates.csv:1: column 'dims' is missing"]),
    (
        "gates.csv",
        "t_cells,clean",
        "t_cells,klean",
        ["gates.csv:2: parent 'klean' of 't_cells'", "did you mean 'clean'?"],
    ),
    ("gates.csv", "t_cells,clean", ",clean", ["gates.csv:2: population is empty", "gates.csv:3: parent 't_cells'"]),
    (
        "gates.csv",
        "treg,cd4_t,FOXP3",
        "cd4_t,cd4_t,FOXP3",
        ["gates.csv:5: population 'cd4_t' is defined above it", "endpoints.csv:2: numerator 'treg'"],
    ),
    ("gates.csv", "t_cells,clean,", "root,clean,", ["gates.csv:2: population 'root' is defined above it already"]),
    ("gates.csv", "CD3,+", "CD33,+", ["gates.csv:2: dimension 'CD33' is not in panel.csv. did you mean 'CD3'?"]),
    ("gates.csv", "CD3,+", ",+", ["gates.csv:2: dims names neither one nor two dimensions; found ''"]),
    ("gates.csv", "CD3,+", "CD3;CD4;CD8,+", ["neither one nor two dimensions; found 'CD3;CD4;CD8'"]),
    (
        "gates.csv",
        "CD3,+",
        "CD3;CD4,+",
        ["gates.csv:2: fixed does not take 2 dimension(s); found CD3;CD4; expected 1 dim"],
    ),
    ("gates.csv", "CD3,+", "CD3,*", ["gates.csv:2: sign is neither + nor -; found '*'"]),
    ("gates.csv", "fixed,low=1", "fixt,low=1", ["gates.csv:2: unknown method 'fixt'", "did you mean 'fixed'?"]),
    (
        "gates.csv",
        "fixed,low=1",
        "fixed,loww=1",
        ["gates.csv:2: fixed: unknown argument 'loww'", "did you mean 'low'?"],
    ),
    ("gates.csv", "fixed,low=1", "fixed,low", ["gates.csv:2: fixed: argument 'low' is not key=value"]),
    ("gates.csv", "fixed,low=1", "fixed,", ["gates.csv:2: fixed: low=-inf, high=inf"]),
    ("gates.csv", "fixed,low=1", "consensus,", ["gates.csv:2: consensus is a fall-back and no method"]),
    ("gates.csv", "low=1,own", "low=1,alone", ["gates.csv:2: unknown share 'alone'"]),
    ("gates.csv", "low=1,own", "low=1,cohort", ["gates.csv:2: fixed learns nothing from the cohort (share=cohort)"]),
    ("gates.csv", "tail(", "tale(", ["gates.csv:3: unknown method 'tale'", "did you mean 'tail'?"]),
    ("gates.csv", "=0.02)", "=0.02", ["gates.csv:3: fallback cannot be read; found 'tail(tolerance=0.02'"]),
    ("gates.csv", "=0.02)", "=2)", ["gates.csv:3: tail: side is 'high'"]),
    ("gates.csv", "> consensus >", "> consensus(k=1) >", ["gates.csv:3: consensus takes no arguments; found 'k=1'"]),
    (
        "gates.csv",
        "valley,,shrink,consensus",
        "valley,,own,consensus",
        ["gates.csv:4: falls back to the consensus, but"],
    ),
    (
        "gates.csv",
        "fit_on=t_cells",
        "fit_on=t_cell",
        ["gates.csv:5: fit_on=t_cell of 'treg'", "did you mean 't_cells'?"],
    ),
    ("gates.csv", "fit_on=t_cells", "fit_on=clean; fit_on=t_cells", ["gates.csv:5: argument 'fit_on' is given twice"]),
    (
        "gates.csv",
        "cd4_t & !treg",
        "cd4_t & !tregs",
        ["gates.csv:6: 'tregs' in the expression", "did you mean 'treg'?"],
    ),
    ("gates.csv", "cd4_t & !treg", "cd4_t and treg", ["gates.csv:6: expression of 'tconv': 'and' stands where"]),
    ("gates.csv", "cd4_t & !treg", "", ["gates.csv:6: expression of 'tconv': is empty"]),
    ("gates.csv", "low=1,own,", "low=1,own,,,", ["gates.csv:2: 10 cells under 8 columns"]),
    ("gates.csv", "low=1,own,", 'low=1,own,"', ["gates.csv:2: cannot be read as comma-separated cells", "left open"]),
    ("endpoints.csv", "treg,cd4_t", "tregs,cd4_t", ["endpoints.csv:2: numerator 'tregs'", "did you mean 'treg'?"]),
    ("endpoints.csv", "treg,cd4_t", "treg,root", ["endpoints.csv:2: denominator 'root' is not a population"]),
    (
        "endpoints.csv",
        "treg,cd4_t",
        "cd4_t,treg",
        ["numerator 'cd4_t' of the primary endpoint does not lie below 'treg'"],
    ),
    ("endpoints.csv", "%,no", "%,yes", ["endpoints.csv:2: exactly one endpoint must have primary = yes"]),
    ("endpoints.csv", "%,yes", "%,no", ["endpoints.csv:2: exactly one endpoint must have primary = yes"]),
    ("endpoints.csv", "%,no", "%,nope", ["endpoints.csv:3: primary is neither yes nor no; found 'nope'"]),
    ("endpoints.csv", "Tconv of CD4 T", "Treg of CD4 T", ["endpoints.csv:3: endpoint 'Treg of CD4 T' stands twice"]),
]


@pytest.mark.parametrize(("file", "old", "new", "words"), WRONG, ids=[f"{w[0]}-{w[2][:30]}" for w in WRONG])
def test_a_fault_is_told_with_its_place_and_blames_no_other_file(
    folder: Path, file: str, old: str, new: str, words: list[str]
) -> None:
    edit(folder, file, old, new)
    faults = faults_of(folder)
    together = "\n".join(faults)
    for text in words:
        assert text in together
    places = {re.match(r"[a-z]+\.(toml|csv)", fault).group() for fault in faults}  # type: ignore[union-attr]
    mentioned = {file, *re.findall(r"(?:gates|panel|endpoints)\.csv(?=:)", " ".join(words))}
    assert places <= mentioned | ({"gates.csv"} if file == "panel.csv" else set()), faults


def test_a_fault_in_a_gate_is_not_a_fault_of_its_endpoint(folder: Path) -> None:
    edit(folder, "gates.csv", "treg,cd4_t,FOXP3,+", "treg,cd4_t,FOXP3,?")
    assert faults_of(folder) == ["gates.csv:5: sign is neither + nor -; found '?'"]


def test_every_fault_at_once(folder: Path) -> None:
    edit(folder, "template.toml", '"none"', '"maybe"')
    edit(folder, "panel.csv", "asinh", "log")
    edit(folder, "gates.csv", "CD3,+,fixed", "CD3,x,fixd")
    edit(folder, "gates.csv", "fit_on=t_cells", "fit_on=tcells")
    edit(folder, "endpoints.csv", "tconv,cd4_t", "tkonv,cd4_t")
    faults = faults_of(folder)
    starts = [fault.split(" ")[0] for fault in faults]
    assert starts == ["template.toml:compensation:", "panel.csv:6:", "gates.csv:2:", "gates.csv:2:", "gates.csv:5:",
                      "endpoints.csv:3:"]  # fmt: skip


def test_missing_and_empty_files(folder: Path) -> None:
    (folder / "panel.csv").unlink()
    (folder / "template.toml").unlink()
    (folder / "endpoints.csv").write_text("endpoint,numerator,denominator,unit,primary\n# nothing\n")
    faults = faults_of(folder)
    assert len(faults) == 3
    assert faults[0].startswith("template.toml: cannot be read")
    assert faults[1].startswith("panel.csv: cannot be read")
    assert faults[2].startswith("endpoints.csv: holds no rows")


def test_semicolons_and_other_encodings_are_named(folder: Path) -> None:
    gates = (folder / "gates.csv").read_text()
    (folder / "gates.csv").write_text(gates.replace(",", ";"))
    (folder / "panel.csv").write_bytes("marker,synonyms\nCD3,für\n".encode("latin-1"))
    faults = faults_of(folder)
    assert len(faults) == 2
    assert "panel.csv: cannot be read" in faults[0]
    assert "gates.csv:1: cells are separated by semicolons" in faults[1]


def test_no_such_template() -> None:
    with pytest.raises(TemplateError, match=r"no gating template 'treg_foxp'.*treg_foxp3.*did you mean 'treg_foxp3'"):
        load_template("treg_foxp")


def test_gates_without_a_consensus_cannot_be_shared(folder: Path) -> None:
    edit(
        folder, "gates.csv", "t_cells,clean,CD3,+,fixed,low=1,own,", "t_cells,clean,FSC-A;FSC-H,+,singlet_band,,shrink,"
    )
    assert faults_of(folder) == [
        "gates.csv:2: gates of singlet_band have no consensus; found share=shrink; expected share = own"
    ]


@pytest.mark.parametrize(
    ("dims", "args", "words"),
    [
        ("CD4;FOXP3", "high=CD3; low=CD4", "makes no gate on these dimensions; found CD4;FOXP3; expected CD3;CD4"),
        ("CD4;CD3", "high=CD3; low=CD4", "makes no gate on these dimensions; found CD4;CD3; expected CD3;CD4"),
        ("CD3;CD4", "high=CD3; low=CD44", "marker 'CD44' is not in panel.csv. did you mean 'CD4'?"),
    ],
)
def test_the_line_of_a_mixture_stands_on_its_markers(folder: Path, dims: str, args: str, words: str) -> None:
    edit(folder, "gates.csv", "treg,cd4_t,FOXP3,+,valley,fit_on=t_cells,own,negative_peak(k=3)",
         f"treg,cd4_t,{dims},+,aligned_mixture,{args},cohort,")  # fmt: skip
    assert words in faults_of(folder)[0]


def test_a_control_says_something_of_its_own_marker_only(folder: Path) -> None:
    edit(folder, "gates.csv", "negative_peak(k=3)", "control_quantile(control=CD25)")
    assert faults_of(folder) == [
        "gates.csv:5: control_quantile: a control without CD25 says nothing of FOXP3; "
        "found control=CD25; expected control=FOXP3"
    ]
