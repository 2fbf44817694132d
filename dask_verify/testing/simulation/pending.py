"""What is under way to the coordinator, and what comes instead of it when it is lost."""

from __future__ import annotations

from typing import NamedTuple

from dask_verify.protocol.domain import COORDINATOR
from dask_verify.protocol.messages import (
    Audited,
    Committed,
    Event,
    Failed,
    Late,
    ServedWrong,
    Unaudited,
    Unopened,
    Unserved,
)


class Pending(NamedTuple):
    """One event that will happen, and what is on its way once it has.

    Parameters
    ----------
    event : Event
        The event.
    then : tuple of Event, optional
        What follows it.
    """

    event: Event
    then: tuple[Event, ...] = ()


def sender(event: Event) -> str:
    """Return the domain whose message this is; empty for what the coordinator knows by itself.

    Parameters
    ----------
    event : Event
        What happened.

    Returns
    -------
    str
    """
    match event:
        case Committed() | Failed() if event.domain != COORDINATOR:
            return event.domain
        case Audited() | Unaudited() if event.challenge.domain != COORDINATOR:
            return event.challenge.domain
    return ""


def unheard(event: Event, opening: bool = False) -> str:
    """Return the domain that seems to be silent where `deadline` comes instead of a message.

    Parameters
    ----------
    event : Event
        What happened.
    opening : bool, optional
        Whether an opening was asked for.

    Returns
    -------
    str
    """
    holder: str = getattr(getattr(event, "challenge", None), "holder", "")
    return holder if opening and holder else sender(event)


def deadline(event: Event, opening: bool = False) -> Event | None:
    """Return what the coordinator notices where a message does not come; None: it is no message.

    Parameters
    ----------
    event : Event
    opening : bool
        Whether it is what the holder opens, rather than what the auditor answers, that is lost.

    Returns
    -------
    Event or None
    """
    match event:
        case Committed() | Failed() if event.domain != COORDINATOR:
            return Late(event.task, event.domain, event.inputs, "lost")
        case Audited() | Unaudited() if opening and event.challenge.holder:
            return Unopened(event.challenge)
        case Audited() | Unaudited() if event.challenge.domain != COORDINATOR:
            return Unaudited(event.challenge, "lost")
    return None


def shown(event: Event) -> str:
    """Return one line about an event: the same in every process.

    Parameters
    ----------
    event : Event
        What happened.

    Returns
    -------
    str

    Examples
    --------
    >>> from dask_verify.protocol.messages import Task
    >>> shown(Late(Task("map", 1), "alice", b"", "lost"))
    'Late map 1 alice: lost'
    """
    who = getattr(event, "domain", "") or getattr(getattr(event, "challenge", None), "domain", "")
    head = f"{type(event).__name__} {event.task.stage} {event.task.partition} {who}".rstrip()
    match event:
        case Committed() | Audited():
            return f"{head}: {event.wire.hex()[:16]}... of {len(event.wire)} bytes"
        case Late() | Unaudited():
            return f"{head}: {event.reason}"
        case Unopened():
            return f"{head}: {event.challenge.holder} does not open {event.challenge.units}"
        case Unserved() | ServedWrong() | Failed():
            return head
    return f"{head}: {_rest(event)}"


def _rest(event: Event) -> str:
    """Return the fields of what the coordinator found, with sets in order."""
    hidden = ("task", "inputs", "domain", "sample", "commitment")
    said = {name: value for name, value in vars(event).items() if name not in hidden and value}
    return ", ".join(f"{name}={_plain(value)}" for name, value in said.items()) or "done"


def _plain(value: object) -> str:
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(_plain, value))) + "}"
    return value.hex()[:16] if isinstance(value, bytes) else str(value)
