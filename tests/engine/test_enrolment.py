from __future__ import annotations

import gc
import logging
import weakref
from types import SimpleNamespace

import dask
import pytest

from dask_verify.engine.domainpool import TIMEOUT
from dask_verify.engine.enrolment import coordinator_of, domains_of, enrol, enrolled
from dask_verify.errors import InputError, TrustError
from dask_verify.evidence.enrolment.keys import write_key
from dask_verify.evidence.enrolment.trust import Entry, Trust, save_trust
from dask_verify.protocol.domain import COORDINATOR, Domain, Identity

ALICE, BOB, BOSS = (Identity.generate(name) for name in ("alice", "bob", COORDINATOR))
ENTRIES = tuple(Entry(i.name, i.public_key, environment={"python": "3"}) for i in (ALICE, BOB))
OPEN = Trust(ENTRIES)
NAMED = Trust(ENTRIES, Entry(COORDINATOR, BOSS.public_key))


class Client:
    asynchronous = False
    status = "closed"


@pytest.fixture
def key(tmp_path):
    write_key(tmp_path / "boss.key", BOSS)
    return tmp_path / "boss.key"


@pytest.fixture
def file(tmp_path):
    save_trust(tmp_path / "trust.toml", NAMED)
    return tmp_path / "trust.toml"


def domain(name):
    return Domain(name, Identity.generate(name).public_key, {})


def test_nobody_is_enrolled_by_default():
    assert enrolled(Client()) is None


def test_domains_belong_to_their_client_and_keep_their_order():
    one, other = Client(), Client()
    domains = domain("bob"), domain("alice")
    enrol(one, iter(domains))
    assert enrolled(one) == domains
    assert enrolled(other) is None


@pytest.mark.parametrize("names", [[], ["alice", "alice"]])
def test_refused(names):
    client = Client()
    with pytest.raises(InputError):
        enrol(client, [domain(name) for name in names])
    assert enrolled(client) is None


def test_an_enrolment_keeps_no_client_alive():
    client = Client()
    enrol(client, [domain("alice")])
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None


# --- trust files and the coordinator's key --------------------------------------------------


def test_a_trust_file_enrols_its_domains(file, key):
    for trust in (file, str(file), NAMED):
        client = Client()
        enrol(client, trust=trust, coordinator=key)
        assert enrolled(client) == NAMED.domains
        assert [d.environment for d in enrolled(client)] == [{"python": "3"}] * 2


@pytest.mark.parametrize(
    "arguments", [{}, {"domains": OPEN.domains, "trust": OPEN}, {"domains": [], "trust": OPEN}]
)
def test_domains_or_a_trust_file(arguments):
    with pytest.raises(InputError, match="one of the two"):
        enrol(Client(), **arguments)


def test_a_trust_file_without_domains_enrols_nobody():
    client = Client()
    with pytest.raises(InputError, match="at least one"):
        enrol(client, trust=Trust())
    assert enrolled(client) is None


@pytest.mark.parametrize("trust", ["/no/such/file", "/dev/zero", 7])
def test_what_is_no_trust_file(trust):
    with pytest.raises((InputError, TrustError)):
        enrol(Client(), trust=trust)


def test_without_a_key_the_coordinator_signs_with_one_of_this_process():
    client, other = Client(), Client()
    enrol(client, trust=OPEN)
    identity = coordinator_of(client)
    assert identity.name == COORDINATOR
    assert coordinator_of(other) is identity is coordinator_of({"alice": client, "bob": other})


def test_the_key_may_be_given_or_configured(key):
    given, configured = Client(), Client()
    enrol(given, trust=OPEN, coordinator=BOSS)
    assert coordinator_of(given) is BOSS
    with dask.config.set({"verify.coordinator-key": str(key)}):
        enrol(configured, trust=NAMED)
        assert coordinator_of(configured).public_key == BOSS.public_key
        other = Identity.generate(COORDINATOR)
        enrol(given, trust=OPEN, coordinator=other)
        assert coordinator_of(given) is other


def test_where_a_trust_file_names_a_coordinator_nobody_else_signs(key):
    client = Client()
    for other in (None, Identity.generate(COORDINATOR)):
        with pytest.raises(InputError, match=r"expected the key .* that the trust file names"):
            enrol(client, trust=NAMED, coordinator=other)
    assert enrolled(client) is None
    with dask.config.set({"verify.coordinator-key": str(key)}):
        enrol(client, trust=NAMED)
    # The configuration of the moment in which something is signed is what counts.
    with pytest.raises(InputError, match="that the trust file names"):
        coordinator_of(client)


def test_a_key_of_a_domain_is_no_coordinators(tmp_path):
    write_key(tmp_path / "alice.key", ALICE)
    for wrong in (ALICE, tmp_path / "alice.key"):
        with pytest.raises(InputError, match="expected a key named 'coordinator', got one of 'al"):
            enrol(Client(), trust=OPEN, coordinator=wrong)
    with pytest.raises(InputError, match="expected a path, got int"):
        enrol(Client(), trust=OPEN, coordinator=7)


def test_a_key_that_others_may_read_is_refused(key):
    key.chmod(0o644)
    with pytest.raises(InputError, match="0644"):
        enrol(Client(), trust=OPEN, coordinator=key)


def test_clients_of_one_job_have_one_coordinator():
    one, other = Client(), Client()
    enrol(one, trust=OPEN, coordinator=BOSS)
    enrol(other, trust=OPEN, coordinator=Identity.generate(COORDINATOR))
    assert coordinator_of({"alice": one, "bob": one}) is BOSS
    with pytest.raises(InputError, match="one coordinator among them"):
        coordinator_of({"alice": one, "bob": other})


# --- the configuration ----------------------------------------------------------------------


def test_an_enrolment_goes_before_the_configuration(file):
    client = Client()
    enrol(client, [domain("carol")])
    with dask.config.set({"verify.trust": str(file)}):
        assert [d.name for d in domains_of(client)] == ["carol"]
        assert [d.name for d in domains_of(Client())] == ["alice", "bob"]


def test_with_a_client_for_each_domain_each_is_for_its_own(file):
    client = Client()
    enrol(client, trust=OPEN)
    assert [d.name for d in domains_of(client, "bob")] == ["bob"]
    assert domains_of(client, "carol") == ()
    assert domains_of(Client(), "bob") == ()
    with dask.config.set({"verify.trust": str(file)}):
        assert [d.name for d in domains_of(Client(), "bob")] == ["bob"]


def test_a_configured_trust_file_names_the_coordinator_too(file, key):
    with dask.config.set({"verify.trust": str(file)}):
        with pytest.raises(InputError, match="that the trust file names"):
            coordinator_of(Client())
        with dask.config.set({"verify.coordinator-key": str(key)}):
            assert coordinator_of(Client()).public_key == BOSS.public_key


def test_a_client_whose_loop_has_ended_is_not_waited_for(file):
    """Dask then waits without an end, or raises what it does not name."""

    ends = []

    class Ending(Client):
        status = "running"
        scheduler = SimpleNamespace(address="tcp://there")

        def sync(self, function, *args, callback_timeout):
            ends.append(callback_timeout)
            raise UnboundLocalError("result")

    with (
        dask.config.set({"verify.trust": str(file)}),
        pytest.raises(ConnectionError, match="cancelled"),
    ):
        domains_of(Ending())
    assert ends == [TIMEOUT + 5, TIMEOUT]


def test_a_configured_path_may_start_at_home(file, monkeypatch):
    monkeypatch.setenv("HOME", str(file.parent))
    with dask.config.set({"verify.trust": "~/trust.toml"}):
        assert len(domains_of(Client())) == 2


def test_a_configured_trust_file_that_is_none_is_an_error(tmp_path):
    with (
        dask.config.set({"verify.trust": str(tmp_path / "nothing")}),
        pytest.raises(TrustError, match="a file to read"),
    ):
        domains_of(Client())


@pytest.mark.parametrize("trust", [OPEN, NAMED])
def test_a_trust_file_that_checks_no_receipt_is_told_of(trust, key, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("distributed"), "propagate", True)
    enrol(Client(), trust=trust, coordinator=key)
    enrol(Client(), OPEN.domains)
    assert caplog.text.count("receipts cannot be checked with it") == (trust is OPEN)
    assert ("dask verify enroll TRUSTFILE coordinator.toml" in caplog.text) == (trust is OPEN)
