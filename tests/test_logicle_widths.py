"""w=auto: one width a marker for the study, from its baseline and control samples."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from treg_gating.errors import InputError
from treg_gating.gating.template import load_template, shipped_templates
from treg_gating.logicle_widths import settle_widths
from treg_gating.pipeline import RunSettings, clean_values, first_pass
from treg_gating.samplesheet import Role, read_samplesheet
from treg_gating.simulate import PRESETS, write_cohort
from treg_gating.study import default_study
from treg_gating.transforms import Logicle, LogicleOfStudy, estimate_logicle_width


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    preset = PRESETS["sample"]
    summary = write_cohort(replace(preset, subjects=3, visits=preset.visits[:2], batches=1), folder)
    return read_samplesheet(summary.sheet)


@pytest.fixture
def settings(tmp_path, sheet):
    folder = tmp_path / "template"
    shutil.copytree(shipped_templates()["treg_foxp3"], folder)
    panel = folder / "panel.csv"
    text = panel.read_text()
    panel.write_text(text.replace("CD25,,logicle,w=0.6", "CD25,,logicle,w=auto").replace(
        "CD127,,logicle,w=0.6", "CD127,,logicle,m=4.5; w = auto"))  # fmt: skip
    return RunSettings(load_template(folder), default_study(sheet.visits))


def test_a_template_with_auto_loads_but_transforms_nothing(settings):
    transform = settings.template.transforms["CD25"]
    assert transform == LogicleOfStudy()
    assert settings.template.transforms["CD127"] == LogicleOfStudy(m=4.5)
    assert settings.template.transforms["CD3"] == Logicle(w=0.6)
    for act in (transform.apply, transform.inverse):
        with pytest.raises(InputError, match="has not been estimated"):
            act([1.0])


def test_a_tube_is_not_gated_before_the_width_is_known(settings, sheet):
    with pytest.raises(InputError, match="has not been estimated"):
        first_pass(sheet.samples[0], settings)


def test_the_width_is_the_median_over_baseline_and_control_samples(settings, sheet):
    settled, said = settle_widths(settings, sheet.tubes)
    baseline = default_study(sheet.visits).baseline.name
    tubes = [t for t in sheet.tubes if t.role is Role.CONTROL or (t.role is Role.SAMPLE and t.visit == baseline)]
    assert len(tubes) == 4
    for marker in ("CD25", "CD127"):
        own = [estimate_logicle_width(clean_values(tube, settings, [marker])[marker]) for tube in tubes]
        told = [width for width in own if width is not None]
        assert len(told) >= 3
        assert settled.widths[marker] == pytest.approx(np.median(told), abs=0.026)
        assert settled.template.transforms[marker] == Logicle(w=settled.widths[marker])
    assert settled.template.transforms["CD3"] == Logicle(w=0.6)
    assert said[0].startswith("Logicle widths from the samples, decades: CD25 0.")
    assert first_pass(sheet.samples[0], settled).gates["t_cells"].gate is not None


def test_treated_visits_have_no_say(settings, sheet):
    baseline = default_study(sheet.visits).baseline.name
    fewer = [t for t in sheet.tubes if t.role is not Role.SAMPLE or t.visit == baseline]
    assert settle_widths(settings, fewer)[0].widths == settle_widths(settings, sheet.tubes)[0].widths


def test_fixed_widths_are_left_alone(sheet):
    fixed = RunSettings(load_template("treg_foxp3"), default_study(sheet.visits))
    assert settle_widths(fixed, sheet.tubes) == (fixed, ())


def test_without_samples_that_tell_it_is_refused(settings, sheet):
    with pytest.raises(InputError, match="width of CD25 cannot be estimated") as caught:
        settle_widths(settings, [t for t in sheet.tubes if t.role is Role.FMO])
    assert "w=0.6" in str(caught.value)
