"""The single stains of a sample sheet, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from treg_gating.errors import CompensationError, TregGatingError
from treg_gating.fcs import read_fcs
from treg_gating.panel import MarkerSpec, match_panel
from treg_gating.sample import Sample
from treg_gating.spillover.fit import SpilloverFit, fit_spillover
from treg_gating.spillover.stains import SingleStain
from treg_gating.tube import Role, Tube

__all__ = ["BatchControls", "detector_of", "fit_controls"]


@dataclass(frozen=True, eq=False)
class BatchControls:
    """What a batch's single stains gave.

    Parameters
    ----------
    batch : as in the sheet.
    files : the tubes used, as written in the sheet.
    fit : the matrix and what it rests on; None where it was refused.
    refusal : why there is none, in words; else empty.
    """

    batch: str
    files: tuple[str, ...]
    fit: SpilloverFit | None
    refusal: str = ""


def fit_controls(tubes: Sequence[Tube]) -> dict[str, BatchControls]:
    """A matrix for every batch that has single-stain tubes; a batch whose tubes do not give one says why.

    Parameters
    ----------
    tubes : of a sheet; those of role single_stain and unstained take part.
    """
    batches = dict.fromkeys(tube.batch for tube in tubes if tube.role is Role.SINGLE_STAIN)
    return {batch: _fit_batch(batch, [tube for tube in tubes if tube.batch == batch]) for batch in batches}


def _fit_batch(batch: str, tubes: Sequence[Tube]) -> BatchControls:
    stains = [tube for tube in tubes if tube.role is Role.SINGLE_STAIN]
    blanks = [tube for tube in tubes if tube.role is Role.UNSTAINED]
    files = tuple(tube.file for tube in (*stains, *blanks))
    try:
        if len(blanks) > 1:
            msg = f"{len(blanks)} unstained tubes ({', '.join(tube.file for tube in blanks)}); expected one a batch"
            raise CompensationError(msg)
        unstained = read_fcs(blanks[0].path, dataset=blanks[0].dataset) if blanks else None
        fit = fit_spillover([_single_stain(tube) for tube in stains], unstained)
    except TregGatingError as error:
        said = str(error)
        for tube in (*stains, *blanks):
            said = said.replace(str(tube.path), tube.file)
        return BatchControls(batch, files, None, said)
    return BatchControls(batch, files, fit)


def _single_stain(tube: Tube) -> SingleStain:
    sample = read_fcs(tube.path, dataset=tube.dataset)
    return SingleStain(sample, detector_of(tube, sample), tube.control_for)


def detector_of(tube: Tube, sample: Sample) -> str:
    """$PnN of the detector that a single stain is for: the sheet names it, or the marker it carries.

    Raises
    ------
    PanelError, CompensationError : the file has no such detector, or the sheet does not say.
    """
    if not tube.control_for:
        msg = f"{tube.file}: the sheet does not say what it is stained with; fill in control_for (marker or detector)"
        raise CompensationError(msg)
    if tube.control_for in sample.channel_names:
        return tube.control_for
    panel = match_panel([MarkerSpec(tube.control_for)], sample.channels, tube.markers, file=tube.file)
    return panel.channel_of[tube.control_for].name
