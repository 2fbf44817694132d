"""Certificate authorities of domains and of the coordinator, made by trustme, as files."""

from __future__ import annotations

from pathlib import Path

import trustme
from distributed.security import Security

COORDINATOR = "coordinator"


class Certified:
    """A folder with an authority, a certificate and a trust bundle for each name.

    ``NAME-ca.pem`` is the authority, ``NAME-cert.pem`` and ``NAME-key.pem`` what it issued, and
    ``NAME-trusts.pem`` whom NAME believes: itself and the coordinator; the coordinator everybody.
    """

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder, self.names = folder, names
        authorities = {name: trustme.CA(organization_name=name) for name in (*names, COORDINATOR)}
        for name, authority in authorities.items():
            authority.cert_pem.write_to_path(str(self.path(name, "ca")))
            issued = authority.issue_cert(f"{name}.example")
            issued.private_key_pem.write_to_path(str(self.path(name, "key")))
            issued.cert_chain_pems[0].write_to_path(str(self.path(name, "cert")))
            believed = authorities if name == COORDINATOR else (name, COORDINATOR)
            for one in believed:
                authorities[one].cert_pem.write_to_path(str(self.path(name, "trusts")), append=True)

    def path(self, name: str, what: str) -> Path:
        return self.folder / f"{name}-{what}.pem"

    def options(self, name: str) -> tuple[str, ...]:
        """Dask's own options, of `dask scheduler` and `dask worker`."""
        files = {"ca-file": "trusts", "cert": "cert", "key": "key"}
        return tuple(o for k, v in files.items() for o in (f"--tls-{k}", str(self.path(name, v))))

    def authorities(self) -> tuple[str, ...]:
        """The gate's options, of `dask scheduler --preload dask_verify.scheduler`."""
        pairs = [f"{name}={self.path(name, 'ca')}" for name in (*self.names, COORDINATOR)]
        return tuple(option for pair in pairs for option in ("--authority", pair))

    def security(self, name: str, believes: Path | None = None) -> Security:
        cert, key = str(self.path(name, "cert")), str(self.path(name, "key"))
        roles = {f"tls_{role}_{what}": file for role in ("client", "worker", "scheduler")
                 for what, file in (("cert", cert), ("key", key))}  # fmt: skip
        ca = str(believes or self.path(name, "trusts"))
        return Security(tls_ca_file=ca, require_encryption=True, **roles)
