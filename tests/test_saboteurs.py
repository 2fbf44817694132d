"""Every shipped saboteur survives pickling, tells a real lie, and tells the same one twice."""

from __future__ import annotations

import datetime
import decimal
import math

import cloudpickle
import numpy as np
import pandas as pd
import pytest

from dask_verify import testing
from dask_verify.core.canonical import encode_frame, encode_records
from dask_verify.core.seal import Commitment
from dask_verify.errors import InputError
from dask_verify.testing import (
    Collude,
    Drop,
    Duplicate,
    Echo,
    Flaky,
    ForgeRoot,
    Frame,
    Insert,
    Mute,
    Pretend,
    ReadOther,
    RefuseDescent,
    Relapse,
    Reorder,
    Saboteur,
    ServeOther,
    SignTwice,
    Silent,
    Slow,
    Stale,
    Tamper,
)
from dask_verify.testing.corruption import flip, flip_record

RECORDS = {
    "pairs": [("be", 2), ("or", 1), ("to", 2)],
    "lines": ["to be", "or not", "to be."],
    "frame": pd.DataFrame({"k": ["be", "or", "to"], "x": [2, 1, 2]}),
    "strings": pd.DataFrame({"x": [1, 2, 3], "k": ["be", "or", "to"]}, index=[5, 6, 7]),
    "floats": pd.DataFrame({"x": [0.0, math.nan, 3.5]}),
    "dates": pd.DataFrame({"t": pd.date_range("2013-01-01", periods=3, tz="UTC")}),
    "booleans": pd.DataFrame({"x": pd.array([True, None, False], "boolean")}),
    "categories": pd.DataFrame({"k": pd.Categorical(["a", "b", "a"])}),
    "small": pd.DataFrame({"x": np.array([127, 0, -128], "int8")}),
}
DETERMINISTIC = [Tamper, Drop, Insert, Duplicate, Reorder, RefuseDescent, Mute, Relapse]


def commitment(**changes):
    fields = {
        "job": b"j", "stage": "map", "partition": 1, "domain": "bob", "inputs": b"i",
        "buckets": 1, "units": 1, "records_in": 3, "counts": (3,), "nbytes": 9,
        "input_root": b"", "root": b"r" * 32,
    }  # fmt: skip
    return Commitment(**fields | changes)


def sealed(records):
    return encode_records(records) if isinstance(records, list) else encode_frame(records)


def loaded(saboteur):
    return cloudpickle.loads(cloudpickle.dumps(saboteur))


def test_the_base_does_nothing():
    idle = loaded(Saboteur())
    records = RECORDS["pairs"]
    assert idle.read_input(0, records) is records
    assert idle.map_output(0, 0, records) is records
    assert idle.reduce_output(0, 0, records) is records
    assert idle.commit(commitment()) == commitment()
    assert idle.serve(0, b"leaf") == b"leaf"
    assert idle.audit((b"hash",)) == (b"hash",)
    assert idle.delay("map", 0) == 0


@pytest.mark.parametrize("name", testing.__all__)
def test_everything_shipped_is_documented_and_a_saboteur(name):
    kind = getattr(testing, name)
    assert issubclass(kind, Saboteur)
    assert kind.__doc__


@pytest.mark.parametrize("stage", ["map", "reduce"])
@pytest.mark.parametrize("records", RECORDS.values(), ids=RECORDS)
@pytest.mark.parametrize("kind", DETERMINISTIC)
def test_a_lie_is_one_and_the_same_everywhere(kind, records, stage):
    before = sealed(records)
    one, other = loaded(kind(stage)), loaded(kind(stage))
    lies = [sealed(getattr(s, f"{stage}_output")(4, 2, records)) for s in (one, other, one)]
    assert lies[0] == lies[1] == lies[2] != before
    assert sealed(records) == before
    untouched = getattr(one, "map_output" if stage == "reduce" else "reduce_output")
    assert untouched(4, 2, records) is records


@pytest.mark.parametrize("kind", DETERMINISTIC)
def test_a_lie_keeps_the_columns_of_a_frame(kind):
    for frame in RECORDS.values():
        if isinstance(frame, pd.DataFrame):
            lie = kind().map_output(0, 0, frame)
            assert lie.dtypes.to_dict() == frame.dtypes.to_dict()


@pytest.mark.parametrize("records", [[], pd.DataFrame({"x": []})], ids=["list", "frame"])
@pytest.mark.parametrize("kind", DETERMINISTIC)
def test_nothing_to_corrupt(kind, records):
    lie = kind().map_output(0, 0, records)
    assert len(lie) == (kind is Insert and isinstance(records, list))


def test_a_lie_may_be_about_one_record_of_one_unit():
    liar = Tamper(partition=3, unit=1, record=2)
    assert liar.map_output(3, 1, [1, 2, 3]) == [1, 2, 4]
    assert liar.map_output(3, 0, [1, 2, 3]) == [1, 2, 3]
    assert liar.map_output(2, 1, [1, 2, 3]) == [1, 2, 3]


@pytest.mark.parametrize(
    "value",
    [
        0, 1, -1, 2**70, True, 0.0, -0.0, 1e300, math.inf, math.nan, "", "é", b"", None, 1j,
        decimal.Decimal(0), decimal.Decimal("1.5"), datetime.date(2013, 1, 1),
        datetime.timedelta(1), np.int8(127), np.uint64(2**64 - 1), np.float32(0), np.bool_(True),
        (), ("a", 1), [], [0], {}, {"a": 0.5}, {1, 2},
    ],
    ids=repr,
)  # fmt: skip
def test_another_value_is_another(value):
    changed = flip(value)
    assert changed != value
    assert type(changed) in (type(value), type(None), int)


def test_the_last_unused_category_is_not_needed():
    frame = pd.DataFrame({"k": pd.Categorical(["a", "a"])})
    assert flip_record(frame, 0).k.isna().tolist() == [True, False]
    assert len(flip_record(pd.DataFrame(index=[1, 2]), 0)) == 1


@pytest.mark.parametrize("records", RECORDS.values(), ids=RECORDS)
def test_reading_something_else(records):
    before = sealed(records)
    read = loaded(ReadOther()).read_input(0, records)
    assert len(read) == len(records)
    assert sealed(read) != before
    assert ReadOther(records=["x"]).read_input(0, records) == ["x"]
    assert ReadOther(partition=1).read_input(0, records) is records


def test_stale_output_is_that_of_an_earlier_partition():
    stale = loaded(Stale())
    assert stale.map_output(2, 0, ["a"]) == ["a"]
    assert stale.map_output(2, 1, ["b"]) == ["b"]
    assert stale.map_output(0, 1, ["c"]) == ["b"]
    assert stale.map_output(0, 7, ["no such unit"]) == ["no such unit"]


def test_random_and_pretended_lies_differ():
    records = RECORDS["pairs"]
    flaky, pretend = loaded(Flaky(chance=1)), loaded(Pretend())
    assert len({sealed(flaky.map_output(0, 0, records)) for _ in range(20)}) > 1
    assert Flaky(chance=0).map_output(0, 0, records) == records
    assert len({sealed(pretend.map_output(0, 0, records)) for _ in range(5)}) == 5
    frame = RECORDS["frame"]
    assert len({sealed(pretend.map_output(0, 0, frame)) for _ in range(5)}) == 5


def test_colluders_forget():
    records = RECORDS["pairs"]
    one, other = loaded(Collude(Pretend())), loaded(Collude(Pretend()))
    other.map_output(0, 0, records)
    assert one.map_output(1, 0, records) == other.map_output(1, 0, records) != records


@pytest.mark.parametrize(
    "within",
    [
        ReadOther(),
        Tamper("reduce"),
        ForgeRoot(),
        ServeOther(),
        Slow(3),
        Saboteur(),
        Frame(),
        Echo(),
    ],
)
def test_colluders_do_what_is_within(within):
    collude = Collude(within)
    records = RECORDS["lines"]
    assert collude.read_input(0, records) == within.read_input(0, records)
    assert collude.reduce_output(0, 0, records) == within.reduce_output(0, 0, records)
    assert collude.commit(commitment()) == within.commit(commitment())
    assert collude.serve(0, b"x") == within.serve(0, b"x")
    assert collude.audit((b"x",)) == within.audit((b"x",))
    assert collude.delay("map", 0) == within.delay("map", 0)


def test_what_is_committed_to():
    forged = ForgeRoot().commit(commitment())
    assert forged.digest != commitment().digest
    assert SignTwice().commit(commitment()) == (commitment(), forged)
    for kind in (ForgeRoot, SignTwice):
        assert kind("reduce").commit(commitment()) == commitment()
        assert kind(partition=2).commit(commitment()) == commitment()


def test_what_is_served():
    assert ServeOther().serve(0, b"leaf") not in (b"leaf", None)
    assert RefuseDescent().serve(0, b"leaf") is None
    assert Silent().serve(0, b"leaf") is None


def test_one_that_is_silent_where_it_lied():
    mute = loaded(Mute("reduce", unit=1))
    records = RECORDS["pairs"]
    assert mute.reduce_output(2, 0, records) == records
    assert mute.map_output(2, 1, records) == records
    assert mute.serve(2, b"leaf") == b"leaf"
    assert mute.reduce_output(2, 1, records) != records
    assert mute.serve(2, b"leaf") is None
    assert mute.serve(1, b"leaf") == b"leaf"


def test_one_that_loses_its_lie_and_computes_again():
    relapse = loaded(Relapse(partition=1))
    records, other = RECORDS["pairs"], commitment(partition=2)
    for unit in (0, 1):
        assert relapse.map_output(1, unit, records) != records
    assert relapse.commit(commitment()) == commitment()
    assert relapse.serve(1, b"leaf") is None
    assert relapse.map_output(1, 0, records) == records
    assert relapse.serve(1, b"leaf") is None  # the lie is still what it committed to
    assert relapse.commit(commitment()) == commitment()
    assert relapse.serve(1, b"leaf") == b"leaf"
    assert relapse.map_output(2, 0, records) == records
    assert relapse.commit(other) == other
    assert relapse.serve(2, b"leaf") == b"leaf"
    assert relapse.commit(commitment(stage="reduce")).stage == "reduce"


@pytest.mark.parametrize("kind", [Frame, Echo])
def test_auditors_that_contradict_every_hash(kind):
    auditor = loaded(kind())
    truth = tuple(bytes([i]) * 32 for i in range(1, 6))
    said = auditor.audit(truth)
    assert said == auditor.audit(truth)
    assert [len(value) for value in said] == [32] * 5
    assert not set(said) & set(truth)
    assert auditor.map_output(0, 0, RECORDS["pairs"]) == RECORDS["pairs"]
    assert auditor.commit(commitment()) == commitment()


def test_a_lazy_auditor_does_not_depend_on_what_is_asked():
    assert Echo().audit((b"x" * 32,)) == Echo().audit((b"y" * 32,))


def test_who_holds_what_up():
    assert Slow(3).delay("map", 0) == Slow(3).delay("reduce", 5) == 3
    assert Slow(3, partition=1).delay("map", 0) == 0
    assert Silent(stage="reduce").delay("map", 0) == 0
    assert Silent(stage="reduce").delay("reduce", 0) == math.inf


@pytest.mark.parametrize("kind", [Tamper, ForgeRoot, Slow, Silent])
def test_there_is_no_such_stage(kind):
    with pytest.raises(InputError, match="expected 'map'"):
        kind(stage="read")
