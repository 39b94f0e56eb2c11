"""What is fixed for a whole run; apart from the pipeline, so that a run can be ordered before that is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from treg_gating.gating.steps import GatingTemplate
from treg_gating.matrices import MATRIX_ORDER
from treg_gating.sample import Spillover
from treg_gating.study import Study

__all__ = ["RunSettings"]


@dataclass(frozen=True, eq=False)
class RunSettings:
    """What is fixed for a whole run.

    Parameters
    ----------
    spillover : a matrix for every tube, from a CSV; None where none was given.
    matrices : by batch, a matrix from its single stains (:func:`treg_gating.matrices.from_controls`).
    order : which matrix is chosen: the first of these that there is.
    widths : logicle widths that the study's samples gave, decades, by marker; the template has them already.
    """

    template: GatingTemplate
    study: Study
    spillover: Spillover | None = None
    matrices: Mapping[str, Spillover] = field(default_factory=dict)
    order: tuple[str, ...] = MATRIX_ORDER
    widths: Mapping[str, float] = field(default_factory=dict)
