"""Which public keys may stand for somebody, against slow and obvious arithmetic."""

from __future__ import annotations

import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from dask_verify.core.public_keys import _SMALL, public_key_flaw
from dask_verify.protocol.domain import Identity

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
IDENTITY = (0, 1)


def add(a, b):
    """The addition law of RFC 8032, section 5.1.4, in affine coordinates."""
    (x1, y1), (x2, y2) = a, b
    both = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + both, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - both, -1, P)
    return x % P, y % P


def times_eight(point):
    for _ in range(3):
        point = add(point, point)
    return point


def points(y):
    """Every point with this y: both roots, from Tonelli's formula for p = 5 mod 8."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    for x in (root, root * pow(2, (P - 1) // 4, P) % P):
        if x * x % P == square:
            return {(x, y), (-x % P, y)}
    return set()


def encoded(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def test_the_small_ones_are_the_eight_points_of_order_eight_and_less():
    small = {point for y in _SMALL for point in points(y)}
    assert len(small) == 8
    assert {times_eight(point) for point in small} == {IDENTITY}
    assert all(
        public_key_flaw(encoded(point))[0] == "a public key of full order" for point in small
    )


@pytest.mark.parametrize("sign", [0, 1 << 255])
@pytest.mark.parametrize("y", sorted(_SMALL))
def test_a_small_one_is_refused_whatever_its_sign_bit(y, sign):
    assert public_key_flaw((y | sign).to_bytes(32, "little"))


@pytest.mark.parametrize("y", range(P, 2**255))
def test_a_second_encoding_is_refused(y):
    assert public_key_flaw(y.to_bytes(32, "little")) == (
        "a public key in its one encoding",
        "another encoding",
    )


def test_why_a_key_of_small_order_is_refused():
    """One signature under the neutral element holds for whatever anybody likes."""
    key = Ed25519PublicKey.from_public_bytes(b"\x01" + bytes(31))
    for message in (b"alice computed this", b"bob computed that"):
        key.verify(b"\x01" + bytes(63), message)


@pytest.mark.parametrize("_", range(20))
def test_generated_keys_are_good(_):
    assert public_key_flaw(Identity.generate("a").public_key) is None


@given(st.integers(2, P - 1))
def test_only_points_of_the_curve_are_taken(y):
    assert (public_key_flaw(y.to_bytes(32, "little")) is None) == bool(
        points(y) and y not in _SMALL
    )


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), "00" * 32, None, 7, bytearray(32)])
def test_what_is_no_key_at_all(key):
    expected, _ = public_key_flaw(key)
    assert expected == "a raw Ed25519 public key of 32 bytes"


def test_half_of_all_numbers_are_no_points():
    flaws = [public_key_flaw(secrets.token_bytes(32)) for _ in range(200)]
    assert 50 < sum(flaw is not None for flaw in flaws) < 150
