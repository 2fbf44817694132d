"""A courier reads its certificates although it may write nothing, and read little."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from distributed import LocalCluster
from distributed.security import Security

from dask_verify.engine.courier.pool import CourierPool
from dask_verify.engine.courier.remote import Remote
from dask_verify.errors import InputError

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("certificates")
    for authority in ("bob", "mallory"):
        ca = trustme.CA()
        ca.cert_pem.write_to_path(found / f"{authority}-ca.pem")
        ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            found / f"{authority}.pem"
        )
    return found


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Return where a scheduler listens that takes certificates of its own authority alone."""
    pem, roles = str(folder / "bob.pem"), ("client", "scheduler", "worker")
    own = {f"tls_{role}_{part}": pem for role in roles for part in ("cert", "key")}
    ca = str(folder / "bob-ca.pem")
    security = Security(tls_ca_file=ca, require_encryption=True, **own)
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, host="127.0.0.1",
        protocol="tls", security=security, dashboard_address="127.0.0.1:0",
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


def client(folder: Path, authority: str, in_memory: bool) -> Security:
    ca, own = folder / f"{authority}-ca.pem", folder / f"{authority}.pem"
    texts = [path.read_text() if in_memory else str(path) for path in (ca, own)]
    return Security(
        tls_ca_file=texts[0], tls_client_cert=texts[1], tls_client_key=texts[1],
        require_encryption=True,
    )  # fmt: skip


@pytest.mark.parametrize("in_memory", [False, pytest.param(True, marks=pytest.mark.matrix)])
def test_certificates_of_the_scheduler(folder: Path, address: str, in_memory: bool) -> None:
    assert address.startswith("tls://")
    remote = Remote(address, client(folder, "bob", in_memory))
    with CourierPool({"bob": remote}) as pool:
        [worker] = pool.workers()["bob"]
        assert pool.call(worker, "bob", "verify_unheard_of") is None


@pytest.mark.matrix
def test_certificates_of_somebody_else(folder: Path, address: str) -> None:
    remote = Remote(address, client(folder, "mallory", False))
    with pytest.raises(InputError, match="domain 'bob' cannot reach tls://"):
        CourierPool({"bob": remote})


def test_certificates_that_are_not_there(folder: Path, address: str) -> None:
    lost = Security(tls_ca_file=str(folder / "none.pem"), tls_client_cert=str(folder / "none.pem"))
    with pytest.raises(InputError, match=r"none\.pem"):
        CourierPool({"bob": Remote(address, lost)})
