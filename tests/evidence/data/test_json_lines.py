"""Typed JSON lines: every value comes back, whoever wrote the JSON again in between."""

from __future__ import annotations

import base64
import contextlib
import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dask_verify.core.canonical import encode
from dask_verify.errors import DataError, EncodingError
from dask_verify.evidence.data import json_lines as module
from dask_verify.evidence.data import read_json_lines, write_json_lines

TEXT = st.text(st.characters(exclude_categories=[]), max_size=4)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    TEXT,
    st.binary(max_size=4),
    st.decimals(),
    st.datetimes(),
    st.dates(),
    st.timedeltas(),
    st.complex_numbers(),
    st.uuids(),
    st.sampled_from([np.int8(3), np.float64(-0.0), np.arange(3), pd.NaT, pd.NA]),
)
NAMES = st.one_of(TEXT, st.sampled_from(["$tuple", "$", "$x", "a"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(NAMES, inner, max_size=3),
        st.dictionaries(st.integers() | TEXT, inner, max_size=3),
        st.sets(st.integers() | TEXT, max_size=3),
        st.frozensets(st.binary(max_size=2), max_size=3),
    ),
    max_leaves=8,
)


def written(pairs):
    file = io.BytesIO()
    write_json_lines(pairs, file)
    return file.getvalue()


def read(data):
    return read_json_lines(io.BytesIO(data))


@given(st.lists(st.tuples(VALUES, VALUES), max_size=4))
@example([("\ud83d\ude00", "\ud83d")])
@example([(-0.0, float("nan")), (float("-inf"), 2**63), (-(2**63), 2**5000), (True, 1)])
@example([({"$tuple": [1]}, {"$canonical": "", "a": (1,)}), ((), {})])
def test_what_is_written_is_read(pairs):
    lines = written(pairs)
    assert lines.count(b"\n") == len(pairs)
    assert encode(read(lines)) == encode(pairs)


@given(st.lists(st.tuples(VALUES, VALUES), max_size=4), st.booleans(), st.sampled_from([None, 1]))
def test_another_writer_of_json_changes_nothing(pairs, ascii_only, indent):
    again = [
        json.dumps(json.loads(line), ensure_ascii=ascii_only, sort_keys=True, indent=indent)
        for line in written(pairs).split(b"\n")
        if line
    ]
    lines = "\r\n".join(" " + line.replace("\n", "\t") for line in again) + "\n\n"
    assert encode(read(lines.encode())) == encode(pairs)


def test_the_form_of_a_line():
    assert written([("é", {"b": [1, None], "a": 1.5})]) == (
        '["é", {"b": [1, null], "a": 1.5}]\n'.encode()
    )
    assert json.loads(written([(1, {2: 3})]))[1].keys() == {"$canonical"}
    assert json.loads(written([(1, 2**63)]))[1].keys() == {"$canonical"}


def canonical(data):
    return json.dumps({"$canonical": base64.b64encode(data).decode()})


MALFORMED = {
    "nothing": "null",
    "one": "[1]",
    "three": "[1, 2, 3]",
    "object": '{"a": 1}',
    "tuple": '{"$tuple": [1, 2]}',
    "canonical pair": canonical(encode(("a", 1))),
    "two": "[1, 2] [1, 2]",
    "comma": "[1, 2,]",
    "open": "[1, 2",
    "text": "hello",
    "quotes": "['a', 1]",
    "duplicate": '["a", {"x": 1, "x": 1}]',
    "duplicate tag": '["a", {"$tuple": [], "$tuple": []}]',
    "duplicate by escape": '["a", {"x": 1, "\\u0078": 1}]',
    "nan": "[1, NaN]",
    "infinity": "[1, Infinity]",
    "negative infinity": "[1, -Infinity]",
    "overflow": "[1, 1e999]",
    "digits": f"[1, {'9' * 4001}]",
    "unknown tag": '[1, {"$set": []}]',
    "empty tag": '[1, {"$": []}]',
    "two tags": '[1, {"$tuple": [], "$bytes": ""}]',
    "tag beside name": '[1, {"$tuple": [], "a": 1}]',
    "no array": '[1, {"$tuple": "ab"}]',
    "tagged array": '[1, {"$tuple": {"$tuple": []}}]',
    "no base64": '[1, {"$bytes": "a"}]',
    "spaces in base64": '[1, {"$bytes": "eA =="}]',
    "other alphabet": '[1, {"$bytes": "_-8="}]',
    "not ascii": '[1, {"$bytes": "é"}]',
    "bytes of a number": '[1, {"$bytes": 3}]',
    "null bytes": '[1, {"$bytes": null}]',
    "no canonical": '[1, {"$canonical": "eA=="}]',
    "empty canonical": '[1, {"$canonical": ""}]',
    "trailing canonical": f"[1, {canonical(encode(1) + b'x')}]",
    "unknown class": f"[1, {canonical(bytes.fromhex('11d9da0582616101'))}]",
    "control": '["a\tb", 1]',
    "deep": "[1, " + "[" * 101 + "]" * 101 + "]",
    "deep tuples": "[1, " + '{"$tuple": [' * 101 + "]}" * 101 + "]",
    "deep objects": "[1, " + '{"a": ' * 101 + "1" + "}" * 101 + "]",
    "deeper": "[1, " + "[" * 100_000 + "]" * 100_000 + "]",
    "deepest": "[" * 1_000_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_lines_are_refused_with_their_number(name):
    data = b'["a", 1]\n\n' + MALFORMED[name].encode() + b"\n"
    with pytest.raises(DataError, match=r"^line 3: expected "):
        read(data)


@pytest.mark.parametrize("data", [b"\xff\xfe", b'["\xff", 1]', b'\xef\xbb\xbf["a", 1]', b"[1,2]\0"])
def test_bytes_that_are_not_json_are_refused(data):
    with pytest.raises(DataError, match="line 1: expected"):
        read(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    with contextlib.suppress(DataError):
        read(data)


@given(st.data())
def test_any_change_of_a_line_is_read_or_refused(data):
    line = bytearray(written([("a", (1, b"xy", {2: {"k": -0.0}}))]))
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        read(bytes(line))


def test_nesting_is_as_deep_as_canonical_bytes():
    for step in (lambda v: [v], lambda v: (v,), lambda v: {"a": v}):
        value = 1
        for _ in range(100):
            value = step(value)
        assert encode(read(written([("a", value)]))[0][1]) == encode(value)
        with pytest.raises(EncodingError, match="nested deeper"):
            written([("a", step(value))])
    loop = []
    loop.append(loop)
    with pytest.raises(EncodingError, match="nested deeper"):
        written([("a", loop)])


def test_long_lines_are_refused(monkeypatch):
    monkeypatch.setattr(module, "LINE", 20)
    assert read(written([("a", "x" * 10)])) == [("a", "x" * 10)]
    with pytest.raises(DataError, match="pair 1: expected less than 20 bytes"):
        written([("a", 1), ("a", "x" * 20)])
    with pytest.raises(DataError, match="line 2: expected a line of at most 20 bytes"):
        read(b"[1, 2]\n" + b" " * 21)


def test_what_cannot_be_written():
    for pair in [1, ["a", 1], ("a",), ("a", 1, 2), None]:
        with pytest.raises(DataError, match="pair 1: expected a tuple"):
            written([("a", 1), pair])
    for value in (object(), [object()], {"a": object()}, {object()}):
        with pytest.raises(EncodingError):
            written([("a", value)])
