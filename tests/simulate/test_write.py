"""Cohorts on disk."""

from __future__ import annotations

import csv
import tomllib
from dataclasses import replace
from pathlib import Path

import flowio
import numpy as np
import pytest

from treg_gating.errors import InputError
from treg_gating.fcs import read_fcs
from treg_gating.simulate import PRESETS, plan_cohort, read_truth, simulate_to_folder, simulate_tube, write_cohort
from treg_gating.simulate.settings import Acquiring
from treg_gating.study import read_study

SMALL = replace(PRESETS["foxp3"], subjects=2, batches=2, visits=PRESETS["foxp3"].visits[::3])
SMALL = replace(SMALL, acquiring=Acquiring(events=3_000, disturbed_share=0.5))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cohort")
    write_cohort(SMALL, out)
    return out


def test_flowio_reads_the_events_back(folder: Path) -> None:
    tube = simulate_tube(next(plan_cohort(SMALL)))
    data = flowio.FlowData(str(folder / tube.plan.file))
    events = np.reshape(data.events, (-1, data.channel_count))
    np.testing.assert_array_equal(events[:, :-1], tube.events[:, :-1])
    # FlowIO leaves Time in the file's steps of 0.01 s, which are whole numbers.
    np.testing.assert_array_equal(events[:, -1], np.round(events[:, -1]))
    np.testing.assert_allclose(events[:, -1] * 0.01, tube.events[:, -1], rtol=1e-6)
    assert data.pnn_labels == [channel.name for channel in tube.channels]
    assert data.pns_labels == [channel.marker for channel in tube.channels]


def test_own_reader_reads_the_same_sample(folder: Path) -> None:
    tube = simulate_tube(next(plan_cohort(SMALL)))
    sample = read_fcs(folder / tube.plan.file)
    np.testing.assert_allclose(sample.events, tube.events, rtol=1e-6)
    assert sample.channels == tube.sample().channels
    assert sample.warnings == ()
    assert sample.spillover is not None
    np.testing.assert_array_equal(sample.spillover.matrix, tube.spillover.matrix)


def test_sheet_names_no_arm_and_every_file_is_there(folder: Path) -> None:
    sheet = rows(folder / "samples.csv")
    assert list(sheet[0]) == ["file", "subject", "visit", "batch", "role", "control_for"]
    assert sorted(str(p.relative_to(folder)) for p in folder.glob("fcs/*.fcs")) == sorted(r["file"] for r in sheet)
    assert [(r["role"], r["control_for"]) for r in sheet] == [("sample", "")] * 4 + [
        ("control", ""),
        ("fmo", "FOXP3"),
    ] * 2
    arms = rows(folder / "arms.csv")
    assert [r["subject"] for r in arms] == ["S01", "S02"]
    assert {r["arm"] for r in arms} <= set(SMALL.treatment.arms)
    assert not any(r["arm"] in (folder / "samples.csv").read_text() for r in arms)


def test_truth_agrees_with_its_events(folder: Path) -> None:
    table = rows(folder / "truth.csv")
    assert len(table) == 4
    for row in table:
        truth = read_truth(folder / "truth" / f"{Path(row['file']).stem}.npz")
        assert int(row["cd4"]) == truth.is_cd4.sum()
        assert int(row["treg"]) == truth.is_treg.sum()
        assert float(row["treg_pct_of_cd4"]) == pytest.approx(100 * truth.is_treg.sum() / truth.is_cd4.sum(), abs=1e-4)
        assert row["clog"] == str(int(truth.disturbed.any()))
    assert [r["role"] for r in rows(folder / "truth_controls.csv")] == ["control", "fmo"] * 2


def test_study_toml_is_a_study(folder: Path) -> None:
    text = (folder / "study.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["endpoint"] == {"population": "treg", "denominator": "cd4_t", "visit": "Week 12"}
    study = read_study(folder / "study.toml")
    assert study.visit_names == ("Baseline", "Week 12")
    assert study.baseline is not None
    assert study.baseline.name == "Baseline"
    assert study.visits[1].window == (-7, 7)
    # 3,000 events a tube: the usual 5,000 CD4 T cells would fail every one of them.
    assert study.limits.cd4_fail < 500


def test_every_preset_makes_a_readable_study(tmp_path: Path) -> None:
    from treg_gating.simulate.study_text import study_toml

    for name, settings in PRESETS.items():
        path = tmp_path / f"{name}.toml"
        path.write_text(study_toml(settings), encoding="utf-8")
        assert read_study(path).endpoint.visit == "Week 12"


def test_same_seed_same_bytes_and_no_mixture_of_cohorts(folder: Path, tmp_path: Path) -> None:
    write_cohort(SMALL, tmp_path)
    assert contents(tmp_path) == contents(folder)
    with pytest.raises(InputError, match="holds a simulated cohort already"):
        write_cohort(SMALL, tmp_path)
    write_cohort(replace(SMALL, subjects=1), tmp_path, overwrite=True, event_truth=False)
    assert len(list(tmp_path.glob("fcs/S*.fcs"))) == 2
    assert list(tmp_path.glob("truth/*.npz")) == []


def test_simulate_to_folder_tells_what_it_wrote(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    summary = simulate_to_folder(
        "sample", tmp_path / "new", seed=3, subjects=1, events=500, progress=lambda *step: seen.append(step)
    )
    assert (summary.tubes, summary.samples, summary.events) == (len(seen), 3, 500 * len(seen))
    assert summary.bytes == sum(p.stat().st_size for p in (tmp_path / "new" / "fcs").iterdir())
    assert seen[-1][:2] == (summary.tubes, summary.tubes)
    assert summary.sheet.is_file()
    assert summary.study.is_file()


@pytest.mark.parametrize(
    ("name", "numbers", "message"),
    [
        ("foxp", {}, "did you mean 'foxp3'"),
        ("foxp3", {"events": 5}, "events is too small"),
        ("foxp3", {"seed": -1}, "seed"),
    ],
)
def test_senseless_requests_are_refused(tmp_path: Path, name: str, numbers: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate_to_folder(name, tmp_path, **{"seed": 1, **numbers})
    assert list(tmp_path.iterdir()) == []


def test_a_preset_may_lack_a_stain(tmp_path: Path) -> None:
    """Without CD45RA its channel is gone; every other column is that of the same tube with it."""
    full, lacking = (
        simulate_tube(next(plan_cohort(replace(PRESETS[name], acquiring=Acquiring(events=800)))))
        for name in ("foxp3", "no_cd45ra")
    )
    assert {c.marker for c in full.channels} - {c.marker for c in lacking.channels} == {"CD45RA"}
    assert full.plan.treg_share == lacking.plan.treg_share
    assert lacking.spillover.channels == tuple(d for d in full.spillover.channels if d != full.spillover.channels[0])
