"""One way in for gates, whatever program made them, and for the marker names that a workspace keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from treg_gating.errors import InputError
from treg_gating.gating.template import GatingTemplate, load_template

__all__ = ["load_gates", "markers_by_file", "what_was_left_out"]


def load_gates(name_or_path: str | Path, *, treg: str = "", cd4: str = "") -> GatingTemplate:
    """A template by the name of a shipped one, by its folder, or of another program.

    From a FlowJo workspace (.wsp), from Gating-ML (.xml), or from such gates that were kept (.gates.json).

    Parameters
    ----------
    treg, cd4 : populations of an imported document whose ratio is the primary endpoint, where their names do not say.

    Raises
    ------
    InputError, TemplateError : with every fault, by file and place.
    """
    suffix = Path(name_or_path).suffix.lower()
    if suffix == ".wsp":
        from treg_gating.interchange.flowjo import import_flowjo

        return import_flowjo(name_or_path, treg=treg, cd4=cd4)
    if suffix == ".xml":
        from treg_gating.interchange.gatingml_import import import_gatingml

        return import_gatingml(name_or_path, treg=treg, cd4=cd4)
    if suffix == ".json":
        from treg_gating.interchange.kept import read_kept

        return read_kept(name_or_path)
    return load_template(name_or_path)


def what_was_left_out(template: GatingTemplate) -> tuple[str, ...]:
    """Sentences for the user: every gate of an imported document that has no counterpart here, with its place."""
    left_out: Iterable[tuple[str, ...]] = getattr(template, "left_out", ())
    where: dict[tuple[str, str], list[str]] = {}
    for *sample, population, reason in left_out:
        where.setdefault((population, reason), []).extend(sample)
    return tuple(
        f"{template.name}: {population} is not taken over: {reason}"
        + (f" (in {len(samples)} sample{'s' if len(samples) > 1 else ''}, first {samples[0]})" if samples else "")
        for (population, reason), samples in where.items()
    )


def markers_by_file(workspace: str | Path, files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Markers by detector for each file, from a FlowJo workspace that knows it by its $FIL.

    Parameters
    ----------
    files : path by name (a tube's identifier).

    Returns
    -------
    By the same names; a file that the workspace does not know is left out, and so is one that cannot be read here: the
    run says what is wrong with it.
    """
    from treg_gating.fcs import read_header
    from treg_gating.interchange.flowjo_document import read_samples, workspace_root

    root, _ = workspace_root(workspace)
    samples = [sample for sample, _ in read_samples(root, Path(workspace).name, gates=False)]
    found: dict[str, dict[str, str]] = {}
    for name, path in files.items():
        try:
            fil = read_header(path).keywords.get("$FIL", "").strip()
        except InputError:
            continue
        hits = [sample.markers for sample in samples if sample.answers_to(fil)]
        if hits and all(markers == hits[0] for markers in hits):
            found[name] = dict(hits[0])
    return found
