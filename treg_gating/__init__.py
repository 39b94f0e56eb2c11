"""treg-gating: per-visit Treg proportions from flow-cytometry files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from treg_gating.errors import FCSError
    from treg_gating.fcs import read_fcs, write_fcs
    from treg_gating.sample import Sample

__version__ = "0.1.0"

__all__ = ["FCSError", "Sample", "__version__", "read_fcs", "write_fcs"]

_HOMES = {
    "FCSError": "treg_gating.errors",
    "Sample": "treg_gating.sample",
    "read_fcs": "treg_gating.fcs",
    "write_fcs": "treg_gating.fcs",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line starts without numpy."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
