"""Names and texts that show themselves as what they are."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.evidence.enrolment.texts import (
    LONGEST_NAME,
    LONGEST_TEXT,
    name_flaw,
    quoted,
    text_flaw,
)


@pytest.mark.parametrize(
    "text",
    [
        "a\nb",
        "a\0",
        "\x1b[31mred",
        "\x7f",
        "\x85",
        "\u202egpj",
        "zero\u200bwidth",
        "\ud800",
        "a\u2028b",
        "a\ufe0f",
        "a\u034f",
        "a\u3164",
        "a\u115f",
        "a\u1160",
        "a\u17b4",
        "a\u2800",
        "a\u180b",
        "a\uffa0",
        "a\U000e0100",
        "a\u00adb",
        "a\u00a0b",
        "a\u2003b",
        "a\u3000b",
        "a\ue000",
        "a\U0010fffd",
        "a\u0378",
        "a\uffff",
    ],
)
def test_what_does_not_show_itself_is_refused(text):
    expected, got = text_flaw(text)
    assert expected == "text without control or invisible characters"
    assert got.isascii()
    assert got.isprintable()
    assert name_flaw(text)


@pytest.mark.parametrize("name", ["", " a", "a ", "\u00a0a", "e\u0301", None, 3, b"a"])
def test_what_is_no_name(name):
    assert name_flaw(name)


@pytest.mark.parametrize("name", ["alice", "a b", "é", "寿司", 'the "north"', "a\\b", "'''", "🐍"])
def test_what_is_a_name(name):
    assert name_flaw(name) is None


def test_how_long():
    assert text_flaw("a" * (LONGEST_TEXT - 2)) is None
    assert text_flaw("a" * (LONGEST_TEXT - 1))
    assert text_flaw('"' * (LONGEST_TEXT // 2))
    assert name_flaw("é" * (LONGEST_NAME // 2 - 1)) is None
    assert name_flaw("é" * (LONGEST_NAME // 2))


@given(st.text())
def test_a_text_without_a_flaw_is_one_toml_string(text):
    if text_flaw(text) is None:
        assert tomllib.loads(f"a = {quoted(text)}\n") == {"a": text}
