"""Sealing partitions: the grid of cells against a plain shuffle, and units recomputed alone."""

from __future__ import annotations

import weakref
from collections import defaultdict

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from dask_verify.core.canonical import decode_frame, decode_records
from dask_verify.core.keys import key_bucket
from dask_verify.errors import InputError
from dask_verify.execution import compute
from dask_verify.execution.work import Work, ship, unship
from dask_verify.testing import Drop, Saboteur

RECORDS = [f"word{i % 7} word{i % 3}" for i in range(20)]
FRAME = pd.DataFrame({"k": [i % 5 for i in range(20)], "x": range(20)})


def bag_work(**changes):
    options = {
        "kind": "bag",
        "mapper": lambda line: [(word, 1) for word in line.split()],
        "reducer": lambda key, values: sum(values),
        "combiner": None,
        "buckets": 6,
        "partitions": 2,
        "unit_records": 4,
    }
    return Work(**{**options, **changes})


def frame_work(**changes):
    options = {
        "kind": "frame",
        "mapper": lambda d: d,
        "reducer": lambda d: d.groupby("k", as_index=False).x.sum(),
        "combiner": None,
        "buckets": 6,
        "partitions": 2,
        "unit_records": 4,
        "by": ("k",),
        "map_meta": FRAME.iloc[:0],
        "meta": FRAME.iloc[:0],
    }
    return Work(**{**options, **changes})


CASES = pytest.mark.parametrize(
    ("work", "data"), [(bag_work(), RECORDS), (frame_work(), FRAME)], ids=["bag", "frame"]
)


def sections(work, sealed, partition):
    """Return what a reduce partition reads of some sealed map partitions."""
    return [
        s.leaves[start:stop] for s in sealed for start, stop in [work.bounds(s.units)[partition]]
    ]


def test_leaves_are_in_bucket_major_order():
    work = bag_work()
    sealed = compute.map_partition(work, 0, RECORDS)
    units = [RECORDS[i : i + 4] for i in range(0, 20, 4)]
    assert (sealed.buckets, sealed.units, sealed.records_in) == (6, 5, 20)
    for b in range(6):
        for c, unit in enumerate(units):
            pairs = [(w, 1) for line in unit for w in line.split() if key_bucket(w, 6) == b]
            assert decode_records(sealed.leaves[b * 5 + c]) == pairs


def test_counts_tell_how_many_records_each_reduce_partition_gets():
    work = bag_work()
    sealed = compute.map_partition(work, 0, RECORDS)
    for j in range(2):
        (section,) = sections(work, [sealed], j)
        assert sealed.counts[j] == sum(len(decode_records(leaf)) for leaf in section)


@CASES
def test_a_unit_recomputed_alone_gives_its_column(work, data):
    sealed = compute.map_partition(work, 3, data)
    for unit in range(sealed.units):
        column = compute.map_unit(work, 3, unit, sealed.inputs[unit])
        assert column == tuple(sealed.leaves[unit :: sealed.units])


@CASES
def test_a_bucket_recomputed_alone_gives_its_leaf(work, data):
    maps = [compute.map_partition(work, i, data[i * 10 : i * 10 + 10]) for i in range(2)]
    for j in range(2):
        sealed = compute.reduce_partition(work, j, sections(work, maps, j))
        for unit in range(work.run):
            cells = compute.cells_of(sections(work, maps, j), unit, work.run)
            assert compute.reduce_unit(work, j, unit, cells) == sealed.leaves[unit]


@CASES
def test_buckets_may_be_reduced_some_at_a_time(work, data):
    maps = [compute.map_partition(work, i, data[i * 10 : i * 10 + 10]) for i in range(2)]
    whole = sections(work, maps, 1)
    for step in range(1, work.run + 1):
        cut = [range(work.run)[i : i + step] for i in range(0, work.run, step)]
        turns = [
            (
                some,
                [
                    s[some.start * m.units : some.stop * m.units]
                    for s, m in zip(whole, maps, strict=True)
                ],
            )
            for some in cut
        ]
        assert compute.reduce_in_turn(work, 1, turns) == compute.reduce_partition(work, 1, whole)


def test_what_was_reduced_is_let_go_before_more_is_collected():
    class Held(list):
        """Sections that tell when nobody holds them any more."""

    work = bag_work()
    sealed, gone = compute.map_partition(work, 0, RECORDS), []

    def turns():
        for unit in range(work.run):
            held = Held([sealed.leaves[unit * sealed.units : (unit + 1) * sealed.units]])
            seen = weakref.ref(held)
            yield range(unit, unit + 1), held
            del held
            gone.append(seen() is None)

    compute.reduce_in_turn(work, 0, turns())
    assert gone == [True] * work.run


def test_a_bag_is_reduced_to_the_plain_answer():
    work = bag_work()
    maps = [compute.map_partition(work, i, RECORDS[i * 5 : i * 5 + 5]) for i in range(4)]
    found = [
        pair
        for j in range(2)
        for leaf in compute.reduce_partition(work, j, sections(work, maps, j)).leaves
        for pair in decode_records(leaf)
    ]
    expected = defaultdict(int)
    for line in RECORDS:
        for word in line.split():
            expected[word] += 1
    assert len(found) == len(expected)
    assert dict(found) == expected


def test_a_frame_is_reduced_to_the_plain_answer():
    work = frame_work()
    maps = [compute.map_partition(work, i, FRAME[i * 5 : i * 5 + 5]) for i in range(4)]
    leaves = [
        leaf
        for j in range(2)
        for leaf in compute.reduce_partition(work, j, sections(work, maps, j)).leaves
    ]
    found = pd.concat([decode_frame(leaf) for leaf in leaves])
    assert_frame_equal(
        found.sort_values("k", ignore_index=True), FRAME.groupby("k", as_index=False).x.sum()
    )


@CASES
def test_reading_alone_gives_the_inputs_of_the_units(work, data):
    for records in (data, data[:5], data[:0]):
        sealed = compute.map_partition(work, 0, records)
        assert compute.read_partition(work, records) == (sealed.inputs, sealed.records_in)


@CASES
def test_an_empty_partition_is_one_unit_of_empty_cells(work, data):
    sealed = compute.map_partition(work, 0, data[:0])
    assert (sealed.units, sealed.records_in, sealed.counts) == (1, 0, (0, 0))


def test_whole_partition_units_keep_no_inputs():
    assert compute.map_partition(frame_work(unit_records=None), 0, FRAME).inputs == ()


@CASES
def test_shipped_work_seals_the_same_bytes(work, data):
    shipped = unship(ship(work).data)
    assert compute.map_partition(shipped, 0, data) == compute.map_partition(work, 0, data)


class Other(Saboteur):
    def read_input(self, partition, records):
        return records[1:]


@CASES
def test_hooks_change_what_is_sealed(work, data):
    honest = compute.map_partition(work, 0, data)
    assert compute.map_partition(work, 0, data, Saboteur()) == honest
    assert compute.map_partition(work, 0, data, Drop()) != honest
    assert compute.map_partition(work, 0, data, Other()).records_in == 19


def test_more_units_than_may_be_drawn_are_refused_with_advice(monkeypatch):
    monkeypatch.setattr(compute, "MAX_UNITS", 2)
    with pytest.raises(InputError, match="raise unit_records"):
        compute.map_partition(bag_work(unit_records=1), 0, ["to", "be", "or"])
