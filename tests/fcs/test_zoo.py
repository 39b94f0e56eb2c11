"""Files of real instruments: equal to FlowIO to the bit of float32, or refused with a reason that is right."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import flowio
import numpy as np
import pytest

from treg_gating import FCSError, Sample, read_fcs
from treg_gating.fcs import read_header

INSTRUMENTS = "fcs_zoo/instruments/"
MILTENYI = "fcs_zoo/fcsparser/MiltenyiBiotec/"
# Refused although FlowIO reads it, or broken for both; the document docs/reading_fcs.md says who is right.
REFUSED = {
    "fcs_zoo/fcsparser/corrupted/corrupted.fcs": "E_NOT_FCS",
    "fcs_zoo/fcsparser/cytek-nl-2000/sample_header.fcs": "E_TRUNCATED",
    "fcs_zoo/fcsparser/fake_bitmask_error/fcs1_cleaned.lmd": "E_REPEATED",
    "fcs_zoo/flowio/data_start_offset_discrepancy_example.fcs": "E_OFFSETS",
    "fcs_zoo/flowio/data_stop_offset_discrepancy_example.fcs": "E_KEYWORD",
    "fcs_zoo/flowio/variable_int_example.fcs": "E_KEYWORD",
    "fcs_zoo/flowio/coulter.lmd": "E_DATASETS",
    INSTRUMENTS + "Beckman Coulter - Gallios.LMD": "E_DATASETS",
}
# Read here, not by FlowIO 1.4.0; each has a test of its own below.
NOT_IN_FLOWIO = {
    "fcs_zoo/fcsparser/Cytek_xP5/Cytek_xP5.fcs",
    "fcs_zoo/fcsparser/fake_large_fcs/fake_large_fcs.fcs",
}
WARNED = {
    "fcs_zoo/fcsparser/cyflow_cube_8/cyflow_cube_8.fcs": "W_STEXT",
    INSTRUMENTS + "Applied Biosystems - Attune.fcs": "W_EMPTY_VALUE",
    INSTRUMENTS + "Beckman Coulter - Cyan.fcs": "W_TEXT_OFFSETS",
    INSTRUMENTS + "Partec - PAS.FCS": "W_END_OF_DATA",
    MILTENYI + "FCS3.1/EY_2013-07-19_PBS_FCS_3.1_Well_A1.001.fcs": "W_SPILLOVER",
    "flowatlas/412C/412C_BM_032.fcs": "W_COMPENSATED",
}


def oracle(path: Path, dataset: int | None = None) -> flowio.FlowData:
    options = {"ignore_offset_error": True, "ignore_offset_discrepancy": True, "use_header_offsets": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dataset is None:
            return flowio.FlowData(str(path), **options)
        return flowio.read_multiple_data_sets(str(path), **options)[dataset - 1]


def assert_equal(sample: Sample, foreign: flowio.FlowData) -> None:
    assert list(sample.channel_names) == foreign.pnn_labels
    assert [channel.marker for channel in sample.channels] == [label.strip() for label in foreign.pns_labels]
    expected = foreign.as_array().astype(np.float32)
    np.testing.assert_array_equal(sample.events.astype(np.float32).view(np.uint32), expected.view(np.uint32))


def files(shared: Path) -> dict[str, Path]:
    data = shared / "data"
    suffixes = {".fcs", ".lmd"}
    return {str(p.relative_to(data)): p for p in sorted(data.rglob("*")) if p.suffix.lower() in suffixes}


def test_every_file_is_equal_to_flowio_or_refused(shared: Path) -> None:
    equal = 0
    for name, path in files(shared).items():
        if name in REFUSED:
            with pytest.raises(FCSError) as caught:
                read_fcs(path)
            assert (name, caught.value.code) == (name, REFUSED[name])
            continue
        sample = read_fcs(path)
        assert sample.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (name in WARNED) <= (WARNED.get(name) in {warning.code for warning in sample.warnings}), name
        if name not in NOT_IN_FLOWIO:
            assert_equal(sample, oracle(path))
            equal += 1
    assert equal >= 45


@pytest.mark.parametrize("name", ["fcs_zoo/flowio/coulter.lmd", INSTRUMENTS + "Beckman Coulter - Gallios.LMD"])
@pytest.mark.parametrize("number", [1, 2])
def test_data_sets_of_coulter_files(shared: Path, name: str, number: int) -> None:
    path = shared / "data" / name
    sample = read_fcs(path, number)
    assert_equal(sample, oracle(path, number))
    assert read_header(path, number).n_datasets == 2
    if number == 2:
        assert "W_MASK" in {warning.code for warning in sample.warnings}


def test_24_bit_integers_against_the_bytes(shared: Path) -> None:
    path = shared / "data/fcs_zoo/fcsparser/Cytek_xP5/Cytek_xP5.fcs"
    sample = read_fcs(path)
    raw = np.frombuffer(path.read_bytes(), "u1", 23126 * 24, 4096).reshape(-1, 8, 3).astype("u4")
    stored = raw[..., 0] << 16 | raw[..., 1] << 8 | raw[..., 2]
    np.testing.assert_array_equal(sample.column("FSC"), stored[:, 1].astype("f4"))
    np.testing.assert_array_equal(sample.column("FL1"), (10 ** (4 * stored[:, 3] / 1024)).astype("f4"))


def test_blank_header_offsets(shared: Path) -> None:
    zoo = shared / "data/fcs_zoo/fcsparser"
    blank = read_fcs(zoo / "fake_large_fcs/fake_large_fcs.fcs")
    whole = read_fcs(zoo / "Fortessa/FCS_3.0_Fortessa_PBS_Specimen_001_A1_A01.fcs")
    np.testing.assert_array_equal(blank.events, whole.events)
    assert {warning.code for warning in blank.warnings} == {"W_HEADER_OFFSETS"}


def test_time_is_in_seconds(shared: Path) -> None:
    """$BTIM and $ETIM of this tube are 57 s apart; dividing Time by its $PnG of 0.01 as well would give 5,535."""
    sample = read_fcs(shared / "data/compensation_controls/Compensation-PE.fcs")
    assert sample.keywords["$P18G"] == "0.01"
    assert 50 < np.ptp(sample.column("Time")) < 57
