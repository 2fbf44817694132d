from __future__ import annotations

import gc
import weakref

import pytest

from dask_verify.engine.enrolment import enrol, enrolled
from dask_verify.errors import InputError
from dask_verify.protocol.domain import Domain, Identity


class Client:
    pass


def domain(name):
    return Domain(name, Identity.generate(name).public_key, {})


def test_nobody_is_enrolled_by_default():
    assert enrolled(Client()) is None


def test_domains_belong_to_their_client_and_keep_their_order():
    one, other = Client(), Client()
    domains = domain("bob"), domain("alice")
    enrol(one, iter(domains))
    assert enrolled(one) == domains
    assert enrolled(other) is None


@pytest.mark.parametrize("names", [[], ["alice", "alice"]])
def test_refused(names):
    client = Client()
    with pytest.raises(InputError):
        enrol(client, [domain(name) for name in names])
    assert enrolled(client) is None


def test_an_enrolment_keeps_no_client_alive():
    client = Client()
    enrol(client, [domain("alice")])
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None
