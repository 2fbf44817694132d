"""Domains and their Ed25519 keys.

* A domain *is* its enrolled public key; what a worker says of itself is a hint. The key is one
  under which nobody signs without the private key.
* Every signature covers a context string, so a statement of one kind never passes as another.
* A statement counts for a domain only with that domain's signature.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from dask_verify.core.public_keys import public_key_flaw
from dask_verify.errors import InputError, SignatureError

#: The name under which the coordinator's own recomputation is counted; no domain may take it.
COORDINATOR = "coordinator"

_LIBRARIES = ("numpy", "pandas", "pyarrow", "dask", "distributed")
_PREFIX = b"dask_verify/v1/"


def _message(context: str, payload: bytes) -> bytes:
    return _PREFIX + context.encode() + b"\0" + payload


def environment() -> dict[str, str]:
    """Return what this process would enrol: what may explain a difference between honest domains.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> sorted(environment())[:2]
    ['dask', 'distributed']
    """
    import pyarrow as pa

    found = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "timezone": "/".join(time.tzname),
        # What vectorised kernels, and so the last bits of a float sum, depend on.
        "simd": str(pa.runtime_info().detected_simd_level),
    }
    return found | {name: metadata.version(name) for name in _LIBRARIES if _installed(name)}


def _installed(name: str) -> bool:
    # Keys are made and evidence is checked on machines without Dask, too.
    return bool(list(metadata.distributions(name=name)))


@dataclass(frozen=True)
class Domain:
    """One administrative trust boundary, as enrolled with the coordinator.

    Parameters
    ----------
    name : str
        Unique name; ``"coordinator"`` is reserved.
    public_key : bytes
        Raw Ed25519 public key, 32 bytes.
    environment : mapping of str to str
        What the domain said of its software and machine when it was enrolled.

    Raises
    ------
    InputError
        For an empty or reserved name, or a key that is not a good Ed25519 public key
        (`dask_verify.core.public_keys`).

    Examples
    --------
    >>> alice = Identity.generate("alice")
    >>> domain = Domain("alice", alice.public_key)
    >>> domain.verify("greeting", b"hello", alice.sign("greeting", b"hello"))
    """

    name: str
    public_key: bytes
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or self.name == COORDINATOR:
            raise InputError(
                f"expected a non-empty domain name other than {COORDINATOR!r}, got {self.name!r}"
            )
        if flaw := public_key_flaw(self.public_key):
            raise InputError(f"domain {self.name!r}: expected {flaw[0]}, got {flaw[1]}")
        object.__setattr__(self, "environment", MappingProxyType(dict(self.environment)))

    def __hash__(self) -> int:
        return hash((self.name, self.public_key))

    def verify(self, context: str, payload: bytes, signature: bytes) -> None:
        """Check a signature of this domain.

        Parameters
        ----------
        context : str
            What the signature is for.
        payload : bytes
            What is signed.
        signature : bytes
            The signature, 64 bytes.

        Raises
        ------
        SignatureError
            If the signature was not made by this domain's key over these bytes in this context.
        """
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public_key)
            key.verify(signature, _message(context, payload))
        except (InvalidSignature, TypeError, ValueError):
            raise SignatureError(
                f"{context}: expected a signature by domain {self.name!r}"
                f" (key {self.public_key.hex()[:16]}...), got one that does not verify;"
                " check which key the worker was started with"
            ) from None


class Identity:
    """A domain's private key: lives in that domain's workers only.

    Parameters
    ----------
    name : str
        Name of the domain.
    private_key : Ed25519PrivateKey
        The key.

    Examples
    --------
    >>> copy = Identity("alice", Identity.generate("alice").private_bytes())
    >>> len(copy.public_key)
    32
    """

    def __init__(self, name: str, private_key: bytes) -> None:
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)

    def __repr__(self) -> str:
        return f"<Identity of {self.name!r}, public key {self.public_key.hex()[:16]}...>"

    @classmethod
    def generate(cls, name: str) -> Identity:
        """Make a fresh key.

        Parameters
        ----------
        name : str
            Name of the domain.

        Returns
        -------
        Identity
        """
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def public_key(self) -> bytes:
        """The raw public key, 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def private_bytes(self) -> bytes:
        """Return the raw private key, 32 bytes.

        Returns
        -------
        bytes
        """
        return self._key.private_bytes_raw()

    def sign(self, context: str, payload: bytes) -> bytes:
        """Sign bytes in a context; 64 bytes.

        Parameters
        ----------
        context : str
            What the signature is for.
        payload : bytes
            What is signed.

        Returns
        -------
        bytes
        """
        return self._key.sign(_message(context, payload))
