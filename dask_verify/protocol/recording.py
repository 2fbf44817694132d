"""Events as bytes, so that a job's decisions can be made again: they follow from its events alone.

What holds: an event is read only from the bytes that it is written as. Text that people wrote into
it, such as a traceback, is kept as far as it has a UTF-8 form; nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, get_args

from dask_verify.core.canonical import decode, encode
from dask_verify.core.record import digest
from dask_verify.errors import DecodingError
from dask_verify.protocol.messages import Challenge, Event, Instruction, Sample, Task, Verdict
from dask_verify.protocol.terms import printable

_EVENTS: dict[str, type] = {kind.__name__: kind for kind in get_args(Event)}
_MARK = 8  #: bytes that tell one lot of decisions from another


def _maybe_sample(plain: Any) -> Sample | None:
    return None if plain is None else Sample(*plain)


#: What the fields of events are made of again, where they are more than plain values.
_MADE: dict[str, Callable[[Any], Any]] = {
    "task": lambda plain: Task(*plain),
    "challenge": lambda plain: _filled(Challenge, plain),
    "sample": _maybe_sample,
    "wrong": frozenset,
    "liars": frozenset,
}


def write_event(event: Event) -> bytes:
    """Return an event as bytes.

    Parameters
    ----------
    event : Event
        What happened.

    Returns
    -------
    bytes

    Examples
    --------
    >>> from dask_verify.protocol.messages import Late
    >>> late = Late(Task("map", 3), "bob", bytes(32), "not answered in time")
    >>> read_event(write_event(late)) == late
    True
    """
    return encode((type(event).__name__, _plain(event)))


def read_event(data: bytes) -> Event:
    """Return what `write_event` wrote.

    Parameters
    ----------
    data : bytes
        What `write_event` wrote.

    Returns
    -------
    Event

    Raises
    ------
    DecodingError
        If the bytes are no event.
    """
    try:
        name, plain = decode(data)
        event: Event = _filled(_EVENTS[name], plain)
        same = write_event(event) == data
    except DecodingError:
        raise
    except Exception as error:
        # Whatever has another shape than an event raises on its own way into one.
        raise DecodingError(f"expected an event, got {type(error).__name__}: {error}") from None
    if not same:
        raise DecodingError(f"expected the bytes of an event, got others for {name!r:.40}")
    return event


def decisions(instructions: Iterable[Instruction]) -> bytes:
    """Return 8 bytes that tell one lot of instructions from another, in whatever order.

    Parameters
    ----------
    instructions : iterable of Instruction
        The instructions.

    Returns
    -------
    bytes

    Examples
    --------
    >>> from dask_verify.protocol.messages import Accepted
    >>> one, two = Accepted(Task("map", 1)), Accepted(Task("map", 2))
    >>> decisions([one, two]) == decisions([two, one]) != decisions([one])
    True
    """
    said = sorted(encode((type(i).__name__, _plain(i, brief=True))) for i in instructions)
    return digest("decisions", encode(tuple(said)))[:_MARK]


def _plain(value: Any, brief: bool = False) -> tuple[Any, ...]:
    """Return the fields of an event or an instruction as plain values.

    Brief: without the text, and without the values that follow from what was said before.
    """
    found: list[Any] = []
    for field in fields(value):
        one = getattr(value, field.name)
        if isinstance(one, Challenge | Sample):
            found.append(_plain(one, brief))
        elif isinstance(one, str) and field.name in ("text", "reason", "failure", "one", "other"):
            found.append(None if brief else printable(one))
        elif isinstance(one, Verdict):
            found.append(one.value)
        elif isinstance(one, frozenset):
            found.append(tuple(sorted(one)))
        elif isinstance(one, tuple):
            known = tuple(v for v in one if isinstance(v, str | int | bytes))
            if not brief and len(known) < len(one):
                raise _unwritten(field.name, one)
            found.append(known)
        elif one is None or isinstance(one, str | int | bytes):
            found.append(one)
        elif not brief:
            raise _unwritten(field.name, one)
    return tuple(found)


def _unwritten(name: str, value: Any) -> TypeError:
    """Nothing is left out of an event: what was decided on it would come out otherwise."""
    return TypeError(f"{name}: expected plain values to write down, got {value!r:.200}")


def _filled(kind: type, plain: tuple[Any, ...]) -> Any:
    names = [field.name for field in fields(kind)]
    if len(names) != len(plain):
        raise DecodingError(f"expected the {len(names)} fields of {kind.__name__}")
    values = zip(names, plain, strict=True)
    return kind(*(_MADE.get(name, _itself)(value) for name, value in values))


def _itself(value: Any) -> Any:
    return value
