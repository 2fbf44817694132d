"""Two leaves compared, as plain values."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from dask_verify.core.canonical import encode_frame, encode_records
from dask_verify.evidence.exhibits.comparison import LONGEST, Field, compare


def differing(one: Any, other: Any, **options: Any) -> list[Field]:
    found = compare(encode_records([one]), encode_records([other]), **options)
    return [field for record in found.records for field in record.fields if field.differs]


@pytest.mark.parametrize(
    ("one", "other", "field"),
    [
        (("k", 1), ("k", 2), Field("value", "1", "2")),
        (("k", 1), ("l", 1), Field("key", "'k'", "'l'")),
        (("k", [0, 1, 2]), ("k", [0, 9, 2]), Field("value[1]", "1", "9")),
        (("k", {"a": [1, (2, 3)]}), ("k", {"a": [1, (2, 4)]}), Field("value['a'][1][1]", "3", "4")),
        ((("k", 1), 0), (("k", 2), 0), Field("key[1]", "1", "2")),
        (("k", [1]), ("k", [1, 2]), Field("value", "[1]", "[1, 2]")),
        (("k", {"a": 1}), ("k", {"b": 1}), Field("value", "{'a': 1}", "{'b': 1}")),
        (("k", [1]), ("k", (1,)), Field("value", "[1]", "(1,)")),
        (("k", 1), ("k", 1.0), Field("value", "1", "1.0")),
        ("ab", "ac", Field("record", "'ab'", "'ac'")),
        ((1, 2, 3), (1, 2, 4), Field("record[2]", "3", "4")),
    ],
)
def test_the_element_that_differs_is_named(one: Any, other: Any, field: Field) -> None:
    assert differing(one, other) == [field]


def test_inputs_have_no_keys() -> None:
    assert differing((1, 2), (1, 3), pairs=False) == [Field("record[1]", "2", "3")]


def test_elements_far_down_are_shown_with_what_is_around_them() -> None:
    one, other = 1, 2
    for _ in range(12):
        one, other = [one], [other]
    (field,) = differing(one, other)
    assert field == Field("record" + "[0]" * 8, "[[[[1]]]]", "[[[[2]]]]")


def test_what_is_nested_beyond_reason_is_not_shown() -> None:
    def nested(depth: int, end: int) -> Any:
        value: Any = end
        for _ in range(depth):
            value = [value]
        return value

    leaves = [encode_records([nested(60, end)]) for end in (1, 2)]
    assert compare(*leaves).notes == ("first difference in record 0",)


def test_a_column_of_its_own_is_a_field() -> None:
    one = pd.DataFrame({"carrier": ["UA", "AA"], "delay": [11.0, 33.0]}, index=[4, 5])
    found = compare(encode_frame(one), encode_frame(one.assign(delay=[11.0, 34.0])))
    assert found.counts == ("2 records", "2 records")
    first, second = found.records
    assert not first.differs
    assert second.fields == (
        Field("index", "5", "5"),
        Field("carrier", "'AA'", "'AA'"),
        Field("delay", "33.0", "34.0"),
    )


def test_other_columns_are_compared_by_name() -> None:
    one = pd.DataFrame({"a": [1]})
    found = compare(encode_frame(one), encode_frame(one.rename(columns={"a": "b"})))
    assert found.records[0].fields == (Field("columns", "['a']", "['b']"),)


def test_a_record_that_one_side_lacks_has_no_fields() -> None:
    found = compare(encode_records([("a", 1)]), encode_records([("a", 1), ("b", 2)]))
    assert found.counts == ("1 record", "2 records")
    missing = found.records[-1]
    assert (missing.place, missing.one, missing.fields) == (1, "(no record)", ())
    assert missing.differs


def test_a_difference_behind_much_text_is_in_what_is_shown() -> None:
    long = "x" * (3 * LONGEST)
    (field,) = differing(("k", long + "a"), ("k", long + "b"))
    assert (field.one[-2:], field.other[-2:]) == ("a'", "b'")
    assert len(field.one) <= LONGEST


def test_of_very_many_columns_those_that_differ_come_first() -> None:
    one = pd.DataFrame([range(1500)], columns=[f"c{i}" for i in range(1500)])
    found = compare(encode_frame(one), encode_frame(one.assign(c1400=-1)))
    fields = found.records[0].fields
    assert len(fields) == 1000
    assert fields[0].name == "c1400"
