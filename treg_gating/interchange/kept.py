"""Gates of another program, kept as a file of our own: imported and looked at once, then read in milliseconds.

A workspace changes whenever somebody opens it; the kept file does not, and reading it needs no FlowKit. It is the same
template to the last digit, under the digest of the document it came from, so results do not change with it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from treg_gating.errors import InputError, RunStateError
from treg_gating.foreign_scales import Biex, FAsinh, FLin, FLog, FlowJoLog, Hyperlog
from treg_gating.gating.expression import Expression
from treg_gating.gating.gates import GATES
from treg_gating.gating.template import CombineStep, Endpoint, GateStep, GatingTemplate, Imported, Rule
from treg_gating.interchange.flowjo import WorkspaceTemplate
from treg_gating.interchange.flowjo_document import WorkspaceSample
from treg_gating.interchange.gatingml_import import GatingMLTemplate
from treg_gating.interchange.imported import ImportedGate
from treg_gating.panel import MarkerSpec
from treg_gating.run.codec import Payload, decode, encode
from treg_gating.run.files import write_json
from treg_gating.run.keys import code_version
from treg_gating.sample import Spillover
from treg_gating.transforms import Asinh, Linear, Logicle

__all__ = ["SUFFIX", "keep_gates", "read_kept"]

SUFFIX = ".gates.json"
FORMAT = "treg-gating imported gates 1"
_TEMPLATES = (GatingTemplate, GatingMLTemplate, WorkspaceTemplate, WorkspaceSample, Imported, Endpoint, MarkerSpec)
_STEPS = (GateStep, CombineStep, Rule, ImportedGate, Expression, Spillover)
_SCALES = (Linear, Logicle, Asinh, Biex, FlowJoLog, FLin, FLog, FAsinh, Hyperlog)
_CLASSES = {kind.__name__: kind for kind in (*_TEMPLATES, *_STEPS, *_SCALES, *GATES.values())}


def keep_gates(template: GatingTemplate, path: str | Path) -> None:
    """Write imported gates down; the same gates give the same bytes.

    Raises
    ------
    InputError : the template does not come from another program, or the file's name does not end in ``.gates.json``.
    DiskError : the file cannot be written.
    """
    if template.imported is None:
        msg = "a template of this program's own tables; it is copied, not imported"
        raise InputError(msg, file=template.name, action="See 'treg-gating templates copy'")
    if not str(path).endswith(SUFFIX):
        msg = "not a name for imported gates"
        raise InputError(msg, file=str(path), expected=f"a name that ends in {SUFFIX}")
    payload = encode(template, _CLASSES)
    body = {
        "format": FORMAT,
        "source": template.name,
        "source_sha256": template.sha256,
        "written_by": code_version(),
        "gates": json.loads(payload.text),
        "arrays": base64.b64encode(payload.arrays).decode("ascii"),
    }
    write_json(Path(path), {**body, "sha256": _digest(body)})


def read_kept(path: str | Path) -> GatingTemplate:
    """The template that :func:`keep_gates` wrote down.

    Raises
    ------
    InputError : the file cannot be read, is not one of these, or was changed since.
    """
    try:
        body = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"cannot be read: {error}"
        raise InputError(msg, file=str(path)) from error
    found = body.get("format") if isinstance(body, dict) else None
    again = "Import the document again with this program: 'treg-gating templates import'"
    if found != FORMAT:
        msg = "not gates that this program keeps"
        raise InputError(msg, file=str(path), found=repr(found), expected=repr(FORMAT), action=again)
    if body.pop("sha256", "") != _digest(body):
        msg = "the file was changed after it was written, and nobody can tell what"
        raise InputError(msg, file=str(path), action=again)
    text = json.dumps(body["gates"], ensure_ascii=False, separators=(",", ":"))
    try:
        template = decode(Payload(text, base64.b64decode(body["arrays"])), _CLASSES)
    except RunStateError as error:
        msg = "gates that this version cannot read"
        raise InputError(msg, file=str(path), found=str(body.get("written_by")), action=again) from error
    assert isinstance(template, GatingTemplate)  # noqa: S101 (its digest says who wrote it)
    return template


def _digest(body: dict[str, Any]) -> str:
    text = json.dumps(body, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
