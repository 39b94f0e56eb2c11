"""Reading XML that others wrote, without letting it do anything; and names that XML can hold."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from treg_gating.errors import InputError

__all__ = [
    "DATA",
    "GATING",
    "TRANSFORMS",
    "data",
    "gating",
    "number",
    "printable",
    "quiet",
    "read_xml",
    "transforms",
    "unique_ids",
]

GATING = "http://www.isac-net.org/std/Gating-ML/v2.0/gating"
DATA = "http://www.isac-net.org/std/Gating-ML/v2.0/datatypes"
TRANSFORMS = "http://www.isac-net.org/std/Gating-ML/v2.0/transformations"

MAX_BYTES = 1 << 28


def read_xml(path: str | Path) -> tuple[Any, bytes]:
    """Root element of a file, and the bytes it was read from.

    No entity is resolved, nothing is fetched, and a document type declaration is refused: no format read here has one.

    Raises
    ------
    InputError : the file cannot be read, is larger than 256 MB, is not XML, or declares a document type.
    """
    from lxml import etree

    try:
        if Path(path).stat().st_size > MAX_BYTES:
            msg = f"larger than {MAX_BYTES} bytes"
            raise InputError(msg, file=str(path))
        text = Path(path).read_bytes()
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise InputError(msg, file=str(path)) from error
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        root = etree.fromstring(text, parser)
    except etree.XMLSyntaxError as error:
        msg = "not readable as XML"
        raise InputError(msg, file=str(path), found=str(error)) from None
    if root.getroottree().docinfo.doctype or root.getroottree().docinfo.internalDTD is not None:
        msg = "holds a document type declaration (DOCTYPE), which may hide other content; it is not read"
        raise InputError(msg, file=str(path), action="Save it again from the program that made it")
    return root, text


def gating(name: str) -> str:
    """Qualified name in the namespace of gates."""
    return f"{{{GATING}}}{name}"


def transforms(name: str) -> str:
    """Qualified name in the namespace of transforms and matrices."""
    return f"{{{TRANSFORMS}}}{name}"


def data(name: str) -> str:
    """Qualified name in the namespace of dimensions and values."""
    return f"{{{DATA}}}{name}"


def printable(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return "".join(char if char.isprintable() else " " for char in text)


def number(value: float) -> str:
    """Shortest text that reads back as the same float64."""
    return repr(float(value))


def unique_ids(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """For every name an identifier that XML allows (a letter first, then letters, digits, ``_ . -``), all different."""
    used = set(taken)
    ids: dict[str, str] = {}
    for name in names:
        base = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        base = base if re.match(r"[A-Za-z_]", base) else f"_{base}"
        candidate, n = base, 2
        while candidate in used:
            candidate, n = f"{base}_{n}", n + 1
        used.add(candidate)
        ids[name] = candidate
    return ids


@contextmanager
def quiet() -> Iterator[None]:
    """Importing and calling FlowKit without the warnings of the libraries it loads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
