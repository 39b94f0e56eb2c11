"""Spillover from single stains: known matrices come back, bad controls are refused with the reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from treg_gating.compensation import read_spillover_csv
from treg_gating.errors import CompensationError
from treg_gating.fcs import read_fcs, write_fcs
from treg_gating.matrices import choose_matrix, from_controls, odd_files, parse_order
from treg_gating.sample import Channel, Sample, Spillover
from treg_gating.samplesheet import Role, Tube, read_samplesheet
from treg_gating.simulate import PRESETS, simulate_single_stains, write_cohort
from treg_gating.spillover import SingleStain, fit_controls, fit_spillover

DETECTORS = ("A-A", "B-A", "C-A", "D-A")
TRUE = np.array([[1, 0.2, 0.01, 0.0], [0.03, 1, 0.3, 0.002], [0.0, 0.05, 1, 0.12], [0.08, 0, 0.004, 1]])


def _control(dye, n=4_000, positives=2_000, *, seed=0, brightness=12_000.0):
    """Cells with one dye (or none): light through TRUE, a common autofluorescence, noise."""
    rng = np.random.default_rng([seed, 99 if dye is None else dye])
    light = np.zeros((n, 4))
    if dye is not None:
        light[:positives, dye] = brightness * rng.lognormal(0, 0.4, positives)
    signal = light @ TRUE
    signal += rng.normal(0, 1, (n, 4)) * np.sqrt(30.0**2 + 8 * np.abs(signal))
    signal += 60 * rng.lognormal(0, 0.3, (n, 1))
    return Sample(signal.astype(np.float32), tuple(Channel(name, range=262144.0) for name in DETECTORS))


def _stains(**kwargs):
    return [SingleStain(_control(i, **kwargs), name, name) for i, name in enumerate(DETECTORS)]


@pytest.mark.parametrize(("positives", "error"), [(2_000, 0.003), (300, 0.01)])
@pytest.mark.parametrize("unstained", [True, False])
def test_a_known_matrix_comes_back(positives, error, unstained):
    fit = fit_spillover(_stains(positives=positives), _control(None) if unstained else None)
    assert fit.spillover.channels == DETECTORS
    assert np.abs(fit.spillover.matrix - TRUE).max() < error
    assert fit.record.residuals[-1] < 1e-3
    assert fit.record.without_stain == ()


def test_after_compensation_the_medians_agree():
    for stain in fit_spillover(_stains(), _control(None)).stains:
        assert max(abs(value) for value in stain.left.values()) < 0.002
        assert max(abs(value) for value in stain.after.values()) < 1e-3
        assert stain.before[stain.detector] == 0.0
        assert stain.own_negatives


def test_spreading_is_what_photons_leave():
    stain = fit_spillover(_stains(), _control(None)).stains[1]
    # Variance 8 × signal in C and 0.3² × 8 × signal through the subtraction of B: √(8·0.3 + 0.09·8) = 1.77.
    assert stain.spreading["C-A"] == pytest.approx(1.77, rel=0.15)


def test_events_bright_everywhere_do_not_bend_the_matrix():
    stains = _stains()
    rng = np.random.default_rng(8)
    events = stains[0].sample.events.copy()
    events[1_500:1_900] = 6_000 * rng.lognormal(0, 0.5, (400, 1))
    spoiled = [SingleStain(Sample(events, stains[0].sample.channels), "A-A", "A"), *stains[1:]]
    fit = fit_spillover(spoiled, _control(None))
    assert np.abs(fit.spillover.matrix - TRUE).max() < 0.01


def test_events_at_the_top_of_a_detector_do_not_bend_it():
    stains = _stains(brightness=90_000.0)
    clipped = [
        SingleStain(Sample(np.minimum(s.sample.events, 262143), s.sample.channels), s.detector, s.label) for s in stains
    ]
    fit = fit_spillover(clipped, _control(None))
    assert np.abs(fit.spillover.matrix - TRUE).max() < 0.005


def test_a_detector_without_stain_has_an_empty_row_and_is_told():
    fit = fit_spillover(_stains()[:3], _control(None))
    assert fit.record.without_stain == ("D-A",)
    assert fit.spillover.matrix[3].tolist() == [0, 0, 0, 1]
    assert np.abs(fit.spillover.matrix[:3] - TRUE[:3]).max() < 0.005


def test_a_wrong_label_is_refused_and_the_bright_detector_named():
    stains = _stains()
    swapped = [SingleStain(stains[2].sample, "B-A", "B"), stains[0]]
    with pytest.raises(CompensationError, match="brightest detector is C-A") as caught:
        fit_spillover(swapped, _control(None))
    assert "single stain B" in str(caught.value)


def test_a_wrong_label_without_any_signal_is_refused_too():
    stains = _stains()
    with pytest.raises(CompensationError, match="bright on B-A: is it labelled right"):
        fit_spillover([SingleStain(stains[1].sample, "D-A", "D")], _control(None))


@pytest.mark.parametrize("positives", [0, 60])
def test_few_positives_are_refused(positives):
    stains = [SingleStain(_control(0, positives=positives), "A-A", "CD3"), *_stains()[1:]]
    with pytest.raises(CompensationError, match="limit 200 positives"):
        fit_spillover(stains, _control(None))


def test_faults_of_the_set_are_refused():
    stains = _stains()
    with pytest.raises(CompensationError, match="2 single stains for A-A"):
        fit_spillover([stains[0], stains[0]])
    with pytest.raises(CompensationError, match="no single stain"):
        fit_spillover([])
    with pytest.raises(CompensationError, match="not among the detectors"):
        fit_spillover(stains, channels=("A-A", "B-A", "C-A"))
    with pytest.raises(CompensationError, match="no channel E-A"):
        fit_spillover(stains, channels=(*DETECTORS, "E-A"))


@pytest.mark.parametrize(("share", "n", "error"), [(0.5, 12_000, 0.005), (0.07, 10_000, 0.01)])
def test_simulated_single_stains(share, n, error):
    tubes = list(simulate_single_stains(PRESETS["wide"], "B2", n_events=n, positive_share=share))
    detector = dict(zip(tubes[0].plan.panel.markers, tubes[0].plan.panel.detectors, strict=True))
    stains = [SingleStain(t.sample(), detector[t.plan.control_for], t.plan.control_for) for t in tubes[:-1]]
    fit = fit_spillover(stains, tubes[-1].sample())
    truth = tubes[0].true_spillover
    order = [fit.spillover.channels.index(name) for name in truth.channels]
    assert np.abs(fit.spillover.matrix[np.ix_(order, order)] - truth.matrix).max() <= error


REAL = {"FITC": "Alexa Fluor 488-A", "PE": "PE-A", "7AAD": "7-AAD-A", "APC": "Alexa Fluor 647-A"}
REAL |= {"AF700": "Alexa Fluor 700-A", "APC-Cy7": "APC-Cy7-A"}


def test_real_single_stains_against_the_published_matrix(shared):
    folder = shared / "data" / "compensation_controls"
    published = read_spillover_csv(folder / "Compensation-Spillover-Matrix.csv")
    stains = [SingleStain(read_fcs(folder / f"Compensation-{name}.fcs"), own, name) for name, own in REAL.items()]
    fit = fit_spillover(stains, read_fcs(folder / "Compensation-Unstained.fcs"), channels=published.channels)
    far = np.abs(fit.spillover.matrix - published.matrix) > 0.02
    names = published.channels
    told = {(names[i], names[j]) for i, j in zip(*np.nonzero(far), strict=True)}
    # docs/compensation_and_qc.md explains these: dim stains whose published rows carry autofluorescence.
    explained = {
        ("7-AAD-A", "PE-Cy7-A"),
        ("Alexa Fluor 700-A", "Alexa Fluor 405-A"),
        ("Alexa Fluor 700-A", "Qdot 605-A"),
    }
    assert {pair for pair in told if pair[0] != "APC-Cy7-A"} <= explained
    for stain in fit.stains:
        assert max(abs(value) for value in stain.left.values()) < 0.02, stain.detector


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    preset = PRESETS["sample"]
    controls = replace(preset.controls, single_stains=True, stain_events=4_000)
    folder = tmp_path_factory.mktemp("stains")
    summary = write_cohort(replace(preset, subjects=1, visits=preset.visits[:1], batches=1, controls=controls), folder)
    return read_samplesheet(summary.sheet)


def test_the_controls_of_a_sheet_give_its_batch_a_matrix(cohort):
    matrices, notes = from_controls(cohort.tubes)
    assert list(matrices) == ["B1"]
    assert notes == ("Batch B1: spillover matrix from 8 single stains.",)
    sample = read_fcs(cohort.samples[0].path)
    assert set(matrices["B1"].channels) == set(sample.spillover.channels)
    order = [matrices["B1"].channels.index(name) for name in sample.spillover.channels]
    assert np.abs(matrices["B1"].matrix[np.ix_(order, order)] - sample.spillover.matrix).max() < 0.01


def test_a_batch_whose_controls_are_refused_says_why(cohort):
    other = {"CD3": "CD4", "CD4": "CD3"}
    tubes = [
        replace(tube, control_for=other.get(tube.control_for, tube.control_for))
        if tube.role is Role.SINGLE_STAIN
        else tube
        for tube in cohort.tubes
    ]
    controls = fit_controls(tubes)["B1"]
    assert controls.fit is None
    assert "fcs/Stain_CD" in controls.refusal
    assert from_controls(tubes)[0] == {}


def test_a_stain_without_a_name_is_refused(cohort):
    tubes: list[Tube] = [replace(t, control_for="") if t.role is Role.SINGLE_STAIN else t for t in cohort.tubes]
    assert "control_for" in fit_controls(tubes)["B1"].refusal


def _stained(own=None):
    channels = (Channel("A-A", "CD3"), Channel("B-A", "CD4"), Channel("Time"))
    return Sample(np.ones((3, 3), np.float32), channels, spillover=own)


def _matrix(value, channels=("A-A", "B-A"), source="x"):
    matrix = np.eye(len(channels))
    matrix[0, -1] += value if len(channels) > 1 else 0
    return Spillover(channels, matrix, source)


def test_the_order_of_choice():
    own, controls, table = _matrix(0.1), _matrix(0.105, source="controls"), _matrix(0.11, source="csv")
    used = ("A-A", "B-A")
    for order, found in (
        (("controls", "csv", "file"), controls),
        (("csv", "controls"), table),
        (("file", "csv"), None),
    ):
        assert choose_matrix(_stained(own), used, order=order, controls=controls, table=table) == (found, ())
    assert choose_matrix(_stained(own), used, order=("controls", "file"), controls=None, table=None) == (None, ())


def test_a_file_whose_matrix_differs_is_flagged():
    controls = _matrix(0.2, source="single stains of batch B1")
    _, flags = choose_matrix(_stained(_matrix(0.1)), ("A-A",), order=("controls",), controls=controls, table=None)
    assert [flag.code for flag in flags] == ["SPILLOVER_DIFFERS"]
    assert "0.100 for A-A into B-A" in flags[0].text


def test_a_dye_without_single_stain_passes_the_controls_over():
    own, partial = _matrix(0.1), _matrix(0.0, channels=("A-A",), source="single stains of batch B1")
    matrix, flags = choose_matrix(
        _stained(own), ("A-A", "B-A"), order=("controls", "file"), controls=partial, table=None
    )
    assert matrix is None
    assert [flag.code for flag in flags] == ["SPILLOVER_INCOMPLETE"]
    with pytest.raises(CompensationError, match="no single stain for B-A"):
        choose_matrix(_stained(own), ("A-A", "B-A"), order=("controls",), controls=partial, table=None)


def test_a_file_whose_matrix_is_not_its_batchs_is_told(tmp_path):
    channels = (Channel("A-A", "CD3"), Channel("B-A", "CD4"))
    tubes = []
    for number, value in enumerate([0.1, 0.1, 0.101, 0.2], start=1):
        path = tmp_path / f"t{number}.fcs"
        write_fcs(path, np.ones((3, 2), np.float32), channels, spillover=_matrix(value))
        tubes.append(Tube(path.stem, path.name, path, path.stem, "Baseline", "B1"))
    assert [said.split(":")[0] for said in odd_files(tubes)] == ["t4.fcs"]
    assert "0.200 for A-A into B-A" in odd_files(tubes)[0]
    assert odd_files(tubes[2:]) == ()  # two files do not tell which is odd
    assert odd_files(tubes, {"B1"}) == ()


def test_words_of_the_order():
    assert parse_order("csv, file") == ("csv", "file")
    for wrong in ("", "csv,csv", "matrix"):
        with pytest.raises(Exception, match="order of matrices"):
            parse_order(wrong)
