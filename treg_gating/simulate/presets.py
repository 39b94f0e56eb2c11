"""Named cohorts, and the registered study's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from treg_gating.simulate.panel import PANELS, StainingPanel
from treg_gating.simulate.settings import (
    Acquiring,
    Biology,
    CohortSettings,
    Controls,
    FailedStain,
    Shifts,
)

__all__ = ["PRESETS"]

_FOXP3 = CohortSettings()
_WITH_DYE = replace(PANELS["treg8"], labels="with_dye")
_HYPHEN = replace(PANELS["treg8"], labels="hyphen")
_SMALL = StainingPanel(PANELS["treg8"].stains, ("FSC-A", "FSC-H", "SSC-A"), "with_dye")


def _preset(name: str, **changes: object) -> CohortSettings:
    return replace(_FOXP3, name=name, **changes)  # type: ignore[arg-type]


PRESETS: Mapping[str, CohortSettings] = {
    preset.name: preset
    for preset in (
        _FOXP3,
        _preset("surface", panel=PANELS["surface7"], controls=Controls(fmo="none")),
        _preset("hard", profile="hard", panel=_WITH_DYE, biology=Biology(viability=(0.55, 0.90))),
        _preset(
            "smeared",
            profile="smeared",
            panel=_HYPHEN,
            # Tissue: few of the cells are CD4 T cells, about 8,000 of 60,000 events.
            biology=Biology(lineages=(0.17, 0.34, 0.07, 0.15, 0.12, 0.15), viability=(0.75, 0.95)),
        ),
        _preset("few", acquiring=Acquiring(events=6_000, events_spread=0.5)),
        _preset("batchy", shifts=Shifts(batch=0.25, sample=0.08), batch_layout="calendar"),
        _preset("no_fmo", controls=Controls(fmo="none")),
        _preset("poor_fmo", controls=Controls(fmo="poor")),
        _preset("no_cd45ra", drop_markers=("CD45RA",)),
        _preset("failed_stain", failed_stain=FailedStain("FOXP3", "B2")),
        _preset("missing_visit", missing_share=0.10, missing_visits=((2, "Week 8"), (5, "Baseline"), (9, "Week 12"))),
        _preset("wide", panel=PANELS["treg10"], controls=Controls(fmo_markers=("FOXP3", "Ki67", "Helios"))),
        _preset("nct05605665", panel=_WITH_DYE, missing_share=0.05),
        _preset(
            "sample",
            subjects=6,
            visits=tuple(v for v in _FOXP3.visits if v.name != "Week 8"),
            batches=2,
            panel=_SMALL,
            # Whole units and few events keep the files small; lymphocytes dominate, as in a live-gated run.
            acquiring=Acquiring(events=5_500, resolution=1.0, debris=(0.01, 0.03)),
            biology=Biology(lineages=(0.66, 0.15, 0.03, 0.05, 0.05, 0.06), composition_sd=0.15),
            controls=Controls(events=4_500),
        ),
    )
}
