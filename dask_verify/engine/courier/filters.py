"""Which system calls a courier may not make: a program for the kernel's seccomp.

Landlock knows files and TCP, and nothing of the many calls that act on other processes of the same
user, on their memory, on what files are besides their content, or on keys. Those are named here.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT = 0x20, 0x15, 0x35, 0x45
_AND, _JUMP, _RETURN = 0x54, 0x05, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
_NO = _REFUSE | errno.EPERM
_OTHER_ABI = 0x40000000

_THREAD = 0x10000  #: the flag of clone for a thread of the same process
_FAMILIES = (2, 10, 16)  #: of sockets: internet, old and new, and the kernel's own
_PROTOCOLS = (0, 6, 17)  #: the usual, TCP and UDP; others reach TCP ports past Landlock
_TYPES = 4  #: from here on, kinds of sockets that are none of stream, datagram and raw
_FAST_OPEN = 0x20000000  #: the flag that connects while something is sent
_DEATH_SIGNAL = 1  #: the option of prctl that has a process end with its parent

Step = tuple[int, int, int, int]


class Machine(NamedTuple):
    """An architecture, and where its numbers are in the tables here.

    Parameters
    ----------
    code : int
        As the kernel names it to a filter.
    column : int
    """

    code: int
    column: int


MACHINES = {"x86_64": Machine(0xC000003E, 0), "aarch64": Machine(0xC00000B7, 1)}

#: Numbers on x86-64 and on ARM; None where there is no such call. From Linux' own headers.
Numbers = tuple[int | None, int | None]
REFUSED: dict[str, Numbers] = {
    # programs and processes
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "unshare": (272, 97), "setns": (308, 268),
    # looks into other processes, and memory that is shared with them
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "move_pages": (279, 239), "migrate_pages": (256, 238), "perf_event_open": (298, 241),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195),
    "semget": (64, 190), "semop": (65, 193), "semtimedop": (220, 192), "semctl": (66, 191),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "mq_open": (240, 180), "mq_unlink": (241, 181),
    # all processes of a user at once
    "setpriority": (141, 140), "ioprio_set": (251, 30),
    # keys that the kernel keeps for the user, and what it logs
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "syslog": (103, 116),
    # what files are besides their content, and watching them
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "removexattrat": (466, 466), "file_setattr": (469, 469),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262),
    # serving, and ways around a filter
    "listen": (50, 201), "bpf": (321, 280), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
}  # fmt: skip
#: Calls about the process that the first argument names.
ABOUT: dict[str, Numbers] = {
    "prlimit64": (302, 261), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274),
}  # fmt: skip
#: Calls that send, and which argument has flags.
SENDING: dict[str, tuple[Numbers, int]] = {
    "sendto": ((44, 206), 3), "sendmsg": ((46, 211), 2), "sendmmsg": ((307, 269), 3),
}  # fmt: skip
_CLONE, _CLONE3, _SOCKET, _PRCTL = (56, 220), (435, 435), (41, 198), (157, 167)


def program(machine: Machine) -> list[bytes]:
    """Return instructions for the kernel.

    Parameters
    ----------
    machine : Machine
        One of `MACHINES`.

    Returns
    -------
    list of bytes
    """
    return [struct.pack("=HBBI", *step) for step in _steps(machine)]


def _steps(machine: Machine) -> Iterator[Step]:
    """Yield instructions: each names a code, two jumps and a number.

    What is loaded between two groups of them is always the number of the call.
    """
    at = machine.column
    yield from [
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, machine.code), (_RETURN, 0, 0, _NO),
        (_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _OTHER_ABI), (_RETURN, 0, 0, _NO),
    ]  # fmt: skip
    for numbers in REFUSED.values():
        yield from _when(numbers[at], [(_RETURN, 0, 0, _NO)])
    # Its flags are out of a filter's sight; the C library then starts threads with clone instead.
    yield from _when(_CLONE3[at], [(_RETURN, 0, 0, _REFUSE | errno.ENOSYS)])
    yield from _when(_CLONE[at], [_argument(0), (_ANY_BIT, 0, 1, _THREAD), *_YES_OR_NO])
    yield from _when(_PRCTL[at], [_argument(0), (_EQUAL, 1, 0, _DEATH_SIGNAL), *_YES_OR_NO])
    for numbers in ABOUT.values():
        yield from _when(numbers[at], [_argument(0), *_one_of((0, os.getpid())), *_YES_OR_NO])
    for numbers, which in SENDING.values():
        yield from _when(numbers[at], [_argument(which), (_ANY_BIT, 1, 0, _FAST_OPEN), *_YES_OR_NO])
    yield from _when(_SOCKET[at], _socket())
    yield (_RETURN, 0, 0, _ALLOW)


_YES_OR_NO: list[Step] = [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NO)]


def _when(number: int | None, steps: list[Step]) -> list[Step]:
    """Return steps, which decide, for the call of one number."""
    return [] if number is None else [(_EQUAL, 0, len(steps), number), *steps]


def _argument(which: int) -> Step:
    """Load an argument: its lower half, and no kernel looks at more of these."""
    return (_LOAD, 0, 0, 16 + 8 * which)


def _one_of(values: tuple[int, ...]) -> list[Step]:
    """Go on with the next step if one of some values is loaded, else with the one after it."""
    last = len(values) - 1
    return [(_EQUAL, last - at, int(at == last), value) for at, value in enumerate(values)]


def _socket() -> list[Step]:
    return [
        _argument(0), *_one_of(_FAMILIES), (_JUMP, 0, 0, 1), (_RETURN, 0, 0, _NO),
        _argument(1), (_AND, 0, 0, 0xF), (_AT_LEAST, 0, 1, _TYPES), (_RETURN, 0, 0, _NO),
        _argument(2), *_one_of(_PROTOCOLS), *_YES_OR_NO,
    ]  # fmt: skip
