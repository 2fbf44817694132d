"""What a courier cannot do, tried in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dask_verify.engine.courier.command import environment
from dask_verify.engine.courier.confinement import COMPLETE

ATTEMPTS = """
import ctypes, json, os, resource, signal, socket, sys, threading
from dask_verify.engine.courier.confinement import confine

folder, secret, parent, allowed, refused = sys.argv[1:]
kept = os.fdopen(os.dup(1), "w")  # FSIZE is zero, but this is a pipe
in_force = confine(folder, 1 << 31, int(allowed), os.getppid())

def connect(port):
    with socket.socket() as s:
        s.settimeout(10)
        s.connect(("127.0.0.1", int(port)))

def connect_and_send(port):
    with socket.socket() as s:
        s.settimeout(10)
        s.connect(("127.0.0.1", int(port)))
        s.send(b"1")
        s.sendmsg([b"2"])

def bind():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()

def new_thread():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()

def in_thread():
    failed = []
    def act():
        try:
            open(secret).read()
        except OSError as error:
            failed.append(error)
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]

def raw_fork():
    number = {"x86_64": 57}.get(os.uname().machine)
    child = ctypes.CDLL(None).syscall(number) if number else -1
    if child == 0:
        os._exit(0)
    if child < 0:
        raise OSError

def capability():
    status = open("/proc/self/status").read()
    if int(status.partition("CapEff:")[2].split()[0], 16) == 0:
        raise PermissionError

def call(x86, arm, *arguments):
    number = {"x86_64": x86, "aarch64": arm}[os.uname().machine]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

def autobound():
    with socket.socket() as s:
        s.listen()

def priority(which, who):
    os.setpriority(which, who, os.getpriority(which, who))

def affinity(of):
    os.sched_setaffinity(of, os.sched_getaffinity(of))

FLAG = 0x20000000  # MSG_FASTOPEN

def fast_open(send):
    with socket.socket() as s:
        s.settimeout(10)
        send(s, ("127.0.0.1", int(refused)))

def socket_of(*kind):
    socket.socket(*kind).close()

of_parent = int(parent)
times = (1_000_000_000, 1_000_000_000)
attempts = {
    "read its folder": lambda: open(folder + "/own").read(),
    "import": lambda: __import__("distributed"),
    "connect to its port": lambda: connect(allowed),
    "a thread": new_thread,
    "dev null": lambda: open("/dev/null", "wb").write(b"x"),
    "its own limits": lambda: resource.getrlimit(resource.RLIMIT_NOFILE),
    "its own limits by its number": lambda: resource.prlimit(os.getpid(), resource.RLIMIT_CPU),
    "its own processors": lambda: affinity(0),
    "names": lambda: socket.getaddrinfo("localhost", int(allowed)),
    "UDP": lambda: socket_of(socket.AF_INET, socket.SOCK_DGRAM),
    "a pair of sockets": lambda: [s.close() for s in socket.socketpair()],
    "send": lambda: connect_and_send(allowed),
    "read a secret": lambda: open(secret).read(),
    "read a secret in a thread": in_thread,
    "list its folder": lambda: os.listdir(os.path.dirname(secret)),
    "read the parent's environment": lambda: open(f"/proc/{parent}/environ", "rb").read(),
    "write there": lambda: open(secret, "w"),
    "write to its folder": lambda: open(folder + "/new", "w"),
    "write to its own file": lambda: open(folder + "/own", "a"),
    "remove": lambda: os.remove(folder + "/own"),
    "connect elsewhere": lambda: connect(refused),
    "listen": bind,
    "a local socket": lambda: socket.socket(socket.AF_UNIX).close(),
    "fork": lambda: os.fork() or os._exit(0),
    "fork without the C library": raw_fork,
    "a capability": capability,
    "a program": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "signal": lambda: os.kill(int(parent), 0),
    "more memory": lambda: bytearray(3 << 30),
    "a higher limit": lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40)),
    "limits of others": lambda: resource.prlimit(of_parent, resource.RLIMIT_CORE),
    "priority of others": lambda: priority(os.PRIO_PROCESS, of_parent),
    "priority of all": lambda: priority(os.PRIO_USER, 0),
    "priority of others' files": lambda: call(251, 30, 1, of_parent, 0),
    "processors of others": lambda: affinity(of_parent),
    "scheduling of others": lambda: call(144, 119, of_parent, 0, bytes(4)),
    "keys": lambda: call(250, 219, 0, -3, 0),
    "new keys": lambda: call(248, 217, b"user", b"name", b"data", 4, -3),
    "shared memory": lambda: call(29, 194, 0, 4096, 0o1600),
    "semaphores": lambda: call(64, 190, 0, 1, 0o1600),
    "messages": lambda: call(68, 186, 0, 0o1600),
    "a handle on others": lambda: call(434, 434, of_parent, 0),
    "a namespace": lambda: call(272, 97, 0),
    "the kernel's log": lambda: call(103, 116, 10, 0, 0),
    "outlive the coordinator": lambda: call(157, 167, 1, 0, 0, 0, 0),
    "mode": lambda: os.chmod(secret, 0o644),
    "mode by handle": lambda: os.fchmod(os.open(folder + "/own", os.O_RDONLY), 0o644),
    "owner": lambda: os.chown(secret, os.getuid(), os.getgid()),
    "times": lambda: os.utime(secret, ns=times),
    "attributes": lambda: os.setxattr(secret, "user.name", b"value"),
    "watch files": lambda: call(294, 26, 0),
    "listen without a port": autobound,
    "connect with the first bytes": lambda: fast_open(lambda s, to: s.sendto(b"x", FLAG, to)),
    "connect with a message": lambda: fast_open(lambda s, to: s.sendmsg([b"x"], [], FLAG, to)),
    "multipath TCP": lambda: socket_of(socket.AF_INET, socket.SOCK_STREAM, 262),
    "SCTP": lambda: socket_of(socket.AF_INET, socket.SOCK_SEQPACKET),
    "another protocol of the kernel": lambda: socket_of(socket.AF_NETLINK, socket.SOCK_RAW, 4),
    "trace": lambda: ctypes.CDLL(None).ptrace(16, int(parent), 0, 0) + 1 or 1 / 0,
}
found = {}
for name, attempt in attempts.items():
    try:
        attempt()
        found[name] = ""
    except BaseException as error:
        found[name] = type(error).__name__
json.dump([in_force, found], kept)
kept.close()
"""
FREE = [
    "read its folder", "import", "connect to its port", "a thread", "dev null", "its own limits",
    "its own limits by its number", "its own processors", "names", "UDP", "a pair of sockets",
    "send",
]  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, str]]:
    folder, home = tmp_path_factory.mktemp("courier"), tmp_path_factory.mktemp("home")
    (folder / "own").write_text("own")
    (home / "id_rsa").write_text("secret")
    (home / "id_rsa").chmod(0o600)
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        ports = [str(server.getsockname()[1]) for server in (first, second)]
        output = subprocess.run(
            [sys.executable, "-P", "-c", ATTEMPTS, str(folder), str(home / "id_rsa"),
             str(os.getpid()), *ports],
            env=environment(str(folder)), stdout=subprocess.PIPE, check=True, timeout=60,
        ).stdout  # fmt: skip
    assert (home / "id_rsa").read_text() == "secret"
    assert [path.name for path in Path(folder).iterdir()] == ["own"]
    assert (home / "id_rsa").stat().st_mode & 0o777 == 0o600
    in_force, attempts = json.loads(output)
    return in_force, attempts


def test_everything_is_in_force_here(found: tuple[list[str], dict[str, str]]) -> None:
    assert tuple(found[0]) == COMPLETE


def test_what_a_courier_needs_it_can(found: tuple[list[str], dict[str, str]]) -> None:
    assert {name: found[1][name] for name in FREE} == dict.fromkeys(FREE, "")


def test_nothing_else_succeeds(found: tuple[list[str], dict[str, str]]) -> None:
    others = {name: error for name, error in found[1].items() if name not in FREE}
    assert len(others) > 40
    assert [name for name, error in others.items() if not error] == []


def test_other_threads_would_keep_their_rights() -> None:
    code = (
        "import os, threading\n"
        "from dask_verify.engine.courier.confinement import confine\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "try:\n"
        "    confine('/', 1 << 31, 1, os.getppid())\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    output = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment("/tmp"), stdout=subprocess.PIPE,
        check=True, timeout=60,
    ).stdout  # fmt: skip
    assert b"expected one thread before the confinement, got 2" in output
