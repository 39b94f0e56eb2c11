"""The print figure of one sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from treg_gating.report.plots import sample_figure, write_sample_figure
from treg_gating.run.record import RunRecord


def test_one_panel_a_gate_with_its_figures(record: RunRecord) -> None:
    result = record.samples[0]
    figure = sample_figure(result, record)
    assert len(figure.axes) == len(result.pictures) == 8
    treg, panel = result.count("treg"), figure.axes[6]
    words = [text.get_text() for text in panel.texts]
    assert "Treg" in words
    assert f"n {treg.n:,}" in words
    assert panel.get_xlabel() == "FOXP3 · PE-A"
    assert panel.get_xlim() == (result.pictures[6].low[0], result.pictures[6].high[0])


def test_png_and_svg_are_written(record: RunRecord, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "a.svg", "b.svg"):
        write_sample_figure(record.samples[5], record, tmp_path / name, dpi=60)
    for kind in ("png", "svg"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("L"))
    assert 0.03 < (pixels < 200).mean() < 0.5
    svg = (tmp_path / "a.svg").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in svg
    assert "<script" not in svg


def test_failed_gates_and_failed_tubes(record: RunRecord) -> None:
    figure = sample_figure(record.samples[8], record)
    assert "not estimable" in [text.get_text() for text in figure.axes[-1].texts]
    with pytest.raises(ValueError, match="T003 has no gate pictures"):
        sample_figure(record.samples[2], record)
