"""Gating methods, one file each, and the one dict that registers them."""

from __future__ import annotations

from typing import Any

from treg_gating.gating.methods.aligned_mixture import AlignedMixture
from treg_gating.gating.methods.control_quantile import ControlQuantile
from treg_gating.gating.methods.fixed import Fixed
from treg_gating.gating.methods.mixture_ellipse import MixtureEllipse
from treg_gating.gating.methods.negative import NegativePeak
from treg_gating.gating.methods.quadrant import Quadrant
from treg_gating.gating.methods.singlets import SingletBand
from treg_gating.gating.methods.tail import Tail
from treg_gating.gating.methods.valley import Valley

__all__ = ["METHODS"]

METHODS: dict[str, type[Any]] = {
    "aligned_mixture": AlignedMixture,
    "control_quantile": ControlQuantile,
    "fixed": Fixed,
    "mixture_ellipse": MixtureEllipse,
    "negative_peak": NegativePeak,
    "quadrant": Quadrant,
    "singlet_band": SingletBand,
    "tail": Tail,
    "valley": Valley,
}
