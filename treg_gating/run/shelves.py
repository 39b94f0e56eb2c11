"""Fits and results of a run as mappings that read the ledger when asked: memory does not grow with the tubes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar, overload

from treg_gating.gating.results import SampleFit, SampleResult
from treg_gating.run.codec import decode
from treg_gating.run.job import Job
from treg_gating.run.stored import Stored
from treg_gating.tube import Tube

__all__ = ["Chosen", "FitShelf", "ResultShelf", "SecondJobs", "StoredShelf", "Values"]

T = TypeVar("T")
_AT_HAND = 16  # decoded values that are kept for a second look


class _Ledger(Protocol):
    def fit(self, key: str) -> Stored | None: ...

    def result(self, key: str) -> Stored | None: ...


class _Shelf(Mapping[str, T]):
    """Values by tube, in the order of `keys`; fetched when asked, the last few kept."""

    def __init__(self, keys: Mapping[str, str], fetch: Callable[[str], T]) -> None:
        self._keys = dict(keys)
        self._fetch = fetch
        self._at_hand: OrderedDict[str, T] = OrderedDict()

    def __getitem__(self, tube_id: str) -> T:
        if tube_id not in self._at_hand:
            self._at_hand[tube_id] = self._fetch(self._keys[tube_id])
            if len(self._at_hand) > _AT_HAND:
                self._at_hand.popitem(last=False)
        return self._at_hand[tube_id]

    def __contains__(self, tube_id: object) -> bool:
        return tube_id in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class StoredShelf(_Shelf[Stored]):
    """Stored results, encoded.

    Parameters
    ----------
    keys : by tube, a key that the ledger holds.
    """

    def __init__(self, ledger: _Ledger, keys: Mapping[str, str]) -> None:
        super().__init__(keys, lambda key: _there(ledger.result(key), key))


class ResultShelf(_Shelf[SampleResult]):
    """Results of tubes.

    Parameters
    ----------
    stored : as the ledger gives them.
    """

    def __init__(self, stored: Mapping[str, Stored]) -> None:
        super().__init__({tube_id: tube_id for tube_id in stored}, lambda tube_id: decode(stored[tube_id].payload))


class FitShelf(_Shelf[SampleFit]):
    """Fits of tubes; their summaries, which are large, are read anew whenever one is asked for.

    Parameters
    ----------
    keys : by tube, a key that the ledger holds.
    """

    def __init__(self, ledger: _Ledger, keys: Mapping[str, str]) -> None:
        def whole(key: str) -> SampleFit:
            fit: SampleFit = decode(_there(ledger.fit(key), key).payload)
            return fit

        summaries: _Shelf[Mapping[str, Any]] = _Shelf({key: key for key in keys.values()}, lambda k: whole(k).summaries)
        alike: dict[tuple[str, ...], tuple[str, ...]] = {}  # fits have the same few names: held once

        def lean(key: str) -> SampleFit:
            fit = whole(key)
            names = tuple(fit.summaries)
            return replace(fit, summaries=_Summaries(summaries, key, alike.setdefault(names, names)))

        super().__init__(keys, lean)


class _Summaries(Mapping[str, Any]):
    """Summaries of one tube; their names are known without reading them."""

    __slots__ = ("_key", "_names", "_shelf")

    def __init__(self, shelf: Mapping[str, Mapping[str, Any]], key: str, names: tuple[str, ...]) -> None:
        self._shelf, self._key, self._names = shelf, key, names

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self._shelf[self._key][name]

    def __contains__(self, name: object) -> bool:
        return name in self._names  # Mapping's own would read the summary to see

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Made(Sequence[T], Generic[T]):
    """Values that are made when asked, and not held."""

    def __init__(self, length: int, make: Callable[[int], T]) -> None:
        self._places, self._make = range(length), make

    @overload
    def __getitem__(self, at: int) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[T]: ...

    def __getitem__(self, at: int | slice) -> T | Sequence[T]:
        if isinstance(at, slice):
            return [self._make(place) for place in self._places[at]]
        return self._make(self._places[at])

    def __len__(self) -> int:
        return len(self._places)


class Values(_Made[T]):
    """The values of a mapping in its order."""

    def __init__(self, mapping: Mapping[str, T]) -> None:
        names = list(mapping)
        super().__init__(len(names), lambda at: mapping[names[at]])


class Chosen(_Made[T]):
    """Some values of a sequence, by their places."""

    def __init__(self, values: Sequence[T], places: Sequence[int]) -> None:
        super().__init__(len(places), lambda at: values[places[at]])


class SecondJobs(_Made[Job]):
    """Jobs of pass 2; each takes its fit from the ledger when its turn comes.

    Parameters
    ----------
    todo : tube, key of its fit, and digest of its file.
    """

    def __init__(self, ledger: _Ledger, todo: Sequence[tuple[Tube, str, str]]) -> None:
        def job(at: int) -> Job:
            tube, key, sha256 = todo[at]
            return Job(tube, "second", _there(ledger.fit(key), key).payload, sha256)

        super().__init__(len(todo), job)


def _there(stored: Stored | None, key: str) -> Stored:
    if stored is None:
        raise KeyError(key)
    return stored
