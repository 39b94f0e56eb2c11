"""Spillover from single stains: find the positives, fit the slopes, refine on compensated data, check."""

from treg_gating.spillover.controls import BatchControls, fit_controls
from treg_gating.spillover.fit import FitRecord, SpilloverFit, StainFit, fit_spillover
from treg_gating.spillover.stains import SingleStain

__all__ = ["BatchControls", "FitRecord", "SingleStain", "SpilloverFit", "StainFit", "fit_controls", "fit_spillover"]
