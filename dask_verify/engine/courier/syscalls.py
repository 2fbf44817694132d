"""What Linux lets a process take from itself, as calls of its C library.

Each function takes effect for the calling thread and for all that it starts, and cannot be undone.
Nothing large is imported here: other libraries start threads, and those would stay as they were.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable

from dask_verify.engine.courier.filters import MACHINES, program

_SET_DEATH_SIGNAL, _SET_SECCOMP, _DROP_BOUND, _SET_NO_NEW_PRIVILEGES = 1, 22, 24, 38

# --- Landlock: the same numbers on every architecture -------------------------------------------
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_BENEATH, _PORT = 1, 2
_VERSION = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
_FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE
#: All rights that a version of Landlock can take away: each adds to the one before.
_HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP, _CONNECT = 3, 2  #: binding and connecting; connecting alone
_SCOPES = 3  #: abstract sockets of others, and signals to others
_WITH_PORTS, _WITH_SCOPES = 4, 6

_FILTER = 2  #: the mode of seccomp


class Unavailable(Exception):
    """The kernel does not offer it."""


def no_new_privileges() -> None:
    """Let no program that is started have more rights than this process."""
    _prctl(_SET_NO_NEW_PRIVILEGES, 1)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent has died.

    Parameters
    ----------
    parent : int
        Process id of the parent.

    Raises
    ------
    SystemExit
        If the parent has died already.
    """
    _prctl(_SET_DEATH_SIGNAL, 9)
    if os.getppid() != parent:
        raise SystemExit("the coordinator has ended")


def drop_capabilities() -> None:
    """Give up what distinguishes root from everybody else, limits of resources among it."""
    for capability in range(64):
        if _library().prctl(_DROP_BOUND, capability, 0, 0, 0) != 0:
            break  # past the last one; or not root, who has none of them
    header = struct.pack("=Ii", 0x20080522, 0)
    _checked(_library().capset(header, bytes(24)))


def restrict_access(
    readable: Iterable[str], writable: Iterable[str], port: int | None
) -> tuple[str, ...]:
    """Take away all access to files, except reading some, and all connections but to one port.

    Parameters
    ----------
    readable : iterable of str
        Files and folders that may still be read.
    writable : iterable of str
        Files that may be written to as well.
    port : int or None
        The port; None for no connections at all.

    Returns
    -------
    tuple of str
        What this kernel could take away: ``"files"``, ``"connections"``, ``"signals"``.

    Raises
    ------
    Unavailable
        If the kernel has no Landlock.
    """
    version = _library().syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:
        raise Unavailable("Landlock")
    handled = _HANDLED[max(v for v in _HANDLED if v <= version)]
    net, scoped = _TCP * (version >= _WITH_PORTS), _SCOPES * (version >= _WITH_SCOPES)
    size = 24 if scoped else 16 if net else 8
    rules = _syscall(_CREATE, struct.pack("=QQQ", handled, net, scoped)[:size], size, 0)
    for path in readable:
        _allow(rules, path, READ_FILE | READ_DIR)
    for path in writable:
        _allow(rules, path, READ_FILE | WRITE_FILE)
    if net and port is not None:
        _syscall(_ADD, rules, _PORT, struct.pack("=QQ", _CONNECT, port), 0)
    _syscall(_RESTRICT, rules, 0)
    os.close(rules)
    return ("files", *(["connections"] if net else []), *(["signals"] if scoped else []))


def refuse_processes() -> None:
    """Refuse new processes and programs, and what concerns other processes (see `filters`).

    Raises
    ------
    Unavailable
        If the numbers of the system calls are not known here.
    """
    machine = MACHINES.get(platform.machine())
    if machine is None or sys.byteorder != "little":
        raise Unavailable(f"seccomp on {platform.machine()}")
    steps = program(machine)
    buffer = ctypes.create_string_buffer(b"".join(steps))
    filter_of = struct.pack("@HP", len(steps), ctypes.addressof(buffer))
    _checked(_library().prctl(_SET_SECCOMP, _FILTER, filter_of, 0, 0))


def _allow(rules: int, path: str, rights: int) -> None:
    """Allow access to what lies beneath a path, if there is such a path."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there is not read
    try:
        if not os.path.isdir(path):
            rights &= _FILE_RIGHTS
        _syscall(_ADD, rules, _BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    _checked(_library().prctl(option, value, 0, 0, 0))


def _syscall(number: int, *arguments: int | bytes) -> int:
    return _checked(_library().syscall(number, *arguments))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
