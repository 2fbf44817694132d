from __future__ import annotations

import dask
import pytest
from distributed.security import Security

from dask_verify.engine.courier.command import Limits, command, environment, security
from dask_verify.engine.courier.remote import Remote, remotes
from dask_verify.errors import InputError


def test_all_ways_to_name_a_scheduler():
    given = Remote("tcp://c:3")
    found = remotes({"a": "tcp://a:1", "b": ("tls://b:2", Security()), "c": given})
    assert [(name, r.address, r.port) for name, r in found.items()] == [
        ("a", "tcp://a:1", 1), ("b", "tls://b:2", 2), ("c", "tcp://c:3", 3),
    ]  # fmt: skip
    assert found["c"] is given
    assert remotes("tcp://a:1") == "tcp://a:1"


def test_clients_stay_as_they_are():
    clients = {"a": object(), "b": object()}
    assert remotes(clients) is clients
    assert remotes({}) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": "tcp://a:1", "b": object()}, "for all domains or for none"),
        ({"a": "tcp://a:1", "b": "tcp://a:1"}, "'a' and 'b' have the same scheduler"),
        ({"a": "a:1"}, "expected an address"),
        ({"a": "tcp://a"}, "expected an address"),
        ({"a": "tcp://:1"}, "expected an address"),
        ({"a": "tcp://a:99999"}, "expected an address"),
        ({"a": "inproc://a:1"}, "expected an address"),
        ({"a": ("tcp://a:1",)}, "expected .address, Security."),
        ({"a": (5, Security())}, "expected .address, Security."),
        ({"a": ("tcp://a:1", "secret")}, "expected a distributed.Security, got str"),
        ({"a": ("tcp://a:1", Security(extra_conn_args={"x": 1}))}, "without extra_conn_args"),
    ],
)
def test_what_is_no_scheduler(given, message):
    with pytest.raises(InputError, match=message):
        remotes(given)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "2GiB", True])
def test_wrong_memory_limits(limit):
    with pytest.raises(InputError, match="a number of bytes"):
        Remote("tcp://a:1", memory_limit=limit)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("memory", "much"), ("memory", 0), ("answer", -1), ("answer", None), ("confinement", "maybe")],
)
def test_wrong_settings(setting, value):
    with (
        dask.config.set({f"verify.courier-{setting}": value}),
        pytest.raises(InputError, match=f"verify.courier-{setting}: expected"),
    ):
        Limits.configured()


def test_memory_of_one_courier():
    limits = Limits(123, 1, required=True)
    assert "123" in command("/folder", Remote("tcp://a:1"), limits)
    assert "456" in command("/folder", Remote("tcp://a:1", memory_limit=456), limits)


def test_nothing_of_the_environment_but_where_libraries_are(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("HOME", "/home/secret")
    found = environment("/folder")
    assert "secret" not in str({**found, "PYTHONPATH": ""})
    assert found["HOME"] == found["TMPDIR"] == "/folder"


@pytest.mark.parametrize("in_memory", [True, False])
def test_certificates_are_put_into_the_folder(tmp_path, in_memory):
    texts = {name: f"{name}\nPEM\n" for name in ("ca", "cert", "key")}
    given = dict(texts)
    if not in_memory:
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
            given[name] = str(tmp_path / name)
    (tmp_path / "folder").mkdir()
    remote = Remote(
        "tls://a:1",
        Security(
            tls_ca_file=given["ca"], tls_client_cert=given["cert"], tls_client_key=given["key"],
            require_encryption=True,
        ),
    )  # fmt: skip
    found = security(remote, str(tmp_path / "folder"))
    assert found["require_encryption"] is True
    for name, field in (("ca", "ca_file"), ("cert", "client_cert"), ("key", "client_key")):
        path = tmp_path / "folder" / f"tls_{field}.pem"
        assert found[f"tls_{field}"] == str(path)
        assert path.read_text() == texts[name]
        assert path.stat().st_mode & 0o077 == 0


def test_missing_certificates(tmp_path):
    remote = Remote("tls://a:1", Security(tls_ca_file=str(tmp_path / "none")))
    with pytest.raises(OSError, match="none"):
        security(remote, str(tmp_path))
