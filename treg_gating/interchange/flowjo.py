"""FlowJo 10 workspaces (.wsp) as templates: every file gets the gates its own sample has in the workspace.

FlowKit reads the gates and FlowJo's scales. FlowJo draws on a binned scale, so that its counts and these differ by a
fraction of a percent; both are kept (:attr:`~treg_gating.gating.results.PopulationCount.reference`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from treg_gating.errors import InputError
from treg_gating.gating.results import SampleResult
from treg_gating.gating.template import CombineStep, FileIdentity, GateStep, GatingTemplate, Imported
from treg_gating.interchange.flowjo_document import WorkspaceSample, read_samples, workspace_root
from treg_gating.interchange.imported import OURS, as_template
from treg_gating.sample import Spillover

__all__ = ["WorkspaceTemplate", "compare_counts", "import_flowjo", "markers_from_workspace"]


@dataclass(frozen=True)
class WorkspaceTemplate(GatingTemplate):
    """The gates of a workspace. Its own steps are the union over the samples, for tables and reports.

    Parameters
    ----------
    samples : what identifies each sample, with its template or the reason why it has none.
    left_out : (sample, population, reason) of every gate without counterpart here.
    """

    samples: tuple[tuple[WorkspaceSample, GatingTemplate | str], ...] = ()
    left_out: tuple[tuple[str, str, str], ...] = field(default=(), compare=False)

    def for_file(self, file: FileIdentity, name: str = "") -> GatingTemplate:
        """The gates of the one sample that is this file: same $FIL and same number of events.

        Raises
        ------
        InputError : no sample or several are this file, or its sample has no usable gates.
        """
        fil, total = file.keywords.get("$FIL", "").strip(), file.keywords.get("$TOT", "").strip()
        named = [pair for pair in self.samples if pair[0].answers_to(fil)]
        hits = [pair for pair in named if pair[0].total in ("", total)]
        exact = [pair for pair in hits if pair[0].made == _made(file.keywords)]
        hits = exact if len(hits) > 1 else hits
        if len(hits) != 1:
            raise self._no_match(name or fil, fil, total, [sample for sample, _ in named], len(hits))
        template = hits[0][1]
        if isinstance(template, str):
            msg = f"the workspace's gates for {hits[0][0].name} cannot be used: {template}"
            raise InputError(msg, file=name, where=self.name)
        return _for_detectors(template, [channel.name for channel in file.channels])

    def _no_match(self, name: str, fil: str, total: str, named: list[WorkspaceSample], hits: int) -> InputError:
        if hits:
            msg = f"{hits} samples of the workspace are this file"
            return InputError(msg, file=name, where="$FIL", found=repr(fil), expected="one sample a file")
        if named:
            totals = " or ".join(sample.total for sample in named)
            msg = "the workspace's sample of this name has another number of events"
            return InputError(msg, file=name, where="$TOT", found=total, expected=totals)
        msg = "the workspace has no sample of this name"
        known = ", ".join(repr(sample.name) for sample, _ in self.samples)
        return InputError(msg, file=name, where="$FIL", found=repr(fil), expected=f"one of {known}")


def import_flowjo(path: str | Path, *, treg: str = "", cd4: str = "") -> WorkspaceTemplate:
    """Read a FlowJo 10 workspace as a template.

    Parameters
    ----------
    treg, cd4 : names (or paths with ``/``) of the populations whose ratio is the primary endpoint; found by their
        usual names where empty. In the template they are called ``treg`` and ``cd4_t``.

    Raises
    ------
    InputError : not a FlowJo 10 workspace, or no sample has the two populations; the reason of each is said.
    """
    root, text = workspace_root(path)
    name = Path(path).name
    digest = hashlib.sha256(text + f"\0{treg}\0{cd4}".encode()).hexdigest()
    samples: list[tuple[WorkspaceSample, GatingTemplate | str]] = []
    left_out: list[tuple[str, str, str]] = []
    for sample, gates in read_samples(root, name):
        if isinstance(gates, str):
            samples.append((sample, gates))
            continue
        left_out += [(sample.name, population, reason) for population, reason in gates.left_out]
        try:
            samples.append((sample, as_template(gates, name=name, sha256=digest, treg=treg, cd4=cd4)))
        except InputError as error:
            samples.append((sample, str(error)))
    templates = [template for _, template in samples if isinstance(template, GatingTemplate)]
    if not templates:
        reasons = "; ".join(dict.fromkeys(str(template) for _, template in samples)) or "it has no samples"
        msg = f"no sample of the workspace can be used: {reasons}"
        raise InputError(msg, file=str(path), action="Name the populations of the endpoint")
    return _union(name, digest, templates, samples, left_out)


def _union(
    name: str,
    digest: str,
    templates: Sequence[GatingTemplate],
    samples: Sequence[tuple[WorkspaceSample, GatingTemplate | str]],
    left_out: Sequence[tuple[str, str, str]],
) -> WorkspaceTemplate:
    """Every population of every sample once, as the first sample that has it has it."""
    steps: dict[str, GateStep | CombineStep] = {}
    rows: dict[str, Mapping[str, str]] = {}
    for template in templates:
        for step, row in zip(template.steps, template.rows, strict=True):
            steps.setdefault(step.population, step)
            rows.setdefault(step.population, {**row, "args": name if row["method"] == "imported" else row["args"]})
    transforms = {axis: scale for template in reversed(templates) for axis, scale in template.transforms.items()}
    return WorkspaceTemplate(
        name=name,
        version="imported",
        description=f"gates of {len(templates)} samples of {name}",
        compensation=templates[0].compensation,
        panel=(),
        transforms=transforms,
        steps=tuple(steps.values()),
        endpoints=templates[0].endpoints,
        rows=tuple(rows.values()),
        sha256=digest,
        imported=Imported(name),
        samples=tuple(samples),
        left_out=tuple(left_out),
    )


def _for_detectors(template: GatingTemplate, detectors: Sequence[str]) -> GatingTemplate:
    """FlowJo writes ``/`` in the name of a detector as ``_``; the matrix must name the file's own detectors."""
    imported = template.imported
    if imported is None or imported.spillover is None:
        return template
    own = {name.replace("/", "_"): name for name in detectors}
    matrix = imported.spillover
    named = tuple(own.get(name.replace("/", "_"), name) for name in matrix.channels)
    return replace(template, imported=replace(imported, spillover=Spillover(named, matrix.matrix, matrix.source)))


def _made(keywords: Mapping[str, str]) -> tuple[str, str]:
    return (keywords.get("$DATE", "").strip(), keywords.get("$BTIM", "").strip())


def markers_from_workspace(path: str | Path, fil: str | None = None) -> dict[str, str]:
    """Markers by detector, from the keywords that a workspace keeps of its files.

    Parameters
    ----------
    fil : $FIL of the file that is asked for; None for what all samples of the workspace agree on.

    Raises
    ------
    InputError : no sample of this name; or, where none is asked for, two samples that name a detector differently.
    """
    root, _ = workspace_root(path)
    samples = [sample for sample, _ in read_samples(root, Path(path).name, gates=False)]
    if fil is not None:
        samples = [sample for sample in samples if sample.answers_to(fil)]
    if not samples:
        msg = "the workspace has no sample of this name" if fil is not None else "the workspace has no samples"
        raise InputError(msg, file=str(path), where="$FIL", found=repr(fil) if fil else "")
    markers: dict[str, str] = {}
    first: dict[str, str] = {}
    for sample in samples:
        for detector, marker in sample.markers.items():
            if markers.setdefault(detector, marker) != marker:
                msg = f"{first[detector]} and {sample.name} name the marker of {detector!r} differently"
                found = f"{markers[detector]!r} and {marker!r}"
                raise InputError(msg, file=str(path), found=found, action="Ask for one file's markers")
            first.setdefault(detector, sample.name)
    return markers


def compare_counts(results: Iterable[SampleResult]) -> list[dict[str, Any]]:
    """Our counts beside those of the program the gates come from, one row a population of a tube.

    Returns
    -------
    Rows with tube_id, file, population, n, n_there (events), pct_of_cd4 and pct_of_cd4_there (%, or None).
    """
    rows: list[dict[str, Any]] = []
    for result in results:
        bottom = result.count(OURS["cd4"])
        for count in result.counts:
            if count.reference is None:
                continue
            rows.append(
                {
                    "tube_id": result.tube_id,
                    "file": result.file,
                    "population": count.population,
                    "n": count.n,
                    "n_there": count.reference,
                    "pct_of_cd4": _share(count.n, bottom.n if bottom else None),
                    "pct_of_cd4_there": _share(count.reference, bottom.reference if bottom else None),
                }
            )
    return rows


def _share(n: int | None, of: int | None) -> float | None:
    return None if n is None or not of else 100 * n / of
