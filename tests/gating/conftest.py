"""Templates that a test may break, and events without files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from treg_gating.gating.hierarchy import EventView
from treg_gating.gating.method import FitContext
from treg_gating.gating.template import GatingTemplate, load_template

TOML = 'name = "small"\nversion = "1"\ndescription = "three gates"\ncompensation = "none"\n'
PANEL = """marker,synonyms,transform,args,required,channel
FSC-A,,linear,,yes,
FSC-H,,linear,,yes,
CD3,T3;OKT3,logicle,w=0.6,yes,
CD4,,logicle,w=0.6,yes,
CD8,,asinh,cofactor=100,no,
FOXP3,,logicle,w=0.6,yes,
"""
GATES = """population,parent,dims,sign,method,args,share,fallback
t_cells,clean,CD3,+,fixed,low=1,own,
not_cd8,t_cells,CD8,-,valley,,shrink,tail(tolerance=0.02) > consensus > fixed(low=0.4)
cd4_t,not_cd8,CD4,+,valley,,shrink,consensus
treg,cd4_t,FOXP3,+,valley,fit_on=t_cells,own,negative_peak(k=3)
tconv,cd4_t,,,combine,cd4_t & !treg,,
"""
ENDPOINTS = """endpoint,numerator,denominator,unit,primary
Treg of CD4 T,treg,cd4_t,%,yes
Tconv of CD4 T,tconv,cd4_t,%,no
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small template that is right."""
    texts = {"template.toml": TOML, "panel.csv": PANEL, "gates.csv": GATES, "endpoints.csv": ENDPOINTS}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def make_template(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., GatingTemplate]:
    """A template from rows of gates.csv, on linear scales; nothing is asked of its endpoint."""

    def make(*rows: str, markers: Sequence[str] = ("A", "B", "C"), optional: Sequence[str] = ()) -> GatingTemplate:
        path = tmp_path_factory.mktemp("template")
        names = [row.split(",")[0] for row in rows]
        panel = [f"{name},,linear,,{'no' if name in optional else 'yes'}," for name in markers]
        tables = {
            "template.toml": [TOML],
            "panel.csv": ["marker,synonyms,transform,args,required,channel", *panel],
            "gates.csv": ["population,parent,dims,sign,method,args,share,fallback", *rows],
            "endpoints.csv": ["endpoint,numerator,denominator,unit,primary", f"e,{names[0]},{names[0]},%,yes"],
        }
        for name, lines in tables.items():
            (path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return load_template(path)

    return make


@pytest.fixture
def make_view() -> Callable[..., EventView]:
    """Events from columns by name."""

    def make(clean: np.ndarray | None = None, **columns: np.ndarray) -> EventView:
        arrays = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
        n = len(next(iter(arrays.values())))
        kept = np.ones(n, bool) if clean is None else clean
        return EventView(n, kept, lambda name, rows: arrays[name][rows], list(arrays))

    return make


@pytest.fixture
def context() -> Callable[..., FitContext]:
    """What a method sees: events of shape (n,) or (n, d), and further columns by name."""

    def make(
        events: np.ndarray, dims: Sequence[str] = (), extra: Mapping[str, np.ndarray] | None = None, **more: object
    ):
        from treg_gating.errors import GateFitError

        values = np.asarray(events, dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        names = tuple(dims) or tuple("xyz"[: values.shape[1]])
        known = {**dict(zip(names, values.T, strict=True)), **(extra or {})}

        def fetch(wanted: Sequence[str]) -> np.ndarray:
            missing = [name for name in wanted if name not in known]
            if missing:
                msg = f"{missing[0]} is not measured in this tube"
                raise GateFitError(msg)
            return np.column_stack([known[name] for name in wanted])

        return FitContext(names, values, fetch, **more)  # type: ignore[arg-type]

    return make
