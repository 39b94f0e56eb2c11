"""manifest.json: what exactly went into a run and what came out, by digests, versions and seeds."""

from __future__ import annotations

from typing import Any

from treg_gating.run.record import RunRecord

__all__ = ["manifest_of"]

_SEEDS = {
    "cohort mixture": "start i of n uses seed i (starts= in gates.csv)",
    "bootstrap of cuts": "number of events in the density",
}


def manifest_of(record: RunRecord) -> dict[str, Any]:
    """Plain values of the manifest, the digests of the outputs apart."""
    settings = dict(record.settings)
    template = record.template
    return {
        "run": settings.pop("run", ""),
        "ended": record.created,
        "code_version": record.version,
        "environment": dict(record.environment),
        "seeds": _SEEDS,
        "sheet": {"name": settings.pop("sheet", ""), "sha256": settings.pop("sheet_sha256", "")},
        "study": {"id": record.study.study_id, "sha256": record.study_sha256},
        "template": {"name": template.name, "version": template.version, "sha256": template.sha256},
        "audit_head": settings.pop("audit_head", ""),
        "settings": settings,
        "inputs": [{"tube_id": tube.tube_id, "file": tube.file, "sha256": tube.sha256} for tube in record.tubes],
    }
