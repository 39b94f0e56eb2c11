"""Outputs are made in other processes: what they say, and what is left where they are broken off."""

from __future__ import annotations

import os
import signal
import threading
import time

import psutil
import pytest


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_outputs_are_the_same_wherever_they_are_made(small_study, tmp_path, workers):
    import faulty_pipeline

    reports = {"report.html": faulty_pipeline.quick_report, "other.html": faulty_pipeline.quick_report}
    study = small_study(A_B="60", A_W="70", B_B="20")
    finished = study.run("out", workers=workers, reports=reports)
    study.run("alone", workers=0)
    assert finished.exit_code == 0
    assert any("report.html (open it first), other.html" in line for line in finished.lines)
    for name in ("report.html", "other.html"):
        assert (tmp_path / "out" / name).read_text() == "3 tubes"
    for name in ("endpoint.csv", "gates.csv", "populations.parquet", "levey_jennings.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    again = study.run("out", workers=workers, reports=reports)
    assert not again.changed


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_in_the_midst_of_outputs_leaves_the_old_ones_and_no_process(small_study, tmp_path, workers):
    import faulty_pipeline

    study, out = small_study(A_B="60", A_W="70"), tmp_path / "out"
    study.run("out", workers=0, reports={"report.html": faulty_pipeline.quick_report})
    before = {path.name: path.read_bytes() for path in out.glob("*.*") if path.suffix in {".html", ".csv", ".parquet"}}
    study.files |= {"B_B": "value 50"}

    def interrupt_once_begun() -> None:
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    ours = signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell told us to ignore it
    threading.Thread(target=interrupt_once_begun, daemon=True).start()
    begun = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            study.run("out", workers=workers, reports={"report.html": faulty_pipeline.slow_report})
    finally:
        signal.signal(signal.SIGINT, ours)
    assert time.monotonic() - begun < 50
    _, alive = psutil.wait_procs([p for p in psutil.Process().children() if "run.child" in " ".join(p.cmdline())], 5)
    assert not alive
    assert {name: (out / name).read_bytes() for name in before} == before
    assert not list(out.glob(".outputs*"))
    study.run("out", workers=workers, reports={"report.html": faulty_pipeline.quick_report})
    assert (out / "report.html").read_text() == "3 tubes"
