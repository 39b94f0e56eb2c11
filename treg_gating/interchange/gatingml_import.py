"""Gating-ML 2.0 documents as templates of fixed gates."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treg_gating.errors import InputError
from treg_gating.gating.template import FileIdentity, GatingTemplate
from treg_gating.interchange.imported import ImportedGates, as_template
from treg_gating.interchange.strategy import FILE, take_over
from treg_gating.interchange.xml_text import GATING, TRANSFORMS, quiet, read_xml

__all__ = ["import_gatingml", "read_gatingml"]


@dataclass(frozen=True)
class GatingMLTemplate(GatingTemplate):
    """Gates of a document, the same for every file.

    Parameters
    ----------
    without_matrix : the same gates for files that hold no matrix; Gating-ML takes their values as they are.
    left_out : (population, reason) of every gate without counterpart here.
    """

    without_matrix: GatingTemplate | None = None
    left_out: tuple[tuple[str, str], ...] = ()

    def for_file(self, file: FileIdentity, name: str = "") -> GatingTemplate:
        """The gates as they stand for a file with, or without, a matrix of its own."""
        return self.without_matrix if file.spillover is None and self.without_matrix is not None else self


def import_gatingml(path: str | Path, *, treg: str = "", cd4: str = "", endpoint: bool = True) -> GatingMLTemplate:
    """A template that places the gates of a document on every file.

    What of the document has no counterpart here stands in ``left_out``; a gate that the endpoint needs and that has
    none refuses the document.

    Parameters
    ----------
    treg, cd4 : identifiers of the gates whose ratio is the primary endpoint; found by their usual names where empty.
    endpoint : False where the gates are only to be applied.

    Raises
    ------
    InputError : not Gating-ML 2.0, or the two populations are not there, not unique or have no counterpart here.
    """
    document = _Document(path)
    asked = (
        f"\0{treg}\0{cd4}".encode() if treg or cd4 else b""
    )  # another endpoint of the same gates is another template
    digest = hashlib.sha256(document.text + asked).hexdigest()

    def template(file_has_matrix: bool) -> GatingTemplate:
        gates = document.gates(file_has_matrix=file_has_matrix)
        return as_template(gates, name=Path(path).name, sha256=digest, treg=treg, cd4=cd4, endpoint=endpoint)

    plain = template(True)
    fields = {name: getattr(plain, name) for name in plain.__dataclass_fields__}
    return GatingMLTemplate(
        **fields,
        without_matrix=template(False) if document.asks_for_files_matrix else None,
        left_out=document.gates(file_has_matrix=True).left_out,
    )


def read_gatingml(path: str | Path, *, file_has_matrix: bool = True) -> ImportedGates:
    """What a document holds, and by name and reason what of it has no counterpart here.

    Without counterpart: ratios of channels, spectral unmixing, a matrix that is inverted already, bounded transforms,
    an ellipse whose covariance is not one, and a second way to compensate in one document.

    Parameters
    ----------
    file_has_matrix : whether the files it is meant for hold a matrix of their own.
    """
    return _Document(path).gates(file_has_matrix=file_has_matrix)


class _Document:
    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.root, self.text = read_xml(path)
        if self.root.tag != f"{{{GATING}}}Gating-ML":
            msg = "not a Gating-ML 2.0 document"
            raise InputError(msg, file=str(path), found=str(self.root.tag))
        try:
            with quiet():
                from flowkit import parse_gating_xml

                self.strategy = parse_gating_xml(io.BytesIO(self.text))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            msg = "Gating-ML that does not follow the standard"
            raise InputError(msg, file=str(path), found=str(error)) from error

    @property
    def asks_for_files_matrix(self) -> bool:
        references = (element.get(f"{{{GATING}}}compensation-ref") for element in self.root.iter())
        return FILE in references

    def gates(self, *, file_has_matrix: bool) -> ImportedGates:
        taken = take_over(self.strategy, unusable=_unusable(self.root), file_has_matrix=file_has_matrix)
        return ImportedGates(self.path.name, taken.populations, taken.left_out, taken.compensation, taken.spillover)


def _unusable(root: Any) -> Mapping[str, str]:
    """What FlowKit reads without the attributes that change its meaning."""
    found: dict[str, str] = {}
    for element in root.iter(f"{{{TRANSFORMS}}}transformation"):
        if element.get(f"{{{TRANSFORMS}}}boundMin") or element.get(f"{{{TRANSFORMS}}}boundMax"):
            found[element.get(f"{{{TRANSFORMS}}}id")] = "a transform with bounds"
    for element in root.iter(f"{{{TRANSFORMS}}}spectrumMatrix"):
        if element.get(f"{{{TRANSFORMS}}}matrix-inverted-already", "false") in {"true", "1"}:
            found[element.get(f"{{{TRANSFORMS}}}id")] = "a matrix that is inverted already"
    return found
