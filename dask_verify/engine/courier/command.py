"""How a courier process is started: with nothing in its environment, and nothing of the user's."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dask
from dask.utils import parse_bytes

from dask_verify.engine.courier.remote import Remote
from dask_verify.errors import InputError

_REQUIRED, _AVAILABLE = "required", "available"
_FILES = ("tls_ca_file", "tls_client_cert", "tls_client_key")
_PLAIN = ("require_encryption", "tls_ciphers")
_VERSIONS = ("tls_min_version", "tls_max_version")


@dataclass(frozen=True)
class Limits:
    """What couriers may use, and how many bytes the coordinator takes from them.

    Parameters
    ----------
    memory : int
        Bytes of address space of a courier.
    answer : int
        Bytes of one answer, such as the records of a partition.
    required : bool
        Whether a courier is refused that the platform cannot confine completely.
    """

    memory: int
    answer: int
    required: bool

    @classmethod
    def configured(cls) -> Self:
        """Return the limits that the configuration names.

        Returns
        -------
        Limits

        Raises
        ------
        InputError
            If a setting is not what it can be.
        """
        how = dask.config.get("verify.courier-confinement", _REQUIRED)
        if how not in (_REQUIRED, _AVAILABLE):
            raise InputError(
                f"verify.courier-confinement: expected {_REQUIRED!r} or {_AVAILABLE!r}, got {how!r}"
            )
        return cls(_bytes("memory", "2GiB"), _bytes("answer", "128MiB"), how == _REQUIRED)


def command(folder: str, remote: Remote, limits: Limits) -> list[str]:
    """Return the command line of a courier.

    Parameters
    ----------
    folder : str
        The courier's own folder.
    remote : Remote
        Where the domain's scheduler is.
    limits : Limits
        What the courier may use.

    Returns
    -------
    list of str
    """
    memory = remote.memory_limit or limits.memory
    module = "dask_verify.engine.courier.process"
    # -P and -s: nothing is imported from where it happens to run, nor from a user's own packages.
    python = [sys.executable, "-P", "-s", "-m", module]
    return [*python, folder, str(memory), str(remote.port), str(os.getpid())]


def environment(folder: str) -> dict[str, str]:
    """Return the environment of a courier: no variable of this process but where libraries are.

    Parameters
    ----------
    folder : str
        The courier's own folder.

    Returns
    -------
    dict of str to str
    """
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TZ") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if os.path.isabs(path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": folder,
        "TMPDIR": folder,
        "LC_ALL": "C.UTF-8",
        # Its address space is limited, and it computes nothing.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def security(remote: Remote, folder: str) -> dict[str, Any]:
    """Return what a courier makes its ``Security`` of; certificates are put into its folder.

    Parameters
    ----------
    remote : Remote
        Where the domain's scheduler is.
    folder : str
        The courier's own folder.

    Returns
    -------
    dict of str to object

    Raises
    ------
    OSError
        If a certificate cannot be read.
    """
    from distributed.security import Security

    given = remote.security or Security()  # from the configuration, as for every Dask client
    found = {name: getattr(given, name) for name in _PLAIN}
    found |= {name: int(getattr(given, name)) for name in _VERSIONS if getattr(given, name)}
    for name in _FILES:
        if text := getattr(given, name):
            found[name] = str(Path(folder, f"{name}.pem"))
            Path(found[name]).touch(mode=0o600)
            Path(found[name]).write_text(text if "\n" in text else Path(text).read_text())
    return {name: value for name, value in found.items() if value is not None}


def _bytes(what: str, default: str) -> int:
    name = f"verify.courier-{what}"
    given = dask.config.get(name, default)
    try:
        size = parse_bytes(given)
    except (ValueError, TypeError, AttributeError):
        size = 0
    if size < 1:
        raise InputError(f"{name}: expected a size such as {default!r}, got {given!r}")
    return int(size)
