"""Files with a private key: one line that names whose it is, then the key as PEM.

What this module guarantees:

* A key file is created with mode 0600, and never over a file that is there.
* A key is read only from a regular file that belongs to this user or to root, and on which group
  and others have no permission at all. That is asked of the opened file, not of its path.
* The PEM is an unencrypted PKCS#8 Ed25519 key, as OpenSSL reads and writes it. OpenSSL skips the
  line before it.
"""

from __future__ import annotations

import os
import stat

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from dask_verify.errors import InputError
from dask_verify.evidence.enrolment.texts import name_flaw
from dask_verify.evidence.files import create_file, read_file
from dask_verify.protocol.domain import Identity

_TITLE = "# dask_verify domain: "
_LARGEST = 4096  #: bytes of a key file; one has some hundred
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_BEGIN = b"-----BEGIN PRIVATE KEY-----"


def write_key(path: str | os.PathLike[str], identity: Identity) -> None:
    """Write a private key to a new file that only its owner can read.

    Parameters
    ----------
    path : str or path
        Where nothing is yet.
    identity : Identity
        A domain's, or the coordinator's.

    Raises
    ------
    InputError
        If there is something already, the file cannot be written, or the name has no place in it.

    Examples
    --------
    >>> import tempfile
    >>> alice = Identity.generate("alice")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_key(f"{folder}/alice.key", alice)
    ...     read_key(f"{folder}/alice.key").public_key == alice.public_key
    True
    """
    flaw = name_flaw(identity.name)
    if flaw:
        raise _refusal(os.fspath(path), *flaw)
    key = Ed25519PrivateKey.from_private_bytes(identity.private_bytes())
    create_file(path, f"{_TITLE}{identity.name}\n".encode() + _pem(key), 0o600, _refusal)


def read_key(path: str | os.PathLike[str]) -> Identity:
    """Read a private key that nobody else could have read.

    Parameters
    ----------
    path : str or path
        A file as `write_key` makes it.

    Returns
    -------
    Identity

    Raises
    ------
    InputError
        If it cannot be read, may be read by others, or is no such file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = tempfile.TemporaryDirectory()
    >>> path, alice = Path(folder.name, "alice.key"), Identity.generate("alice")
    >>> write_key(path, alice)
    >>> read_key(path).public_key == alice.public_key
    True
    >>> folder.cleanup()
    """
    what = os.fspath(path)
    data = read_file(path, _LARGEST, _refusal, lambda status: _check_private(what, status))
    title, _, pem = data.partition(b"\n")
    return Identity(_name(what, title), _private_key(what, pem))


def _check_private(what: str, status: os.stat_result) -> None:
    if os.name != "posix":
        # What cannot be checked does not pass.
        raise _refusal(what, "a system with POSIX file permissions", os.name)
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise _refusal(what, f"a file for its owner alone (chmod 600 {what})", f"mode {mode:04o}")
    if status.st_uid not in (0, os.geteuid()):
        raise _refusal(what, "a file of this user or of root", f"one of user {status.st_uid}")


def _name(what: str, title: bytes) -> str:
    try:
        line = title.decode()
    except UnicodeDecodeError:
        line = ""
    name = line.removeprefix(_TITLE)
    if name == line:
        raise _refusal(what, f"a first line '{_TITLE}NAME'", "another")
    flaw = name_flaw(name)
    if flaw:
        raise _refusal(what, *flaw)
    return name


def _private_key(what: str, pem: bytes) -> bytes:
    expected = "an unencrypted Ed25519 key in PKCS#8 PEM after its first line"
    if not pem.startswith(_BEGIN):
        raise _refusal(what, expected, "something else")
    try:
        key = load_pem_private_key(pem, password=None)
    except Exception:
        # OpenSSL has an internal error of its own for some keys. Whatever it is, it stays here:
        # its text could show parts of the key.
        raise _refusal(what, expected, "what cannot be read as one") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _refusal(what, expected, "a key of another type")
    if pem != _pem(key):
        raise _refusal(what, expected, "more than that, or another form of it")
    return key.private_bytes_raw()


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _refusal(what: str, expected: str, got: str) -> InputError:
    return InputError(
        f"key file {what}: expected {expected}, got {got}; `dask verify keygen NAME` makes one"
    )
