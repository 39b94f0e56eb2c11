"""`dataclass` as of the standard library, but made sooner where it is frozen.

Two processes make a hundred such classes each before a run's first tube is worked on. The library compiles six methods
for each of them, which took a tenth of the time from the start of the program to the first tube done. Here only
`__init__` is compiled, for the sake of its speed; the other methods are the same functions for all classes.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, eq=True, slots=False, **more):
        """As :func:`dataclasses.dataclass`."""

        def made(kind):
            if not frozen or more:
                return dataclasses.dataclass(kind, frozen=frozen, eq=eq, slots=slots, **more)
            _share(kind, eq=eq, slots=slots)
            # Not frozen for the library, which would compile what refuses; `_share` has put that in.
            kind = dataclasses.dataclass(kind, init=False, repr=False, eq=False, slots=slots)
            kind.__init__ = _initialiser(kind)
            return kind

        return made if cls is None else made(cls)


def _share(kind: type[Any], *, eq: bool, slots: bool) -> None:
    """Give a class the methods of a frozen dataclass, but for those that it has itself."""
    shared: list[Any] = [_repr, _setattr, _delattr]
    shared += [_eq, _hash] if eq else []
    shared += [_getstate, _setstate] if slots else []
    for method in shared:
        if method.__name__ not in kind.__dict__ or (method is _hash and kind.__dict__["__hash__"] is None):
            setattr(kind, method.__name__, method)


def _initialiser(kind: type[Any]) -> Any:
    """The `__init__` of a frozen dataclass."""
    fields = dataclasses.fields(kind)
    known: dict[str, Any] = {"_set": object.__setattr__, "_made": _MADE}
    parameters, lines = ["self"], []
    for field in fields:
        name, value = field.name, field.name
        if field.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"] = field.default_factory
            value = f"_make_{name}() if {name} is _made else {name}"
            parameters.append(f"{name}=_made")
        elif field.default is not dataclasses.MISSING:
            known[f"_default_{name}"] = field.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        lines.append(f"_set(self, {name!r}, {value})")
    if hasattr(kind, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "\n  ".join(lines or ["pass"])
    exec(f"def __init__({', '.join(parameters)}):\n  {body}", known)  # noqa: S102 (as the library does)
    init: Any = known["__init__"]
    init.__qualname__ = f"{kind.__qualname__}.__init__"
    init.__module__ = kind.__module__
    init.__annotations__ = {field.name: field.type for field in fields} | {"return": None}
    return init


class _Made:
    """Stands for what a default factory will give."""

    def __repr__(self) -> str:
        return "<factory>"


_MADE = _Made()


@cache
def _names(kind: Any, method: str) -> tuple[str, ...]:
    """Of the fields that take part in a method."""
    fields = dataclasses.fields(kind)
    if method == "hash":
        return tuple(one.name for one in fields if (one.compare if one.hash is None else one.hash))
    return tuple(one.name for one in fields if getattr(one, method))


def _values(one: Any, method: str) -> tuple[Any, ...]:
    kind: Any = type(one)
    return tuple([getattr(one, name) for name in _names(kind, method)])


def _repr(self: Any) -> str:
    kind: Any = type(self)
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in _names(kind, "repr"))
    return f"{kind.__qualname__}({shown})"


def _eq(self: Any, other: object) -> Any:
    return _values(self, "compare") == _values(other, "compare") if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self, "hash"))


def _setattr(self: Any, name: str, value: object) -> None:
    msg = f"cannot assign to field {name!r}"
    raise dataclasses.FrozenInstanceError(msg)


def _delattr(self: Any, name: str) -> None:
    msg = f"cannot delete field {name!r}"
    raise dataclasses.FrozenInstanceError(msg)


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


for _method in (_repr, _eq, _hash, _setattr, _delattr, _getstate, _setstate):
    _method.__name__ = f"__{_method.__name__[1:]}__"
