"""What a stored result depends on, as digests: the file's bytes, the sheet's row, the settings, the code.

No path and no time stamp enters a key: a copied study resumes, and a file changed in place is seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import treg_gating
from treg_gating.errors import FCSError

__all__ = [
    "canonical",
    "code_version",
    "digest",
    "environment",
    "file_sha256",
    "matrices_identity",
    "settings_identity",
    "tube_identity",
]

_BLOCK = 1 << 20
_OPEN, _NOT_REGULAR = "E_OPEN", "E_NOT_REGULAR"
# Parts of the package that cannot change a number; everything else is hashed into the code's version.
_NOT_SCIENCE = (
    "__main__",
    "cli",
    "draft",
    "interchange",
    "qualification",
    "report",
    "reviewing",
    "run",
    "simulate",
    "statistics",
)
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "flowutils")
_PATHS = frozenset({"path", "row", "spillover_csv"})


def file_sha256(path: str | Path) -> str:
    """Hexadecimal sha256 of a regular file's bytes.

    Raises
    ------
    FCSError : E_NOT_REGULAR for a pipe, folder or device, E_OPEN where the system refuses.
    """
    path = Path(path)
    hasher = hashlib.sha256()
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FCSError(_NOT_REGULAR, "not a regular file", file=str(path))
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                hasher.update(block)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise FCSError(_OPEN, problem, file=str(path)) from error
    return hasher.hexdigest()


def canonical(value: Any) -> Any:
    """Plain, ordered form of settings for hashing: dataclasses and mappings as sorted dicts, paths left out."""
    if is_dataclass(value) and not isinstance(value, type):
        plain = {item.name: canonical(getattr(value, item.name)) for item in fields(value) if item.name not in _PATHS}
        return {"class": type(value).__name__, **plain}
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in sorted(value.items(), key=lambda pair: str(pair[0]))}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(str(item) for item in value)
    if isinstance(value, Enum):
        return canonical(value.value)
    if isinstance(value, float):
        return repr(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if hasattr(value, "dtype"):  # arrays and numpy scalars
        return {
            "dtype": str(value.dtype),
            "shape": list(value.shape),
            "sha256": hashlib.sha256(value.tobytes()).hexdigest(),
        }
    msg = f"cannot hash a {type(value).__name__}"
    raise TypeError(msg)


def digest(*values: Any) -> str:
    """Hexadecimal sha256 of values in their canonical form."""
    text = json.dumps([canonical(value) for value in values], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def tube_identity(tube: Any) -> dict[str, Any]:
    """What the sheet says of a tube, without where the file lies or which row it was."""
    identity: dict[str, Any] = canonical(tube)
    return identity


def settings_identity(settings: Any) -> dict[str, str]:
    """What of a run's settings can change any tube's fit or result: by name, the template's digest or another's."""
    study = settings.study
    apart = {"template", "study", "matrices"}  # told without their paths and comments; matrices belong to batches
    own = {name: digest(value) for name, value in vars(settings).items() if name not in apart}
    of_study = {f"study.{name}": digest(getattr(study, name)) for name in ("visits", "endpoint", "limits")}
    return {"template": settings.template.sha256, **of_study, **own}


def matrices_identity(settings: Any) -> dict[str, str]:
    """Digest of the matrix that each batch's single stains gave, by batch."""
    return {batch: digest(matrix) for batch, matrix in getattr(settings, "matrices", {}).items()}


@cache
def code_version() -> str:
    """Version of the package and 12 digits of the digest over the source that can change a number."""
    root = os.path.dirname(treg_gating.__file__)  # noqa: PTH120 (pathlib takes three times as long over a hundred files)
    hasher = hashlib.sha256()
    for name, path in sorted(_science(root)):
        with open(path, "rb") as file:  # noqa: PTH123
            hasher.update(name.encode() + b"\0" + file.read() + b"\0")
    return f"{treg_gating.__version__}+{hasher.hexdigest()[:12]}"


def _science(folder: str, above: str = "") -> Iterator[tuple[str, str]]:
    """Name within the package and path of every source file that can change a number."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = above + entry.name.removesuffix(".py")
            if name in _NOT_SCIENCE or entry.name == "__pycache__":
                continue
            if entry.is_dir():
                yield from _science(entry.path, f"{name}/")
            elif entry.name.endswith(".py"):
                yield name, entry.path


@cache
def environment() -> dict[str, str]:
    """Versions of what the numbers also rest on."""
    from importlib import metadata  # takes 20 ms to import, which no child process needs

    versions = {name: metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), "machine": platform.machine(), **versions}
