"""The trust file: it says one thing, or it is refused."""

from __future__ import annotations

import copy
import json
import tomllib
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_verify.errors import TrustError
from dask_verify.evidence.enrolment.texts import name_flaw, text_flaw
from dask_verify.evidence.enrolment.trust import Entry, Trust
from dask_verify.protocol.domain import COORDINATOR, Domain, Identity

KEYS = [Identity(f"{i}", bytes([i]) * 32).public_key for i in range(6)]
ALICE = Entry("alice", KEYS[0], "alice@example.org", "100 EUR", {"python": "3.11", "a b": ""})
BOB = Entry("bob", KEYS[1])
BOSS = Entry(COORDINATOR, KEYS[2], "boss@example.org")
TRUST = Trust((ALICE, BOB), BOSS)
ZERO = bytes(32)


def refused(match):
    return pytest.raises(TrustError, match=match)


# --- there and back -------------------------------------------------------------------------

shown = st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))
composed = st.text(shown, min_size=1, max_size=30).map(lambda text: normalize("NFC", text).strip())
names = composed.filter(lambda text: not name_flaw(text) and text != COORDINATOR)
texts = st.text(shown, max_size=200).filter(lambda text: not text_flaw(text))
entries = st.builds(
    Entry,
    names,
    st.sampled_from(KEYS[:4]),
    st.none() | texts,
    st.none() | texts,
    st.dictionaries(names, texts, max_size=4),
)
trusts = st.builds(
    Trust,
    st.lists(entries, max_size=5, unique_by=lambda entry: entry.name).map(tuple),
    st.none() | st.builds(Entry, st.just(COORDINATOR), st.just(KEYS[5]), st.none() | texts),
)


@given(trusts)
def test_there_and_back(trust):
    data = trust.to_bytes()
    again = Trust.from_bytes(data)
    assert again == trust
    assert again.to_bytes() == data
    assert tomllib.loads(data.decode())["version"] == 1


@given(st.text(), st.text(), st.text())
def test_no_text_says_something_else_than_itself(name, contact, key):
    """Whatever is in a text: it is refused, or it stays inside its field."""
    try:
        entry = Entry(name, KEYS[0], contact, None, {key: contact})
        trust = Trust().with_entry(entry)
    except TrustError:
        return
    assert Trust.from_bytes(trust.to_bytes()) == trust


def test_what_it_looks_like():
    text = TRUST.to_bytes().decode()
    assert (
        text
        == f"""version = 1

[coordinator]
public-key = "{KEYS[2].hex()}"
contact = "boss@example.org"

[[domain]]
name = "alice"
public-key = "{KEYS[0].hex()}"
contact = "alice@example.org"
penalty = "100 EUR"

[domain.environment]
"a b" = ""
python = "3.11"

[[domain]]
name = "bob"
public-key = "{KEYS[1].hex()}"
"""
    )


def test_the_order_of_an_environment_does_not_matter():
    turned = Entry("alice", KEYS[0], "alice@example.org", "100 EUR", {"a b": "", "python": "3.11"})
    assert turned == ALICE
    assert Trust((turned, BOB), BOSS).to_bytes() == TRUST.to_bytes()
    assert hash(turned) == hash(ALICE)


def test_domains_are_those_of_jobs():
    alice, bob = TRUST.domains
    assert alice == Domain("alice", KEYS[0], {"python": "3.11", "a b": ""})
    assert bob == Domain("bob", KEYS[1])


def test_an_entry_does_not_change_afterwards():
    said = {"python": "3"}
    entry = Entry("alice", KEYS[0], environment=said)
    said["python"] = "4"
    assert entry.environment == {"python": "3"}
    with pytest.raises(TypeError):
        entry.environment["python"] = "4"


def test_one_key_under_two_names_is_for_those_who_count():
    trust = Trust((BOB, Entry("bob2", BOB.public_key)))
    assert Trust.from_bytes(trust.to_bytes()) == trust
    assert len({domain.public_key for domain in trust.domains}) == 1


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Entry("", KEYS[0]), "a name"),
        (lambda: Entry("a\x1b[2J", KEYS[0]), "control"),
        (lambda: Entry("alice", ZERO), "small order"),
        (lambda: Entry("alice", b"\x01" + bytes(31)), "small order"),
        (lambda: Entry("alice", b"\xff" * 32), "encoding"),
        (lambda: Entry("alice", KEYS[0].hex()), "32 bytes, got str"),
        (lambda: Entry("alice", KEYS[0], contact="a\nb"), "contact.*control"),
        (lambda: Entry("alice", KEYS[0], penalty=5), "penalty.*text, got int"),
        (lambda: Entry("alice", KEYS[0], environment={"a": 3}), "environment, 'a'.*got int"),
        (lambda: Entry("alice", KEYS[0], environment={"": "a"}), "environment, a key"),
        (lambda: Entry("alice", KEYS[0], environment=["a"]), "mapping"),
        (lambda: Entry(COORDINATOR, KEYS[0], penalty="1"), "public key and a contact alone"),
        (lambda: Entry(COORDINATOR, KEYS[0], environment={"a": "b"}), "contact alone"),
        (lambda: Trust((BOB, Entry("bob", KEYS[3]))), "'bob' 2 times"),
        (lambda: Trust((Entry(COORDINATOR, KEYS[0]),)), "other names"),
        (lambda: Trust((), BOB), "a coordinator 'coordinator', got 'bob'"),
        (lambda: Trust((BOB,), Entry(COORDINATOR, KEYS[1])), "key of its own"),
    ],
)
def test_what_nobody_can_be(make, match):
    with refused(match):
        make()


HEAD = b"version = 1\n"
KEY = f'public-key = "{KEYS[0].hex()}"\n'.encode()
NAMED = b'[[domain]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "version: expected a value"),
        (b"version = 2\n", "from 1 to 1, got 2"),
        (b"version = true\n", "version"),
        (b"version = 1.0\n", "version"),
        (b'version = "1"\n', "version"),
        (b"version = 1\nversion = 1\n", "TOML"),
        (b"\xff", "TOML"),
        (b"\xef\xbb\xbfversion = 1\n", "TOML"),
        (HEAD + b"extra = 1\n", "no other field, got 'extra'"),
        (HEAD + b"[owner]\n", "no other field"),
        (HEAD + b"domain = 3\n", "a list"),
        (HEAD + b'[domain]\nname = "a"\n' + KEY, "a list"),
        (HEAD + b"domain = [3]\n", "an object"),
        (HEAD + b"coordinator = 3\n", "an object"),
        (HEAD + b"[[coordinator]]\n" + KEY, "an object"),
        (HEAD + b"[coordinator]\n", "public-key: expected a value"),
        (HEAD + b'[coordinator]\nname = "coordinator"\n' + KEY, "no other field"),
        (HEAD + b'[coordinator]\npenalty = "1"\n' + KEY, "contact alone"),
        (HEAD + b"[[domain]]\n" + KEY, "name: expected a value"),
        (HEAD + NAMED, "public-key"),
        (HEAD + NAMED + KEY + b"extra = 1\n", "no other field"),
        (HEAD + NAMED + KEY + b"contact = 1\n", "contact: expected text"),
        (HEAD + NAMED + KEY + b"contact = 1979-05-27\n", "contact: expected text"),
        (HEAD + NAMED + KEY + b"environment = 1\n", "environment: expected an object"),
        (HEAD + NAMED + KEY + b"environment = {a = 1}\n", "expected text"),
        (HEAD + NAMED + KEY.upper().replace(b"PUBLIC-KEY", b"public-key"), "64 hexadecimal"),
        (HEAD + NAMED + KEY.replace(b' "', b' " '), "64 hexadecimal"),
        (HEAD + NAMED + KEY[:-3] + b'"\n', "64 hexadecimal"),
        (HEAD + NAMED + b'public-key = "' + b"0" * 64 + b'"\n', "small order"),
        (HEAD + b'[[domain]]\nname = "coordinator"\n' + KEY, "other names"),
        (HEAD + b'[[domain]]\nname = "a\\u202e"\n' + KEY, "control or invisible"),
        (HEAD + 2 * (NAMED + KEY), "'a' 2 times"),
        (HEAD + b"[coordinator]\n" + KEY + NAMED + KEY, "key of its own"),
        (b"a = " + b"[" * 1900, "TOML"),
        (b"a = " + b"[\n" * 100_000, "TOML"),
        (b"a = " + b"{a=" * 600, "TOML"),
        (b"version = " + b"9" * 1900 + b"\n", "version"),
        (b"a." * 990 + b"a = 1", "at most 16 dots between keys, got 990"),
        (b'"a".' * 300 + b"a = 1", "at most 16 dots between keys, got 300"),
        (b"'\"'" + b".a" * 300 + b".'\"' = 1", "at most 16 dots between keys, got 301"),
        (b'a = ["""\n""", {' + b"a." * 300 + b"a=1}, '\"']", "texts that begin and end on it"),
        (b"a" * 2001, "lines of at most 2,000 bytes"),
        (b"#\n" * (1 << 19) + b"#", "at most 1,048,576 bytes"),
    ],
)
def test_what_is_no_trust_file(data, match):
    with refused(match):
        Trust.from_bytes(data)


def test_texts_may_have_any_number_of_dots():
    dotted = Entry("a", ALICE.public_key, "." * 1400 + "'\"#", None, {"a.b." * 20: "1.2" * 300})
    assert Trust.from_bytes(Trust((dotted,)).to_bytes()) == Trust((dotted,))


def test_a_trust_that_would_not_be_read_is_not_written():
    many = tuple(Entry(f"{i}", KEYS[0], "c" * 1000, "p" * 1000) for i in range(600))
    with refused("at most 1,048,576 bytes"):
        Trust(many).to_bytes()


def test_an_error_shows_no_control_characters():
    """They would reach the terminal of whoever checks the file of somebody else."""
    for line in (b'public-key = "\\u001b[2J"', b'"\\u001b" = 1', b"contact = '\x1b'"):
        with pytest.raises(TrustError) as caught:
            Trust.from_bytes(HEAD + NAMED + line + b"\n")
        assert str(caught.value).isprintable()


# --- mutations ------------------------------------------------------------------------------


TABLES = tomllib.loads(TRUST.to_bytes().decode())


def outcome(data):
    """What a file says; None if it is refused with an error of the package's own."""
    try:
        return Trust.from_bytes(data)
    except TrustError:
        return None


def test_every_changed_byte_shows():
    """A file that still reads as the same trust is the same TOML, but for space and comments."""
    data = TRUST.to_bytes()
    for at in range(len(data)):
        for new in {data[at] ^ 1, data[at] ^ 0x20, data[at] ^ 0x80, 0, 10, 34, 35, 93}:
            changed = data[:at] + bytes([new]) + data[at + 1 :]
            if outcome(changed) == TRUST:
                assert repr(tomllib.loads(changed.decode())) == repr(TABLES)


def test_every_removed_or_doubled_byte_shows():
    data = TRUST.to_bytes()
    for at in range(len(data)):
        for changed in (data[:at] + data[at + 1 :], data[: at + 1] + data[at:]):
            if outcome(changed) == TRUST:
                assert repr(tomllib.loads(changed.decode())) == repr(TABLES)


def written(tables):
    """Any tables as TOML: inline, as JSON with other signs."""
    return "".join(f"{json.dumps(k)} = {inline(v)}\n" for k, v in tables.items()).encode()


def inline(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def places(value, path=()):
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    for key, below in enumerate(value) if isinstance(value, list) else inner:
        yield from places(below, (*path, key))


OTHERS = [True, 0, 1, 2, 1.0, "", "x", "00" * 32, KEYS[4].hex(), [], {}, ["x"], {"x": "y"}, [{}]]


def at(tables, path):
    for key in path:
        tables = tables[key]
    return tables


@pytest.mark.parametrize("path", [p for p in places(TABLES) if p], ids=str)
def test_every_changed_removed_or_added_field_shows(path):
    assert outcome(written(TABLES)) == TRUST
    *above, last = path
    variants = []
    for other in OTHERS:
        tables = copy.deepcopy(TABLES)
        at(tables, above)[last] = other
        variants.append(tables)
    tables = copy.deepcopy(TABLES)
    del at(tables, above)[last]
    variants.append(tables)
    tables = copy.deepcopy(TABLES)
    if isinstance(at(tables, path), dict):
        at(tables, path)["added"] = "x"
        variants.append(tables)
    for tables in variants:
        same = repr(tables) == repr(TABLES)
        assert (outcome(written(tables)) == TRUST) == same, tables


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 500), st.integers(0, 60))
def test_anything_pasted_anywhere_is_refused_or_says_something(paste, start, length):
    data = TRUST.to_bytes()
    outcome(data[:start] + paste + data[start + length :])


@given(st.binary())
def test_garbage(data):
    outcome(data)
    outcome(HEAD + data)


# --- adding ---------------------------------------------------------------------------------


def test_an_entry_is_added_at_the_end_and_changed_in_its_place():
    carol, newer = Entry("carol", KEYS[3]), Entry("alice", KEYS[0], "other@example.org")
    assert TRUST.with_entry(carol).entries == (ALICE, BOB, carol)
    assert TRUST.with_entry(newer).entries == (newer, BOB)
    assert TRUST.with_entry(ALICE) == TRUST
    assert TRUST.with_entry(BOSS) == TRUST
    assert Trust().with_entry(BOSS) == Trust((), BOSS)


@pytest.mark.parametrize("name", ["alice", COORDINATOR])
def test_another_key_takes_a_name_only_where_it_may(name):
    other = Entry(name, KEYS[4])
    with refused("enrolled before"):
        TRUST.with_entry(other)
    assert TRUST.with_entry(other, replacing=True).entry(name) == other
    assert TRUST.entry(name) != other


@given(trusts, entries)
def test_what_is_added_is_there(trust, entry):
    added = trust.with_entry(entry, replacing=True)
    assert added.entry(entry.name) == entry
    assert {e.name for e in added.entries} == {e.name for e in trust.entries} | {entry.name}
