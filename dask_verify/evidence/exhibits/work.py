"""What an exhibit says of the job: its terms, its shape, and its functions.

What this module guarantees: a part that was read has the stated types and sizes, the functions have
the digest that stands beside them, and their pickle is read at most, never loaded.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import Any

from dask_verify.core.canonical import decode_frame, decode_plain, encode_frame
from dask_verify.core.public_keys import public_key_flaw
from dask_verify.core.seal import digest
from dask_verify.errors import DecodingError, EvidenceError, InputError
from dask_verify.evidence.fields import Fields, base64_text
from dask_verify.execution.work import Work
from dask_verify.protocol.board import MAX_UNITS
from dask_verify.protocol.domain import Domain
from dask_verify.protocol.messages import MAP

ROLES = ("mapper", "reducer", "combiner")


@dataclass(frozen=True)
class Bound:
    """What a job id binds, as far as exhibits need it; see `protocol.terms.Terms`.

    Parameters
    ----------
    data : bytes
        What the job id is a digest of.
    coordinator : bytes
        Public key of whoever ran the job.
    keys : dict of str to bytes
        Public keys of the domains.
    faults : int
        Domains that the policy allowed to be faulty.
    functions : bytes
        Digest of the shipped functions.
    maps : int
    cut : tuple of int
        Reduce partitions, key buckets, records in a unit.
    """

    data: bytes
    coordinator: bytes
    keys: dict[str, bytes]
    faults: int
    functions: bytes
    maps: int
    cut: tuple[int, int, int]

    @property
    def job(self) -> bytes:
        """The job id."""
        return digest("job", self.data)

    @classmethod
    def read(cls, data: bytes, path: str) -> Bound:
        """Decode `Terms.to_bytes`.

        Parameters
        ----------
        data : bytes
            Bytes of the terms.
        path : str
            Where it stands, for the error.

        Returns
        -------
        Bound

        Raises
        ------
        EvidenceError
            If it does not hold.
        """
        refusal = EvidenceError(path, "the terms of a job", "something else")
        try:
            match decode_plain(data):
                case (
                    bytes(), bytes(), bytes(coordinator), (int(), int(faults), *_),
                    tuple(rows), bytes(functions), bytes(),
                    int(maps), int(reduces), int(buckets), int(unit_records),
                ):  # fmt: skip
                    domains = [Domain(name, key) for name, key in rows]
                case _:
                    raise refusal
        except (DecodingError, InputError, TypeError, ValueError):
            raise refusal from None
        for key in (coordinator, *(domain.public_key for domain in domains)):
            if flaw := public_key_flaw(key):
                raise EvidenceError(path, *flaw)
        keys = {domain.name: domain.public_key for domain in domains}
        if len(set(keys.values())) < len(domains):
            raise refusal
        cut = (reduces, buckets, unit_records)
        return cls(data, coordinator, keys, faults, functions, maps, cut)


@dataclass(frozen=True)
class Shape:
    """How the work was cut, and what its outputs are cast to.

    Parameters
    ----------
    kind : {"bag", "frame"}
    buckets, partitions : int
        Key buckets in all; reduce partitions.
    unit_records : int
        Records in a unit; 0: the partition is the unit.
    by : tuple of str
    map_meta, meta : bytes
        Canonical bytes of the empty frames; empty for a bag.
    types : tuple of str
        Names of the user's registered types.
    """

    kind: str
    buckets: int
    partitions: int
    unit_records: int
    by: tuple[str, ...]
    map_meta: bytes
    meta: bytes
    types: tuple[str, ...]

    @classmethod
    def of(cls, work: Work) -> Shape:
        """Return the shape of some work.

        Parameters
        ----------
        work : Work
            The user's functions, with what is needed to run them.

        Returns
        -------
        Shape
        """
        map_meta, meta = (b"" if m is None else encode_frame(m) for m in (work.map_meta, work.meta))
        return cls(
            kind=work.kind,
            buckets=work.buckets,
            partitions=work.partitions,
            unit_records=work.unit_records or 0,
            by=tuple(work.by),
            map_meta=map_meta,
            meta=meta,
            types=tuple(entry.name for entry in work.types),
        )

    @property
    def run(self) -> int:
        """Buckets in one reduce partition."""
        return self.buckets // self.partitions

    def column(self, stage: str) -> int:
        """Return how many leaves a unit has.

        Parameters
        ----------
        stage : str
            Name of the stage.

        Returns
        -------
        int
        """
        return self.buckets if stage == MAP else 1

    def plain(self) -> dict[str, Any]:
        """Return this as JSON values.

        Returns
        -------
        dict of str to object
        """
        return {
            "kind": self.kind,
            "buckets": self.buckets,
            "partitions": self.partitions,
            "unit_records": self.unit_records,
            "by": list(self.by),
            "map_meta": base64_text(self.map_meta),
            "meta": base64_text(self.meta),
            "types": list(self.types),
        }

    @classmethod
    def read(cls, fields: Fields) -> Shape:
        """Read what `plain` gave.

        Parameters
        ----------
        fields : Fields
            The fields.

        Returns
        -------
        Shape

        Raises
        ------
        EvidenceError
            If it does not hold.
        """
        shape = cls(
            kind=fields.choice("kind", ("bag", "frame")),
            buckets=fields.number("buckets", 1, MAX_UNITS),
            partitions=fields.number("partitions", 1),
            unit_records=fields.number("unit_records"),
            by=fields.texts("by"),
            map_meta=fields.octets("map_meta"),
            meta=fields.octets("meta"),
            types=fields.texts("types"),
        )
        fields.end()
        if shape.buckets % shape.partitions:
            raise EvidenceError(fields.at("buckets"), "equally many a partition", shape.buckets)
        for name in ("map_meta", "meta"):
            _require_meta(getattr(shape, name), shape.kind, fields.at(name))
        _require_keys(shape, fields.at("by"))
        return shape

    def frames(self) -> dict[str, Any]:
        """Return the metas as frames, where there are any.

        Returns
        -------
        dict of str to object
        """
        metas = {"map_meta": self.map_meta, "meta": self.meta}
        return {name: decode_frame(data) for name, data in metas.items() if data}


def _require_meta(data: bytes, kind: str, path: str) -> None:
    if (kind == "frame") != bool(data):
        raise EvidenceError(path, "an empty frame for a dataframe, nothing for a bag", data)
    if not data:
        return
    try:
        rows = len(decode_frame(data))
    except DecodingError as error:
        raise EvidenceError(path, "an empty frame", f"{error!s:.200}") from None
    if rows:
        raise EvidenceError(path, "a frame without rows", f"{rows} rows")


def _require_keys(shape: Shape, path: str) -> None:
    there: list[Any] = []
    if shape.kind == "frame":
        meta = shape.frames()["map_meta"]
        there = [*meta.columns, *meta.index.names]
    good = all(key in there for key in shape.by) and len(set(shape.by)) == len(shape.by)
    if not good or (shape.kind == "frame") != bool(shape.by):
        raise EvidenceError(path, f"keys among the {len(there)} of map_meta", list(shape.by))


@dataclass(frozen=True)
class Functions:
    """The functions as they were shipped, and by which names they may be found.

    Parameters
    ----------
    shipped : bytes
        A pickle: it must not be loaded unless whoever made it is trusted.
    names : dict of str to str
        ``"module:qualname"`` by role.
    importable : frozenset of str
        Roles whose names led to them where the job was started.
    """

    shipped: bytes
    names: dict[str, str]
    importable: frozenset[str]

    @property
    def digest(self) -> bytes:
        """What the job id binds."""
        return digest("functions", self.shipped)

    def plain(self) -> dict[str, Any]:
        """Return this as JSON values.

        Returns
        -------
        dict of str to object
        """
        roles = {
            role: {"name": name, "importable": role in self.importable}
            for role, name in self.names.items()
        }
        return {"digest": self.digest.hex(), "shipped": base64_text(self.shipped), **roles}

    @classmethod
    def read(cls, fields: Fields) -> Functions:
        """Read what `plain` gave.

        Parameters
        ----------
        fields : Fields
            The fields.

        Returns
        -------
        Functions

        Raises
        ------
        EvidenceError
            If it does not hold.
        """
        said, shipped = fields.digest("digest"), fields.octets("shipped")
        names, importable = {}, set()
        for role in ROLES:
            if role != "combiner" or fields.has(role):
                one = fields.object(role)
                names[role] = one.text("name")
                if one.flag("importable"):
                    importable.add(role)
                one.end()
        fields.end()
        functions = cls(shipped, names, frozenset(importable))
        if functions.digest != said:
            raise EvidenceError(fields.at("digest"), functions.digest, said)
        return functions

    def check_names(self) -> None:
        """Check that the shipped pickle refers to what is importable; it is read, never loaded.

        Raises
        ------
        EvidenceError
            If it does not hold.
        """
        if not self.importable:
            return
        inside = _texts_in(self.shipped)
        for role in self.importable:
            parts = self.names[role].split(":")
            if not inside.issuperset(parts):
                raise EvidenceError(f"functions.{role}", "a name in what was shipped", parts)


def _texts_in(pickled: bytes) -> set[str]:
    """Return the texts of a pickle, by which it names what it imports."""
    try:
        found = [argument for _, argument, _ in pickletools.genops(pickled)]
    except Exception as error:
        # Whatever made-up bytes raise there, they are no pickle.
        said = f"something else ({type(error).__name__})"
        raise EvidenceError("functions.shipped", "a pickle", said) from None
    return {argument for argument in found if isinstance(argument, str)}
