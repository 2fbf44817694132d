"""Valid input of every parser, made once: what mutations start from."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_verify.core.canonical import encode, encode_frame, encode_records, encode_table
from dask_verify.core.merkle import MerkleTree
from dask_verify.core.seal import (
    ANSWER_CONTEXT,
    OUTPUT,
    Answer,
    SealedPartition,
    asked,
    asked_columns,
    map_question,
)
from dask_verify.evidence.data import ResultShape, frame_shape, write_json_lines, write_parquet
from dask_verify.evidence.enrolment.keys import write_key
from dask_verify.evidence.enrolment.trust import Entry, Trust
from dask_verify.evidence.statement import Subject, write_statement
from dask_verify.protocol import closing
from dask_verify.protocol.domain import Domain, Identity
from dask_verify.protocol.messages import MAP, Audited, Challenge, Task
from dask_verify.protocol.quorum import sign
from dask_verify.protocol.serving import Reply, answers, questions

#: Fixed keys: what is made of them is the same in every process.
ALICE = Identity("alice", bytes([1]) * 32)
BOB = Identity("bob", bytes([2]) * 32)
COORDINATOR = Identity("coordinator", bytes([3]) * 32)
JOB, INPUTS, TASK = b"j" * 32, b"i" * 32, Task(MAP, 0)
SEALED = SealedPartition(
    3, 2, 12, (12,), tuple(encode_records([("k", i)]) for i in range(6)), (b"in 0", b"in 1")
)
COMMITMENT = SEALED.commit(JOB, MAP, 0, "alice", INPUTS)
COLUMNS = SEALED.columns(asked_columns(COMMITMENT, (1,), "alice"))
REQUESTS = [asked(COMMITMENT, OUTPUT, i, i + 2, "alice") for i in (0, 3)]
OPENED = [SEALED.open(request) for request in REQUESTS]
DOMAINS = {name.name: Domain(name.name, name.public_key) for name in (ALICE, BOB)}
CHALLENGE = Challenge(TASK, INPUTS, COMMITMENT.digest, "units", (1,), "alice", "bob")
QUESTION = map_question(b"in 1")
ANSWER = Answer(JOB, MAP, 0, "bob", INPUTS, (1,), (QUESTION,), COLUMNS.of(1), ())
FRAME = pd.DataFrame({"k": ["a", "b", "c"], "n": [1, 2, 3], "x": [0.5, -0.0, np.nan]})
FRAME_SHAPE = frame_shape([[encode_frame(FRAME)]], FRAME)
PAIRS = [("a", 1), ("b", (1.5, b"x", None)), ("c", {"d": [2**70, True]})]
BAG_SHAPE = ResultShape("bag", 1, 1, nbytes=1000, records=3)

VALUES = [
    None,
    (1, -1, 2**70, -(2**80), 1.5, "text", b"bytes", True, [], {}, set()),
    {"a": [1, {2: (3, frozenset({4}))}], "b": bytearray(b"c"), "s": "\ud800"},
    [Decimal("1.50"), Fraction(2, 3), 1j, UUID(int=7), datetime(2020, 1, 2, tzinfo=UTC)],
    [np.float32(1.5), np.arange(6).reshape(2, 3), np.array(["a", "bc"]), np.datetime64(3, "s")],
    [pd.Timestamp("2020", tz="Europe/Berlin"), pd.Timedelta(5), pd.NaT, pd.NA],
    [pd.DataFrame({"a": [1]}), pd.Series([1.5], name="s")],
]
RECORDS = [
    [],
    ["a", "bc", "ü"],
    [1, -2, 3],
    [("a", 1, (2.5, b"x")), ("b", 2, (3.5, b"y"))],
    [None, 1, "mixed", {"k": {1, 2}}],
    [True, False],
    [None, None],
]
TABLES = [
    pa.table({"a": [1, None], "b": ["x", "y"], "l": [[1], None], "s": [{"f": 1.5}, {"f": None}]}),
    pa.table({"m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8()))}),
    pa.table({"d": pa.array([Decimal("1.25")]), "t": pa.array([5], pa.timestamp("us", "UTC"))}),
    pa.table({"n": pa.nulls(3), "f": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2))}),
]
FRAMES = [
    FRAME,
    pd.DataFrame({"c": pd.Categorical(["u", "v", "u"]), "o": [1, "x", None]}, index=[3, 1, 2]),
    pd.DataFrame(
        {"t": pd.date_range("2020", periods=2, tz="UTC"), "m": pd.array([1, None], "Int8")},
        index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["p", None]),
    ),
    pd.DataFrame({"a": pd.array([[1], None], pd.ArrowDtype(pa.list_(pa.int8())))}),
    pd.DataFrame(index=range(4)),
]


@cache
def values() -> list[bytes]:
    return [encode(value) for value in VALUES]


@cache
def records() -> list[bytes]:
    return [encode_records(leaf) for leaf in RECORDS]


@cache
def tables() -> list[bytes]:
    return [encode_table(table) for table in TABLES]


@cache
def frames() -> list[bytes]:
    return [encode_frame(frame) for frame in FRAMES]


# --- proofs -----------------------------------------------------------------------------------

TREE = MerkleTree([b"leaf %d" % i for i in range(11)])
HASHES = TREE.leaf_hashes


def inclusions() -> list[bytes]:
    rows = [(i, 11, HASHES[i], tuple(TREE.inclusion_proof(i)), TREE.root) for i in (0, 5, 10)]
    return [encode(row) for row in rows]


def ranges() -> list[bytes]:
    ends = [(0, 11), (3, 4), (5, 9)]
    rows = [
        (a, b, 11, tuple(HASHES[a:b]), tuple(TREE.range_proof(a, b)), TREE.root) for a, b in ends
    ]
    return [encode(row) for row in rows]


def multiproofs() -> list[bytes]:
    picked = [(0,), (2, 7), (1, 2, 10)]
    rows = [
        (at, 11, tuple(HASHES[i] for i in at), tuple(TREE.multi_proof(at)), TREE.root)
        for at in picked
    ]
    return [encode(row) for row in rows]


def descendants() -> list[bytes]:
    nodes = [(4, 0, 2), (2, 1, 1), (0, 3, 0)]
    rows = [(11, *at, tuple(TREE.descendants(*at)), TREE.node(*at[:2])) for at in nodes]
    return [encode(row) for row in rows]


# --- the wire ---------------------------------------------------------------------------------


def signed_answer() -> bytes:
    signature = BOB.sign(ANSWER_CONTEXT, ANSWER.statement())
    return encode((ANSWER.to_bytes(), signature))


def audited(wire: bytes) -> Audited:
    return Audited(CHALLENGE, wire, COLUMNS.of(1), (QUESTION,))


def reply() -> bytes:
    return answers([OPENED[0], None], ALICE)


def single_reply() -> bytes:
    return answers(OPENED[:1], ALICE)


def evidence() -> bytes:
    return Reply.from_bytes(answers(OPENED, ALICE), REQUESTS).evidence(0)


def closing_request() -> bytes:
    signature = ALICE.sign("commitment", COMMITMENT.to_bytes())
    said = closing.SignedAnswer(MAP, 0, INPUTS, (1,), b"d" * 32, b"")
    mine = closing.SignedAnswer(
        MAP, 0, INPUTS, (1,), b"d" * 32, ALICE.sign(ANSWER_CONTEXT, said.statement(JOB))
    )
    return closing.request(JOB, [(COMMITMENT.to_bytes(), signature)], [mine])


def expected_closing() -> closing.Closing:
    return closing.Closing.of(JOB, "alice", [closing.leaf_of(COMMITMENT)], [])


def closed() -> bytes:
    signature = ALICE.sign("commitment", COMMITMENT.to_bytes())
    wire = closing.request(JOB, [(COMMITMENT.to_bytes(), signature)], [])
    return closing.close(wire, ALICE)


def committed() -> bytes:
    return sign(ALICE, COMMITMENT)


def task_answers() -> list[bytes]:
    said = [
        ("committed", "tcp://here:1", (committed(),), (), 7),
        ("failed", "ZeroDivisionError"),
        ("missing", (1, 2), (evidence(),)),
    ]
    return [encode(one) for one in said]


def audit_answers() -> list[bytes]:
    return [encode(("audited", signed_answer(), 5)), encode(("failed", "ZeroDivisionError"))]


def questions_wire() -> bytes:
    return questions(REQUESTS)


def nodes_wire() -> bytes:
    return encode((REQUESTS[0].to_bytes(), 2, 0, 2))


@cache
def worker() -> Any:
    """A worker's side that holds one partition."""
    from dask_verify.engine.store import Address
    from dask_verify.engine.worker import VerifyWorker

    side = VerifyWorker("alice", ALICE.private_bytes(), store_memory=10_000)
    folder = tempfile.mkdtemp(prefix="fuzz-")
    state = SimpleNamespace(nthreads=1)
    side.setup(SimpleNamespace(address="here", local_directory=folder, handlers={}, state=state))
    side.store[Address(JOB, MAP, 0)] = SEALED
    return side


def reader(answer: bytes) -> Any:
    """A reader whose one holder answers everything with these bytes."""
    from dask_verify.engine.pace import Pace
    from dask_verify.engine.reader import Reader

    made: Any = Reader(
        domains=DOMAINS,
        pool=SimpleNamespace(call=lambda *args, **message: answer),  # type: ignore[arg-type]
        local=SimpleNamespace(),  # type: ignore[arg-type]
        holders=lambda task: ["alice"],
        post=lambda event: None,
        claimed=lambda task, domain: [COMMITMENT],
        pace=Pace(None, 30.0),
    )
    made.addresses["alice"][TASK] = "tcp://alice:1"
    return made


# --- evidence ---------------------------------------------------------------------------------

TRUST = Trust(
    (Entry("alice", ALICE.public_key, "a@example.org", environment={"python": "3.11"}),
     Entry("bob", BOB.public_key, penalty="a cake")),
    Entry("coordinator", COORDINATOR.public_key),
)  # fmt: skip


def trust_file() -> bytes:
    return TRUST.to_bytes()


def key_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "alice.key")
        write_key(path, ALICE)
        return path.read_bytes()


def statement() -> bytes:
    return write_statement("urn:x", [Subject("a", "sha256", bytes(32))], {"n": 1})


@cache
def receipts() -> list[bytes]:
    """The statements of receipts: of an agreed, a corrected, and a sampled job."""
    import made

    from dask_verify.evidence.envelope import unverified

    jobs: list[dict[str, Any]] = [
        {"replicas": 2, "behaviours": {"bob": "wrong"}},
        {"replicas": 2, "behaviours": {"carol": "serves_wrong"}},
        {"replicas": 1, "audit": 0.4},
    ]
    taken = [made.closed(made.job(**options), ("carol",)) for options in jobs]
    return [unverified(made.envelope(one)) for one in taken]


def receipt_trust() -> Trust:
    import made

    return made.TRUST


def receipt_signer() -> Identity:
    import made

    return made.COORDINATOR


@cache
def _exhibits() -> tuple[list[bytes], list[bytes], Any]:
    """Statements of exhibits, what was kept for them, and the shape of the work."""
    import exhibiting as ex

    from dask_verify.evidence.exhibits.work import Shape
    from dask_verify.protocol.messages import REDUCE

    found: list[bytes] = []
    kept: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        code = ex.install(folder, patch)
        for at, (task, leaf) in enumerate([(TASK, 4), (Task(REDUCE, 1), 1)]):
            bench = ex.Court(ex.bag(code), task, folder / str(at))
            honest = bench.truth
            bench.stores = dict.fromkeys(ex.NAMES, honest) | {"bob": ex.tampered(honest, leaf)}
            exhibit = bench.exhibit([bench.claim(n) for n in ex.NAMES])
            found.append(exhibit.payload())
            kept = kept or [f.read_bytes() for f in (folder / str(at) / "exhibits").iterdir()]
        shape = Shape.of(ex.bag(code))
    return found, kept, shape


def exhibits() -> list[bytes]:
    return _exhibits()[0]


def exhibit_signer() -> Identity:
    import exhibiting as ex

    return ex.COORDINATOR


def kept() -> list[bytes]:
    return _exhibits()[1]


def kept_shape() -> Any:
    return _exhibits()[2]


@cache
def terms() -> bytes:
    import exhibiting as ex

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        code = ex.install(Path(name), patch)
        return ex.Court(ex.bag(code), TASK, Path(name)).terms.to_bytes()


# --- data -------------------------------------------------------------------------------------


def _written(write: Callable[[Any], None]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


@cache
def json_lines() -> bytes:
    return _written(lambda file: write_json_lines(PAIRS, file))


@cache
def parquet() -> list[bytes]:
    plain = _written(lambda file: pq.write_table(pa.table(FRAME), file, compression="none"))
    return [_written(lambda file: write_parquet(FRAME, file)), plain]
