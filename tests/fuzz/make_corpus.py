"""Makes the corpus: a small file for each named defect, under the name of the parser it is for.

``python tests/fuzz/make_corpus.py`` writes ``corpus/PARSER/DEFECT.OUTCOME`` anew; the outcome is
the error that the parser must raise, or ``refused``. Where a defect was found by fuzzing, its file
stays: bytes are kept, since libraries that would make them again change.
"""

from __future__ import annotations

import base64
import json
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import cbor2

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
BIG = 10**5000


def tag(number: int, payload: Any) -> cbor2.CBORTag:
    return cbor2.CBORTag(0xDA00 + number, payload)


def value(payload: Any) -> bytes:
    return b"\x11" + cbor2.dumps(payload)


def message(*parts: Any) -> bytes:
    return value(tag(0, list(parts)))


def table(count: int, header: Any, body: bytes = b"") -> bytes:
    raw = cbor2.dumps(header)
    return b"\x31" + struct.pack("<QI", count, len(raw)) + raw + body


def frame(count: int, columns: Any, body: bytes = b"", index: Any = "int64") -> bytes:
    first = b"\1" + struct.pack("<qq", 0, 1)
    raw = cbor2.dumps([[[None], "int64"], first, columns, [[None], index]])
    return b"\x41" + struct.pack("<QI", count, len(raw)) + raw + first + body


def meeting() -> bytes:
    """A long number and a decimal with its hash: comparing them takes seconds."""
    long = int.from_bytes(b"\xff" * 5000, "big")
    members = sorted(cbor2.dumps(m) for m in (long, tag(8, str(long % (2**61 - 1)))))
    return b"\x11\xd9\xda\x01\x82" + b"".join(members)


DEEP = b"\x81" * 5_000 + b"\xf6"
VALUES = {
    "nothing": b"",
    "only-a-kind": b"\x11",
    "text-as-kind": b"hello",
    "trailing-byte": b"\x11\xf6\xf6",
    "half-a-float": b"\x11\xfb\x3f\xf0",
    "float-of-16-bits": b"\x11\xf9\x3c\x00",
    "length-of-the-universe": b"\x11\x5b" + b"\xff" * 8,
    "array-of-the-universe": b"\x11\x9b" + b"\xff" * 8,
    "dict-of-the-universe": b"\x11\xbb" + b"\xff" * 8,
    "indefinite-array": b"\x11\x9f\x01\xff",
    "longer-head-than-needed": b"\x11\x18\x01",
    "deep-arrays": b"\x11" + DEEP,
    "deep-tuples": b"\x11" + b"\xd9\xda\x00\x81" * 2_000 + b"\xf6",
    "deep-tags": b"\x11" + b"\xd9\xda\x08" * 2_000 + b"\x60",
    "text-is-no-utf8": b"\x11\x61\xff",
    "keys-out-of-order": b"\x11\xa2\x61b\x01\x61a\x02",
    "key-twice": b"\x11\xa2\x01\x01\x01\x02",
    "keys-that-are-equal": b"\x11\xa2\x01\x01\xf5\x02",
    "unhashable-key": b"\x11\xa1\x80\x01",
    "tag-of-somebody-else": b"\x11\xc0\x60",
    "bytes-made-of-a-number": value(tag(23, 2**31)),
    "text-made-of-a-number": value(tag(22, BIG)),
    "decimal-made-of-a-number": value(tag(8, int.from_bytes(b"\xff" * 5_000, "big"))),
    "long-number-meets-decimal": meeting(),
    "fraction-with-long-terms": value(tag(10, [1 << (1 << 19), 3])),
    "fraction-of-zero": value(tag(10, [1, 0])),
    "year-beyond-any-long": value(tag(11, [BIG, 1, 1])),
    "zone-that-is-a-path": value(tag(13, [2020, 1, 1, 0, 0, 0, 0, 0, "../../etc/passwd"])),
    "array-of-objects": value(tag(20, ["|O", [1], bytes(8)])),
    "array-of-endless-shape": value(tag(20, ["|i1", [2**62, 2**62], b""])),
    "dtype-that-is-a-structure": value(tag(21, ["i4,i4", bytes(8)])),
    "uuid-of-a-number": value(tag(15, BIG)),
    "class-of-nobody": value(tag(5, ["os.system", "true"])),
    "class-named-by-a-number": value(tag(5, [BIG, 1])),
    "frame-of-a-number": value(tag(68, BIG)),
    "text-in-surrogates-that-has-none": value(tag(3, b"abc")),
}
RECORDS = {
    "count-beyond-the-bytes": b"\x21" + struct.pack("<Q", 2**63) + b"\x07",
    "giant-arity": b"\x21" + struct.pack("<QBI", 1, 8, 2**32 - 1),
    "tuples-far-too-deep": b"\x21" + struct.pack("<Q", 1) + b"\x08\x01\0\0\0" * 5000,
    "lengths-beyond-the-bytes": b"\x21" + struct.pack("<QBI", 1, 2, 2**32 - 1),
    "generic-records-too-deep": b"\x21" + struct.pack("<QB", 1, 1) + DEEP,
}
LIST_OF_NULLS = ["large_list", ["item", True, "null"]]
TABLES = {
    "type-named-by-a-number": table(0, [["a", [BIG, 1]]]),
    "type-that-is-a-dict": table(0, [["a", {"x": 1}]]),
    "rows-beyond-arrow": table(2**64 - 1, [["a", "null"]]),
    "deep-types": table(0, [["a", json.loads("[" * 90 + "]" * 90)]]),
    "fixed-lists-of-nothing": table(
        2**40, [["a", ["fixed_size_list", 2**31 - 1, ["item", True, "null"]]]], b"\0"
    ),
    "map-beyond-arrow": table(
        2, [["a", ["map", ["key", False, "null"], ["value", True, "null"], False]]],
        b"\0" + b"\xff" * 9,
    ),
    "header-longer-than-itself": b"\x31" + struct.pack("<QI", 0, 2**32 - 1) + b"\x80",
}  # fmt: skip
FRAMES = {
    "column-kind-is-a-number": frame(0, [[BIG]]),
    "dtype-that-names-a-file": frame(1, [["masked", "datetime64[ns, dateutil//etc/x]"]], b"\0\0"),
    "dtype-that-is-endless": frame(1, [["masked", "Sparse[" * 500]], b"\0\0"),
    "rows-beyond-the-bytes": frame(2**40, [["numpy", "<i8"]], b"\0" * 8),
    "categories-beyond-the-bytes": frame(
        1, [["category", False, 2**40, [[None], ["numpy", "<i8"]], b"\0"]], b"\0\0\0\0"
    ),
    "index-without-bytes": frame(2**40, [], index=["arrow", "null"]),
    "lists-of-endless-nulls": frame(1, [["arrow", LIST_OF_NULLS]], b"\0" + b"\xff" * 4),
    "objects-too-deep": frame(1, [["object"]], b"\x01" + DEEP),
}


def messages() -> dict[str, dict[str, bytes]]:
    import seeds
    from parsers import PARSERS

    from dask_verify.core.canonical import encode
    from dask_verify.core.seal import ANSWER_CONTEXT

    wire, digest = seeds.committed(), bytes(32)
    inclusion = (2**63 - 1, 2**63, digest, (digest,) * 63, digest)
    endless = (0, 2**63 - 1, 2**63 - 1, (digest,), (), digest)
    lie = seeds.COMMITMENT.to_bytes().replace(b"\x18", b"\x19")
    other = encode((seeds.COMMITMENT.to_bytes(), seeds.BOB.sign("commitment", b"")))
    asking = seeds.REQUESTS[0].to_bytes()
    fields = ("job", "map", 0, "alice", seeds.INPUTS)
    said = (b"j" * 32, "map", 0, "bob", seeds.INPUTS, (1,), (), (digest,), ())
    frames_inside = encode((PARSERS["frame"].seeds()[0], seeds.FRAME))
    return {
        "plain-value": {
            "a-frame-inside.DecodingError": frames_inside,
            "a-fraction-inside.DecodingError": seeds.values()[3],
        },
        "inclusion": {
            "size-beyond-any-tree.ProofError": encode(inclusion),
            "index-is-true.ProofError": encode((True, 3, digest, (digest,) * 2, digest)),
            "proof-of-texts.ProofError": encode((0, 3, digest, ("a", "b"), digest)),
            "proof-is-a-dict.ProofError": encode((0, 3, digest, {}, digest)),
            "one-hash-too-many.ProofError": encode((0, 1, digest, (digest,), digest)),
        },
        "range": {
            "as-long-as-the-universe.ProofError": encode(endless),
            "empty.ProofError": encode((1, 1, 3, (), (digest,) * 2, digest)),
        },
        "multiproof": {
            "index-twice.ProofError": encode(((1, 1), 3, (digest,) * 2, (digest,), digest)),
            "no-index.ProofError": encode(((), 3, (), (), digest)),
            "size-of-the-universe.ProofError": encode(
                ((0,), 2**63 - 1, (digest,), (digest,) * 63, digest)
            ),
        },
        "descendants": {
            "depth-of-the-universe.ProofError": encode((2**63 - 1, 63, 0, 63, (digest,), digest)),
            "level-above-the-root.ProofError": encode((3, 9, 0, 1, (digest,), digest)),
        },
        "descent": {
            "answer-of-one-hash.DescentError": encode((11, 4, 0, 2, (digest,), digest[:31] + b"1")),
        },
        "commitment": {
            "too-few-fields.DecodingError": message(*fields),
            "number-beyond-64-bits.DecodingError": message(*fields, BIG, 1, 1, [], 1, b"", digest),
            "other-root.DecodingError": lie,
        },
        "opening": {"leaves-of-texts.DecodingError": asking.replace(b"\x80", b"\x81\x61a", 1)},
        "columns": {
            "more-cells-than-memory.DecodingError": message(
                b"j", "map", 0, "alice", digest, 2**62, 2**62, tag(0, [1]), tag(0, []), tag(0, [])
            ),
            "buckets-of-the-universe.ProofError": message(
                b"j" * 32, "map", 0, "alice", seeds.COMMITMENT.root, 2**61, 2, tag(0, [1]),
                tag(0, []), tag(0, []),
            ),
        },
        "answer": {"a-unit-without-its-question.DecodingError": encode(said)},
        "wrapped": {"a-list-for-a-pair.DecodingError": value([b"", b""])},
        "claim": {
            "signed-by-another.SignatureError": other,
            "signature-of-one-byte.SignatureError": encode((seeds.COMMITMENT.to_bytes(), b"s")),
            "cut-short.DecodingError": wire[:-1],
            "a-number-for-a-pair.DecodingError": value(BIG),
        },
        "signed-claim": {"to-nothing-at-all.DecodingError": b"", "to-a-map.DecodingError": lie},
        "audit": {
            "of-other-units.SignatureError": encode(
                (seeds.ANSWER.to_bytes(), seeds.BOB.sign(ANSWER_CONTEXT, b""))
            ),
        },
        "reply": {
            "more-openings-than-asked.DecodingError": message(tag(0, [tag(0, [])] * 9), bytes(64)),
            "short-signature.DecodingError": message(tag(0, []), bytes(63)),
            "leaves-that-are-frames.DecodingError": encode(((seeds.FRAME,), bytes(64))),
        },
        "requests": {
            "a-row-for-the-rows.DecodingError": message("j", "map", "alice", "output", 1),
            "negative-start.DecodingError": message(
                b"j", "map", "alice", "output", tag(0, [tag(0, [0, digest, 1, -1, 1])])
            ),
        },
        "evidence": {"a-statement-of-nothing.DecodingError": message(b"", tag(0, []), b"")},
        "conviction": {
            "by-nobody.refused": message(b"", tag(0, []), b""),
            "signed-by-another.refused": seeds.evidence()[:-1] + b"\0",
        },
        "closing-request": {
            "for-another-job.SignatureError": seeds.closing_request().replace(b"j" * 32, b"k" * 32),
            "rows-of-numbers.DecodingError": message(b"j", tag(0, [1]), tag(0, [])),
        },
        "closing": {
            "over-something-else.SignatureError": message(b"", bytes(64)),
            "a-number.DecodingError": value(1),
        },
        "task-answer": {
            "a-thousand-commitments.DecodingError": message(
                "committed", "here", tag(0, [b"w"] * 1000), tag(0, []), 0
            ),
            "kind-is-a-number.DecodingError": message(BIG, 1),
            "a-frame.DecodingError": encode(seeds.FRAME),
        },
        "audit-answer": {"an-answer-without-bytes.DecodingError": message("audited", 1, 0)},
        "order": {
            "too-few-fields.DecodingError": message(b"j", b"i"),
            "a-number.DecodingError": value(1),
            "partition-below-zero.DecodingError": message(b"", b"", b"", "a", -1, b"", False),
        },
        "serve-openings": {"a-number.refused": value(1), "nothing.refused": b""},
        "serve-nodes": {
            "a-number.refused": value(1),
            "level-is-a-text.refused": encode((asking, "0", 0, 1)),
            "depth-of-the-universe.refused": encode((asking, 2**62, 0, 2**62)),
            "three-of-four.refused": encode((asking, 0, 0)),
        },
        "serve-columns": {"a-number.refused": value(1)},
        "serve-closing": {"a-number.refused": value(1)},
        "read-nodes": {"hashes-of-texts.refused": message("a"), "a-frame.refused": frames_inside},
        "read-columns": {"a-number.refused": value(1)},
        "read-sections": {"a-number.refused": value(1)},
    }  # fmt: skip


def envelopes() -> dict[str, bytes]:
    import seeds

    from dask_verify.evidence.envelope import seal

    good = json.loads(seal(b"{}", seeds.COORDINATOR))

    def changed(**fields: Any) -> bytes:
        return json.dumps(good | fields).encode()

    return {
        "nothing": b"",
        "byte-order-mark": b"\xef\xbb\xbf" + json.dumps(good).encode(),
        "no-utf8": b'{"payload": "\xff"}',
        "deep": b'{"a":' + b"[" * 20_000,
        "name-twice": b'{"payload": "", "payload": ""}',
        "not-a-number": b'{"payload": NaN}',
        "number-of-many-digits": b'{"payload": ' + b"9" * 10_000 + b"}",
        "two-signatures": changed(signatures=good["signatures"] * 2),
        "no-signature": changed(signatures=[]),
        "signature-of-another": changed(signatures=[good["signatures"][0] | {"keyid": "0" * 64}]),
        "signature-of-one-byte": changed(signatures=[good["signatures"][0] | {"sig": "AA=="}]),
        "other-payload": changed(payload="e30K"),
        "spare-bits-of-base64": changed(payload="e31="),
        "one-field-more": changed(surprise=1),
        "other-type": changed(payloadType="text/plain"),
        "lone-surrogate": changed(signatures=[good["signatures"][0] | {"keyid": "\ud800"}]),
    }


def statements(payloads: list[bytes], changes: dict[str, Any]) -> dict[str, bytes]:
    """The first of some statements with one value changed, each by its path."""
    found = {}
    for name, (path, new) in changes.items():
        document = json.loads(payloads[0])
        inner = document
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = new
        found[name] = json.dumps(document, separators=(",", ":")).encode()
    return found


P = "predicate"
MANY = 10**4000
RECEIPT = {
    "no-subject": (("subject",), []),
    "job-of-another": ((P, "job", "id"), "0" * 64),
    "number-of-many-digits": ((P, "job", "maps"), MANY),
    "partitions-beyond-memory": ((P, "job", "maps"), 1 << 62),
    "negative-partitions": ((P, "job", "reduces"), -1),
    "rate-beyond-any-float": ((P, "policy", "deadline"), 10**400),
    "policy-of-many-replicas": ((P, "policy", "replicas"), 1 << 40),
    "verdict-is-a-list": ((P, "verdict"), ["agreed"]),
    "stage-left-out": ((P, "stages"), []),
    "roots-of-31-bytes": ((P, "stages", 0, "roots"), base64.b64encode(bytes(31)).decode()),
    "counts-beyond-reason": ((P, "stages", 0, "recordsIn"), [1 << 62]),
    "signer-of-too-few-bits": ((P, "stages", 0, "signers"), {"alice": ""}),
    "standing-of-a-text": ((P, "domains", 0, "standing"), "saint"),
    "key-of-small-order": ((P, "domains", 0, "publicKey"), "00" * 32),
    "name-that-hides": ((P, "domains", 0, "name"), "al\u202eice"),
    "result-of-endless-rows": ((P, "result", "bytes"), 1 << 64),
    "deep-environment": ((P, "coordinator", "environment"), {"a": [[[[[1]]]]]}),
    "surprise": ((P, "surprise"), 1),
}
EXHIBIT = {
    "no-subject": (("subject",), []),
    "partition-of-many-digits": ((P, "partition"), MANY),
    "buckets-beyond-memory": ((P, "work", "buckets"), 1 << 62),
    "no-buckets": ((P, "work", "buckets"), 0),
    "terms-of-nothing": ((P, "terms"), ""),
    "terms-of-a-number": ((P, "terms"), base64.b64encode(value(BIG)).decode()),
    "meta-of-a-bag": ((P, "work", "meta"), base64.b64encode(frame(0, [])).decode()),
    "claim-of-nothing": ((P, "claims", 0, "payload"), ""),
    "claim-of-a-number": ((P, "claims", 0, "payload"), base64.b64encode(value(BIG)).decode()),
    "claim-signed-by-nobody": ((P, "claims", 0, "signature"), base64.b64encode(bytes(64)).decode()),
    "two-thousand-claims": ((P, "claims"), [{}] * 2_000),
    "opening-of-a-number": ((P, "opening"), base64.b64encode(value(BIG)).decode()),
    "culprit-of-nothing": ((P, "culprits"), ["nobody"]),
    "functions-of-others": ((P, "functions", "shipped"), base64.b64encode(b"\x80\x05.").decode()),
    "units-of-texts": ((P, "units"), ["1"]),
    "surprise": ((P, "surprise"), 1),
}
KEY = "5" * 64
TRUST = {
    "nothing": b"",
    "no-utf8": b"version = 1 # \xff",
    "other-version": b"version = 2\n",
    "version-is-true": b"version = true\n",
    "deep-arrays": b"a = " + b"[" * 900 + b"\n" + b"[" * 900,
    "long-line": b"# " + b"x" * 3000,
    "key-of-many-parts": b"version = 1\n" + b".".join([b"a"] * 900) + b" = 1\n",
    "key-of-many-parts-in-quotes": b'version = 1\n"x"' + b'."x"' * 400 + b" = 1\n",
    "key-of-many-parts-behind-a-text": (
        b'a = ["""\n""", {' + b".".join([b"a"] * 900) + b" = 1}, '\"']\n"
    ),
    "key-of-small-order": b'version = 1\n[[domain]]\nname = "a"\npublic-key = "' + b"0" * 64 + b'"',
    "key-of-31-bytes": b'version = 1\n[[domain]]\nname = "a"\npublic-key = "' + b"0" * 62 + b'"',
    "domain-is-a-table": b'version = 1\n[domain]\nname = "a"\n',
    "name-twice": (
        b'version = 1\n[[domain]]\nname = "a"\npublic-key = "%s"\n' % (b"01" + b"0" * 62) * 2
    ),
    "name-of-the-coordinator": b'version = 1\n[[domain]]\nname = "coordinator"\n',
    "number-of-many-digits": b"version = " + b"1" * 1900,
    "unknown-table": b"version = 1\n[surprise]\n",
    "date-for-a-name": b"version = 1\n[[domain]]\nname = 2020-01-01\n",
}
KEY_FILE = {
    "nothing": b"",
    "no-name": b"-----BEGIN PRIVATE KEY-----\n",
    "name-is-no-utf8": b"# dask_verify domain: \xff\n",
    "name-with-an-escape": b"# dask_verify domain: a\x1b[2J\n",
    "key-of-nothing": b"# dask_verify domain: a\n-----BEGIN PRIVATE KEY-----\n"
    b"-----END PRIVATE KEY-----\n",
    "key-of-noise": b"# dask_verify domain: a\n-----BEGIN PRIVATE KEY-----\nAAAA\n"
    b"-----END PRIVATE KEY-----\n",
    "larger-than-any-key": b"# dask_verify domain: a\n" + b"x" * 5000,
}
TEXTS = {
    "nothing": b"",
    "no-utf8": b"\xff",
    "control-character": b"a\x1b[2Jb",
    "direction-changed": "a\u202eb".encode(),
    "two-lines": b"a\nb",
    "decomposed": "e\u0301".encode(),
    "longer-than-a-line": b"x" * 3000,
}


def canonical_line(data: bytes) -> bytes:
    return b'{"$canonical": "' + base64.b64encode(data) + b'"}'


LINES = {
    "no-utf8": b"\xff\n",
    "no-pair": b"1\n",
    "number-too-long-to-be-shown": canonical_line(value(BIG)) + b"\n",
    "deep": b"[" * 20_000 + b"\n",
    "deep-and-closed": b"[" + b"[" * 150 + b"]" * 150 + b", 1]\n",
    "name-twice": b'["a", {"x": 1, "x": 2}]\n',
    "tag-of-nobody": b'["a", {"$code": "1"}]\n',
    "two-tags": b'["a", {"$tuple": [], "$bytes": ""}]\n',
    "number-of-many-digits": b'["a", ' + b"9" * 5000 + b"]\n",
    "number-beyond-any-float": b'["a", 1e999]\n',
    "not-a-number": b'["a", NaN]\n',
    "base64-of-letters-beyond": '["a", {"$bytes": "\u00e9"}]\n'.encode(),
    "canonical-of-endless-bytes": b'["a", ' + canonical_line(VALUES["bytes-made-of-a-number"])
    + b"]\n",
    "many-small-values": b'["a", [' + b"[]," * 20_000 + b"1]]\n",
}  # fmt: skip


def parquet_files() -> dict[str, bytes]:
    import seeds

    good = seeds.parquet()[1]
    footer = int.from_bytes(good[-8:-4], "little")
    start = len(good) - 8 - footer
    return {
        "nothing": b"",
        "only-marks": b"PAR1PAR1",
        "cut-short": good[: len(good) // 2],
        "footer-of-the-universe": good[:-8] + b"\xff\xff\xff\x7fPAR1",
        "footer-of-nothing": good[:-8] + b"\0\0\0\0PAR1",
        "footer-of-noise": good[:start] + bytes(range(256)) + b"\0\1\0\0PAR1",
        "deep-footer": good[:4] + b"\x1c" * 5000 + (5000).to_bytes(4, "little") + b"PAR1",
        "pages-of-noise": good[:4] + b"\xff" * (start - 4) + good[start:],
        "json": seeds.json_lines(),
    }


def corpus() -> dict[str, dict[str, bytes]]:
    """Every file, by parser and name."""
    import seeds
    from parsers import PARSERS

    pickled = {"nothing": b"", "noise": b"\x80\x05\xff\xff", "endless": b"\x8e" + b"\xff" * 8}
    plain: dict[str, dict[str, bytes]] = {
        "value": VALUES,
        "records": RECORDS,
        "leaf": {f"records-{k}": v for k, v in list(RECORDS.items())[:2]},
        "table": TABLES,
        "frame": FRAMES,
        "frames": {name: FRAMES[name] for name in ("column-kind-is-a-number", "objects-too-deep")},
        "envelope": envelopes(),
        "unverified": {"deep": b'{"a":' + b"[" * 20_000, "nothing": b""},
        "statement": {
            "nothing": b"",
            "a-list": b"[]",
            **statements([seeds.statement()], {
                "subject-without-digest": (("subject", 0, "digest"), {}),
                "subject-of-two-digests": (
                    ("subject", 0, "digest"), {"sha256": "0" * 64, "blake3MerkleV1": "0" * 64}
                ),
                "other-type": (("_type",), "x"),
            }),
        },
        "receipt": statements(seeds.receipts(), {
            name: change for name, change in RECEIPT.items()
            if name not in ("key-of-small-order", "name-that-hides", "stage-left-out")
        }),
        "signed-receipt": statements(seeds.receipts(), RECEIPT),
        "signed-exhibit": statements(seeds.exhibits(), EXHIBIT),
        "kept": {"nothing": b"", "leaves-of-numbers": b'{"leaves": [1]}', "a-list": b"[]"},
        "terms": {"nothing": b"", "a-number": value(BIG), "eleven-numbers": message(*range(11))},
        "pickle-names": pickled,
        "trust": TRUST,
        "key-file": KEY_FILE,
        "texts": TEXTS,
        "json-lines": LINES,
        "bag-file": {"parquet": seeds.parquet()[1]},
        "parquet": parquet_files(),
        "frame-file": {"json": seeds.json_lines()},
    }  # fmt: skip
    found = messages()
    for parser, files in plain.items():
        error = PARSERS[parser].errors[0].__name__
        found[parser] = {f"{name}.{error}": data for name, data in files.items()}
    found["plain-value"] |= {f"{n}.DecodingError": VALUES[n] for n in ("deep-tuples", "nothing")}
    found["job"] = {"a-number.accepted": value(BIG), "deep.accepted": b"\x11" + DEEP}
    return found


def main() -> None:
    """Write the corpus anew."""
    tests = HERE.parent
    shared = ("fuzz", "evidence/receipts", "evidence/exhibits", "protocol", "")
    sys.path += [str(tests / folder) for folder in shared]
    files = corpus()
    shutil.rmtree(CORPUS, ignore_errors=True)
    for parser, named in files.items():
        folder = CORPUS / parser
        folder.mkdir(parents=True)
        for name, data in named.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
