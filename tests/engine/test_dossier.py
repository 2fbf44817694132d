"""Dossiers and pasts: a job is gone on with only where its decisions come out the same."""

from __future__ import annotations

import importlib
import os
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import dask.bag as db
import pytest

from dask_verify.core.canonical import decode, encode
from dask_verify.engine import dossier as module
from dask_verify.engine.dossier import Dossier, Past, Recorder, importing
from dask_verify.engine.graphs import source_digest, upstream
from dask_verify.engine.journal import Journal
from dask_verify.errors import JournalError
from dask_verify.execution.work import Work, ship, unship
from dask_verify.protocol.domain import COORDINATOR, Domain, Identity
from dask_verify.protocol.draws import seed_digest
from dask_verify.protocol.messages import MAP, Late, Run, Task
from dask_verify.protocol.policy import Policy
from dask_verify.protocol.recording import decisions, write_event
from dask_verify.protocol.terms import Terms

SEED = bytes(range(32))
ALICE, BOB = (Identity.generate(name) for name in ("alice", "bob"))
OWN = Identity.generate(COORDINATOR)


def made(**changes: Any) -> Dossier:
    source = upstream(db.from_sequence([1, 2, 3], npartitions=2))
    shipped = ship(Work("bag", str, sum, None, 2, 1, 1024))
    domains = tuple(Domain(i.name, i.public_key, {"python": "3"}) for i in (ALICE, BOB))
    terms = Terms(
        nonce=os.urandom(32),
        seed_digest=seed_digest(SEED),
        coordinator=OWN.public_key,
        policy=Policy(replicas=2),
        domains=tuple((d.name, d.public_key) for d in domains),
        functions=shipped.digest,
        sources=source_digest(source),
        maps=2,
        reduces=1,
        buckets=2,
        unit_records=1024,
    )
    own = OWN.private_bytes()
    what = (terms, domains, SEED, shipped, source, (), 30.0, datetime.now(UTC), own)
    return replace(Dossier(*what), **changes)


def test_a_dossier_is_read_as_it_was() -> None:
    dossier = made()
    again = Dossier.from_record(dossier.to_record())
    assert again.plan == dossier.plan
    assert again.terms == dossier.terms
    assert again.own_key is not None
    assert again.own_key.public_key == OWN.public_key
    assert again.source.keys == dossier.source.keys
    assert again.source._collection is None


def test_a_key_that_stays_elsewhere_is_not_in_it() -> None:
    dossier = made(coordinator=b"")
    assert OWN.private_bytes() not in dossier.to_record()
    assert Dossier.from_record(dossier.to_record()).own_key is None


OTHERS = {
    "functions": lambda: {"shipped": ship(Work("bag", int, sum, None, 2, 1, 1024))},
    "seed": lambda: {"seed": bytes(32)},
    "domains": lambda: {"domains": (Domain("bob", BOB.public_key),)},
    "sources": lambda: {"terms": replace(made().terms, sources=bytes(32))},
}  # fmt: skip


@pytest.mark.parametrize("what", OTHERS)
def test_what_the_job_id_binds_cannot_be_exchanged(what: str) -> None:
    record = made(**OTHERS[what]()).to_record()
    with pytest.raises(JournalError, match=f"journal, {what}: expected"):
        Dossier.from_record(record)


def test_another_job_id_is_refused() -> None:
    kind, form, version, _, pickled = decode(made().to_record())
    with pytest.raises(JournalError, match="journal, job: expected"):
        Dossier.from_record(encode((kind, form, version, bytes(32), pickled)))


def test_another_version_is_refused_before_anything_is_unpickled() -> None:
    kind, form, _, job, _ = decode(made().to_record())
    with pytest.raises(JournalError, match=r"got one of 0\.0\.1; resume it with that version"):
        Dossier.from_record(encode((kind, form, "0.0.1", job, b"no pickle")))


def test_another_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    record = made().to_record()
    here = module.environment() | {"numpy": "0.1", "simd": "none"}
    monkeypatch.setattr(module, "environment", lambda: here)
    with pytest.raises(JournalError, match="got another numpy, simd"):
        Dossier.from_record(record)


def test_functions_that_cannot_be_imported_are_named_with_what_to_do(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wc.py").write_text("def mapper(number):\n    return [number]\n")
    with monkeypatch.context() as there:
        there.syspath_prepend(str(tmp_path))
        wc = importlib.import_module("wc")
        shipped = ship(Work("bag", wc.mapper, sum, None, 2, 1, 1024))
        source = upstream(db.from_sequence([1, 2], npartitions=2).map(wc.mapper))
        record = made(shipped=shipped, source=source).to_record()
    monkeypatch.delitem(sys.modules, "wc")
    words = r"expected module 'wc', which its job needs, .* PYTHONPATH"
    with pytest.raises(JournalError, match=words):
        Dossier.from_record(record)
    with pytest.raises(JournalError, match=words), importing():
        unship(shipped.data)
    # Another module of that name may be there.
    monkeypatch.setitem(sys.modules, "wc", ModuleType("wc"))
    with pytest.raises(JournalError, match=r"expected the functions, .* got AttributeError"):
        Dossier.from_record(record)


@pytest.mark.parametrize("record", [b"", b"x", encode(5), encode(("job",)), encode(("job", "v0"))])
def test_what_is_no_dossier_is_refused(record: bytes) -> None:
    with pytest.raises(JournalError):
        Dossier.from_record(record)


TASK = Task(MAP, 0)
LATE = Late(TASK, "alice", bytes(32), "late")


def test_a_past_has_what_was_recorded(tmp_path: Any) -> None:
    dossier, path = made(), tmp_path / "journal"
    recorder = Recorder(Journal.create(path))
    recorder.begin(dossier)
    plan = dossier.plan
    job = Past.none(plan).state
    late = replace(LATE, inputs=plan.map_inputs(0))
    recorder.happened(late, job.handle(late))
    recorder.found_at(TASK, "bob", "tcp://10.0.0.1:1", 7)
    recorder.found_at(Task(MAP, 1), "bob", "tcp://10.0.0.1:1", 5)
    recorder.sync()
    recorder.close()
    journal, records = Journal.reopen(path)
    Recorder(journal).resumed()
    journal.close()
    past = Past.read(Dossier.from_record(records[0]).plan, records[1:])
    assert past.places[0] == (TASK, "bob", "tcp://10.0.0.1:1")
    assert past.spent == Counter(bob=12)
    assert past.state.reasons == {"alice": "map partition 0: late"}
    owed = {(i.task, i.domain) for i in past.owed if isinstance(i, Run)}
    assert owed == {(TASK, "bob"), (Task(MAP, 1), "alice"), (Task(MAP, 1), "bob")}
    assert past.epoch == 0
    journal, records = Journal.reopen(path)
    journal.close()
    assert Past.read(plan, records[1:]).epoch == 1


@pytest.mark.parametrize(
    "record",
    [
        b"",
        encode(5),
        encode(("other",)),
        encode(("event", b"", b"")),
        encode(("event", b"12345678", write_event(LATE)[:-1])),
        encode(("event", decisions([]), encode(("Late", ())))),
        encode(("place", "map", "0", "bob", "tcp://x", 1)),
    ],
)
def test_what_is_no_record_is_refused(record: bytes) -> None:
    with pytest.raises(JournalError, match="journal: "):
        Past.read(made().plan, [record])


def test_without_a_journal_nothing_is_written() -> None:
    recorder = Recorder()
    recorder.happened(LATE, [])
    recorder.found_at(TASK, "bob", "here", 1)
    recorder.sync()
    recorder.close()
    assert not recorder.keeps
