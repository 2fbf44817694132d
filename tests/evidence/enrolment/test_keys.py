"""Key files: nobody else reads them, nothing overwrites them, OpenSSL understands them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from dask_verify.errors import InputError
from dask_verify.evidence import files
from dask_verify.evidence.enrolment.keys import read_key, write_key
from dask_verify.protocol.domain import Identity

ALICE = Identity.generate("alice")
TITLE = b"# dask_verify domain: alice\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alice.key"


def put(path, data, mode=0o600):
    path.write_bytes(data)
    path.chmod(mode)
    return path


def pem(key, encryption=None, form=PrivateFormat.PKCS8):
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


@pytest.mark.parametrize("name", ["alice", "coordinator", "é 寿司", 'the "north"'])
def test_there_and_back(path, name):
    identity = Identity.generate(name)
    write_key(path, identity)
    read = read_key(path)
    assert (read.name, read.private_bytes()) == (name, identity.private_bytes())


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_it_is_created_for_its_owner_alone(path, mask, monkeypatch):
    modes = []
    real = os.open

    def opening(target, flags, mode=0o777, **kwargs):
        descriptor = real(target, flags, mode, **kwargs)
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(files.os, "open", opening)
    before = os.umask(mask)
    try:
        write_key(path, ALICE)
    finally:
        os.umask(before)
    assert all(not mode & 0o077 for mode in modes)
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_nothing_is_overwritten(path):
    put(path, b"precious", 0o644)
    with pytest.raises(InputError, match="expected a path where nothing is, got one that exists"):
        write_key(path, ALICE)
    assert path.read_bytes() == b"precious"


def test_no_link_is_followed_to_write(path, tmp_path):
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="one that exists"):
        write_key(path, ALICE)
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_that_could_not_be_written_leaves_nothing(path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_key(path, ALICE)
    assert not path.exists()


@pytest.mark.parametrize("name", ["", "a\nb", " alice"])
def test_a_name_that_has_no_place_in_the_file(path, name):
    with pytest.raises(InputError, match="expected"):
        write_key(path, Identity.generate(name))
    assert not path.exists()


@pytest.mark.parametrize("bit", [1 << i for i in range(6)])
def test_any_permission_of_others_is_refused(path, bit):
    write_key(path, ALICE)
    path.chmod(0o600 | bit)
    with pytest.raises(InputError, match=rf"chmod 600 .*got mode 06{bit:02o}"):
        read_key(path)


def test_the_opened_file_is_checked_and_not_the_path(path, monkeypatch):
    """Whoever swaps the file after a look at the path gains nothing."""
    write_key(path, ALICE)
    path.chmod(0o644)
    good = put(path.with_name("good"), b"").stat()
    monkeypatch.setattr(os, "stat", lambda *a, **k: good)
    monkeypatch.setattr(os, "lstat", lambda *a, **k: good)
    with pytest.raises(InputError, match="0644"):
        read_key(path)


@pytest.mark.parametrize(("owner", "user", "good"), [(0, 0, 1), (7, 7, 1), (0, 7, 1), (8, 7, 0)])
def test_whose_file_it_may_be(path, monkeypatch, owner, user, good):
    write_key(path, ALICE)
    real = os.fstat

    def owned(descriptor):
        fields = list(real(descriptor))
        fields[stat.ST_UID] = owner
        return os.stat_result(fields)

    monkeypatch.setattr(files.os, "fstat", owned)
    monkeypatch.setattr("dask_verify.evidence.enrolment.keys.os.geteuid", lambda: user)
    if good:
        assert read_key(path).name == "alice"
    else:
        with pytest.raises(InputError, match="expected a file of this user or of root, got one of"):
            read_key(path)


def test_where_permissions_mean_nothing_no_key_is_read(path, monkeypatch):
    write_key(path, ALICE)
    monkeypatch.setattr("dask_verify.evidence.enrolment.keys.os.name", "nt")
    with pytest.raises(InputError, match="POSIX"):
        read_key(path)


def test_a_link_to_a_good_file_is_fine(path, tmp_path):
    write_key(path, ALICE)
    (tmp_path / "link").symlink_to(path)
    assert read_key(tmp_path / "link").name == "alice"


def test_other_kinds_of_files(path, tmp_path):
    os.mkfifo(path, 0o600)
    for other in (path, tmp_path, "/dev/zero"):
        with pytest.raises(InputError, match="a regular file"):
            read_key(other)
    for missing in (tmp_path / "nothing", "nul\0l"):
        with pytest.raises(InputError, match="expected a file to read"):
            read_key(missing)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "first line"),
        (b"# dask_verify domain: \n", "a name, got empty text"),
        (b"# dask_verify domain: \xff\n", "first line"),
        (b"# dask_verify domain: a\x1b[1m\n", "control"),
        (TITLE, "PKCS#8"),
        (TITLE + b"garbage", "PKCS#8"),
        (TITLE + b"-----BEGIN PRIVATE KEY-----\ngarbage\n-----END PRIVATE KEY-----\n", "PKCS#8"),
        (TITLE + b"-----BEGIN PRIVATE KEY-----\n", "PKCS#8"),
        (TITLE + pem(ec.generate_private_key(ec.SECP256R1())), "another type"),
        (TITLE + pem(rsa.generate_private_key(65537, 2048)), "another type"),
        (TITLE + pem(ed448.Ed448PrivateKey.generate()), "another type"),
        (TITLE + pem(x25519.X25519PrivateKey.generate()), "another type"),
        (TITLE + pem(ALICE._key, BestAvailableEncryption(b"secret")), "PKCS#8"),
        (TITLE + pem(ALICE._key, form=PrivateFormat.OpenSSH), "PKCS#8"),
        (TITLE + b"text\n" + pem(ALICE._key), "PKCS#8"),
        (TITLE + pem(ALICE._key) * 2, "more than that"),
        (TITLE + pem(ALICE._key) + b"text", "more than that"),
        (pem(ALICE._key), "first line"),
        (TITLE + pem(ALICE._key) + b"\n" * 4096, "at most 4,096 bytes"),
    ],
)
def test_what_is_no_key_file(path, data, message):
    with pytest.raises(InputError, match="dask verify keygen") as caught:
        read_key(put(path, data))
    assert message in str(caught.value)


def outcome(path):
    try:
        read = read_key(path)
    except InputError as error:
        return "", b"", str(error)
    return read.name, read.public_key, ""


def test_every_flipped_byte_gives_another_identity_or_an_error(path):
    """Whatever the file says, the error is the package's own, and shows nothing of the key."""
    write_key(path, ALICE)
    data = path.read_bytes()
    secret = data.split(b"\n")[2][-43:].decode()
    for at in range(len(data)):
        for flip in (1, 0x20, 0x80):
            changed = bytearray(data)
            changed[at] ^= flip
            put(path, bytes(changed))
            name, key, error = outcome(path)
            assert secret not in error
            assert (name, key) != ("alice", ALICE.public_key)


@pytest.mark.skipif(not shutil.which("openssl"), reason="no OpenSSL here")
def test_openssl_reads_it_and_we_read_what_openssl_writes(path, tmp_path):
    write_key(path, ALICE)
    command = ["openssl", "pkey", "-in", str(path), "-pubout", "-outform", "DER"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert done.stdout[-32:] == ALICE.public_key
    command = ["openssl", "genpkey", "-algorithm", "ed25519"]
    made = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert read_key(put(tmp_path / "other", TITLE + made)).name == "alice"
