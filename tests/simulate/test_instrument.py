"""The instrument, on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.simulate.instrument import DETECTORS, FULL_SCALE, Instrument, digitise
from treg_gating.simulate.panel import PANELS, StainingPanel
from treg_gating.simulate.streams import stream


def no_error(dyes: tuple[str, ...]) -> Instrument:
    return Instrument.of(dyes)


def test_a_dye_alone_shows_its_spill_row() -> None:
    instrument = no_error(("FITC", "PE", "AF647"))
    n = 20_000
    dye = np.zeros((n, 3))
    dye[:, 0] = 20_000.0
    raw = instrument.measure(stream(1, "spill"), dye, np.zeros(n))
    # FITC puts 16 % into PE and nothing into APC; 0.5 a.u. is six standard errors of the APC mean.
    assert raw[:, 0].mean() == pytest.approx(20_000, rel=0.002)
    assert raw[:, 1].mean() == pytest.approx(0.16 * 20_000, rel=0.002)
    assert abs(raw[:, 2].mean()) < 1.2


def test_variance_is_photons_plus_electronics() -> None:
    instrument = no_error(("PE",))
    detector = DETECTORS["PE-A"]
    n = 100_000
    for signal in (0.0, 100.0, 10_000.0):
        raw = instrument.measure(stream(2, "photons"), np.full((n, 1), signal), np.zeros(n))
        expected = detector.per_photoelectron * signal + detector.noise**2
        assert raw.var(dtype=np.float64) == pytest.approx(expected, rel=0.03)


def test_autofluorescence_is_scaled_by_cell_size() -> None:
    instrument = no_error(("FITC",))
    n = 50_000
    raw = instrument.measure(stream(3), np.zeros((n, 1)), np.full(n, 3.0))
    assert raw.mean() == pytest.approx(3 * DETECTORS["FITC-A"].autofluorescence, rel=0.005)


def test_gain_scales_light_but_not_electronic_noise() -> None:
    n = 100_000
    doubled = no_error(("PE",)).at(np.array([2.0]), np.zeros((1, 1)))
    raw = doubled.measure(stream(4), np.full((n, 1), 1_000.0), np.zeros(n))
    detector = DETECTORS["PE-A"]
    assert raw.mean() == pytest.approx(2_000, rel=0.002)
    expected = 4 * detector.per_photoelectron * 1_000 + detector.noise**2
    assert raw.var(dtype=np.float64) == pytest.approx(expected, rel=0.03)


def test_gains_change_the_matrix_of_the_file() -> None:
    usual = no_error(("FITC", "PE"))
    turned = usual.at(np.array([2.0, 1.0]), np.zeros((2, 2)))
    assert usual.spillover[0, 1] == pytest.approx(0.16)
    assert turned.spillover[0, 1] == pytest.approx(0.08)
    assert turned.spillover[1, 0] == pytest.approx(0.02)
    np.testing.assert_array_equal(np.diag(turned.spillover), [1.0, 1.0])


def test_true_matrix_removes_mean_spill() -> None:
    panel = PANELS["treg8"]
    n = 40_000
    rng = stream(5)
    instrument = no_error(panel.dyes).at(
        10 ** rng.normal(0, 0.1, len(panel.dyes)), rng.normal(0, 0.05, (len(panel.dyes),) * 2)
    )
    for column in range(len(panel.dyes)):
        dye = np.zeros((n, len(panel.dyes)))
        dye[:, column] = 10_000.0
        raw = instrument.measure(rng, dye, np.zeros(n)).astype(np.float64)
        compensated = raw @ np.linalg.inv(instrument.spillover)
        off = np.delete(compensated, column, axis=1)
        error = off.std(axis=0) / np.sqrt(n)
        assert (np.abs(off.mean(axis=0)) < 5 * error).all()


def test_compensation_leaves_spread_behind() -> None:
    """The spill's photon noise stays: a bright PE population is wider in PerCP than a dark one."""
    instrument = no_error(("PE", "PerCP-Cy5.5"))
    n = 20_000
    widths = []
    for signal in (0.0, 20_000.0):
        dye = np.tile([signal, 0.0], (n, 1))
        raw = instrument.measure(stream(6), dye, np.zeros(n)).astype(np.float64)
        widths.append((raw @ np.linalg.inv(instrument.spillover))[:, 1].std())
    expected = np.sqrt(14 * 0.22 * 20_000 + 26**2 + 0.22**2 * (4 * 20_000 + 24**2))
    assert widths[1] == pytest.approx(expected, rel=0.03)
    assert widths[1] > 5 * widths[0]


def test_digitiser_steps_and_clips() -> None:
    got = digitise(np.array([-5_000.0, -0.26, 0.24, 1e7]), -1_000.0, 0.5)
    np.testing.assert_array_equal(got, np.float32([-1_000, -0.5, 0, FULL_SCALE - 1]))
    assert digitise(np.array([0.123]), 0.0, 0.0)[0] == np.float32(0.123)


def test_very_bright_events_reach_the_top_of_the_range() -> None:
    raw = no_error(("PE",)).measure(stream(7), np.array([[1e9]]), np.zeros(1))
    assert raw[0, 0] == FULL_SCALE - 1


def test_panel_labels_and_columns() -> None:
    panel = StainingPanel((("CD25", "PE"), ("Viability", "Aqua")), ("FSC-A",), "with_dye")
    assert [(c.name, c.marker) for c in panel.channels()] == [
        ("FSC-A", ""),
        ("PE-A", "CD25 PE"),
        ("BV510-A", "LIVE DEAD Aqua"),
        ("Time", ""),
    ]
    assert panel.columns(["Viability"]).tolist() == [2]
    assert panel.without(["CD25"]).markers == ("Viability",)


def test_panel_with_unknown_dye_is_refused() -> None:
    with pytest.raises(ValueError, match="Unobtainium"):
        StainingPanel((("CD25", "Unobtainium"),))
