"""What a courier gives up before it connects to anybody.

* It reads the Python installation, a few files of the system and its own folder, and writes to no
  file at all; it starts no process and no program, signals nobody, and connects to one port only.
* Its memory and its open files are limited. The limits cannot be raised again, not even by root.
* What the platform does not offer is named to the user; by default the courier does not start then.

All that holds for the calling thread and those that it starts: call it before there are others.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator

from dask_verify.engine.courier import syscalls

#: Everything that a platform can offer.
COMPLETE = ("limits", "privileges", "files", "connections", "signals", "processes")

_FILES = 256  #: that may be open at the same time
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_SYSTEM = (
    *(f"/etc/{name}" for name in ("resolv.conf", "hosts", "nsswitch.conf", "host.conf", "gai.conf",
                                  "localtime", "ld.so.cache", "ssl/openssl.cnf", "ssl/certs")),
    *(f"/proc/{name}" for name in ("self", "meminfo", "stat", "cpuinfo", "loadavg")),
    "/sys/fs/cgroup", "/sys/devices/system/cpu", "/usr/share/zoneinfo", "/dev/urandom",
)  # fmt: skip
_PACKAGES = ("site-packages", "dist-packages")


def confine(folder: str, memory: int, port: int, parent: int) -> tuple[str, ...]:
    """Give up all that a courier does not need.

    Parameters
    ----------
    folder : str
        What it may read besides Python.
    memory : int
        Bytes of address space.
    port : int
        The port that it may connect to.
    parent : int
        Process without which it shall not live.

    Returns
    -------
    tuple of str
        What is in force, of `COMPLETE`.

    Raises
    ------
    OSError
        If the platform offers something, but refuses it.
    """
    _check_alone()
    done = ["limits"] if _limit(memory) else []
    if not sys.platform.startswith("linux"):
        return tuple(done)
    syscalls.die_with_parent(parent)
    syscalls.no_new_privileges()
    syscalls.drop_capabilities()
    done.append("privileges")
    readable = [*_python(), *_LIBRARIES, *_SYSTEM, folder]
    done += _offered(lambda: syscalls.restrict_access(readable, ["/dev/null"], port))
    done += _offered(_refuse_processes)
    return tuple(done)


def _offered(take: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    try:
        return take()
    except syscalls.Unavailable:
        return ()


def _refuse_processes() -> tuple[str, ...]:
    syscalls.refuse_processes()
    return ("processes",)


def _check_alone() -> None:
    """Refuse to go on where another thread would keep what this one gives up."""
    with contextlib.suppress(FileNotFoundError):  # not Linux: then only limits apply, to all
        threads = len(os.listdir("/proc/self/task"))
        if threads != 1:
            raise OSError(f"expected one thread before the confinement, got {threads}")


def _limit(memory: int) -> bool:
    try:
        resource = importlib.import_module("resource")
    except ImportError:
        return False
    limits = {"RLIMIT_AS": memory, "RLIMIT_FSIZE": 0, "RLIMIT_NOFILE": _FILES, "RLIMIT_CORE": 0}
    for name, most in limits.items():
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))
    return True


def _python() -> Iterator[str]:
    """Return where Python and its packages are, and this package; not all of what it may import."""
    yield from (sysconfig.get_path(what) for what in ("stdlib", "platstdlib", "purelib", "platlib"))
    yield from (path for path in sys.path if os.path.basename(path) in _PACKAGES)
    yield os.path.join(sys.base_prefix, "lib")
    package = sys.modules[__name__.partition(".")[0]]
    yield from package.__path__
