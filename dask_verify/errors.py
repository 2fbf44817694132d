"""Every error that the package raises on purpose: one tree, one line of cause each.

A message says what was expected, what was got and what to do about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class VerifyError(Exception):
    """Root of every error that this package raises on purpose."""


class EncodingError(VerifyError, TypeError):
    """A value has no canonical bytes.

    Attributes
    ----------
    type_name : str
        Type of the refused value.
    path : str
        Where the value sits inside the encoded one, such as ``[3]['a']``; empty at the top.
    advice : str
        What to use instead.
    """

    def __init__(self, type_name: str, path: str, advice: str) -> None:
        self.type_name = type_name
        self.path = path
        self.advice = advice
        where = f" at {path}" if path else ""
        super().__init__(f"cannot encode a value of type {type_name}{where}: {advice}")


class DecodingError(VerifyError, ValueError):
    """Bytes that are not the canonical encoding of anything."""


class ProofError(VerifyError, ValueError):
    """A Merkle proof does not lead to the root that it was checked against.

    Parameters
    ----------
    what : str
        What was checked.

    Attributes
    ----------
    expected, got : object
        What the check required and what it found.
    """

    def __init__(self, what: str, expected: object, got: object) -> None:
        self.expected = expected
        self.got = got
        super().__init__(f"{what}: expected {_short(expected)}, got {_short(got)}")


class DescentError(VerifyError):
    """One side of a comparison did not answer, or answered against its own root.

    Parameters
    ----------
    reason : str
        What the side did.

    Attributes
    ----------
    side : str
        The side at fault, ``"a"`` or ``"b"``.
    """

    def __init__(self, side: str, reason: str) -> None:
        self.side = side
        super().__init__(f"side {side} cannot be compared: {reason}")


class GateError(VerifyError):
    """A peer said to a gated scheduler what its certificate does not entitle it to."""


class SignatureError(VerifyError, ValueError):
    """A statement does not carry a valid signature of the domain that it names."""


class EvidenceError(VerifyError, ValueError):
    """A receipt, an exhibit or what they are checked against does not hold.

    Attributes
    ----------
    what : str
        The statement that broke, such as a field with its path.
    expected, got : object
        What the check required and what it found.
    """

    def __init__(self, what: str, expected: object, got: object) -> None:
        self.what = what
        self.expected = expected
        self.got = got
        super().__init__(f"{_said(what)}: expected {_said(expected)}, got {_said(got)}")


class TrustError(EvidenceError):
    """A trust file does not say clearly whose signatures to believe."""


class CodeRefusedError(EvidenceError):
    """An exhibit names code that is not run, because whoever made it may not be trusted."""


class JournalError(VerifyError, ValueError):
    """A journal is none, was changed, or is of a job that cannot be taken up here."""


class DataError(VerifyError, ValueError):
    """A result file cannot be read or written, or its values are not the verified ones.

    Parameters
    ----------
    message : str
        What is wrong.

    Attributes
    ----------
    partition : int or None
        First reduce partition whose values differ; None if it did not come to a comparison.
    expected, got : bytes or None
        Its root, and the root that the values have.
    """

    def __init__(
        self,
        message: str,
        partition: int | None = None,
        expected: bytes | None = None,
        got: bytes | None = None,
    ) -> None:
        self.partition = partition
        self.expected = expected
        self.got = got
        super().__init__(message)


class PolicyError(VerifyError, ValueError):
    """A policy asks for something impossible, or for more than the domains at hand can give."""


class InputError(VerifyError, ValueError):
    """What was passed to a public function cannot be used, found before any work starts."""


class MetaError(VerifyError, ValueError):
    """A frame does not match its meta, and casting it would lose something."""


class TaskError(VerifyError, RuntimeError):
    """A user function failed in more domains than may be faulty.

    Parameters
    ----------
    message : str
        What happened.

    Attributes
    ----------
    traceback_text : str
        The traceback as the workers reported it; text, never an unpickled exception.
    """

    def __init__(self, message: str, traceback_text: str = "") -> None:
        self.traceback_text = traceback_text
        super().__init__(f"{message}\n\n{traceback_text}" if traceback_text else message)


class UnverifiedError(VerifyError):
    """A job ended without an answer that may be trusted.

    Parameters
    ----------
    message : str
        What happened.

    Attributes
    ----------
    report : Report
        What happened, domain by domain.
    """

    def __init__(self, message: str, report: Any = None) -> None:
        self.report = report
        super().__init__(message)


class InconclusiveError(UnverifiedError):
    """A check could not be made, so nothing is claimed about the answer."""


class NondeterministicError(UnverifiedError):
    """The function gives different answers for the same input, so nobody can be blamed."""


class JobCancelledError(VerifyError):
    """The job was cancelled before it reached a verdict."""


class CourierError(VerifyError, ConnectionError):
    """A courier has ended, or sent what no courier sends: its domain cannot be reached by it."""


def _short(value: object) -> str:
    if isinstance(value, bytes):
        return f"{value.hex()[:16]}... ({len(value)} bytes)" if len(value) > 8 else value.hex()
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an int of {value.bit_length()} bits"  # repr refuses the longest ones
    try:
        text = repr(value)
    except RecursionError:
        return f"{type(value).__name__}, nested too deep to be shown"
    return text if len(text) <= 200 else f"{text[:200]}..."


def _said(value: object) -> str:
    """Return text as it is, cut short, and other values as `_short` does."""
    if not isinstance(value, str):
        return _short(value)
    # It may be an enemy's, and be printed on a terminal.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value[:500])


def one_of(names: Iterable[str]) -> str:
    """Return names as a readable list for a message.

    Parameters
    ----------
    names : iterable of str
        The names.

    Returns
    -------
    str

    Examples
    --------
    >>> one_of(["b", "a"])
    "'a', 'b'"
    """
    return ", ".join(repr(name) for name in sorted(names))
