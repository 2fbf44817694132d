"""The commands of SECURITY.md make certificates that the gate tells apart."""

from __future__ import annotations

import re
import shlex
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from programs import need, output

from dask_verify.engine.gate import Gate

pytestmark = pytest.mark.interop

DOCUMENT = Path(__file__).parents[2] / "SECURITY.md"


def test_certificates_made_as_the_document_says(tmp_path):
    need("openssl")
    commands = re.findall(r"^alice\$ ((?:openssl|printf) .*)$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(commands) == 4
    for name in ("alice", "coordinator"):
        for command in commands:
            line = command.replace("alice", shlex.quote(name))
            output("sh", "-c", line, cwd=tmp_path)
    cas = {
        name: x509.load_pem_x509_certificate((tmp_path / f"{name}-ca.pem").read_bytes())
        for name in ("alice", "coordinator")
    }
    for name in cas:
        shown = ssl.PEM_cert_to_DER_cert((tmp_path / f"{name}-cert.pem").read_text())
        assert Gate(cas).identify(shown) == name
        context = ssl.create_default_context(cafile=str(tmp_path / f"{name}-ca.pem"))
        context.load_cert_chain(tmp_path / f"{name}-cert.pem", tmp_path / f"{name}-key.pem")
