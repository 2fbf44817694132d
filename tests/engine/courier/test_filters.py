"""What the filter of system calls decides, run here as the kernel would, for every machine."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from dask_verify.engine.courier.filters import ABOUT, MACHINES, REFUSED, SENDING, Machine, program

ALLOWED, EPERM, ENOSYS = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
OWN, OTHER = os.getpid(), os.getpid() + 1
machines = pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)


def decision(machine: Machine, number: int, *arguments: int, code: int | None = None) -> int:
    """Run the program on one call, as the kernel describes it to a filter."""
    words = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    call = struct.pack("=IIQ6Q", number, machine.code if code is None else code, 0, *words)
    steps = [struct.unpack("=HBBI", step) for step in program(machine)]
    at = loaded = 0
    while True:
        what, yes, no, value = steps[at]
        at += 1
        if what == 0x06:
            return int(value)
        if what == 0x20:
            (loaded,) = struct.unpack_from("=I", call, value)
        elif what == 0x54:
            loaded &= value
        elif what == 0x05:
            at += value
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}
            at += yes if holds[what] else no


@machines
def test_what_is_named_is_refused_and_nothing_else(machine: Machine) -> None:
    refused = {numbers[machine.column] for numbers in REFUSED.values()} - {None}
    found = {number for number in range(512) if decision(machine, number, 0) == EPERM}
    # Of clone and socket, these arguments are none that are allowed.
    others = {56, 41} if machine.column == 0 else {220, 198}
    assert found == refused | others
    assert decision(machine, 435) == ENOSYS


@machines
def test_other_architectures_are_refused(machine: Machine) -> None:
    for other in MACHINES.values():
        wanted = ALLOWED if other == machine else EPERM
        assert decision(machine, 0, code=other.code) == wanted
    assert decision(machine, 0, code=0x40000003) == EPERM  # i386, of the same processor
    assert decision(machine, 0x40000000) == EPERM  # x32


@machines
@pytest.mark.parametrize("name", ABOUT)
def test_what_acts_on_a_process_acts_on_its_own_only(machine: Machine, name: str) -> None:
    number = ABOUT[name][machine.column]
    assert number is not None
    found = [decision(machine, number, process, OWN) for process in (0, OWN, OTHER, 1)]
    assert found == [ALLOWED, ALLOWED, EPERM, EPERM]


@machines
@pytest.mark.parametrize("name", SENDING)
def test_sending_does_not_connect(machine: Machine, name: str) -> None:
    numbers, which = SENDING[name]
    number = numbers[machine.column]
    assert number is not None
    for flags, wanted in ((0, ALLOWED), (0x4000, ALLOWED), (0x20000000, EPERM), (-1, EPERM)):
        arguments = [0x20000000] * which + [flags & 0xFFFFFFFF]
        assert decision(machine, number, *arguments) == wanted


@machines
def test_sockets(machine: Machine) -> None:
    number = (41, 198)[machine.column]
    flags = 0x80800  # close-on-exec, and non-blocking
    for family in range(50):
        for kind in range(8):
            for protocol in (0, 1, 6, 17, 132, 262):
                found = decision(machine, number, family, kind | flags, protocol)
                fine = family in (2, 10, 16) and kind < 4 and protocol in (0, 6, 17)
                assert found == (ALLOWED if fine else EPERM)


@machines
def test_threads_are_no_processes(machine: Machine) -> None:
    number = (56, 220)[machine.column]
    thread = 0x3D0F00  # as the C library starts them
    assert decision(machine, number, thread) == ALLOWED
    assert decision(machine, number, 17) == EPERM
    assert decision(machine, number, 0x10000000) == EPERM  # a user namespace of its own


@machines
def test_a_courier_ends_with_its_coordinator(machine: Machine) -> None:
    number = (157, 167)[machine.column]
    assert decision(machine, number, 1, 0) == EPERM
    assert decision(machine, number, 15, 0) == ALLOWED  # its name


def test_no_number_stands_for_two_calls() -> None:
    for machine in MACHINES.values():
        every = [*REFUSED.values(), *ABOUT.values(), *(numbers for numbers, _ in SENDING.values())]
        numbers = [n[machine.column] for n in every if n[machine.column] is not None]
        assert len(numbers) == len(set(numbers))
