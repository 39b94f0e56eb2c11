"""Installation qualification: files, versions, and the computer they are on."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from treg_gating.gating.template import load_template, shipped_templates
from treg_gating.qualification.check import Check, Verdict
from treg_gating.run.keys import code_version

__all__ = ["installed_checks"]

PACKAGE = "treg-gating"


def installed_checks() -> list[Check]:
    """Every check of the installation."""
    about = metadata.distribution(PACKAGE)
    return [
        _python(about),
        _files(about),
        *_requirements(about),
        *_templates(),
        Check("IQ", "code version", "named in every result", code_version(), Verdict.PASSED),
    ]


def _python(about: metadata.Distribution) -> Check:
    wanted, found = about.metadata["Requires-Python"] or "", platform.python_version()
    verdict = Verdict.PASSED if SpecifierSet(wanted).contains(found) else Verdict.FAILED
    return Check("IQ", "Python", wanted, f"{found} on {platform.system()} {platform.machine()}", verdict)


def _files(about: metadata.Distribution) -> Check:
    """Files of the package against the digests that the installer wrote down."""
    name = "files as released"
    if json.loads(about.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable"):
        found = "installed as a link to its source folder: there is no list of files to compare with"
        return Check("IQ", name, "installed from a wheel", found, Verdict.NOT_CHECKED)
    listed = [(file, file.hash.value) for file in about.files or [] if file.hash is not None]
    wrong = [str(file) for file, expected in listed if _digest(Path(str(file.locate()))) != expected]
    found = f"{len(listed) - len(wrong)} of {len(listed)} as listed"
    if wrong:
        found += f"; not: {', '.join(wrong[:5])}"
    verdict = Verdict.FAILED if wrong or not listed else Verdict.PASSED
    return Check("IQ", name, "sha256 of each as listed", found, verdict)


def _digest(path: Path) -> str:
    """As a wheel's RECORD writes it."""
    try:
        raw = hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return "absent"
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _requirements(about: metadata.Distribution) -> list[Check]:
    checks = []
    for text in about.requires or []:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(wanted.name)
            fits = wanted.specifier.contains(found, prereleases=True)
        except metadata.PackageNotFoundError:
            found, fits = "not installed", False
        verdict = Verdict.PASSED if fits else Verdict.FAILED
        checks.append(Check("IQ", f"library {wanted.name}", str(wanted.specifier), found, verdict))
    return checks


def _templates() -> list[Check]:
    checks = []
    for name in shipped_templates():
        template = load_template(name)
        found = f"version {template.version}, sha256 {template.sha256[:12]}"
        checks.append(Check("IQ", f"template {name}", "read without a fault", found, Verdict.PASSED))
    return checks
