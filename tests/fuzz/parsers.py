"""Every parser that is given somebody else's bytes: how it is called, and how it may refuse.

A parser raises an error of the package's own, one of those that its documentation names; or it
refuses without a word, where whoever asks treats all that is wrong alike. All else is a defect.
"""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import seeds

from dask_verify.core import canonical
from dask_verify.core.audits import Columns
from dask_verify.core.merkle import (
    BLAKE3,
    descend,
    verify_descendants,
    verify_inclusion,
    verify_leaves,
    verify_range,
)
from dask_verify.core.seal import Answer, Commitment, Opening, asked_columns
from dask_verify.engine import answers as task_answers
from dask_verify.engine.exhibits import Kept
from dask_verify.engine.tasks import Order
from dask_verify.errors import (
    DataError,
    DecodingError,
    DescentError,
    EvidenceError,
    InputError,
    ProofError,
    SignatureError,
    TrustError,
    VerifyError,
)
from dask_verify.evidence import envelope
from dask_verify.evidence.data import read_data, read_json_lines, read_parquet
from dask_verify.evidence.enrolment.keys import read_key
from dask_verify.evidence.enrolment.texts import name_flaw, quoted, safe, text_flaw
from dask_verify.evidence.enrolment.trust import Trust, load_trust
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.evidence.exhibits.showing import show
from dask_verify.evidence.exhibits.work import Bound, _texts_in
from dask_verify.evidence.loading import load
from dask_verify.evidence.receipts.checking import check_receipt
from dask_verify.evidence.receipts.reading import read_receipt
from dask_verify.evidence.statement import read_statement
from dask_verify.protocol import answers, closing
from dask_verify.protocol.quorum import CONTEXT, admit
from dask_verify.protocol.records import compare_leaves
from dask_verify.protocol.serving import Reply, accused, convicts, requested, unwrap

Seeds = Callable[[], list[bytes]]


@dataclass(frozen=True)
class Parser:
    """One parser.

    Parameters
    ----------
    call : callable
        Takes the bytes; also uses what it made of them, as the package does.
    seeds : callable
        Returns valid input.
    errors : tuple of exception classes
        What it may raise; none where it refuses without a word.
    form : {"canonical", "json", "lines", "octets"}
        What the bytes are, for whoever changes them with some sense.
    valid : str
        What comes of valid input: ``"accepted"``, unless it is not enough for that here.
    """

    call: Callable[[bytes], Any]
    seeds: Seeds
    errors: tuple[type[VerifyError], ...]
    form: str = "canonical"
    valid: str = "accepted"


def one(make: Callable[[], bytes]) -> Seeds:
    return lambda: [make()]


# --- proofs: the arguments of a check, as plain values ----------------------------------------


def arguments(data: bytes, number: int) -> tuple[Any, ...]:
    """Return what somebody claims, of any types that there are."""
    said = canonical.decode(data)
    if not isinstance(said, tuple) or len(said) != number:
        raise DecodingError("no arguments")
    return said


def inclusion(data: bytes) -> None:
    index, size, leaf, proof, root = arguments(data, 5)
    verify_inclusion(BLAKE3, index, size, leaf, proof, root)


def proven_range(data: bytes) -> None:
    verify_range(BLAKE3, *arguments(data, 6))


def multiproof(data: bytes) -> None:
    verify_leaves(BLAKE3, *arguments(data, 5))


def below(data: bytes) -> None:
    verify_descendants(BLAKE3, *arguments(data, 6))


def descent(data: bytes) -> None:
    """Descend two trees, of which one side answers what somebody made up."""
    size, _, _, depth, hashes, root = arguments(data, 6)
    search = descend(BLAKE3, size, root, bytes(32), depth)
    answer: Any = None
    for _ in range(200):
        try:
            next(search) if answer is None else search.send(answer)
        except StopIteration:
            return
        answer = hashes


# --- records ----------------------------------------------------------------------------------


def commitment(data: bytes) -> None:
    made = Commitment.from_bytes(data)
    assert made.to_bytes() == data
    assert len(made.digest + made.rest) == 64
    made.of("bob").to_bytes()


def opening(data: bytes) -> None:
    Opening.from_bytes(data).proven()


def columns(data: bytes) -> None:
    made = Columns.from_bytes(data)
    made.verify(asked_columns(seeds.COMMITMENT, (1,), "alice"))
    made.of(1)


def answer(data: bytes) -> None:
    assert Answer.from_bytes(data).statement()


def reply(data: bytes) -> None:
    got = Reply.from_bytes(data, seeds.REQUESTS)
    assert len(got.believed) == len(got.openings)
    assert got.moved >= 0
    if got.wrong is not None:
        convicts(got.evidence(got.wrong), seeds.REQUESTS[got.wrong], seeds.DOMAINS["alice"])


def signed_commitment(payload: bytes) -> None:
    """A domain signs whatever it likes."""
    wire = canonical.encode((payload, seeds.ALICE.sign(CONTEXT, payload)))
    claim(wire)


def claim(wire: bytes) -> None:
    admit(wire, seeds.TASK, seeds.JOB, seeds.INPUTS, seeds.DOMAINS["alice"])


def audit_answer(wire: bytes) -> None:
    event = seeds.audited(wire)
    made = answers.admit(event, seeds.JOB, seeds.DOMAINS)
    answers.objection(event, made, seeds.COMMITMENT)


def served(handler: str) -> Callable[[bytes], object]:
    """A worker's handler: it answers with bytes, or with none."""

    def call(data: bytes) -> object:
        found: Any = getattr(seeds.worker(), handler)(data)
        found = asyncio.run(found) if handler == "close" else found
        assert type(found) is bytes
        return found

    return call


def read_nodes(data: bytes) -> object:
    return seeds.reader(data).nodes(seeds.REQUESTS[0], 2, 0, 2)


def read_columns(data: bytes) -> object:
    return seeds.reader(data).columns(asked_columns(seeds.COMMITMENT, (1,), "alice"), "audits")


def read_sections(data: bytes) -> object:
    return seeds.reader(data).open(seeds.REQUESTS[0], "results")


def fed(data: bytes) -> object:
    """A whole job that is sent this for its task: it goes on."""
    from script import M0, Script

    script = Script("alice", "bob")
    script.wire(M0, "alice", data)
    assert script.ended is None
    return script.job.tasks()


# --- evidence ---------------------------------------------------------------------------------


def receipt(payload: bytes) -> None:
    """Whoever has the coordinator's key can sign anything."""
    data = envelope.seal(payload, seeds.receipt_signer())
    check_receipt(data, seeds.receipt_trust(), min_audit=0.0)


def exhibit(payload: bytes) -> None:
    signer = seeds.exhibit_signer()
    found = Exhibit.from_bytes(envelope.seal(payload, signer), signer.public_key)
    assert show(found)


def unsigned_exhibit(data: bytes) -> None:
    Exhibit.from_bytes(data)


def kept(data: bytes) -> None:
    Kept.from_bytes(data, seeds.TASK, seeds.kept_shape())


def texts(data: bytes) -> None:
    """Names and texts of an enrolment, also such as have no UTF-8 form."""
    text = data.decode(errors="surrogateescape")
    assert safe(text).isprintable()
    for flaw in (name_flaw(text), text_flaw(text)):
        if flaw is not None:
            raise InputError(f"expected {flaw[0]}, got {flaw[1]}")
    assert quoted(text).encode()


def in_file(use: Callable[[Path], object], name: str = "file") -> Callable[[bytes], object]:
    """A parser of a file at a path."""

    def call(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            path.write_bytes(data)
            os.chmod(path, 0o600)
            return use(path)

    return call


def parquet(data: bytes) -> None:
    limit = 8 * len(data) + (1 << 20)
    read_parquet(io.BytesIO(data), seeds.FRAME.iloc[:0], len(seeds.FRAME), limit)


def lines(data: bytes) -> None:
    read_json_lines(io.BytesIO(data), 1000, 1 << 16)


def loaded(path: Path) -> object:
    """`load` of a result with a receipt that somebody made up."""
    return load(path.parent / "r.jsonl", trust=seeds.TRUST, receipt=path)


def enveloped(make: Callable[[], bytes], signer: Callable[[], Any]) -> Seeds:
    return lambda: [envelope.seal(make(), signer())]


def leaves(data: bytes) -> None:
    canonical.decode_frames([data, *seeds.frames()[:1], data])


D, P, S, E, T = DecodingError, ProofError, SignatureError, EvidenceError, TrustError

PARSERS = {
    # Canonical bytes.
    "value": Parser(canonical.decode, seeds.values, (D,)),
    "plain-value": Parser(canonical.decode_plain, lambda: seeds.values()[:3], (D,)),
    "records": Parser(canonical.decode_records, seeds.records, (D,)),
    "table": Parser(canonical.decode_table, seeds.tables, (D,)),
    "frame": Parser(canonical.decode_frame, seeds.frames, (D,)),
    "frames": Parser(leaves, seeds.frames, (D,)),
    "leaf": Parser(canonical.decode_leaf, lambda: seeds.frames() + seeds.records(), (D,)),
    "shown-leaf": Parser(lambda data: compare_leaves(data, seeds.frames()[0]), seeds.frames, ()),
    # Proofs.
    "inclusion": Parser(inclusion, seeds.inclusions, (D, P)),
    "range": Parser(proven_range, seeds.ranges, (D, P)),
    "multiproof": Parser(multiproof, seeds.multiproofs, (D, P)),
    "descendants": Parser(below, seeds.descendants, (D, P)),
    "descent": Parser(
        descent, lambda: seeds.descendants()[:1], (D, P, DescentError), valid="DescentError"
    ),
    # What domains send.
    "commitment": Parser(commitment, one(seeds.COMMITMENT.to_bytes), (D,)),
    "opening": Parser(opening, one(seeds.OPENED[0].to_bytes), (D, P)),
    "columns": Parser(columns, one(seeds.COLUMNS.to_bytes), (D, P)),
    "answer": Parser(answer, one(seeds.ANSWER.to_bytes), (D,)),
    "wrapped": Parser(unwrap, one(seeds.committed), (D,)),
    "claim": Parser(claim, one(seeds.committed), (D, S)),
    "signed-claim": Parser(signed_commitment, one(seeds.COMMITMENT.to_bytes), (D, S)),
    "audit": Parser(audit_answer, one(seeds.signed_answer), (D, S)),
    "reply": Parser(reply, one(seeds.reply), (D,)),
    "requests": Parser(lambda data: requested(data, 10), one(seeds.questions_wire), (D,)),
    "evidence": Parser(accused, one(seeds.evidence), (D,)),
    "conviction": Parser(
        lambda data: convicts(data, seeds.REQUESTS[0], seeds.DOMAINS["alice"]),
        one(seeds.evidence), (), valid="refused",
    ),
    "closing-request": Parser(
        lambda data: closing.close(data, seeds.ALICE), one(seeds.closing_request), (D, S)
    ),
    "closing": Parser(
        lambda data: closing.closed(data, seeds.expected_closing(), seeds.DOMAINS["alice"]),
        one(seeds.closed), (D, S),
    ),
    "task-answer": Parser(task_answers.read, seeds.task_answers, (D,)),
    "audit-answer": Parser(task_answers.read_audit, seeds.audit_answers, (D,)),
    "job": Parser(fed, one(seeds.committed), ()),
    "read-nodes": Parser(read_nodes, one(lambda: canonical.encode((bytes(32),) * 2)), ()),
    "read-columns": Parser(read_columns, one(seeds.COLUMNS.to_bytes), ()),
    "read-sections": Parser(read_sections, one(seeds.single_reply), ()),
    # What workers are asked.
    "order": Parser(
        Order.from_bytes,
        one(lambda: Order(b"j", b"i", b"f", "alice", 0, b"t", True).to_bytes()), (D,),
    ),
    "serve-openings": Parser(served("open"), one(seeds.questions_wire), ()),
    "serve-nodes": Parser(served("nodes"), one(seeds.nodes_wire), ()),
    "serve-columns": Parser(
        served("columns"),
        one(lambda: asked_columns(seeds.COMMITMENT, (1,), "alice").to_bytes()), (),
    ),
    "serve-closing": Parser(served("close"), one(seeds.closing_request), ()),
    # Evidence.
    "envelope": Parser(
        lambda data: envelope.opened(data, seeds.COORDINATOR.public_key),
        enveloped(seeds.statement, lambda: seeds.COORDINATOR), (E,), "json",
    ),
    "unverified": Parser(
        envelope.unverified, enveloped(seeds.statement, lambda: seeds.COORDINATOR), (E,), "json"
    ),
    "statement": Parser(
        lambda data: read_statement(data, "urn:x"), one(seeds.statement), (E,), "json"
    ),
    "receipt": Parser(read_receipt, seeds.receipts, (E,), "json"),
    "signed-receipt": Parser(receipt, seeds.receipts, (E,), "json"),
    "exhibit": Parser(
        unsigned_exhibit,
        lambda: [envelope.seal(p, seeds.exhibit_signer()) for p in seeds.exhibits()], (E,), "json",
    ),
    "signed-exhibit": Parser(exhibit, seeds.exhibits, (E,), "json"),
    "kept": Parser(kept, seeds.kept, (E,), "json"),
    "terms": Parser(lambda data: Bound.read(data, "terms"), one(seeds.terms), (E,)),
    "pickle-names": Parser(_texts_in, one(lambda: pickle.dumps(PickledNames)), (E,), "octets"),
    "trust": Parser(Trust.from_bytes, one(seeds.trust_file), (T,), "octets"),
    "trust-file": Parser(in_file(load_trust), one(seeds.trust_file), (T,), "octets"),
    "key-file": Parser(in_file(read_key), one(seeds.key_file), (InputError,), "octets"),
    "texts": Parser(texts, one(lambda: "alice é".encode()), (InputError,), "octets"),
    # Data.
    "json-lines": Parser(lines, one(seeds.json_lines), (DataError,), "lines"),
    "parquet": Parser(parquet, seeds.parquet, (DataError,), "octets"),
    "bag-file": Parser(
        in_file(lambda path: read_data(path, seeds.BAG_SHAPE)),
        one(seeds.json_lines), (DataError,), "lines",
    ),
    "frame-file": Parser(
        in_file(lambda path: read_data(path, seeds.FRAME_SHAPE)),
        seeds.parquet, (DataError,), "octets",
    ),
    "loaded": Parser(
        in_file(loaded, "r.jsonl.receipt.json"),
        enveloped(seeds.statement, lambda: seeds.COORDINATOR), (E,), "json", "EvidenceError",
    ),
}  # fmt: skip


class PickledNames:
    """What a pickle refers to by name."""
