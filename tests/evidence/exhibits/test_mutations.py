"""Whatever is changed in an exhibit, by whomever, it is refused or blames nobody else for it."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import exhibiting as ex
import pytest

from dask_verify.errors import EvidenceError
from dask_verify.evidence import envelope
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.protocol.messages import MAP, REDUCE, Task

KEY = ex.COORDINATOR.public_key
STEP = 7  #: every so many bytes of an envelope are flipped

#: What a coordinator may leave out or say otherwise: it takes evidence away, and adds none.
HARMLESS = {
    "functions.mapper.importable",
    "functions.reducer.importable",
    "claims",  # their order, or one more that said the same
    "leaves",
    "answers",
    "given.inputs",  # of a partition that is one unit: nobody signed a root, a replay notices
    "referee.commitment",
}


def mutations(value: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield each field changed, removed, added, repeated or swapped, with its path."""

    def edited(path: tuple[Any, ...], edit: Any) -> Any:
        new = copy.deepcopy(value)
        inner = new
        for step in path[:-1]:
            inner = inner[step]
        edit(inner, path[-1])
        return new

    def walk(part: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
        if path:
            yield path, edited(path, lambda inner, key: inner.pop(key))
            for other in changed(part):
                yield path, edited(path, lambda inner, key, o=other: inner.__setitem__(key, o))
        if isinstance(part, dict):
            yield (*path, "x"), edited((*path, "x"), lambda inner, key: inner.update(x=1))
            for key, item in part.items():
                yield from walk(item, (*path, key))
        if isinstance(part, list) and part:
            yield path, edited(path, lambda inner, key: inner[key].append(inner[key][0]))
            yield path, edited(path, lambda inner, key: inner[key].reverse())
            for at, item in enumerate(part):
                yield from walk(item, (*path, at))

    yield from walk(value, ())


def changed(part: Any) -> Iterator[Any]:
    if isinstance(part, bool):
        yield from (not part, None)
    elif isinstance(part, int):
        yield from (part + 1, part - 1, 2**70, -1, 0.5, str(part))
    elif isinstance(part, str):
        yield from (1, None, part + "x", "", "\x1b[2J", [part])
        with contextlib.suppress(ValueError):
            data = base64.b64decode(part, validate=True)
            for at in {0, len(data) // 2, len(data) - 1} if data else ():
                flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                yield base64.b64encode(flipped).decode()
            yield base64.b64encode(data[:-1]).decode()
        with contextlib.suppress(ValueError):
            yield bytes(32).hex() if bytes.fromhex(part) else part
    else:
        yield from ([], {}, None, "text")


def cases(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exhibit]:
    code = ex.install(folder, monkeypatch)
    for kind, task, leaf in (
        ("bag", Task(MAP, 0), 4),
        ("frame", Task(REDUCE, 1), 0),
        ("frame", Task(MAP, 0), 2),
    ):
        work = ex.bag(code) if kind == "bag" else ex.frames(code)
        bench = ex.Court(work, task, folder / kind / task.stage)
        lie = ex.tampered(bench.truth, leaf)
        bench.stores = {"alice": bench.truth, "bob": lie, "carol": bench.truth}
        yield bench.exhibit([bench.claim(name) for name in ex.NAMES])
    bench = ex.Court(ex.bag(code), Task(MAP, 0), folder / "audit")
    bench.stores = dict.fromkeys(ex.NAMES, bench.truth)
    claim, answer = bench.claim("bob"), bench.answer("carol", [1], lie=True)
    objection = bench.objection(answer, 1, claim)
    yield bench.exhibit([claim], answers=[answer[1]], objection=objection)


def contradicted(exhibit: Exhibit) -> frozenset[str]:
    return frozenset() if exhibit.told is None else exhibit.contradicted(exhibit.told)


@pytest.mark.matrix
def test_no_field_can_be_changed_unnoticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for exhibit in cases(tmp_path, monkeypatch):
        base, tried, accepted = json.loads(exhibit.payload()), 0, []
        for path, mutant in mutations(base):
            if mutant == base:
                continue
            tried += 1
            # The coordinator's own key: what an exhibit says must not rest on its signature alone.
            data = envelope.seal(json.dumps(mutant).encode(), ex.COORDINATOR)
            try:
                read = Exhibit.from_bytes(data, KEY)
            except EvidenceError:
                continue
            name = ".".join(str(step) for step in path[1:] if not isinstance(step, int))
            accepted.append(name)
            assert read.culprits == exhibit.culprits, path
            assert contradicted(read) == contradicted(exhibit), path
        assert tried > 400
        known = {name for name in accepted if any(name.startswith(h) for h in HARMLESS)}
        assert set(accepted) - known == set()


def test_no_byte_can_be_flipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for exhibit in cases(tmp_path, monkeypatch):
        data = exhibit.to_bytes(ex.COORDINATOR)
        for at in range(0, len(data) - 1, STEP):
            flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            with pytest.raises(EvidenceError):
                Exhibit.from_bytes(flipped, KEY)


def test_parts_of_one_exhibit_do_not_fit_into_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, *others = cases(tmp_path, monkeypatch)
    base = json.loads(one.payload())["predicate"]
    for other in others:
        theirs = json.loads(other.payload())["predicate"]
        for name in base.keys() & theirs.keys():
            if base[name] == theirs[name] or name in ("excused", "unshown", "units", "answers"):
                continue
            mutant = json.loads(one.payload())
            mutant["predicate"][name] = theirs[name]
            data = envelope.seal(json.dumps(mutant).encode(), ex.COORDINATOR)
            try:
                read = Exhibit.from_bytes(data, KEY)
            except EvidenceError:
                continue
            assert name in ("leaves", "referee", "claims"), name
            assert (read.culprits, contradicted(read)) == (one.culprits, contradicted(one)), name


def test_another_coordinator_cannot_sign_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exhibit = next(cases(tmp_path, monkeypatch))
    data = exhibit.to_bytes(ex.KEYS["bob"])
    for key in (None, KEY, ex.KEYS["bob"].public_key):
        with pytest.raises(EvidenceError):
            Exhibit.from_bytes(data, key)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_other_files_are_no_exhibits(data: bytes) -> None:
    with pytest.raises(EvidenceError):
        Exhibit.from_bytes(data)
    with pytest.raises(EvidenceError):
        Exhibit.from_bytes(envelope.seal(data, ex.COORDINATOR), KEY)
