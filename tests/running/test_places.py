"""Where a job is computed, from the options."""

from __future__ import annotations

import pytest

from dask_verify.errors import InputError
from dask_verify.running.places import Keys, Local, Separate, Shared, Tls, Wanted, place

TCP, TLS = "tcp://10.0.0.1:8786", "tls://10.0.0.1:8786"
FILES = Tls("ca.pem", "cert.pem", "key.pem")
KEYS = Keys("domains.toml", "coordinator.key")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), Local(("alice", "bob", "carol"))),
        (Wanted(domains=("a", "b"), workers=2, cheat="b"), Local(("a", "b"), 2, "b")),
        (Wanted(scheduler=TCP, keys=KEYS), Shared(TCP, KEYS, Tls())),
        (Wanted(scheduler=TLS, tls=FILES), Shared(TLS, Keys(), FILES)),
        (
            Wanted(domains=(f"a={TLS}", "b=tls://b:1"), keys=KEYS, tls=FILES),
            Separate((("a", TLS), ("b", "tls://b:1")), KEYS, FILES),
        ),
    ],
)
def test_places(wanted, expected):
    assert place(wanted) == expected


def test_a_configured_scheduler_is_used_if_nothing_else_is_said():
    assert place(Wanted(), TCP) == Shared(TCP, Keys(), Tls())
    assert place(Wanted(scheduler=TLS), TCP).address == TLS
    assert place(Wanted(domains=("a", "b")), TCP) == Local(("a", "b"))
    assert isinstance(place(Wanted(cheat="bob"), TCP), Local)
    assert isinstance(place(Wanted(workers=1), TCP), Local)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(domains=("a",), scheduler=TCP), "--scheduler: expected without --domain, got both"),
        (Wanted(domains=("a", "a")), "every domain once, got 'a' twice"),
        (Wanted(domains=(f"=x{TCP}",)), "got no name"),
        (Wanted(domains=(f"a={TCP}", "b")), "for all domains or for none, got 'b'"),
        (Wanted(domains=("a=here", "b=there")), "--domain a: expected an address such as"),
        (Wanted(scheduler="tcp://nowhere"), "--scheduler: expected an address such as"),
        (Wanted(scheduler=TCP, workers=2), "--workers: expected only for domains that are started"),
        (Wanted(scheduler=TCP, cheat="a"), "--cheat: expected only for domains that are started"),
        (Wanted(domains=("a", "b"), cheat="c"), "--cheat: expected one of 'a', 'b', got 'c'"),
        (Wanted(keys=Keys("t")), "--trust: expected only for domains of your own"),
        (Wanted(keys=Keys(None, "k")), "--key: expected only for domains of your own"),
        (Wanted(tls=FILES), "TLS files: expected only for schedulers of your own"),
        (Wanted(scheduler=TCP, tls=FILES), "TLS files: expected for addresses such as tls://"),
        (Wanted(scheduler=TLS, tls=Tls("ca.pem")), "--tls-key together, got only some"),
    ],
)
def test_contradictions_are_refused(wanted, words):
    with pytest.raises(InputError) as caught:
        place(wanted)
    assert words in str(caught.value)
    assert "; " in str(caught.value)  # what to do
