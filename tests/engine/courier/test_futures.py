from __future__ import annotations

import gc

import pytest

from dask_verify.engine.courier import futures
from dask_verify.engine.courier.futures import Results, TaskFailure
from dask_verify.engine.courier.wire import FAILED, LOST, RESULT, VALUE
from dask_verify.errors import CourierError


class Courier:
    """What results ask of a courier, and tell it."""

    def __init__(self):
        self.fetching, self.told = [], []
        self.results = Results(self.fetching.append, lambda how, n: self.told.append((how, n)))
        self.called = []

    def watched(self, *keys):
        found = list(self.results.new(keys).values())
        for future in found:
            future.add_done_callback(lambda f: self.called.append(f.key))
        return found

    def give(self, *data, kind=VALUE):
        self.results.fetched(tuple((kind, len(d)) for d in data), b"".join(data))


@pytest.fixture
def courier():
    return Courier()


def test_a_result_is_fetched_when_it_is_there_and_taken_once(courier):
    [future] = courier.watched("a")
    assert future.status == "pending"
    courier.results.told(future.number, "finished")
    assert courier.fetching == [(future.number,)]
    assert (future.status, courier.called) == ("finished", [])
    courier.give(b"data")
    assert courier.called == ["a"]
    assert future.take() == b"data"
    assert isinstance(future.take(), ConnectionError)


def test_what_nobody_waits_for_is_not_fetched(courier):
    [future] = courier.results.new(["a"]).values()
    courier.results.told(future.number, "finished")
    assert courier.fetching == []
    future.add_done_callback(lambda f: courier.called.append(f.key))
    assert courier.fetching == [(future.number,)]
    courier.give(b"data")
    assert courier.called == ["a"]
    future.add_done_callback(lambda f: courier.called.append("again"))
    assert courier.called == ["a", "again"]


def test_results_are_fetched_together_while_others_are_on_their_way(courier):
    found = courier.watched(*"abcdef")
    for future in found:
        courier.results.told(future.number, "finished")
    numbers = [future.number for future in found]
    assert courier.fetching == [(numbers[0],)]
    courier.give(b"0")
    assert courier.fetching[1:] == [tuple(numbers[1:])]
    courier.give(b"1", b"2")  # as many as fit
    assert courier.fetching[2:] == [tuple(numbers[3:])]
    courier.give(b"3", b"4", b"5")
    assert [future.take() for future in found] == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_why_there_is_no_result(courier):
    failed, lost, gone, dropped = courier.watched(*"abcd")
    courier.results.told(failed.number, "error")
    courier.give(b"Traceback: ValueError", kind=FAILED)
    assert isinstance(failed.take(), TaskFailure)
    courier.results.told(lost.number, "error")
    courier.give(b"KilledWorker \xff", kind=LOST)
    assert isinstance(lost.take(), ConnectionError)
    courier.results.told(gone.number, "lost")
    courier.results.told(dropped.number, "cancelled")
    assert all(isinstance(future.take(), ConnectionError) for future in (gone, dropped))
    assert [f.status for f in (failed, lost, gone, dropped)] == [
        "error", "error", "lost", "cancelled",
    ]  # fmt: skip
    assert courier.called == list("abcd")


@pytest.mark.parametrize("status", ["pending", "erred", "", "finished" * 1000])
def test_strange_statuses(courier, status):
    [future] = courier.watched("a")
    with pytest.raises(CourierError, match="nobody asked for"):
        courier.results.told(future.number, status)


def test_a_result_is_told_of_once(courier):
    [future] = courier.watched("a")
    courier.results.told(future.number, "finished")
    for number in (future.number, 99, -1):
        with pytest.raises(CourierError, match="nobody asked for"):
            courier.results.told(number, "finished")


@pytest.mark.parametrize(
    ("items", "body"),
    [
        ((), b""),
        (((VALUE, 1), (VALUE, 1)), b"xy"),
        (((VALUE, 2),), b"x"),
        (((VALUE, 1),), b"xy"),
        (((VALUE, -1),), b""),
        (((VALUE, RESULT + 1),), bytes(RESULT + 1)),
        (((7, 1),), b"x"),
        (((VALUE,),), b""),
        ((("0", 1),), b"x"),
        ([(VALUE, 1)], b"x"),
        (None, b""),
        (5, b"x"),
    ],
)
def test_fetched_results_that_are_none(courier, items, body):
    [future] = courier.watched("a")
    courier.results.told(future.number, "finished")
    with pytest.raises(CourierError):
        courier.results.fetched(items, body)
    assert future.answer is None


def test_no_more_is_fetched_than_is_taken(courier, monkeypatch):
    monkeypatch.setattr(futures, "_HELD", 100)
    first, second, third = courier.watched(*"abc")
    courier.results.told(first.number, "finished")
    courier.give(bytes(200))
    courier.results.told(second.number, "finished")
    courier.results.told(third.number, "finished")
    assert len(courier.fetching) == 1
    first.take()
    assert courier.fetching[1:] == [(second.number, third.number)]


def test_what_is_dropped_makes_room_and_is_released(courier, monkeypatch):
    monkeypatch.setattr(futures, "_HELD", 100)
    found = courier.watched(*"ab")
    numbers = [future.number for future in found]
    courier.results.told(numbers[0], "finished")
    courier.give(bytes(200))
    courier.results.told(numbers[1], "finished")
    assert len(courier.fetching) == 1
    del found[0]
    gc.collect()
    courier.results.fetch()
    assert courier.told == [("release", (numbers[0],))]
    assert courier.fetching[1:] == [(numbers[1],)]


@pytest.mark.parametrize("how", ["cancel", "release"])
def test_results_that_are_not_wanted_any_more(courier, how):
    [future] = courier.watched("a")
    courier.results.release([future], how)
    assert future.status == "cancelled"
    assert courier.called == ["a"]
    assert courier.told == [(how, (future.number,))]
    # What the courier says of it meanwhile was asked for.
    courier.results.told(future.number, "finished")
    assert courier.fetching == []
    assert isinstance(future.take(), ConnectionError)


def test_all_that_has_not_arrived_is_lost_with_the_process(courier):
    here, told, pending, cancelled = courier.watched(*"abcd")
    [kept] = courier.results.new(["e"]).values()
    courier.results.told(here.number, "finished")
    courier.give(b"data")
    for future in (told, kept):
        courier.results.told(future.number, "finished")
    courier.results.release([cancelled], "cancel")
    courier.results.lose("it ended")
    assert [f.status for f in (here, told, pending, cancelled, kept)] == [
        "finished", "lost", "lost", "cancelled", "lost",
    ]  # fmt: skip
    assert sorted(courier.called) == list("abcd")
    assert here.take() == b"data"
    assert str(told.take()) == "it ended"
