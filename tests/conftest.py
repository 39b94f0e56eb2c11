"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the reference data and tools, beside the repository; a test that needs it skips without."""
    folder = Path(os.environ.get("TREG_GATING_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"reference data absent: {folder} (set TREG_GATING_SHARED)")
    return folder
