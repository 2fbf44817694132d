"""Any bytes at all: a value, or the parser's own error, within bounded work and memory."""

from __future__ import annotations

from random import Random

import pytest
from bounded import outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mangled, put_together, rebuilt
from parsers import PARSERS, Parser

from dask_verify.core.canonical import encode

SETTINGS = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
SLOW = {"signed-receipt", "signed-exhibit", "job", "key-file", "frame-file", "parquet"}

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.binary(max_size=40) | st.decimals() | st.datetimes() | st.uuids()
)  # fmt: skip
nested = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)


def inputs(parser: Parser) -> st.SearchStrategy[bytes]:
    """Noise; valid input that is mangled, or has other values inside; values of other shapes."""
    seeds, random = st.sampled_from(parser.seeds()), st.randoms(use_true_random=False)
    rebuilding = st.builds(lambda seed, r: rebuilt(seed, parser.form, r), seeds, random)
    made = nested.map(encode) if parser.form == "canonical" else st.binary(max_size=200)
    if parser.form in ("json", "lines"):
        made = plain.map(lambda tree: put_together(tree, parser.form))
    splices = st.builds(
        lambda one, other, r: one[: r.randint(0, len(one))] + other[r.randint(0, len(other)) :],
        seeds, seeds, random,
    )  # fmt: skip
    mangling = st.builds(mangled, seeds, random)
    return st.one_of(st.binary(max_size=200), mangling, rebuilding, rebuilding, splices, made)


@pytest.mark.parametrize("name", PARSERS)
def test_valid_input_is_what_it_is(name: str) -> None:
    parser = PARSERS[name]
    assert {outcome(parser, seed) for seed in parser.seeds()} == {parser.valid}


def fuzzed(name: str, examples: int) -> None:
    parser = PARSERS[name]

    @settings(SETTINGS, max_examples=examples)
    @given(inputs(parser))
    def run(data: bytes) -> None:
        outcome(parser, data)

    run()


@pytest.mark.parametrize("name", PARSERS)
def test_bytes_are_a_value_or_refused(name: str) -> None:
    fuzzed(name, 10 if name in SLOW else 25)


@pytest.mark.soak
@pytest.mark.parametrize("name", PARSERS)
def test_many_bytes_are_values_or_refused(name: str) -> None:
    fuzzed(name, 60 if name in SLOW else 250)


@pytest.mark.parametrize("name", PARSERS)
def test_every_cut_of_valid_input_is_refused_or_another_value(name: str) -> None:
    """The most common of all defects, everywhere: a file or message that ends too soon."""
    parser, random = PARSERS[name], Random(name)
    for seed in parser.seeds()[:3]:
        for _ in range(4):
            outcome(parser, seed[: random.randrange(len(seed))])
