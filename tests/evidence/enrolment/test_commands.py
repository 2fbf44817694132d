"""`dask verify keygen` and `dask verify enroll`: what they write, and what they leave alone."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
from click.testing import CliRunner

from dask_verify.cli import verify
from dask_verify.evidence.enrolment.keys import read_key
from dask_verify.evidence.enrolment.trust import Entry, Trust, load_trust, save_trust
from dask_verify.protocol.domain import COORDINATOR, Identity, environment


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(verify, list(arguments))


def make(*arguments):
    done = run("keygen", *arguments)
    assert done.exit_code == 0, done.output
    return done.output


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- keygen ---------------------------------------------------------------------------------


def test_a_domain_gets_a_key_and_an_enrolment(here):
    output = make("alice", "--contact", "alice@example.org", "--penalty", "100 EUR")
    identity = read_key("alice.key")
    assert identity.public_key.hex() in output
    assert identity.private_bytes().hex() not in output
    assert stat.S_IMODE(os.stat("alice.key").st_mode) == 0o600
    (entry,) = load_trust("alice.toml").entries
    assert entry == Entry(
        "alice", identity.public_key, "alice@example.org", "100 EUR", environment()
    )
    assert set(files(here)) == {"alice.key", "alice.toml"}


def test_the_coordinator_gets_a_table_of_its_own(tmp_path):
    make(COORDINATOR, "--out", str(tmp_path), "--contact", "boss")
    identity = read_key(tmp_path / "coordinator.key")
    trust = load_trust(tmp_path / "coordinator.toml")
    assert trust == Trust((), Entry(COORDINATOR, identity.public_key, "boss"))
    done = run("keygen", COORDINATOR, "--penalty", "1")
    assert done.exit_code == 2
    assert "for a domain only" in done.output


@pytest.mark.parametrize("there", ["alice.key", "alice.toml"])
def test_nothing_is_overwritten(here, there):
    (here / there).write_text("precious")
    done = run("keygen", "alice")
    assert done.exit_code == 2
    assert "expected a path where nothing is, got one that exists" in done.output
    assert files(here) == {there: b"precious"}


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", "../a", ".a", "a\x1bb", " a", "a\n[coordinator]", "x" * 250]
)
def test_a_name_that_is_no_name(here, name):
    done = run("keygen", "--", name)
    assert done.exit_code == 2
    assert "Error: " in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert files(here) == {}


def test_a_contact_that_has_no_place_in_the_file(here):
    done = run("keygen", "alice", "--contact", 'a"\n[coordinator]\n')
    assert done.exit_code == 2
    assert "contact" in done.output
    assert files(here) == {}


def test_a_folder_that_is_not_there(tmp_path):
    assert run("keygen", "alice", "--out", str(tmp_path / "no")).exit_code == 2


def test_it_needs_no_dask(tmp_path):
    """On a machine where neither is installed, the enrolment says nothing of them."""
    code = f"""
        import sys
        from importlib import metadata

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in ("dask", "distributed"):
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Missing())
        real = metadata.distributions
        missing = ("dask", "distributed")
        metadata.distributions = lambda **k: [] if k.get("name") in missing else real(**k)

        from dask_verify.evidence.enrolment.commands import enroll, keygen

        keygen(["alice", "--out", {str(tmp_path)!r}], standalone_mode=False)
        enroll([{str(tmp_path / "t")!r}, {str(tmp_path / "alice.toml")!r}], standalone_mode=False)
        assert not {{"dask", "distributed"}} & set(sys.modules)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (entry,) = load_trust(tmp_path / "t").entries
    assert "numpy" in entry.environment
    assert "dask" not in entry.environment


def test_the_same_for_programs(here):
    said = json.loads(make("alice", "--json"))
    assert said == {
        "name": "alice",
        "public_key": read_key("alice.key").public_key.hex(),
        "paths": {"key": "alice.key", "enrolment": "alice.toml"},
    }
    said = json.loads(run("enroll", "domains.toml", "alice.toml", "--json").stdout)
    assert said["trust"] == "domains.toml"
    assert [change["name"] for change in said["changes"]] == ["alice"]
    assert said["changes"][0]["change"].startswith("enrolled with key ")


# --- keygen --refresh -----------------------------------------------------------------------


def test_a_stale_enrolment_is_written_anew_for_the_same_key(here):
    """With the machine's software of today; what people wrote stays."""
    make("alice", "--contact", "alice@example.org", "--penalty", "1 EUR")
    key, entry = (here / "alice.key").read_bytes(), load_trust("alice.toml").entries[0]
    save_trust("alice.toml", Trust((replace(entry, environment={"python": "2"}),)))
    run("enroll", "domains.toml", "alice.toml")
    output = make("alice", "--refresh", "--penalty", "2 EUR")
    assert entry.public_key.hex() in output
    assert (here / "alice.key").read_bytes() == key
    assert load_trust("alice.toml").entries == (replace(entry, penalty="2 EUR"),)
    done = run("enroll", "domains.toml", "alice.toml")
    assert done.output == "alice: new penalty, environment\n"
    assert load_trust("domains.toml") == load_trust("alice.toml")


def test_a_lost_enrolment_comes_back(here):
    for name in ("alice", COORDINATOR):
        make(name)
        before = load_trust(f"{name}.toml")
        (here / f"{name}.toml").unlink()
        make(name, "--refresh")
        assert load_trust(f"{name}.toml") == before


def test_nothing_is_refreshed_that_is_not_of_the_key(here):
    done = run("keygen", "alice", "--refresh")
    assert done.exit_code == 2
    assert files(here) == {}
    for name in ("alice", "bob"):
        make(name)
    alice, bob = files(here)["alice.toml"], files(here)["bob.toml"]
    for other in (bob, alice.replace(alice[60:64], b"0000"), b"version = 7"):
        (here / "alice.toml").write_bytes(other)
        assert run("keygen", "alice", "--refresh").exit_code == 2
        assert (here / "alice.toml").read_bytes() == other
    (here / "carol.key").write_bytes((here / "bob.key").read_bytes())
    (here / "carol.key").chmod(0o600)
    done = run("keygen", "carol", "--refresh")
    assert "expected one of 'carol', got one of 'bob'" in done.output
    assert not (here / "carol.toml").exists()


# --- enroll ---------------------------------------------------------------------------------


def test_a_trust_file_grows(here):
    for name in ("alice", "bob", COORDINATOR):
        make(name)
    done = run("enroll", "domains.toml", "alice.toml", "coordinator.toml")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("alice: enrolled with key ")
    assert run("enroll", "domains.toml", "bob.toml").exit_code == 0
    trust = load_trust("domains.toml")
    assert [entry.name for entry in trust.entries] == ["alice", "bob"]
    assert trust.coordinator.public_key == read_key("coordinator.key").public_key


def test_twice_is_once(here):
    make("alice")
    run("enroll", "domains.toml", "alice.toml")
    before = os.stat("domains.toml"), files(here)
    done = run("enroll", "domains.toml", "alice.toml", "alice.toml")
    assert done.exit_code == 0
    assert done.output == "alice: nothing new\n" * 2
    assert (os.stat("domains.toml"), files(here)) == before


def test_new_words_of_the_same_key_are_taken(here):
    key = Identity.generate("alice").public_key
    save_trust("domains.toml", Trust((Entry("alice", key, "old", "1"),)))
    save_trust("alice.toml", Trust((Entry("alice", key, "new", "1", {"python": "3"}),)))
    assert run("enroll", "domains.toml", "alice.toml").output == (
        "alice: new contact, environment\n"
    )
    assert load_trust("domains.toml") == load_trust("alice.toml")


@pytest.mark.parametrize("name", ["alice", COORDINATOR])
def test_another_key_takes_a_name_only_with_replace(here, name):
    for folder in ("old", "new"):
        os.mkdir(folder)
        make(name, "--out", folder)
    make("bob")
    run("enroll", "domains.toml", f"old/{name}.toml")
    before = (here / "domains.toml").read_bytes()
    done = run("enroll", "domains.toml", "bob.toml", f"new/{name}.toml")
    assert done.exit_code == 2
    assert "that was enrolled before" in done.output
    assert (here / "domains.toml").read_bytes() == before
    done = run("enroll", "--replace", "domains.toml", "bob.toml", f"new/{name}.toml")
    assert done.exit_code == 0
    key = read_key(f"new/{name}.key").public_key
    assert f"replaced with {key.hex()}" in done.output
    assert load_trust("domains.toml").entry(name).public_key == key


def test_a_coordinator_with_the_key_of_a_domain_is_refused(here):
    key = Identity.generate("alice").public_key
    save_trust("alice.toml", Trust((Entry("alice", key),)))
    save_trust("boss.toml", Trust((), Entry(COORDINATOR, key)))
    done = run("enroll", "--coordinator", "domains.toml", "alice.toml", "boss.toml")
    assert done.exit_code == 2
    assert "expected a key of its own" in done.output
    assert not os.path.exists("domains.toml")


def test_an_enrolment_is_of_exactly_one(here):
    save_trust("none.toml", Trust())
    alice, bob = (Entry(name, Identity.generate(name).public_key) for name in ("alice", "bob"))
    save_trust("two.toml", Trust((alice, bob)))
    save_trust("both.toml", Trust((alice,), Entry(COORDINATOR, bob.public_key)))
    for name in ("none", "two", "both"):
        done = run("enroll", "domains.toml", f"{name}.toml")
        assert done.exit_code == 2
        assert "the enrolment of exactly one" in done.output
    assert not os.path.exists("domains.toml")


@pytest.mark.parametrize("bad", ["domains.toml", "alice.toml"])
def test_a_broken_file_is_an_error_and_stays_as_it_is(here, bad):
    make("alice")
    save_trust("domains.toml", Trust())
    (here / bad).write_text("version = 7")
    before = files(here)
    done = run("enroll", "domains.toml", "alice.toml")
    assert done.exit_code == 2
    assert f"{bad}, trust file.version: expected" in done.output
    assert files(here) == before


def test_a_missing_enrolment_creates_nothing(here):
    done = run("enroll", "domains.toml", "alice.toml")
    assert done.exit_code == 2
    assert "expected a file to read" in done.output
    assert run("enroll", "domains.toml").exit_code == 2
    assert files(here) == {}


def test_a_domains_file_makes_nobody_the_coordinator(here):
    """A file that says it is bob's names mallory as who signs receipts."""
    mallory = Entry(COORDINATOR, Identity.generate("mallory").public_key)
    save_trust("bob.toml", Trust((), mallory))
    done = run("enroll", "domains.toml", "bob.toml")
    assert done.exit_code == 2
    assert "bob.toml: expected the enrolment of a domain, got one of the coord" in done.output
    assert set(files(here)) == {"bob.toml"}
    assert run("enroll", "--coordinator", "domains.toml", "bob.toml").exit_code == 0
    assert load_trust("domains.toml").coordinator == mallory


def test_of_two_at_once_none_is_lost(here, monkeypatch):
    """A second `enroll` comes while the first has read the file, and not written it yet."""
    for name in ("alice", "bob"):
        make(name)
    meanwhile = []

    def save(path, trust):
        meanwhile.append(run("enroll", "domains.toml", "bob.toml"))
        save_trust(path, trust)

    monkeypatch.setattr("dask_verify.evidence.enrolment.trust.save_trust", save)
    assert run("enroll", "domains.toml", "alice.toml").exit_code == 0
    monkeypatch.undo()
    monkeypatch.chdir(here)
    (second,) = meanwhile
    assert second.exit_code == 2
    assert "expected no other `dask verify enroll` of this trust file" in second.output
    assert run("enroll", "domains.toml", "bob.toml").exit_code == 0
    assert [entry.name for entry in load_trust("domains.toml").entries] == ["alice", "bob"]
    assert not [name for name in files(here) if "lock" in name]


def test_a_lock_of_one_that_was_killed_says_what_to_do(here):
    make("alice")
    (here / ".domains.toml.lock").write_text("1")
    done = run("enroll", "domains.toml", "alice.toml")
    assert done.exit_code == 2
    assert f"remove {here / '.domains.toml.lock'}" in done.output
    assert (here / ".domains.toml.lock").exists()


def test_a_folder_that_cannot_be_written_to(here):
    make("alice")
    done = run("enroll", "no/such/folder/domains.toml", "alice.toml")
    assert done.exit_code == 2
    assert "expected a path to write to" in done.output
