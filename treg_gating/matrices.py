"""Which spillover matrix a tube is compensated with: from its batch's controls, a CSV, or the file itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

import numpy as np

from treg_gating.errors import CompensationError, InputError, TregGatingError
from treg_gating.flags import Flag, FlagLevel
from treg_gating.gating.steps import GatingTemplate
from treg_gating.sample import Sample, Spillover
from treg_gating.tube import Role, Tube

__all__ = [
    "MATRIX_ORDER",
    "choose_matrix",
    "compensation_of",
    "from_controls",
    "odd_files",
    "odd_in_batch",
    "parse_order",
]

MATRIX_ORDER = ("controls", "csv", "file")
FEWEST_FILES = 3  # two that differ do not tell which of them is odd
_STAINS = frozenset({Role.SINGLE_STAIN, Role.UNSTAINED})
DIFFERENT = 0.02  # of an element; a file's matrix that differs more is told


def parse_order(text: str) -> tuple[str, ...]:
    """``"controls,csv,file"`` or fewer of them, in the order of choice.

    Raises
    ------
    InputError : another word, or one twice.
    """
    order = tuple(filter(None, (word.strip().lower() for word in text.split(","))))
    if not order or len(set(order)) < len(order) or any(word not in MATRIX_ORDER for word in order):
        msg = "the order of matrices is not understood"
        raise InputError(msg, found=repr(text), expected="some of controls, csv, file, each once, with commas")
    return order


def from_controls(tubes: Sequence[Tube]) -> tuple[dict[str, Spillover], tuple[str, ...]]:
    """Matrices by batch from the sheet's single stains, and sentences that the run must say.

    A matrix holds the stained detectors alone, so that a dye without a single stain is seen to have none.
    """
    if all(tube.role is not Role.SINGLE_STAIN for tube in tubes):
        return {}, ()
    from treg_gating.spillover import fit_controls

    matrices: dict[str, Spillover] = {}
    notes: list[str] = []
    for batch, controls in fit_controls(tubes).items():
        if controls.fit is None:
            notes.append(f"Batch {batch}: its single stains give no matrix: {controls.refusal}")
            continue
        stained = [stain.detector for stain in controls.fit.stains]
        whole = controls.fit.spillover
        channels = tuple(name for name in whole.channels if name in stained)
        at = [whole.channels.index(name) for name in channels]
        matrices[batch] = Spillover(channels, whole.matrix[np.ix_(at, at)], f"single stains of batch {batch}")
        notes.append(f"Batch {batch}: spillover matrix from {len(channels)} single stains.")
    return matrices, tuple(notes)


def odd_files(tubes: Sequence[Tube], batches: Container[str] = ()) -> tuple[str, ...]:
    """Sentences on files whose own matrix is not that of the other files of their batch.

    Parameters
    ----------
    tubes : of a sheet; samples, control donors and FMO are compared, where a batch has three or more of them.
    batches : passed over, because another matrix is chosen for them.
    """
    candidates = [tube for tube in tubes if tube.role not in _STAINS and tube.batch not in batches]
    sizes = Counter(tube.batch for tube in candidates)
    compared = [tube for tube in candidates if sizes[tube.batch] >= FEWEST_FILES]
    if not compared:
        return ()
    from treg_gating.fcs import read_header

    named: dict[str, str] = {}
    found: list[tuple[str, str, Spillover]] = []
    for tube in compared:
        try:
            own = read_header(tube.path, tube.dataset).spillover
        except TregGatingError:
            continue  # the tube fails with its reason in the run itself
        if own is not None:
            named[tube.tube_id] = tube.file
            found.append((tube.tube_id, tube.batch, own))
    return tuple(f"{named[tube]}: {flag.text}." for tube, flag in odd_in_batch(found).items())


def odd_in_batch(files: Sequence[tuple[str, str, Spillover]]) -> dict[str, Flag]:
    """Files whose matrix is not that of their batch.

    Parameters
    ----------
    files : (tube_id, batch, the file's own matrix); a batch counts from three files with the same detectors on.

    Returns
    -------
    By tube_id, ``SPILLOVER_DIFFERS``, to review: gates that are right for the batch are wrong for such a tube.
    """
    odd: dict[str, Flag] = {}
    for batch in dict.fromkeys(batch for _, batch, _ in files):
        members = [(tube, own) for tube, name, own in files if name == batch]
        usual = Counter(own.channels for _, own in members).most_common(1)[0][0]
        alike = [(tube, own) for tube, own in members if own.channels == usual]
        if len(alike) < FEWEST_FILES:
            continue
        middle = Spillover(usual, np.median([own.matrix for _, own in alike], axis=0), f"the batch's median ({batch})")
        for tube, own in alike:
            for flag in _differs(middle, own):
                odd[tube] = replace(flag, level=FlagLevel.REVIEW)
    return odd


def choose_matrix(
    sample: Sample, used: Sequence[str], *, order: Sequence[str], controls: Spillover | None, table: Spillover | None
) -> tuple[Spillover | None, tuple[Flag, ...]]:
    """The first matrix of the order that is there; None where that is the file's own, or where there is none.

    Parameters
    ----------
    used : $PnN of the channels the template uses.
    order : words of :data:`MATRIX_ORDER`.
    controls : the batch's, from single stains; passed over where a dye of the tube has no single stain.
    table : from a CSV.

    Raises
    ------
    CompensationError : the order leaves the file's own matrix out, and there is no other.
    """
    flags: list[Flag] = []
    missing = _without_stain(sample, used, controls)
    if "controls" in order and controls is not None and missing:
        text = f"{controls.source} not used: no single stain for {', '.join(missing)}"
        flags.append(Flag("SPILLOVER_INCOMPLETE", FlagLevel.REVIEW, text))
    given: Mapping[str, Spillover | None] = {
        "controls": None if missing else controls,
        "csv": table,
        "file": sample.spillover,
    }
    chosen = next((word for word in order if given[word] is not None), "")
    if not chosen and "file" not in order:
        why = "; ".join(flag.text for flag in flags) or "none was given"
        msg = f"{sample.path or 'sample'}: no spillover matrix from {' or '.join(order)}: {why}"
        raise CompensationError(msg)
    chosen = chosen or "file"
    if chosen == "file":
        return None, tuple(flags)
    matrix = given[chosen]
    if matrix is not None and sample.spillover is not None:
        flags += _differs(matrix, sample.spillover)
    return matrix, tuple(flags)


def _without_stain(sample: Sample, used: Sequence[str], controls: Spillover | None) -> list[str]:
    """Detectors that carry a dye, by their marker or because a gate uses them, and are not in the matrix."""
    if controls is None:
        return []
    of_own = () if sample.spillover is None else sample.spillover.channels
    return [
        channel.name
        for channel in sample.channels
        if not channel.is_scatter
        and not channel.is_time
        and channel.name not in controls.channels
        and (channel.name in used or (channel.marker and channel.name in of_own))
    ]


def _differs(matrix: Spillover, own: Spillover) -> list[Flag]:
    shared = [name for name in matrix.channels if name in own.channels]
    if not shared:
        return []
    first, second = (m.matrix[np.ix_(at, at)] for m in (matrix, own) for at in [[m.channels.index(n) for n in shared]])
    row, column = np.unravel_index(int(np.argmax(np.abs(first - second))), first.shape)
    size = float(abs(first[row, column] - second[row, column]))
    if size <= DIFFERENT:
        return []
    text = (
        f"the file's $SPILLOVER has {second[row, column]:.3f} for {shared[row]} into {shared[column]}, "
        f"{matrix.source or 'the matrix used'} {first[row, column]:.3f} (limit {DIFFERENT:g} apart)"
    )
    return [Flag("SPILLOVER_DIFFERS", FlagLevel.NOTE, text)]


def compensation_of(
    sample: Sample, template: GatingTemplate, given: Spillover | None, used: Sequence[str], file: str
) -> tuple[str, Spillover | None]:
    """What the events are compensated with, in words, and the matrix; None where they are not.

    A matrix that was given goes before the one of imported gates, and that before the file's own.

    Raises
    ------
    CompensationError : a matrix is missing, or there is one for events that are compensated already.
    """
    exported = [name for name in used if name.startswith(("FJComp-", "Comp-"))]
    if template.compensation == "uncompensated":
        return "none: gates on uncompensated values", None
    if template.compensation == "none":
        if given is not None or (sample.spillover is not None and not exported):
            source = given.source if given else "the file's $SPILLOVER"
            msg = (
                f"{file}: template {template.name} is for events that are compensated already, but there is a "
                f"matrix ({source}). Use a template with compensation = file, or remove the matrix."
            )
            raise CompensationError(msg)
        return "none: the export is compensated already", None
    if exported:
        msg = f"{file}: channel {exported[0]} is compensated already; use a template with compensation = none"
        raise CompensationError(msg)
    spillover = given or (template.imported.spillover if template.imported else None) or sample.spillover
    if spillover is None:
        msg = (
            f"{file}: no spillover matrix in the file, and none was given. Give one with --spillover MATRIX.csv, or "
            "use a template with compensation = none for events that are compensated already."
        )
        raise CompensationError(msg)
    return spillover.source or "the file's own matrix", spillover
