"""Frozen dataclasses that are made sooner behave as the library's."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import field
from typing import Any, ClassVar

import pytest

from treg_gating.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Ours:
    """With everything that the package's classes use."""

    unit: ClassVar[str] = "events"
    name: str
    count: int = 3
    more: dict[str, int] = field(default_factory=dict, hash=False)
    hidden: tuple[int, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "more", dict(self.more))


@dataclass(frozen=True)
class Wider(Ours):
    """A class that has another's fields, and no slots of its own."""

    last: float = 0.5


@dataclass(frozen=True, eq=False)
class Alone:
    """Each is equal to itself alone."""

    value: int


def the_librarys() -> Any:
    """The same class made by the library."""
    made = {
        name: value for name, value in Ours.__dict__.items() if name in {"__annotations__", "__post_init__", "unit"}
    }
    made |= {"count": 3, "more": field(default_factory=dict, hash=False)}
    made |= {"hidden": field(default=(), repr=False, compare=False), "__qualname__": "Ours"}
    return dataclasses.dataclass(frozen=True, slots=True)(type("Ours", (), made))


@pytest.mark.parametrize(("given", "named"), [(("a",), {}), (("b", 4), {"more": {"x": 1}}), ((), {"name": "c"})])
def test_instances_are_shown_compared_and_hashed_as_the_librarys(given: Any, named: Any) -> None:
    ours, theirs = Ours(*given, **named), the_librarys()(*given, **named)
    assert repr(ours) == repr(theirs)
    assert hash(ours) == hash(theirs)
    assert ours == dataclasses.replace(ours, hidden=(1,))
    assert ours != Ours("other")
    assert ours != theirs
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)


def test_signature_and_errors_of_arguments_are_the_librarys() -> None:
    ours, theirs = (inspect.signature(kind) for kind in (Ours, the_librarys()))
    assert str(ours) == str(theirs)
    assert Ours.__init__.__annotations__ == the_librarys().__init__.__annotations__
    with pytest.raises(TypeError, match=r"Ours.__init__\(\) missing 1 required positional argument: 'name'"):
        Ours()  # type: ignore[call-arg]


@pytest.mark.parametrize("one", [Ours("a"), Wider("a"), Alone(1)])
def test_nothing_can_be_set_or_deleted(one: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'name'"):
        one.name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'name'"):
        del one.name


@pytest.mark.parametrize("one", [Ours("a", 5, {"x": 1}, (2,)), Wider("a", last=2.0)])
def test_copies_are_equal(one: Any) -> None:
    for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), dataclasses.replace(one)):
        assert other == one
        assert other.hidden == one.hidden
        assert type(other) is type(one)
    assert dataclasses.replace(one, count=9).count == 9


def test_what_every_instance_has_is_its_own() -> None:
    assert Ours("a").more is not Ours("a").more
    assert not hasattr(Ours("a"), "__dict__")
    assert Wider("a", 1, {}, (), 2.5).last == 2.5
    assert Alone(1) != Alone(1)
    first, second = Alone(1), Alone(1)
    assert len({first, second}) == 2


def test_a_class_that_is_not_frozen_is_the_librarys() -> None:
    @dataclass
    class Open:
        value: int

    one = Open(1)
    one.value = 2
    assert one == Open(2)
