"""What the instrument does to a cell: spill, photons, electronics, digitiser.

Light of the dyes falls into all detectors (spillover), is counted as photoelectrons (Poisson, so that the spread
grows with the signal and stays after compensation), is amplified, gets electronic noise, and is digitised between
a floor and $PnR. The values are typical of an eight-colour, three-laser analyser and are starting values
(unverified); the model is that of Parks and Bagwell's photon statistics, as in the design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["DETECTORS", "DYES", "FULL_SCALE", "Detector", "Dye", "Instrument", "digitise"]

FULL_SCALE = 262_144.0


@dataclass(frozen=True, slots=True)
class Detector:
    """One fluorescence detector.

    Parameters
    ----------
    name : $PnN.
    per_photoelectron : a.u. that one photoelectron makes; the variance of a signal S is this times S.
    noise : SD of the electronic noise, a.u.
    autofluorescence : median of an unstained lymphocyte, a.u.
    """

    name: str
    per_photoelectron: float
    noise: float
    autofluorescence: float


@dataclass(frozen=True, slots=True)
class Dye:
    """A dye, the detector it is meant for, and what it spills.

    Parameters
    ----------
    name : the dye.
    detector : $PnN of its own detector.
    spill : detector to fraction of the own detector's signal; detectors not named get none.
    """

    name: str
    detector: str
    spill: Mapping[str, float]


DETECTORS: Mapping[str, Detector] = {
    d.name: d
    for d in (
        Detector("FITC-A", 9.0, 28.0, 150.0),
        Detector("PE-A", 4.0, 24.0, 110.0),
        Detector("PerCP-Cy5-5-A", 14.0, 26.0, 85.0),
        Detector("PE-Cy7-A", 9.0, 28.0, 60.0),
        Detector("APC-A", 10.0, 26.0, 65.0),
        Detector("APC-Cy7-A", 22.0, 32.0, 50.0),
        Detector("BV421-A", 7.0, 26.0, 90.0),
        Detector("BV510-A", 9.0, 30.0, 160.0),
        Detector("BV605-A", 10.0, 28.0, 120.0),
        Detector("BV786-A", 24.0, 34.0, 45.0),
    )
}

DYES: Mapping[str, Dye] = {
    d.name: d
    for d in (
        Dye("FITC", "FITC-A", {"PE-A": 0.16, "PerCP-Cy5-5-A": 0.025, "PE-Cy7-A": 0.003, "BV510-A": 0.012}),
        Dye("PE", "PE-A", {"FITC-A": 0.010, "PerCP-Cy5-5-A": 0.22, "PE-Cy7-A": 0.022, "APC-A": 0.001, "BV605-A": 0.06}),
        Dye("PerCP-Cy5.5", "PerCP-Cy5-5-A", {"PE-Cy7-A": 0.12, "APC-A": 0.025, "APC-Cy7-A": 0.05, "BV786-A": 0.04}),
        Dye("PE-Cy7", "PE-Cy7-A", {"PE-A": 0.025, "PerCP-Cy5-5-A": 0.018, "APC-A": 0.002, "APC-Cy7-A": 0.08}),
        Dye("AF647", "APC-A", {"PerCP-Cy5-5-A": 0.030, "PE-Cy7-A": 0.006, "APC-Cy7-A": 0.15, "BV786-A": 0.01}),
        Dye("APC-H7", "APC-Cy7-A", {"APC-A": 0.045, "PE-Cy7-A": 0.05, "PerCP-Cy5-5-A": 0.008, "BV786-A": 0.03}),
        Dye("BV421", "BV421-A", {"BV510-A": 0.12, "FITC-A": 0.002, "BV605-A": 0.01}),
        Dye(
            "Aqua", "BV510-A", {"BV421-A": 0.08, "FITC-A": 0.05, "PE-A": 0.010, "PerCP-Cy5-5-A": 0.008, "BV605-A": 0.18}
        ),
        Dye(
            "BV605", "BV605-A", {"PE-A": 0.08, "PerCP-Cy5-5-A": 0.15, "BV510-A": 0.02, "BV786-A": 0.06, "BV421-A": 0.05}
        ),
        Dye("BV786", "BV786-A", {"BV605-A": 0.02, "APC-Cy7-A": 0.07, "PE-Cy7-A": 0.06, "BV421-A": 0.04}),
    )
}


def digitise(values: NDArray[np.float64], floor: float, resolution: float) -> NDArray[np.float32]:
    """Round to the digitiser's step and clip between its floor and the top of the range, $PnR − 1.

    Parameters
    ----------
    values : signals, a.u., any shape.
    floor : lowest value written, a.u.
    resolution : step, a.u.; 0 leaves the values as they are.
    """
    stepped = np.round(values / resolution) * resolution if resolution else values
    return np.clip(stepped, floor, FULL_SCALE - 1.0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Instrument:
    """Detectors and dyes of one panel on one instrument, at one day's voltages.

    Parameters
    ----------
    dyes : one a marker, in the order of the dye columns.
    gains : factor of each dye's own detector against the usual voltage, shape (n,).
    spill_error : relative errors of the spill coefficients against the table, shape (n, n); the
        diagonal is not used.
    floor : lowest fluorescence value written, a.u.
    resolution : digitiser step, a.u.
    """

    dyes: tuple[Dye, ...]
    gains: NDArray[np.float64]
    spill_error: NDArray[np.float64]
    floor: float = -1_000.0
    resolution: float = 0.1

    @staticmethod
    def of(dyes: Sequence[str]) -> Instrument:
        """The usual instrument for the named dyes: gains 1, no errors."""
        n = len(dyes)
        return Instrument(tuple(DYES[name] for name in dyes), np.ones(n), np.zeros((n, n)))

    def at(self, gains: NDArray[np.float64], spill_error: NDArray[np.float64]) -> Instrument:
        """The same instrument at other gains and with other spill."""
        return replace(self, gains=gains, spill_error=spill_error)

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """The detector of each dye, in the order of the dyes."""
        return tuple(DETECTORS[dye.detector] for dye in self.dyes)

    @property
    def light_spill(self) -> NDArray[np.float64]:
        """What dye i (row) puts into detector j at usual gains; unit diagonal; shape (n, n)."""
        names = [dye.detector for dye in self.dyes]
        table = np.array([[dye.spill.get(name, 0.0) for name in names] for dye in self.dyes])
        table *= 1.0 + self.spill_error
        np.fill_diagonal(table, 1.0)
        return table

    @property
    def spillover(self) -> NDArray[np.float64]:
        """The true spillover matrix in the units of the file, gains included; shape (n, n)."""
        return self.light_spill * self.gains[np.newaxis, :] / self.gains[:, np.newaxis]

    def measure(
        self, rng: np.random.Generator, dye: NDArray[np.float64], size: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Signals the file would hold.

        Parameters
        ----------
        rng : source of randomness.
        dye : amount of every dye, a.u. of its own detector at usual gain, shape (n, n_dyes).
        size : factor on the autofluorescence, shape (n,).

        Returns
        -------
        Shape (n, n_dyes), a.u., raw (not compensated).
        """
        detectors = self.detectors
        unit = np.array([d.per_photoelectron for d in detectors])
        background = np.array([d.autofluorescence for d in detectors])
        noise = np.array([d.noise for d in detectors])
        light = dye @ self.light_spill + size[:, np.newaxis] * background
        # Poisson's own generator refuses means beyond the integers; 10^9 photoelectrons is far above the clip.
        photoelectrons = rng.poisson(np.minimum(light / unit, 1e9))
        signal = photoelectrons * (unit * self.gains) + rng.standard_normal(light.shape) * noise
        return digitise(signal, self.floor, self.resolution)
