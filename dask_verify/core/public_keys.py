"""Ed25519 public keys that may stand for somebody.

What this module guarantees about a key without a flaw: it is the one encoding of a point of the
curve, and not one of the eight points of small order. Under these anybody can make signatures
that hold for any message, or for every eighth one.
"""

from __future__ import annotations

SIZE = 32  #: bytes of a raw public key

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
# The y coordinates of the points whose order divides eight.
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})


def public_key_flaw(key: object) -> tuple[str, str] | None:
    """Return what was expected of a public key and what was got, or None if it is a good one.

    Parameters
    ----------
    key : object
        Raw Ed25519 public key, 32 bytes (RFC 8032, section 5.1.5).

    Returns
    -------
    tuple of (str, str) or None

    Examples
    --------
    >>> from dask_verify.protocol.domain import Identity
    >>> public_key_flaw(Identity.generate("alice").public_key)
    >>> public_key_flaw(bytes(32))
    ('a public key of full order', 'one of small order, whose signatures anybody can make')
    """
    if not isinstance(key, bytes) or len(key) != SIZE:
        got = f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__
        return f"a raw Ed25519 public key of {SIZE} bytes", got
    y = int.from_bytes(key, "little") & (2**255 - 1)
    if y >= _P:
        return "a public key in its one encoding", "another encoding"
    if y in _SMALL:
        expected = "a public key of full order"
        return expected, "one of small order, whose signatures anybody can make"
    if not _on_curve(y):
        return "a point of the curve Ed25519", "another number"
    return None


def _on_curve(y: int) -> bool:
    """Whether ``(y**2 - 1) / (d * y**2 + 1)`` is the square of some x (Euler's criterion)."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    return pow(square, (_P - 1) // 2, _P) == 1
