"""The trust file: whose signatures count, as enrolled out of band.

A TOML file with ``version = 1``, at most one table ``[coordinator]``, and a table ``[[domain]]``
for each domain, with a table ``[domain.environment]`` below it. What this module guarantees:

* Nothing is ignored: a table or field that is unknown here is refused, as is a wrong type, a name
  twice, or a name that does not show itself as what it is (`dask_verify.evidence.enrolment.texts`).
* A public key is a good one (`dask_verify.core.public_keys`), in 64 lowercase
  hexadecimal digits. The coordinator's is not that of a domain.
* Two domains may have the same key. They count once: who counts, counts keys.
* `Trust.to_bytes` writes the same bytes for the same trust, and `Trust.from_bytes` gives it back.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from dask_verify.core.public_keys import SIZE, public_key_flaw
from dask_verify.errors import EvidenceError, TrustError
from dask_verify.evidence.enrolment.texts import name_flaw, quoted, text_flaw
from dask_verify.evidence.fields import Fields
from dask_verify.evidence.files import read_file, replace_file
from dask_verify.protocol.domain import COORDINATOR, Domain

_VERSION = 1
_WHAT = "trust file"
_LARGEST = 1 << 20  #: bytes of a trust file: some thousand domains
# A dotted key costs the parser the square of its parts, so there are few, and a line is short.
_LONGEST_LINE, _MOST_DOTS = 2000, 16
# Texts and comments of a line, also such as have no end: what is left is keys, numbers and signs.
_TEXTS = re.compile(rb"""\"{3}|'{3}|"(?:[^"\\]|\\.)*+"?|'[^']*'?|#.*""")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Entry:
    """One that is enrolled: a domain, or the coordinator.

    Parameters
    ----------
    name : str
        ``"coordinator"`` for the coordinator.
    public_key : bytes
        Raw Ed25519 public key, 32 bytes.
    contact, penalty : str, optional
        Whom to ask, and what a wrong answer costs; text for people.
    environment : mapping of str to str
        What it said of its software and machine.

    Raises
    ------
    TrustError
        For a key or a text that has no place in a trust file.

    Examples
    --------
    >>> from dask_verify.protocol.domain import Identity
    >>> Entry("alice", Identity.generate("alice").public_key).name
    'alice'
    >>> Entry("alice", bytes(31))
    Traceback (most recent call last):
        ...
    dask_verify.errors.TrustError: 'alice', public-key: expected a raw Ed25519 public key of 32 \
bytes, got 31 bytes
    """

    name: str
    public_key: bytes
    contact: str | None = None
    penalty: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check("name", name_flaw(self.name))
        _check(f"{self.name!r}, public-key", public_key_flaw(self.public_key))
        for what, text in (("contact", self.contact), ("penalty", self.penalty)):
            if text is not None:
                _check(f"{self.name!r}, {what}", text_flaw(text))
        self._check_environment()
        object.__setattr__(self, "environment", MappingProxyType(dict(self.environment)))
        bare = self.penalty is None and not self.environment
        if self.name == COORDINATOR and not bare:
            raise TrustError(COORDINATOR, "a public key and a contact alone", "more")

    def __hash__(self) -> int:
        return hash((self.name, self.public_key))

    def _check_environment(self) -> None:
        what = f"{self.name!r}, environment"
        if not isinstance(self.environment, Mapping):
            raise TrustError(what, "a mapping of text to text", type(self.environment).__name__)
        for key, value in self.environment.items():
            _check(f"{what}, a key", name_flaw(key))
            _check(f"{what}, {key!r}", text_flaw(value))

    @property
    def domain(self) -> Domain:
        """The domain, as jobs know it; the coordinator is none."""
        return Domain(self.name, self.public_key, self.environment)


@dataclass(frozen=True)
class Trust:
    """Whose signatures count.

    Parameters
    ----------
    entries : tuple of Entry
        The domains, with distinct names.
    coordinator : Entry, optional

    Raises
    ------
    TrustError
        If a name is there twice, or the coordinator's key is that of a domain.

    Examples
    --------
    >>> from dask_verify.protocol.domain import Identity
    >>> alice = Entry("alice", Identity.generate("alice").public_key, contact="alice@example.org")
    >>> trust = Trust((alice,))
    >>> Trust.from_bytes(trust.to_bytes()) == trust
    True
    >>> [domain.name for domain in trust.domains]
    ['alice']
    """

    entries: tuple[Entry, ...] = ()
    coordinator: Entry | None = None

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.entries]
        if COORDINATOR in names:
            raise TrustError(_WHAT, f"domains of other names than {COORDINATOR!r}", "that one")
        name, times = next(iter(Counter(names).most_common(1)), ("", 0))
        if times > 1:
            raise TrustError(_WHAT, "every name once", f"{name!r} {times} times")
        if self.coordinator is None:
            return
        if self.coordinator.name != COORDINATOR:
            raise TrustError(_WHAT, f"a coordinator {COORDINATOR!r}", repr(self.coordinator.name))
        if self.coordinator.public_key in {entry.public_key for entry in self.entries}:
            raise TrustError(COORDINATOR, "a key of its own", "that of a domain")

    @property
    def domains(self) -> tuple[Domain, ...]:
        """The domains, as jobs know them, in the order of the file."""
        return tuple(entry.domain for entry in self.entries)

    def entry(self, name: str) -> Entry | None:
        """Return who has this name; None if nobody has.

        Parameters
        ----------
        name : str
            The name.

        Returns
        -------
        Entry or None

        Examples
        --------
        >>> from dask_verify.protocol.domain import Identity
        >>> key = Identity.generate("alice").public_key
        >>> trust = Trust((Entry("alice", key, "alice@example.org"),))
        >>> trust.entry("alice").contact, trust.entry("bob")
        ('alice@example.org', None)
        """
        everybody = (*self.entries, *([self.coordinator] if self.coordinator else []))
        return next((entry for entry in everybody if entry.name == name), None)

    def with_entry(self, entry: Entry, replacing: bool = False) -> Trust:
        """Return this trust with one more entry, or with newer words of one that it has.

        Parameters
        ----------
        entry : Entry
        replacing : bool
            Whether it may take the place of one with another key.

        Returns
        -------
        Trust

        Raises
        ------
        TrustError
            If the name is there with another key, and may not be replaced.

        Examples
        --------
        >>> from dask_verify.protocol.domain import Identity
        >>> alice = Entry("alice", Identity.generate("alice").public_key)
        >>> [entry.name for entry in Trust().with_entry(alice).entries]
        ['alice']
        """
        known = self.entry(entry.name)
        if known is not None and known.public_key != entry.public_key and not replacing:
            raise TrustError(
                f"{entry.name!r}",
                f"the key {known.public_key.hex()} that was enrolled before",
                f"{entry.public_key.hex()}; find out why before you replace it",
            )
        if entry.name == COORDINATOR:
            return replace(self, coordinator=entry)
        if known is None:
            return replace(self, entries=(*self.entries, entry))
        return replace(self, entries=tuple(entry if e is known else e for e in self.entries))

    @classmethod
    def from_bytes(cls, data: bytes) -> Trust:
        """Read a trust file.

        Parameters
        ----------
        data : bytes
            Bytes of the file.

        Returns
        -------
        Trust

        Raises
        ------
        TrustError
            If it is not exactly a trust file.

        Examples
        --------
        >>> Trust.from_bytes(b"version = 1").domains
        ()
        >>> Trust.from_bytes(b"version = 2")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        dask_verify.errors.TrustError: trust file.version: expected ..., got 2
        """
        try:
            fields = Fields(_parsed(data), _WHAT)
            fields.number("version", _VERSION, _VERSION)
            domains = fields.objects("domain") if fields.has("domain") else ()
            entries = tuple(_entry(one, one.text("name")) for one in domains)
            coordinator = None
            if fields.has(COORDINATOR):
                coordinator = _entry(fields.object(COORDINATOR), COORDINATOR)
            fields.end()
            return cls(entries, coordinator)
        except TrustError:
            raise
        except EvidenceError as error:
            raise TrustError(error.what, error.expected, error.got) from None

    def to_bytes(self) -> bytes:
        """Write the trust file.

        Returns
        -------
        bytes

        Raises
        ------
        TrustError
            If it could not be read back.

        Examples
        --------
        >>> print(Trust().to_bytes().decode().strip())
        version = 1
        """
        parts = [f"version = {_VERSION}\n"]
        if self.coordinator is not None:
            parts.append(_table(f"[{COORDINATOR}]", _said(self.coordinator)))
        for entry in self.entries:
            parts.append(_table("[[domain]]", [("name", entry.name), *_said(entry)]))
            if entry.environment:
                parts.append(_table("[domain.environment]", sorted(entry.environment.items())))
        data = "\n".join(parts).encode()
        if len(data) > _LARGEST:
            raise TrustError(_WHAT, f"at most {_LARGEST:,} bytes", f"{len(data):,}")
        return data


def load_trust(path: str | os.PathLike[str]) -> Trust:
    """Read a trust file from disk.

    Parameters
    ----------
    path : str or path
        A regular file; ``~`` is not expanded.

    Returns
    -------
    Trust

    Raises
    ------
    TrustError
        If it cannot be read, or is not exactly a trust file.

    Examples
    --------
    >>> try:
    ...     load_trust("/nowhere/domains.toml")
    ... except TrustError as error:
    ...     print(error.got)
    No such file or directory
    """
    data = read_file(path, _LARGEST, TrustError)
    try:
        return Trust.from_bytes(data)
    except TrustError as error:
        what = f"{os.fspath(path)}, {error.what}"
        raise TrustError(what, error.expected, error.got) from None


def save_trust(path: str | os.PathLike[str], trust: Trust) -> None:
    """Write a trust file at one go, in place of one that is there.

    Parameters
    ----------
    path : str or path
        Path of the file.
    trust : Trust
        What is written.

    Raises
    ------
    TrustError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "domains.toml")
    >>> save_trust(path, Trust())
    >>> load_trust(path) == Trust()
    True
    >>> folder.cleanup()
    """
    replace_file(path, trust.to_bytes(), TrustError)


def _parsed(data: bytes) -> dict[str, Any]:
    if len(data) > _LARGEST:
        raise TrustError(_WHAT, f"at most {_LARGEST:,} bytes", f"{len(data):,}")
    longest = max(map(len, data.split(b"\n")))
    if longest > _LONGEST_LINE:
        raise TrustError(_WHAT, f"lines of at most {_LONGEST_LINE:,} bytes", f"{longest:,}")
    for number, line in enumerate(data.split(b"\n"), 1):
        _check_line(number, line)
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or too deep
        raise TrustError(_WHAT, "TOML", f"something else ({error!s:.200})") from None


def _check_line(number: int, line: bytes) -> None:
    if line.count(b".") <= _MOST_DOTS:
        return
    what = f"{_WHAT}, line {number}"
    if {b'"' * 3, b"'" * 3}.intersection(_TEXTS.findall(line)):
        raise TrustError(what, "texts that begin and end on it", "one of several lines")
    dots = _TEXTS.sub(b"", line).count(b".")
    if dots > _MOST_DOTS:
        raise TrustError(what, f"at most {_MOST_DOTS} dots between keys", dots)


def _entry(fields: Fields, name: str) -> Entry:
    entry = Entry(
        name,
        fields.digest("public-key", SIZE),
        fields.text("contact") if fields.has("contact") else None,
        fields.text("penalty") if fields.has("penalty") else None,
        fields.mapping("environment") if fields.has("environment") else {},
    )
    fields.end()
    return entry


def _said(entry: Entry) -> list[tuple[str, str]]:
    said = ("public-key", entry.public_key.hex()), ("contact", entry.contact)
    both = (*said, ("penalty", entry.penalty))
    return [(what, text) for what, text in both if text is not None]


def _table(title: str, fields: Iterable[tuple[str, str]]) -> str:
    lines = (f"{_toml_key(what)} = {quoted(text)}\n" for what, text in fields)
    return f"{title}\n{''.join(lines)}"


def _toml_key(text: str) -> str:
    return text if _BARE.fullmatch(text) else quoted(text)


def _check(what: str, flaw: tuple[str, str] | None) -> None:
    if flaw:
        raise TrustError(what, *flaw)
