"""Strict JSON: what could be read in two ways is not read at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.errors import EvidenceError
from dask_verify.evidence.fields import Fields, base64_text, parse


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"5",
        b"null",
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1} {}',
        b'{"a": 1}x',
        b"\xef\xbb\xbf{}",
        b'{"a": "\xff"}',
        b'{"a":' + b"[" * 200_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b"{'a': 1}",
        b'{"a": 1,}',
    ],
    ids=lambda data: repr(data[:30]),
)
def test_it_is_one_object_that_says_everything_once(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        parse(data)


KINDS: dict[str, tuple[Any, list[Any]]] = {
    "text": ("é", [1, None, True, [], {}, "\ud800"]),
    "number": (7, ["7", 7.0, True, None, -1, 2**63, []]),
    "real": (0.5, ["0.5", True, None, -0.1, []]),
    "flag": (False, [0, 1, "false", None]),
    "octets": ("AAE=", ["AAE", "AAF=", "AA E=", "AAE=\n", "====", 5, None, "A-_="]),
    "digest": ("ab" * 32, ["AB" * 32, "ab" * 31, "ab" * 33, "zz" * 32, 5, None, "ab" * 31 + " ab"]),
    "object": ({}, [[], 5, None, "{}"]),
    "objects": ([{}], [[1], {}, None, [{}, None]]),
    "texts": (["a"], [[1], "a", None, {"a": 1}]),
    "numbers": ([1], [[1.0], ["1"], [True], 1, None, [-1]]),
    "digests": (["ab" * 32], [["ab"], "ab" * 32, None]),
    "blobs": (["AAE="], [["AAE"], "AAE=", None]),
    "tables": ([[1], []], [[1], [[True]], None]),
    "mapping": ({"a": "b"}, [{"a": 1}, [["a", "b"]], None]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_its_type_and_range(kind: str) -> None:
    good, bad = KINDS[kind]
    getattr(Fields({"x": good}, "f"), kind)("x")
    for value in bad:
        with pytest.raises(EvidenceError, match=r"f\.x|^f"):
            getattr(Fields({"x": value}, "f"), kind)("x")
    with pytest.raises(EvidenceError, match="nothing"):
        getattr(Fields({}, "f"), kind)("x")


def test_nothing_is_left_unread() -> None:
    fields = Fields({"a": 1, "b": 2}, "f")
    fields.number("a")
    with pytest.raises(EvidenceError, match="b"):
        fields.end()
    fields.number("b")
    fields.end()


def test_ascending_numbers_ascend() -> None:
    assert Fields({"x": [0, 2, 5]}, "f").ascending("x", 5) == (0, 2, 5)
    for bad in ([0, 0], [2, 1], [6]):
        with pytest.raises(EvidenceError):
            Fields({"x": bad}, "f").ascending("x", 5)


def test_rows_have_their_width() -> None:
    (row,) = Fields({"x": [["a", 1]]}, "f").rows("x", 2)
    assert (row.text("0"), row.number("1")) == ("a", 1)
    for bad in ([["a"]], [["a", 1, 2]], ["a1"], {}):
        with pytest.raises(EvidenceError):
            Fields({"x": bad}, "f").rows("x", 2)


@given(st.binary(max_size=50))
def test_base64_is_read_as_it_was_written(data: bytes) -> None:
    assert Fields({"x": base64_text(data)}, "f").octets("x") == data


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON), st.sampled_from(sorted(KINDS)))
def test_whatever_is_there_is_read_or_refused(values: dict[str, Any], kind: str) -> None:
    try:
        fields = parse(json.dumps(values, allow_nan=False).encode())
    except (EvidenceError, ValueError):
        return  # a float may be infinite only once it is read again
    for name in values:
        try:
            getattr(fields, kind)(name)
        except EvidenceError as error:
            assert str(error).startswith("file")  # noqa: PT017 - most values are refused
