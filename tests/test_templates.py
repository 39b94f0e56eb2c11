"""The templates that ship with the package."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

from treg_gating.gating.template import GateStep, load_template, shipped_templates

NAMES = ("treg_foxp3", "treg_pregated", "treg_surface")


def test_all_are_found_by_name() -> None:
    assert set(NAMES) <= set(shipped_templates())


@pytest.mark.parametrize("name", NAMES)
def test_every_one_loads_and_travels(name: str) -> None:
    template = load_template(name)
    assert template.name == name
    assert template.description
    assert pickle.loads(pickle.dumps(template)) == template
    assert template.primary.numerator == "treg"
    assert template.primary.denominator == "cd4_t"
    assert "cd4_t" in template.path("treg")
    names = {spec.marker for spec in template.panel}
    assert {name for step in template.steps if isinstance(step, GateStep) for name in step.dims} <= names


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_by_path_is_the_same_template(name: str, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shipped_templates()[name], tmp_path / "mine"))
    assert load_template(copy) == load_template(name)


def test_each_fits_its_case() -> None:
    foxp3, surface, pregated = (load_template(f"treg_{kind}") for kind in ("foxp3", "surface", "pregated"))
    required = {t.name: {spec.marker for spec in t.panel if spec.required} for t in (foxp3, surface, pregated)}
    assert {"CD3", "CD4", "CD25", "CD127", "FOXP3", "Viability"} <= required["treg_foxp3"]
    assert "FOXP3" not in {spec.marker for spec in surface.panel}
    assert not {"FSC-A", "SSC-A", "Time", "Viability"} & {spec.marker for spec in pregated.panel}
    assert (foxp3.compensation, surface.compensation, pregated.compensation) == ("file", "file", "none")
