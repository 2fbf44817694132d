"""Answers of workers and schedulers as plain values, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLAIN = (bytes, str, int, float, bool, type(None))


def plain(answer: Any, request: Mapping[str, Any]) -> Any:
    """Return an answer of numbers, text, bytes, and lists and dicts of them.

    Parameters
    ----------
    answer : object
        The answer.
    request : mapping of str to object
        What was asked.

    Returns
    -------
    object

    Raises
    ------
    ConnectionError
        If the handler failed, or the answer holds anything else.
    """
    if isinstance(answer, dict) and answer.get("status") == "uncaught-error":
        text = str(answer.get("exception_text", "no reason given"))
        raise ConnectionError(f"{_what(request)} failed: {text}")
    if not is_plain(answer):
        raise ConnectionError(f"{_what(request)} was answered with something that is not plain")
    return answer


def is_plain(value: Any) -> bool:
    """Tell whether a value is made of numbers, text, bytes, and lists and dicts of them.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_plain({"a": [1, b"x"]}), is_plain({1, 2})
    (True, False)
    """
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, (list, tuple)):
            stack += value
        elif isinstance(value, dict):
            stack += [*value.keys(), *value.values()]
        elif type(value) not in _PLAIN:
            return False
    return True


def _what(request: Mapping[str, Any]) -> str:
    op = request.get("msg", request)["op"]
    return f"{op} at {request['worker']}" if "worker" in request else str(op)
