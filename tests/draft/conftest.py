"""Small FCS files under any name."""

from __future__ import annotations

import numpy as np
import pytest

from treg_gating.fcs import write_fcs
from treg_gating.sample import Channel

CHANNELS = (
    *(Channel("FSC-A"), Channel("FSC-H"), Channel("SSC-A"), Channel("Time"), Channel("APC-A", "CD3 APC")),
    *(Channel("PE-A", "FOXP3 PE"), Channel("FITC-A", "CD4 FITC"), Channel("PE-Cy7-A", "CD25")),
    *(Channel("BV421-A", "CD127"), Channel("BV510-A", "Zombie")),
)


@pytest.fixture
def tube(tmp_path):
    """Write a file below tmp_path; its events depend on its name, so that no two are the same tube."""

    def write(name: str, **keywords: str):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        events = np.random.default_rng(list(name.encode())).gamma(2, 500, (200, len(CHANNELS))).astype(np.float32)
        write_fcs(path, events, CHANNELS, keywords={key.replace("_", " "): value for key, value in keywords.items()})
        return path

    return write
