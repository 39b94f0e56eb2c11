"""Tubes gated once for all tests of this folder, with the events of every population."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from treg_gating.fcs import read_fcs
from treg_gating.gating import hierarchy
from treg_gating.gating.results import SampleResult
from treg_gating.gating.settling import settle
from treg_gating.gating.template import load_template
from treg_gating.pipeline import RunSettings, between_passes, first_pass, prepare, second_pass
from treg_gating.samplesheet import Role, Tube, read_samplesheet
from treg_gating.simulate import PRESETS, write_cohort
from treg_gating.simulate.settings import Acquiring, Controls
from treg_gating.study import default_study


@dataclass(frozen=True)
class GatedTube:
    """A finished tube, its file, and the mask of every population whose events are known."""

    result: SampleResult
    path: Path
    masks: Mapping[str, np.ndarray[Any, np.dtype[np.bool_]]]


def gate(tubes: tuple[Tube, ...], settings: RunSettings) -> list[GatedTube]:
    tubes = tuple(tube for tube in tubes if tube.role not in (Role.SINGLE_STAIN, Role.UNSTAINED))
    fits = {tube.tube_id: first_pass(tube, settings) for tube in tubes}
    cohort = between_passes(tubes, fits, settings)
    gated = []
    for tube in tubes:
        if tube.role is not Role.SAMPLE:
            continue
        result = second_pass(tube, settings, cohort, fits[tube.tube_id])
        ready = prepare(tube, settings)
        walk = hierarchy.apply_sample(
            settings.template,
            ready.view,
            fits[tube.tube_id].gates,
            lambda step, own, batch=tube.batch: settle(step, own, cohort.consensus.get(step.population), batch),
            cohort.models,
            batch=tube.batch,
        )
        masks = {}
        for name, rows in walk.rows.items():
            if rows is not None:
                masks[name] = np.zeros(result.n_events, dtype=bool)
                masks[name][rows] = True
        gated.append(GatedTube(result, tube.path, masks))
    return gated


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> list[GatedTube]:
    """Two subjects of the FOXP3 cohort, with scatter, a spillover matrix, FMO tubes and disturbed tubes."""
    folder = tmp_path_factory.mktemp("cohort")
    cohort = replace(PRESETS["foxp3"], subjects=2, batches=1, visits=PRESETS["foxp3"].visits[::3])
    cohort = replace(cohort, acquiring=Acquiring(events=20_000), controls=Controls(fmo_markers=("FOXP3",)))
    write_cohort(cohort, folder)
    sheet = read_samplesheet(folder / "samples.csv")
    study = default_study(list(dict.fromkeys(tube.visit for tube in sheet.tubes if tube.visit)))
    return gate(sheet.tubes, RunSettings(load_template("treg_foxp3"), study))


@pytest.fixture(scope="session")
def flowatlas(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[GatedTube]:
    """The real Treg files, gated by the data-driven template; marker names of 412C come from 423C's labels."""
    folder = shared / "data" / "flowatlas"
    if not folder.is_dir():
        pytest.skip(f"reference data absent: {folder}")
    labelled = read_fcs(folder / "423C" / "423_Donor_Lung_032.fcs")
    out = tmp_path_factory.mktemp("sheet")
    with (out / "markers.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["channel", "marker"])
        writer.writerows((channel.name, channel.marker) for channel in labelled.channels if channel.marker)
    with (out / "samples.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file", "subject", "visit", "markers"])
        for path in sorted(folder.glob("4*/4*_0*.fcs")):
            name = path.relative_to(folder).as_posix()
            writer.writerow([name, path.stem, "x", "markers.csv" if name.startswith("412C") else ""])
    sheet = read_samplesheet(out / "samples.csv", data_dir=folder)
    return gate(sheet.tubes, RunSettings(load_template("treg_pregated"), default_study(["x"])))


@pytest.fixture(scope="session")
def flowkit() -> Any:
    """FlowKit, imported with its own warnings set aside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import flowkit as module
    return module


@pytest.fixture(scope="session")
def flowkit_masks(flowkit: Any) -> Callable[[Path, Path], Callable[[str], Any]]:
    """Apply a Gating-ML document to a file with FlowKit; gives the mask of a gate by its identifier."""

    def apply(document: Path, fcs: Path) -> Callable[[str], Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            strategy = flowkit.parse_gating_xml(str(document))
            gated = strategy.gate_sample(flowkit.Sample(str(fcs)))
        return lambda identifier: np.asarray(gated.get_gate_membership(identifier))

    return apply
