"""Gating-ML import: the reference gates of ISAC against their truth, and documents that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treg_gating.errors import InputError
from treg_gating.gating.hierarchy import fit_sample
from treg_gating.interchange.gatingml import export_gatingml
from treg_gating.interchange.gatingml_import import import_gatingml, read_gatingml
from treg_gating.pipeline import RunSettings, between_passes, first_pass, prepare, second_pass
from treg_gating.samplesheet import Tube
from treg_gating.study import default_study

# What has no counterpart here, with the reason that is said. Ellipsoid3D's covariance is not even symmetric.
UNSUPPORTED = {
    "RatRange1": "a ratio of two channels",
    "RatRange1a": "a ratio of two channels",
    "RatRange2": "a ratio of two channels",
    "Ellipsoid3D": "covariance",
}
OTHER_NAMES = {"ParRectangle1": "ParQuadRect"}


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    folder = shared / "data" / "gating_ml"
    if not folder.is_dir():
        pytest.skip(f"reference data absent: {folder}")
    return folder


def masks(document: Path, fcs: Path) -> dict[str, np.ndarray[Any, Any]]:
    template = import_gatingml(document, endpoint=False)
    ready = prepare(Tube("t", fcs.name, fcs, "1", "v", ""), RunSettings(template, default_study(["v"])))
    walk = fit_sample(ready.template, ready.view, batch="")
    found = {}
    for population in (step.population for step in ready.template.steps):
        found[population] = np.zeros(ready.sample.n_events, dtype=bool)
        found[population][walk.rows[population]] = True
    return found


def test_every_truth_file_is_reproduced_or_its_gate_is_named(reference: Path) -> None:
    truth = {
        path.stem.removeprefix("Results_"): np.loadtxt(path, dtype=int).astype(bool)
        for path in (reference / "truth").glob("*.txt")
    }
    assert len(truth) >= 51
    right, left_out = set(), {}
    for document in sorted((reference / "gml").glob("*.xml")):
        if document.stem in {"gml_all_gates", "gml_range_gate_attr_testing"}:
            continue  # gates that need several compensations at once, and a document that is invalid on purpose
        left_out |= dict(read_gatingml(document, file_has_matrix=False).left_out)
        for name, mask in masks(document, reference / "data1.fcs").items():
            name = OTHER_NAMES.get(name, name)
            if name in truth:
                np.testing.assert_array_equal(mask, truth[name], err_msg=f"{document.name}: {name}")
                right.add(name)
    assert set(truth) - right == set(UNSUPPORTED)
    assert set(left_out) == set(UNSUPPORTED)
    for name, reason in UNSUPPORTED.items():
        assert reason in left_out[name]


def test_a_document_with_several_compensations_keeps_one_and_names_the_rest(reference: Path) -> None:
    gates = read_gatingml(reference / "gml" / "gml_all_gates.xml")
    taken, lost = {p.name for p in gates.populations}, dict(gates.left_out)
    assert gates.spillover is not None
    assert {"Rectangle3", "Polygon4", "ScaleRange4c"} <= taken
    assert "beside 'MySpill'" in lost["Polygon1"]
    assert lost["And1"].endswith("is not taken over")
    assert not taken & set(lost)


def test_a_matrix_in_the_file_is_used_where_the_document_asks_for_it(reference: Path) -> None:
    document = reference / "gml" / "gml_poly2_gate.xml"
    template = import_gatingml(document, endpoint=False)
    assert template.compensation == "file"
    assert template.without_matrix.compensation == "uncompensated"


def test_an_invalid_document_is_refused(reference: Path) -> None:
    with pytest.raises(InputError, match="does not follow the standard"):
        read_gatingml(reference / "gml" / "gml_range_gate_attr_testing.xml")


def test_what_we_export_comes_back_with_the_same_counts(simulated: Any, tmp_path: Path, flowkit_masks: Any) -> None:
    tube = simulated[0]
    export = export_gatingml(tube.result, tmp_path / "gates.xml")
    template = import_gatingml(export.path)
    assert template.primary.numerator == "treg"
    settings = RunSettings(template, default_study(["v"]))
    again = Tube("t", tube.path.name, tube.path, "1", "v", "")
    # The range gate that stands for `clean` asks for raw values of detectors that are compensated elsewhere.
    assert "FITC-A (raw)" in template.imported.raw
    assert dict(read_gatingml(export.path).left_out) == {}
    fit = first_pass(again, settings)
    result = second_pass(again, settings, between_passes([again], {"t": fit}, settings), fit)
    for count in tube.result.counts[2:]:
        assert result.count(count.population).n == count.n
    # And out again: raw and compensated values of one detector stay apart.
    second = export_gatingml(result, tmp_path / "second.xml")
    mask_of = flowkit_masks(second.path, tube.path)
    np.testing.assert_array_equal(mask_of(second.populations["treg"]), tube.masks["treg"])
    np.testing.assert_array_equal(mask_of(second.populations["root/clean"]), tube.masks["clean"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "DOCTYPE"),
        ("<a/>", "not a Gating-ML 2.0 document"),
        ("", "not readable as XML"),
    ],
)
def test_other_documents_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "g.xml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        import_gatingml(tmp_path / "g.xml")
    with pytest.raises(InputError, match="cannot be read"):
        import_gatingml(tmp_path / "absent.xml")
