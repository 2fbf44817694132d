"""Rehearsing failure: domains that lie, stall and die on purpose, for users and for tests.

A saboteur is put into a domain with `LocalDomainCluster(saboteurs={"bob": Tamper()})`, or later
with ``cluster.sabotage("bob", Tamper())``; it corrupts what real workers of that domain compute,
commit to and serve. What it corrupts is signed, like everything that the domain says.
"""

from __future__ import annotations

from dask_verify.testing.evaders import Echo, Frame, Mute, Relapse
from dask_verify.testing.liars import (
    Drop,
    Duplicate,
    Flaky,
    ForgeRoot,
    Insert,
    Pretend,
    ReadOther,
    RefuseDescent,
    Reorder,
    ServeOther,
    SignTwice,
    Stale,
    Tamper,
)
from dask_verify.testing.saboteur import Collude, Lie, Saboteur
from dask_verify.testing.stallers import Crash, Silent, Slow

__all__ = [
    "Collude",
    "Crash",
    "Drop",
    "Duplicate",
    "Echo",
    "Flaky",
    "ForgeRoot",
    "Frame",
    "Insert",
    "Lie",
    "Mute",
    "Pretend",
    "ReadOther",
    "RefuseDescent",
    "Relapse",
    "Reorder",
    "Saboteur",
    "ServeOther",
    "SignTwice",
    "Silent",
    "Slow",
    "Stale",
    "Tamper",
]
