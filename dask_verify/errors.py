"""Every error that the package raises on purpose: one tree, one line of cause each.

A message says what was expected, what was got and what to do about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class VerifyError(Exception):
    """Root of every error that this package raises on purpose.

    Examples
    --------
    >>> all(issubclass(error, VerifyError) for error in (InputError, EncodingError, TaskError))
    True
    """


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

    Examples
    --------
    >>> from dask_verify.core.canonical import encode
    >>> try:
    ...     encode({"a": [1, object()]})
    ... except EncodingError as error:
    ...     print(error.type_name, error.path)
    object ['a'][1]
    """

    def __init__(self, type_name: str, path: str, advice: str) -> None:
        self.type_name = type_name
        self.path = path
        self.advice = advice
        where = f" at {path}" if path else ""
        super().__init__(f"cannot encode a value of type {type_name}{where}: {advice}")


class DecodingError(VerifyError, ValueError):
    """Bytes that are not the canonical encoding of anything.

    Examples
    --------
    >>> from dask_verify.core.canonical import decode
    >>> decode(b"")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    dask_verify.errors.DecodingError: expected an encoded value, ...
    """


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

    Examples
    --------
    >>> print(ProofError("root", b"r" * 32, b"s" * 32))
    root: expected 7272727272727272... (32 bytes), got 7373737373737373... (32 bytes)
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

    Examples
    --------
    >>> print(DescentError("b", "it gave no answer"))
    side b cannot be compared: it gave no answer
    """

    def __init__(self, side: str, reason: str) -> None:
        self.side = side
        super().__init__(f"side {side} cannot be compared: {reason}")


class GateError(VerifyError):
    """A peer said to a gated scheduler what its certificate does not entitle it to.

    Examples
    --------
    >>> from distributed.protocol import ToPickle, dumps, loads
    >>> from dask_verify.engine.compat import without_pickles
    >>> with without_pickles():
    ...     loads(dumps({"op": ToPickle(print)}))
    Traceback (most recent call last):
        ...
    dask_verify.errors.GateError: expected a message of plain values, got one with a pickle in it
    """


class SignatureError(VerifyError, ValueError):
    """A statement does not carry a valid signature of the domain that it names.

    Examples
    --------
    >>> from dask_verify.protocol.domain import Domain, Identity
    >>> key = Identity.generate("alice").public_key
    >>> try:
    ...     Domain("alice", key, {}).verify("commitment", b"payload", bytes(64))
    ... except SignatureError:
    ...     print("not alice's")
    not alice's
    """


class EvidenceError(VerifyError, ValueError):
    """A receipt, an exhibit or what they are checked against does not hold.

    Attributes
    ----------
    what : str
        The statement that broke, such as a field with its path.
    expected, got : object
        What the check required and what it found.

    Examples
    --------
    >>> from dask_verify.evidence.envelope import opened
    >>> opened(b"{}", bytes(32))
    Traceback (most recent call last):
        ...
    dask_verify.errors.EvidenceError: envelope.payloadType: expected a value, got nothing
    """

    def __init__(self, what: str, expected: object, got: object) -> None:
        self.what = what
        self.expected = expected
        self.got = got
        super().__init__(f"{_said(what)}: expected {_said(expected)}, got {_said(got)}")


class TrustError(EvidenceError):
    """A trust file does not say clearly whose signatures to believe.

    Examples
    --------
    >>> from dask_verify.evidence.enrolment.trust import Trust
    >>> Trust.from_bytes(b"version = 2")
    Traceback (most recent call last):
        ...
    dask_verify.errors.TrustError: trust file.version: expected a whole number from 1 to 1, got 2
    """


class CodeRefusedError(EvidenceError):
    """An exhibit names code that is not run, because whoever made it may not be trusted.

    Examples
    --------
    >>> from dask_verify.evidence.exhibits.names import check_name
    >>> try:
    ...     check_name("mapper", "os:system")
    ... except CodeRefusedError as error:
    ...     print(error.got[:10])
    os:system,
    """


class JournalError(VerifyError, ValueError):
    """A journal is none, was changed, or is of a job that cannot be taken up here.

    Examples
    --------
    >>> from dask_verify.engine.journal import Journal
    >>> Journal.reopen("/nowhere/count.journal")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    dask_verify.errors.JournalError: journal /nowhere/count.journal: expected a journal, ...
    """


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

    Examples
    --------
    >>> error = DataError("partition 3 has other values", 3, b"e" * 32, b"g" * 32)
    >>> error.partition
    3
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
    """A policy asks for something impossible, or for more than the domains at hand can give.

    Examples
    --------
    >>> from dask_verify.protocol.policy import Policy
    >>> Policy(replicas=2, faults=2)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    dask_verify.errors.PolicyError: replicas: expected 1 or at least faults + 1 = 3, got 2; ...
    """


class InputError(VerifyError, ValueError):
    """What was passed to a public function cannot be used, found before any work starts.

    Examples
    --------
    >>> from dask_verify.core.merkle import MerkleTree
    >>> MerkleTree(b"not a list")
    Traceback (most recent call last):
        ...
    dask_verify.errors.InputError: expected a sequence of leaves, got one bytes: put it in a list
    """


class MetaError(VerifyError, ValueError):
    """A frame does not match its meta, and casting it would lose something.

    Examples
    --------
    >>> import pandas as pd
    >>> from dask_verify.execution.cast import cast
    >>> meta = pd.DataFrame({"n": pd.Series(dtype="int64")})
    >>> cast(pd.DataFrame({"n": [0.5]}), meta, "mapper")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    dask_verify.errors.MetaError: mapper, column 'n': expected dtype int64, got float64 with ...
    """


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

    Examples
    --------
    >>> TaskError("ValueError: no such word", "ValueError: no such word").traceback_text
    'ValueError: no such word'
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

    Examples
    --------
    >>> issubclass(InconclusiveError, UnverifiedError), UnverifiedError("no answer").report
    (True, None)
    """

    def __init__(self, message: str, report: Any = None) -> None:
        self.report = report
        super().__init__(message)


class InconclusiveError(UnverifiedError):
    """A check could not be made, so nothing is claimed about the answer.

    Examples
    --------
    >>> try:  # doctest: +SKIP
    ...     answer = job.result()
    ... except InconclusiveError as error:
    ...     print(error.report.cause)
    """


class NondeterministicError(UnverifiedError):
    """The function gives different answers for the same input, so nobody can be blamed.

    Examples
    --------
    >>> try:  # doctest: +SKIP
    ...     answer = job.result()
    ... except NondeterministicError as error:
    ...     print(error.report.divergences)
    """


class JobCancelledError(VerifyError):
    """The job was cancelled before it reached a verdict.

    Examples
    --------
    >>> job.cancel()  # doctest: +SKIP
    >>> job.result()  # doctest: +SKIP
    """


class CourierError(VerifyError, ConnectionError):
    """A courier has ended, or sent what no courier sends: its domain cannot be reached by it.

    Examples
    --------
    >>> isinstance(CourierError("the courier of bob has ended"), ConnectionError)
    True
    """


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
