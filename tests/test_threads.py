"""Work in two threads is the work of one: the same answers, the same error, nothing left going on."""

from __future__ import annotations

import os
import threading
import time
from functools import partial

import pytest

from treg_gating import threads
from treg_gating.threads import aside, beside, hand_over, side_by_side


@pytest.fixture(params=[1, 2])
def number(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(threads, "THREADS", request.param)
    threads._second.cache_clear()
    return int(request.param)


def test_answers_stand_in_the_order_of_their_parts(number: int) -> None:
    def slow_first(part: int) -> int:
        time.sleep(0.01 * (part == 0))
        return part * part

    assert side_by_side(slow_first, range(40)) == [part * part for part in range(40)]
    assert side_by_side(slow_first, []) == []


def test_two_threads_take_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "THREADS", 2)
    both = threading.Barrier(2, timeout=60)
    assert sorted(side_by_side(lambda _: both.wait(), range(2))) == [0, 1]  # one thread alone would wait for ever


def test_parts_may_have_parts(number: int) -> None:
    def inner(part: int) -> int:
        return sum(side_by_side(lambda one: one * part, range(5)))

    assert side_by_side(inner, range(6)) == [10 * part for part in range(6)]


def test_work_goes_on_without_the_second_thread_while_that_has_something_else(number: int) -> None:
    go = threading.Event()
    first, behind = hand_over(go.wait, 60), hand_over(abs, -3)
    assert side_by_side(lambda part: part + 1, range(9)) == list(range(1, 10))
    assert not first.done()
    go.set()
    assert (first.result(60), behind.result(60)) == (True, 3)


def test_the_first_error_is_raised_whichever_thread_met_it(number: int) -> None:
    def fails(part: int) -> None:
        if part >= 3:
            time.sleep(0.02 * (part == 3))
            raise ValueError(part)

    for _ in range(5):
        with pytest.raises(ValueError, match=r"^3$"):
            side_by_side(fails, range(9))


def test_beside_gives_what_the_work_gives(number: int) -> None:
    with beside(lambda part: 6 * part, [7, 8]) as answers:
        assert answers() == [42, 48]
        assert answers() == [42, 48]
    with pytest.raises(ZeroDivisionError), beside(lambda part: 1 / part, [1, 0]) as answers:
        answers()


def test_what_was_not_begun_is_done_by_who_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "THREADS", 2)
    go = threading.Event()
    with beside(lambda _: go.wait(60), [0]) as busy:
        time.sleep(0.01)  # the second thread has begun
        with beside(lambda _: threading.get_ident(), range(3)) as mine:
            assert mine() == [threading.get_ident()] * 3
        go.set()
        assert busy() == [True]


def _fail_when_it_has_begun() -> None:
    time.sleep(0.005)
    raise KeyError


def test_nothing_goes_on_behind_the_block(number: int) -> None:
    steps: list[str] = []

    def work(_: int) -> None:
        time.sleep(0.02)
        steps.append("done")

    with pytest.raises(KeyError), beside(work, range(99)):
        _fail_when_it_has_begun()
    assert steps == ["done"] * (number - 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_has_a_second_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "THREADS", 2)
    side_by_side(abs, range(9))
    child = os.fork()
    if not child:
        with beside(lambda part: part, [3]) as answers:
            time.sleep(0.01)
            os._exit(answers()[0])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_work_aside_that_comes_later_is_done_before_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "THREADS", 1)
    done: list[int] = []
    with aside() as work:
        for first in (6, 3, 0):
            work.add([partial(done.append, first + i) for i in range(3)])
        work.finish()
    assert done == list(range(9))


def test_work_aside_is_all_done_and_may_grow(number: int) -> None:
    done: list[int] = []
    with aside() as work:
        for first in range(0, 30, 3):
            work.add([partial(done.append, first + i) for i in range(3)])
        work.finish()
        assert sorted(done) == list(range(30))
        work.add([partial(done.append, 30)])
        work.finish()
    assert done[-1] == 30


def test_work_aside_begins_before_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "THREADS", 2)
    begun = threading.Event()
    with aside() as work:
        work.add([begun.set])
        assert begun.wait(60)
        work.finish()


def test_work_for_an_answer_comes_between_parts_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "THREADS", 2)
    done: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        assert go.wait(60)

    with aside() as work:
        work.add([first, *(partial(done.append, "aside") for _ in range(3))])
        assert begun.wait(60)
        wanted = hand_over(done.append, "wanted")
        go.set()
        wanted.result(60)
        work.finish()
    assert done == ["wanted", *["aside"] * 3]


def test_the_first_error_aside_is_raised_and_nothing_goes_on(number: int) -> None:
    done: list[int] = []

    def fail() -> None:
        raise KeyError("first")

    def finished() -> None:
        with aside() as work:
            work.add([fail, *(partial(done.append, i) for i in range(3))])
            work.finish()

    with pytest.raises(KeyError, match="first"):
        finished()
    assert len(done) <= 3

    def wait_and_count() -> None:
        time.sleep(0.002)
        done.append(0)

    def left() -> None:
        with aside() as work:
            work.add([wait_and_count] * 100)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        left()
    before = len(done)
    assert before < 50
    time.sleep(0.02)
    assert len(done) == before
