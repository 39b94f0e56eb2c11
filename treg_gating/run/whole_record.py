"""The record of a run, from its ledger alone; results are read when they are asked for."""

from __future__ import annotations

from dataclasses import fields

from treg_gating.endpoint import endpoint_tables
from treg_gating.gating.gates import gate_to_dict
from treg_gating.run.codec import decode
from treg_gating.run.ledger import Ledger
from treg_gating.run.override_rows import override_rows
from treg_gating.run.plan import plan_in, study_summary
from treg_gating.run.record import RunRecord
from treg_gating.run.shelves import ResultShelf, Values
from treg_gating.run.stored import RunRow

__all__ = ["record_of"]


def record_of(ledger: Ledger, row: RunRow, ended: str) -> RunRecord:
    """The record of a run, from the ledger alone."""
    plan = plan_in(row)
    cohort = decode(row.cohort) if row.cohort.text else {"notes": (), "consensus": {}}
    results = ResultShelf(ledger.results_of(row.run))
    endpoint, others = endpoint_tables(results, plan["tubes"], plan["study"], plan["template"], row.code)
    consensus = {name: None if gate is None else gate_to_dict(gate) for name, gate in cohort["consensus"].items()}
    assumed = plan["study"].notes if plan["study"].assumed else ()
    trail = ledger.audit_before_end(row.run)
    made = [decision for decision in ledger.decisions() if decision.seq <= len(trail)]
    return RunRecord(
        title=plan["title"],
        created=ended,
        version=row.code,
        template=plan["template"],
        study=study_summary(plan["study"]),
        study_assumed=" ".join(assumed),
        set_aside=plan["set_aside"],
        notes=tuple(note for note in (*plan["notes"], *cohort["notes"]) if note not in assumed),
        samples=Values(results),
        endpoint=tuple(endpoint),
        consensus=consensus,
        settings={
            **plan["choices"],
            "sheet": plan["sheet"],
            "sheet_sha256": plan["sheet_sha256"],
            "run": row.run,
            "audit_head": ledger.head_at_end(row.run),
        },
        other_tubes=tuple(others),
        overrides=override_rows(made, results, plan["template"]),
        audit=tuple(trail),
        limits={item.name: getattr(plan["study"].limits, item.name) for item in fields(plan["study"].limits)},
        environment=plan["environment"],
        study_sha256=plan["study"].sha256,
    )
