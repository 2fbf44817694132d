"""The gate's decisions, on plain messages; what it does to a real scheduler is in tests/attacks."""

from __future__ import annotations

import asyncio
import ssl
import tracemalloc
import zlib
from types import SimpleNamespace

import msgpack
import pytest
import trustme
from cryptography import x509
from distributed.comm.registry import backends
from distributed.protocol import core
from distributed.protocol.serialize import Serialize, Serialized, serialize

from dask_verify import scheduler
from dask_verify.engine import hearing, transport
from dask_verify.engine.compat import bytes_alone, without_pickles
from dask_verify.engine.gate import Gate, canonical
from dask_verify.engine.hearing import REFUSED, Visitor, answered
from dask_verify.errors import GateError, InputError

HERE, THERE = "tls://10.0.0.1:1", "tls://10.0.0.2:2"
AUTHORITIES = {name: trustme.CA(organization_name="the same") for name in ("alice", "coordinator")}


def certificate(authority):
    return x509.load_pem_x509_certificate(authority.cert_pem.bytes())


def issued(authority, **names):
    pem = authority.issue_cert("a.example", **names).cert_chain_pems[0].bytes()
    return ssl.PEM_cert_to_DER_cert(pem.decode())


@pytest.fixture
def gate():
    made = Gate({name: certificate(authority) for name, authority in AUTHORITIES.items()})
    there = SimpleNamespace(tasks={})
    made.start(there, ["alice"])
    made._places |= {HERE: "alice", THERE: "bob"}
    return made


@pytest.fixture(autouse=True)
def transports():
    """Put back what a test installs for the whole process."""
    before = backends["tls"]
    yield
    backends["tls"] = before


# --- whose a certificate is ---------------------------------------------------------------------


def test_whoever_signed_a_certificate_says_whose_it_is(gate):
    """Names in it say nothing: authorities call themselves, and others, what they like."""
    for name, authority in AUTHORITIES.items():
        assert gate.identify(issued(authority)) == name
        assert gate.identify(issued(authority, common_name="coordinator")) == name


def test_whatever_no_authority_signed_itself_is_nobodys(gate):
    alike = trustme.CA(organization_name="the same")
    assert gate.identify(issued(alike)) is None
    assert gate.identify(issued(AUTHORITIES["alice"].create_child_ca())) is None
    for nothing in (None, b"", b"\x30\x00"):
        assert gate.identify(nothing) is None


def test_an_authority_may_be_the_only_certificate_of_a_domain(gate):
    assert gate.identify(ssl.PEM_cert_to_DER_cert(AUTHORITIES["alice"].cert_pem.bytes().decode()))


def test_two_names_with_one_authority_are_refused():
    """Else what one may do, the other may: the coordinator, say."""
    same = certificate(AUTHORITIES["alice"])
    with pytest.raises(InputError, match="keys of their own"):
        Gate({"alice": same, "coordinator": same})


def test_a_gate_needs_the_coordinators_authority():
    with pytest.raises(InputError, match="'coordinator'"):
        Gate({"alice": certificate(AUTHORITIES["alice"])})


@pytest.mark.parametrize("domains", [[], ["alice", "bob"], ["bob"]])
def test_every_domain_has_an_authority_and_nobody_else(gate, domains):
    with pytest.raises(InputError, match="expected an authority of each of"):
        gate.start(SimpleNamespace(), domains)


# --- what is said -------------------------------------------------------------------------------


def heard(gate, *messages, registered=True):
    """Return what a scheduler hears of a worker of alice's."""
    visitor = Visitor(gate, "alice")
    visitor._worker = HERE if registered else None
    return asyncio.run(visitor.heard(messages if registered else messages[0]))


@pytest.mark.parametrize(
    "message", [5, None, "text", {}, {"op": 1}, {"op": None}, {"op": "gather"}]
)
def test_what_is_no_request_of_a_worker_is_refused(gate, message):
    with pytest.raises(GateError, match="expected one of"):
        heard(gate, message, registered=False)


def test_only_a_nanny_that_arrived_ends_with_a_status(gate, monkeypatch):
    async def visit(address, domain):
        return address

    monkeypatch.setattr(gate, "visit", visit)
    visitor = Visitor(gate, "alice")
    with pytest.raises(GateError):
        asyncio.run(visitor.heard({"status": "ok"}))
    asyncio.run(visitor.heard({"op": "register_nanny", "address": HERE}))
    assert asyncio.run(visitor.heard({"status": "ok"})) == {"status": "ok"}


@pytest.fixture
def visited(gate, monkeypatch):
    """A gate that finds whoever is said to be somewhere, and connects to nobody."""

    async def visit(address, domain):
        if gate.domain_at(canonical(address)) != domain:
            raise GateError(f"expected {domain!r} at {address}")
        return canonical(address)

    monkeypatch.setattr(gate, "visit", visit)
    return gate


def registering(**claims):
    usual = {"op": "register-worker", "address": HERE, "resources": {"domain:alice": 1}, "name": 0}
    return usual | claims


@pytest.mark.parametrize("claims", [{}, {"name": HERE}, {"name": "alice"}, {"nanny": HERE}])
def test_a_worker_of_the_domain_is_let_in(visited, claims):
    visitor = Visitor(visited, "alice")
    assert asyncio.run(visitor.heard(registering(**claims)))["address"] == HERE
    assert visitor.streaming


@pytest.mark.parametrize(
    "claims",
    [
        {"address": THERE},
        {"address": None},
        {"address": "10.0.0.1:1"},
        {"nanny": THERE},
        {"nanny": ""},
        {"name": THERE},
        {"resources": None},
        {"resources": {}},
        {"resources": {"domain:bob": 1}},
        {"resources": {"domain:alice": 1, "domain:bob": 1}},
        {"metrics": Serialize(1)},
    ],
)
def test_any_other_worker_is_not(visited, claims):
    visitor = Visitor(visited, "alice")
    with pytest.raises(GateError):
        asyncio.run(visitor.heard(registering(**claims)))
    assert not visitor.streaming


@pytest.mark.parametrize(
    "message",
    [
        {"op": "heartbeat_worker", "address": THERE},
        {"op": "unregister", "address": THERE},
        {"op": "unregister"},
        {"op": "retire_workers", "workers": [HERE, THERE]},
        {"op": "retire_workers", "workers": []},
        {"op": "retire_workers", "workers": HERE},
        {"op": "retire_workers", "workers": [HERE], "names": ["bob"]},
        {"op": "retire_workers"},
        {"op": "register_nanny", "address": THERE},
    ],
)
def test_a_request_is_about_the_domains_own(visited, message):
    with pytest.raises(GateError):
        heard(visited, message, registered=False)


def test_what_a_worker_requests_is_passed_on(visited):
    for message in (
        {"op": "heartbeat_worker", "address": HERE, "metrics": {}},
        {"op": "retire_workers", "workers": [HERE]},
        {"op": "close", "reply": False},
    ):
        assert heard(visited, dict(message), registered=False) == message


@pytest.mark.parametrize("message", [5, "text", {}, {"op": 1}, {"op": "update-graph"}])
def test_what_a_worker_does_not_say_is_refused(gate, message):
    with pytest.raises(GateError, match="expected what a worker says"):
        heard(gate, {"op": "keep-alive"}, message)


def test_a_worker_is_itself(gate):
    said = {"op": "worker-status-change", "status": "paused"}
    assert heard(gate, said) == [said | {"worker": HERE}]
    with pytest.raises(GateError, match="worker-status-change: expected of tls"):
        heard(gate, said | {"worker": THERE})


def task(domain=None, who_has=(), processing_on=None):
    at = [SimpleNamespace(address=address) for address in who_has]
    on = processing_on and SimpleNamespace(address=processing_on)
    annotations = {} if domain is None else {"verify_domain": domain}
    return SimpleNamespace(annotations=annotations, who_has=at, processing_on=on)


@pytest.mark.parametrize(
    ("concerned", "about"),
    [
        (True, None),
        (True, task("alice")),
        (True, task("alice", who_has=[THERE])),
        (False, task("bob")),
        (False, task("bob", who_has=[HERE])),
        (True, task()),
        (True, task(who_has=[HERE, THERE])),
        (True, task(processing_on=HERE)),
        (False, task(who_has=[THERE])),
        (False, task(processing_on=THERE)),
    ],
)
def test_a_domain_is_concerned_with_its_own_tasks(gate, concerned, about):
    gate._scheduler.tasks = {} if about is None else {"x": about}
    assert gate.concerns("x", "alice") is concerned
    message = {"op": "task-finished", "key": "x", "type": b"pickle", "worker": HERE}
    assert heard(gate, message) == ([message | {"type": None}] if concerned else [])
    kept = ["x"] if concerned else []
    assert heard(gate, {"op": "add-keys", "keys": ["x"]})[0]["keys"] == kept


def test_what_is_no_key_concerns_nobody(gate):
    assert not gate.concerns({}, "alice")


def test_an_exception_is_text(gate):
    message = {"op": "task-erred", "key": "x", "exception": Serialize(1), "traceback": Serialize(2),
               "exception_text": "no" * 10_000}  # fmt: skip
    (said,) = heard(gate, message)
    assert said["exception"] == "no" * 5_000
    assert said["traceback"] is None


def test_a_pickle_is_refused_before_it_is_decompressed():
    bomb = zlib.compress(bytes(1 << 20))
    about = {"pickled-obj": b"", "num-sub-frames": 1, "compression": ["zlib"]}
    frames = [msgpack.dumps({"op": {"__Pickled__": 1}}), msgpack.dumps(about), bomb]
    tracemalloc.start()
    try:
        with without_pickles(), pytest.raises(GateError, match="plain values"):
            core.loads(frames, deserialize=False)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [Serialize(1), {1, 2}, Serialized({}, [])])
def test_only_plain_values_are_heard(gate, value):
    with pytest.raises(GateError, match="plain values"):
        heard(gate, {"op": "log-event", "topic": "mine", "msg": value})
    with pytest.raises(GateError, match="plain values"):
        heard(gate, {"op": "log_event", "topic": "mine", "msg": value}, registered=False)


@pytest.mark.parametrize("topic", ["print", "warn"])
def test_nothing_is_said_where_clients_listen_by_themselves(gate, topic):
    """They print it, or unpickle bytes that are in it."""
    assert heard(gate, {"op": "log-event", "topic": topic, "msg": b"x"}) == []
    with pytest.raises(GateError, match="another topic"):
        heard(gate, {"op": "log_event", "topic": topic, "msg": b"x"}, registered=False)
    event = {"op": "log-event", "topic": "mine", "msg": b"x"}
    assert heard(gate, event) == [event | {"worker": HERE}]


@pytest.mark.parametrize("address", [None, 5, "", "alice", "tcp://10.0.0.1:1", "tls://", b"x"])
def test_what_is_no_address(address):
    with pytest.raises(GateError, match="expected a tls:// address"):
        canonical(address)


# --- what is answered ---------------------------------------------------------------------------


def test_a_result_is_bytes_under_a_header_of_our_own():
    header, frames = serialize(b"result")
    evil = Serialized(header | {"type-serialized": b"a pickle"}, frames)
    clean = bytes_alone(evil)
    assert clean.header["type-serialized"] == header["type-serialized"]
    assert b"".join(clean.frames) == b"result"


@pytest.mark.parametrize(
    "value",
    [
        Serialized(*serialize((b"several",))),
        Serialized(*serialize({"a": object})),
        Serialized({"serializer": "pickle", "type": "bytes"}, [b"x"]),
        Serialized(serialize(b"x")[0] | {"compression": ("zstd",)}, [b"x"]),
        "text",
        None,
    ],
)
def test_any_other_result_is_refused(value):
    with pytest.raises(GateError, match="expected the bytes"):
        bytes_alone(value)
    assert answered({"status": "OK", "data": {"x": value}})["data"] == {"x": REFUSED}


def test_whoever_gathers_what_was_refused_gets_an_error(gate):
    async def gather(keys):
        return {"status": "OK", "data": {"x": REFUSED, "y": b"y"}}

    with pytest.raises(GateError, match=r"got something else of 'x'"):
        asyncio.run(hearing._without_refused(gather)(keys=["x"]))


def test_an_error_of_a_worker_is_text():
    error = {"status": "uncaught-error", "exception_text": "no", "exception": Serialize(1)}
    assert answered(error)["exception"] == "no"


@pytest.mark.parametrize("answer", [Serialize(1), {"a": Serialize(1)}, [Serialized({}, [])], {1}])
def test_any_other_answer_is_plain(answer):
    assert answered({"a": [1, b"x"]}) == {"a": [1, b"x"]}
    with pytest.raises(GateError, match="plain values"):
        answered(answer)


# --- where it stands ----------------------------------------------------------------------------


def listening(listener, jupyter=False):
    return SimpleNamespace(listeners=[listener], jupyter=jupyter)


def test_a_gate_is_installed_once_for_the_same_authorities(gate):
    again = Gate(gate.authorities)
    assert transport.install(gate) is gate
    assert transport.install(again) is gate
    listener = backends["tls"]._listener_class
    transport.check_gated(listening(SimpleNamespace(gate=listener.gate)), gate)
    other = Gate({"coordinator": certificate(AUTHORITIES["coordinator"])})
    assert transport.install(other) is other


def test_a_scheduler_that_can_be_reached_beside_the_gate_does_not_start(gate):
    beside = SimpleNamespace(listen_address="tcp://10.0.0.9:8786")
    with pytest.raises(InputError, match="listens behind its gate alone, got tcp://10"):
        transport.check_gated(listening(beside), gate)
    with pytest.raises(InputError, match="jupyter"):
        transport.check_gated(listening(SimpleNamespace(gate=gate), jupyter=True), gate)


def test_options_that_are_no_authorities_are_usage_errors(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(AUTHORITIES["coordinator"].cert_pem.bytes() * 2)
    one = tmp_path / "one.pem"
    one.write_bytes(AUTHORITIES["coordinator"].cert_pem.bytes())
    trust = tmp_path / "domains.toml"
    trust.write_text("version = 1\n[[domain]]\nname = 'alice'\npublic-key = '" + "00" * 32 + "'\n")
    for texts, message in [
        (["alice"], "expected NAME=FILE"),
        ([f"coordinator={path}"], "expected one certificate in PEM"),
        ([f"coordinator={trust}"], "expected one certificate in PEM"),
        ([f"coordinator={one}"] * 2, "expected one authority a name"),
        ([f"alice={one}"], "expected an authority of 'coordinator'"),
        (["coordinator=/nowhere"], "a file to read"),
    ]:
        options = [option for text in texts for option in ("--authority", text)]
        with pytest.raises(SystemExit, match=message):
            scheduler.dask_setup.make_context("dask_setup", [*options])
