"""What arrives for a task, turned into plain values; nothing is believed of it here.

* Bytes that are no answer raise `DecodingError`, whatever a domain made of them.
* A function that failed is told from a worker that was lost.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

from distributed.scheduler import KilledWorker

from dask_verify.core.canonical import decode_plain
from dask_verify.engine.dispatch import Errand
from dask_verify.engine.domainpool import Future
from dask_verify.engine.tasks import AUDITED, COMMITTED, FAILED, MISSING, UNKEPT
from dask_verify.errors import DecodingError
from dask_verify.protocol.messages import Challenge, Event, Failed, Late, Run, Unaudited

_EVIDENCE = 8  #: complaints of one task that are looked into
_LARGEST = 8 << 20  #: bytes of each of them: digests of 200,000 openings
_WIRES = 4  #: commitments in one answer; more than two different ones say nothing new
_WIRE = 16 << 20  #: bytes of them together: one of as many buckets as there may be has 9 MiB
_AUDIT = 64 << 20  #: bytes of an auditor's answer: hashes of two million leaves
_FAILURE = 20_000  #: characters of a failure that are kept
_ADDRESS = 500  #: characters of a worker's address
_LONGEST = 10**16  #: nanoseconds of CPU time that one task may claim: four months
TEXT = 500  #: characters of a reason that are kept


@dataclass(frozen=True)
class Reply:
    """One answer to a task.

    Parameters
    ----------
    address : str
        Of the worker that keeps what it committed to.
    wires : tuple of bytes
        Signed commitments; empty where there are none.
    evidence : tuple of bytes
        Wrong openings that the executor says it was given.
    failure : str or None
        What the user's function raised, as text.
    unkept : str or None
        Why the executor could not keep what it computed.
    missing : bool
        Whether the executor could not get its sections.
    audited : bytes or None
        An auditor's signed answer.
    cpu : int
        Nanoseconds of CPU time that it says it took.
    """

    address: str = ""
    wires: tuple[bytes, ...] = ()
    evidence: tuple[bytes, ...] = ()
    failure: str | None = None
    unkept: str | None = None
    missing: bool = False
    audited: bytes | None = None
    cpu: int = 0


def read(answer: object) -> Reply:
    """Decode an answer.

    Parameters
    ----------
    answer : object
        Whatever a domain sent; only bytes can be an answer.

    Returns
    -------
    Reply

    Raises
    ------
    DecodingError
        If it is no answer.

    Examples
    --------
    >>> from dask_verify.core.canonical import encode
    >>> read(encode(("failed", "ZeroDivisionError"))).failure
    'ZeroDivisionError'
    >>> read(encode(("committed", "tcp://here", (), ())))
    Traceback (most recent call last):
        ...
    dask_verify.errors.DecodingError: expected an answer to a task, got str with 3 values
    """
    said = _parts(answer)
    match said:
        case [str(kind), str(address), wires, evidence, cpu] if kind == COMMITTED:
            # Without a commitment the task would be neither running nor unanswered.
            known = 0 < len(wires) <= _WIRES if _octets(wires) else False
            # An address is kept for each task, so that long ones would fill the memory.
            # What comes with them is written down before it is looked at.
            small = known and sum(map(len, wires)) <= _WIRE
            if small and _octets(evidence) and len(address) <= _ADDRESS:
                return Reply(address, wires, _looked_into(evidence), cpu=_nanoseconds(cpu))
        case [str(kind), str(text)] if kind == FAILED:
            return Reply(failure=text[-_FAILURE:])
        case [str(kind), str(text)] if kind == UNKEPT:
            return Reply(unkept=text[:TEXT])
        case [str(kind), _, evidence] if kind == MISSING and _octets(evidence):
            return Reply(evidence=_looked_into(evidence), missing=True)
    raise _no_answer("a task", said)


def read_audit(answer: object) -> Reply:
    """Decode an auditor's answer to a challenge: ``audited`` or ``failure`` is there.

    Parameters
    ----------
    answer : object
        As of `read`.

    Returns
    -------
    Reply

    Raises
    ------
    DecodingError
        If it is no answer.
    """
    said = _parts(answer)
    match said:
        case [str(kind), bytes(wire), cpu] if kind == AUDITED and len(wire) <= _AUDIT:
            return Reply(audited=wire, cpu=_nanoseconds(cpu))
        case [str(kind), str(text)] if kind == FAILED:
            return Reply(failure=text[-_FAILURE:])
    raise _no_answer("a challenge", said)


def _parts(answer: object) -> list[Any]:
    if not isinstance(answer, bytes):
        raise DecodingError(f"expected the bytes of an answer, got {type(answer).__name__}")
    said = decode_plain(answer)
    return list(said) if isinstance(said, tuple) and said else [said]


def _looked_into(evidence: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return what of it is kept until there is time for it."""
    return tuple(one for one in evidence if len(one) <= _LARGEST)[:_EVIDENCE]


def _no_answer(to: str, said: list[Any]) -> DecodingError:
    # The value itself is not shown: whoever sent it may have made one that cannot be.
    got = type(said[0]).__name__
    return DecodingError(f"expected an answer to {to}, got {got} with {len(said) - 1} values")


def late(run: Errand, reason: str) -> Event:
    """Return the event of something that was not answered.

    Parameters
    ----------
    run : Errand
        What was asked.
    reason : str
        Why there is no answer.

    Returns
    -------
    Event
    """
    if isinstance(run, Challenge):
        return Unaudited(run, reason)
    return Late(run.task, run.domain, run.inputs, reason)


def failed(run: Run, error: BaseException, future: Future | None) -> Event:
    """Tell a function that failed from a worker that was lost.

    Parameters
    ----------
    run : Run
        What was asked.
    error : BaseException
        What was raised instead of an answer.
    future : Future or None
        The future of the answer, if there is one.

    Returns
    -------
    Event
    """
    if lost(error, future):
        return late(run, reason(error))
    text = "".join(traceback.format_exception(error))
    return Failed(run.task, run.domain, run.inputs, text[-_FAILURE:])


def reason(error: BaseException) -> str:
    """Return why there is no answer, as text.

    Parameters
    ----------
    error : BaseException
        What was raised instead of an answer.

    Returns
    -------
    str

    Examples
    --------
    >>> reason(TimeoutError())
    'TimeoutError()'
    """
    return (str(error) or repr(error))[:TEXT]


def lost(error: BaseException, future: Future | None) -> bool:
    """Whether an answer went with its worker: that says nothing about the function.

    Parameters
    ----------
    error : BaseException
        What was raised instead of an answer.
    future : Future or None
        The future of the answer, if there is one.

    Returns
    -------
    bool
    """
    gone = future is None or future.status in ("lost", "cancelled")
    return gone or isinstance(error, (KilledWorker, OSError))


def _nanoseconds(said: Any) -> int:
    """Return a time that somebody claims, if it can be one: nothing else depends on it."""
    return said if type(said) is int and 0 <= said <= _LONGEST else 0


def _octets(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(value) is bytes for value in values)
