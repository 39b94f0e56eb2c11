"""A tube of the sample data as AnnData: the run's own counts, event for event."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from treg_gating.cli.main import cli
from treg_gating.errors import InputError
from treg_gating.interchange.anndata import sample_to_anndata
from treg_gating.run.last import open_last_run

SAMPLE_DATA = Path(__file__).resolve().parents[2] / "sample_data"


@pytest.fixture(scope="module")
def last(tmp_path_factory):
    """Run one subject with the controls, and its record."""
    folder = tmp_path_factory.mktemp("one")
    (folder / "fcs").mkdir()
    lines = (SAMPLE_DATA / "samples.csv").read_text().splitlines()
    kept = [lines[0], *(line for line in lines if "S01" in line or "CONTROL" in line or "FMO" in line)]
    for line in kept[1:]:
        shutil.copy(SAMPLE_DATA / line.split(",")[0], folder / "fcs")
    (folder / "samples.csv").write_text("\n".join(kept))
    shutil.copy(SAMPLE_DATA / "study.toml", folder)
    words = ["run", str(folder / "samples.csv"), "-o", str(folder / "out"), "--workers", "0", "-q"]
    assert CliRunner().invoke(cli, words).exception is None
    return folder


def test_populations_are_those_of_the_run(last, tmp_path):
    anndata = pytest.importorskip("anndata", reason="anndata is not installed (extra 'anndata')")
    out = tmp_path / "tube.h5ad"
    done = CliRunner().invoke(cli, ["export", "anndata", str(last / "out"), "S01_Week12", "-o", str(out)])
    assert done.exception is None, done.output
    table = anndata.read_h5ad(out)
    with open_last_run(last / "out") as run:
        result = next(sample for sample in run.record.samples if sample.tube_id == "S01_Week12")
    assert table.n_obs == result.n_events
    for name in ("clean", "cd4_t", "treg"):
        assert int(table.obs[name].sum()) == result.count(name).n
    assert list(table.var["marker"]).count("FOXP3") == 1
    foxp3 = table[:, table.var["marker"] == "FOXP3"]
    inside = table.obs["treg"].to_numpy(bool)
    assert np.median(foxp3.X[inside]) == pytest.approx(result.count("treg").mfi["FOXP3"], rel=1e-3)


def test_another_file_and_another_count_are_refused(last):
    pytest.importorskip("anndata", reason="anndata is not installed (extra 'anndata')")
    with open_last_run(last / "out") as run:
        result = next(sample for sample in run.record.samples if sample.tube_id == "S01_Week12")
        tube = next(tube for tube in run.tubes if tube.tube_id == "S01_Week12")
    with pytest.raises(InputError, match="not the one that the run read"):
        sample_to_anndata(result, tube, last / "fcs" / "S01_Week4.fcs")
    fewer = tuple(replace(count, n=count.n - 1) if count.population == "treg" else count for count in result.counts)
    with pytest.raises(InputError, match="population treg does not come out"):
        sample_to_anndata(replace(result, counts=fewer), tube, tube.path)
    with pytest.raises(InputError, match="the tube failed"):
        sample_to_anndata(replace(result, status="failed", reason="x"), tube, tube.path)
