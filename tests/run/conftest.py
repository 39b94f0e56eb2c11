"""A study of text files for the engine, and the way to run it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from treg_gating.run.child import Limits
from treg_gating.run.cohort import RunOrder, run_cohort
from treg_gating.run.finish import Finished
from treg_gating.run.progress import QuietProgress
from treg_gating.samplesheet import read_samplesheet
from treg_gating.study import Limits as StudyLimits
from treg_gating.study import Study, Visit

HERE = Path(__file__).parent

collect_ignore = ["drive.py", "faulty_pipeline.py"]  # run by tests as programs of their own


@dataclass(frozen=True)
class Primary:
    name: str = "Treg of CD4 T"
    numerator: str = "treg"
    denominator: str = "cd4_t"
    unit: str = "%"


@dataclass(frozen=True)
class SmallTemplate:
    """What the runner asks of a template."""

    name: str = "small"
    version: str = "1"
    description: str = ""
    sha256: str = "0" * 64
    primary: Primary = field(default_factory=Primary)
    rows: tuple[Mapping[str, str], ...] = ()
    imported: None = None


STUDY = Study(
    visits=(Visit("Baseline", day=0, baseline=True), Visit("Week 12", day=84)), limits=StudyLimits(count_report=0)
)


@dataclass
class SmallStudy:
    """Text files in a folder with their sheet."""

    folder: Path
    files: dict[str, str]

    def write(self) -> Path:
        sheet = ["file,subject,visit,batch,role,control_for"]
        for name, text in self.files.items():
            (self.folder / f"{name}.fcs").write_text(text)
            subject, _, visit = name.partition("_")
            role = "fmo" if subject == "FMO" else "sample"
            place = f"{subject},{'Baseline' if visit == 'B' else 'Week 12'}" if role == "sample" else ","
            sheet.append(f"{name}.fcs,{place},1,{role},{'FOXP3' if role == 'fmo' else ''}")
        path = self.folder / "samples.csv"
        path.write_text("\n".join(sheet) + "\n")
        return path

    def run(self, out: str = "out", *, offset: float = 0.0, study: Study = STUDY, **more: Any) -> Finished:
        import faulty_pipeline

        settings = faulty_pipeline.FaultySettings(more.pop("template", SmallTemplate()), study, offset)
        reports = more.pop("reports", {})
        order = RunOrder(
            sheet=read_samplesheet(self.write(), study=study),
            settings=settings,
            out=self.folder / out,
            **{"workers": 1, "limits": Limits(60), "pipeline": "faulty_pipeline", **more},
        )
        return run_cohort(order, QuietProgress(), reports)

    def diary(self) -> list[str]:
        path = self.folder / "diary"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(lines)


@pytest.fixture
def small_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SmallStudy]:
    """Make a study from ``name=text``; names are subject_B or subject_W."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
    monkeypatch.setattr(sys, "path", [str(HERE), *sys.path])
    monkeypatch.setenv("FAULTY_DIARY", str(tmp_path / "diary"))

    def make(**files: str) -> SmallStudy:
        texts = {
            name: text if text.startswith("value") or text == "PNG" else f"value {text}" for name, text in files.items()
        }
        return SmallStudy(tmp_path, texts)

    return make


@pytest.fixture
def small_template() -> type[SmallTemplate]:
    """What the runner asks of a template."""
    return SmallTemplate
