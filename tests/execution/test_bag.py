from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.canonical import decode_records, encode_records
from dask_verify.core.keys import key_bucket
from dask_verify.errors import EncodingError, InputError
from dask_verify.execution import bag
from dask_verify.execution.work import Work
from dask_verify.testing import Saboteur


def work(**changes):
    options = {
        "kind": "bag",
        "mapper": lambda record: [(record, 1)],
        "reducer": lambda key, values: sum(values),
        "combiner": None,
        "buckets": 4,
        "partitions": 2,
        "unit_records": 3,
    }
    return Work(**{**options, **changes})


@given(st.lists(st.integers()), st.one_of(st.none(), st.integers(1, 5)))
def test_units_are_runs_of_all_records_in_order(records, size):
    runs = bag.units(iter(records), size)
    assert [record for run in runs for record in run] == records
    assert all(size is None or len(run) == size for run in runs[:-1])
    assert len(runs) >= 1


def test_no_records_are_one_empty_unit():
    assert bag.units([], 3) == [[]]
    assert bag.units([], None) == [[]]


@given(st.lists(st.one_of(st.text(max_size=3), st.integers(0, 9), st.booleans())))
def test_every_record_goes_to_the_cell_of_its_key(records):
    cells, counts = bag.map_unit(work(), 0, 0, records, None)
    decoded = [decode_records(cell) for cell in cells]
    expected = [[(r, 1) for r in records if key_bucket(r, 4) == b] for b in range(4)]
    assert decoded == expected
    assert counts == list(map(len, expected))


def test_a_combiner_is_applied_to_each_key_of_the_unit():
    combined = work(combiner=lambda key, values: sum(values), buckets=1, partitions=1)
    (cell,), _ = bag.map_unit(combined, 0, 0, ["b", "a", "b"], None)
    assert decode_records(cell) == [("b", 2), ("a", 1)]


def test_reduce_sees_values_in_order_and_keys_once():
    job = work(reducer=lambda key, values: values)
    cells = [encode_records([("a", 1), ("b", 2)]), encode_records([]), encode_records([("a", 3)])]
    leaf, consumed, produced = bag.reduce_bucket(job, 0, 0, cells, None)
    assert decode_records(leaf) == [("a", [1, 3]), ("b", [2])]
    assert (consumed, produced) == (3, 2)


class Shift(Saboteur):
    def map_output(self, partition, unit, records):
        return [(key, (value, partition, unit)) for key, value in records]

    def reduce_output(self, partition, unit, records):
        return [(key, (value, partition, unit)) for key, value in records]


def test_hooks_see_where_they_are_and_change_what_is_sealed():
    cells, _ = bag.map_unit(work(buckets=1, partitions=1), 5, 7, ["a"], Shift())
    assert decode_records(cells[0]) == [("a", (1, 5, 7))]
    leaf, _, _ = bag.reduce_bucket(work(), 5, 7, [encode_records([("a", 1)])], Shift())
    assert decode_records(leaf) == [("a", (1, 5, 7))]


@pytest.mark.parametrize("emitted", [None, 3, object()])
def test_a_mapper_that_gives_no_iterable_is_named(emitted):
    job = work(mapper=lambda record: emitted)
    with pytest.raises(InputError, match=rf"got {type(emitted).__name__}; return a list"):
        bag.map_unit(job, 0, 0, ["a"], None)


@pytest.mark.parametrize("pair", ["ab", ["a", 1], ("a",), ("a", 1, 2), None])
def test_what_is_no_pair_is_named(pair):
    job = work(mapper=lambda record: [pair])
    with pytest.raises(InputError, match=rf"\(key, value\) pairs, got {type(pair).__name__}"):
        bag.map_unit(job, 0, 0, ["a"], None)


@pytest.mark.parametrize(
    ("pair", "where"),
    [
        ((object(), 1), "object at key of pair 1 that the mapper"),
        ((("a", [1]), 1), "list at key[1] of pair 1 that the mapper"),
        (("a", {"x": object()}), "object at [0][1]['x'] of the pairs that the mapper"),
    ],
)
def test_what_has_no_canonical_bytes_is_named_with_its_place(pair, where):
    job = work(mapper=lambda record: [pair] if record else [(0, 0)])
    with pytest.raises(EncodingError) as caught:
        bag.map_unit(job, 0, 0, [0, 1], None)
    assert where in str(caught.value)


def test_what_a_reducer_may_not_give_is_named():
    job = work(reducer=lambda key, values: object())
    with pytest.raises(EncodingError, match=r"object at \[0\]\[1\] of the pairs that the reducer"):
        bag.reduce_bucket(job, 0, 0, [encode_records([("a", 1)])], None)


class Stopping:
    """Something to iterate over that cannot be."""

    def __iter__(self):
        raise StopIteration


@pytest.mark.parametrize("combined", [False, True])
@pytest.mark.parametrize(
    "mapper",
    [
        lambda r: [(next(w for w in r.split() if w.isupper()), 1)],
        lambda r: Stopping() if r == "b" else [(r, 1)],
        lambda r: [(r, 1)] if r != "b" else (_ for _ in ()).throw(StopIteration),
    ],
)
def test_a_mapper_that_stops_an_iteration_loses_no_records(mapper, combined):
    """A bare StopIteration must not look like the end of the records."""
    of = work(mapper=mapper, combiner=(lambda key, values: sum(values)) if combined else None)
    with pytest.raises(RuntimeError, match="StopIteration"):
        bag.map_unit(of, 0, 0, ["A", "b", "C"], None)
