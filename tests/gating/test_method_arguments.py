"""Arguments of methods as text, and the table of them that a person reads."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pytest

from treg_gating.errors import InputError
from treg_gating.gating.method import CohortMethod, argument, describe, parse_arguments
from treg_gating.gating.methods import METHODS
from treg_gating.transforms import Logicle


@dataclass(frozen=True)
class Everything:
    """One argument of every type."""

    share: float = argument(0.5, "a share", "%")
    count: int = argument(3, "a count")
    name: str = argument("CD3", "a marker")
    keep: bool = argument(False, "yes or no")
    many: tuple[str, ...] = argument(("CD25", "FOXP3"), "markers")

    def __post_init__(self) -> None:
        if self.count < 0:
            msg = f"count is {self.count}; expected 0 or more"
            raise ValueError(msg)


@dataclass(frozen=True)
class Needs:
    """One argument without a default."""

    place: float


def test_defaults_and_every_type() -> None:
    assert parse_arguments(Everything, "") == Everything()
    read = parse_arguments(Everything, " share = 1e-3; count=7 ;name=FSC-A;keep=TRUE; many = CD3 , CD4,; ")
    assert read == Everything(0.001, 7, "FSC-A", True, ("CD3", "CD4"))
    assert parse_arguments(Everything, "keep=no").keep is False
    assert parse_arguments(Everything, "share=-inf").share == -np.inf
    assert parse_arguments(Needs, "place=2").place == 2.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("share", r"'share' is not key=value.*expected key=value"),
        ("shara=1", r"unknown argument 'shara'.*count, keep, many, name, share.*did you mean 'share'"),
        ("zzz=1", r"unknown argument 'zzz'"),
        ("=1", r"unknown argument ''"),
        ("share=1; share=2", "'share' is given twice"),
        ("share=much", "'share' cannot be read; found 'much'; expected float"),
        ("share=nan", "'share' cannot be read; found 'nan'; expected float"),
        ("share=", "'share' cannot be read"),
        ("count=2.5", "'count' cannot be read; found '2.5'; expected int"),
        ("keep=maybe", "'keep' cannot be read; found 'maybe'; expected bool"),
        ("count=-1", "count is -1; expected 0 or more; found count=-1"),
        ("share=__import__('os').getcwd()", "cannot be read"),
    ],
)
def test_every_fault_says_where_and_what(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        parse_arguments(Everything, text, file="gates.csv", where="9")
    assert str(caught.value).startswith("gates.csv:9: ")


def test_an_argument_without_default_is_asked_for() -> None:
    with pytest.raises(InputError, match="'place' is missing; expected place=…"):
        parse_arguments(Needs, "")


def test_a_fault_that_the_type_itself_finds_has_its_place_too() -> None:
    with pytest.raises(InputError, match=r"^panel.csv:3: logicle width is out of its range; found w = 3"):
        parse_arguments(Logicle, "w=3", file="panel.csv", where="3")


def test_description_rows() -> None:
    rows = describe(Everything)
    assert rows[0] == ("share", "0.5", "%", "a share")
    assert rows[4] == ("many", "CD25,FOXP3", "", "markers")
    assert describe(Needs) == [("place", "required", "", "")]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_describes_itself(name: str) -> None:
    kind = METHODS[name]
    rows = describe(kind)
    assert [row[0] for row in rows] == [item.name for item in fields(kind)]
    assert all(meaning for _, _, _, meaning in rows), "every argument has its meaning"
    document = " ".join((kind.__doc__ or "").split())
    for heading in ("Source:", "Fails:"):
        said = document.partition(heading)[2]
        assert len(said.split(".")[0].split()) >= 3, f"{name} says nothing after {heading}"
    if name != "fixed":  # a fixed gate has no numbers of its own
        assert parse_arguments(kind, "") == kind()


def test_methods_that_learn_are_known() -> None:
    learning = {name for name, kind in METHODS.items() if name != "fixed" and isinstance(kind(), CohortMethod)}
    assert learning == {"aligned_mixture", "control_quantile"}


@pytest.mark.parametrize(
    ("method", "text"),
    [
        *(
            ("aligned_mixture", text)
            for text in ("nu=0", "nu=-1", "nu=inf", "tie=-1", "tie_alone=inf", "bin=0", "bin=inf")
        ),
        *(("aligned_mixture", text) for text in ("loose=0", "loose=inf", "stiffness=0", "firmness=0", "minimum=0")),
        ("mixture_ellipse", "nu=inf"),
        ("negative_peak", "k=inf"),
        ("negative_peak", "adjust=inf"),
        ("tail", "adjust=inf"),
        ("valley", "adjust=inf"),
        ("control_quantile", "q=0.4"),
        ("control_quantile", "minimum=0"),
        ("fixed", ""),
        ("fixed", "low=2; high=1"),
        ("mixture_ellipse", "mass=1"),
        ("mixture_ellipse", "components=0"),
        ("mixture_ellipse", "nu=0"),
        ("negative_peak", "k=-1"),
        ("negative_peak", "adjust=0"),
        ("singlet_band", "level=99"),
        ("tail", "side=up"),
        ("tail", "tolerance=0"),
        ("tail", "adjust=0"),
        ("valley", "adjust=0"),
        ("valley", "depth=0"),
        ("valley", "depth=1.5"),
        ("valley", "min_prominence=0"),
        ("valley", "sigma=-1"),
        ("valley", "low=2; high=1"),
    ],
)
def test_numbers_no_method_can_work_with_are_refused(method: str, text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        parse_arguments(METHODS[method], text)
