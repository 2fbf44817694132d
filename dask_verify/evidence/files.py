"""Small files of the user's own: read whole, never more than a limit, and replaced at one go."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable
from typing import IO

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_READABLE = 0o644
_PIECE = 1 << 20  #: bytes that are read at a time

Refusal = Callable[[str, str, str], Exception]
"""Makes the error to raise from what, expected and got."""
Path = str | os.PathLike[str]


def read_file(
    path: Path,
    limit: int,
    refusal: Refusal,
    check: Callable[[os.stat_result], None] = lambda status: None,
) -> bytes:
    """Read a regular file of at most `limit` bytes.

    Parameters
    ----------
    path : str or path
    limit : int
        In bytes.
    refusal : callable
        Makes the error from what, expected and got.
    check : callable, optional
        Raises if it does not like the status of the opened file; it runs before anything is read.

    Returns
    -------
    bytes
    """
    what = os.fspath(path)
    try:
        # A pipe that nobody writes to must not block: it is opened, seen for what it is, refused.
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        raise refusal(what, "a file to read", _reason(error)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise refusal(what, "a regular file", "another kind of file")
        check(status)
        with open(descriptor, "rb", closefd=False) as file:
            data = read_up_to(file, limit + 1)
    except OSError as error:
        raise refusal(what, "a file to read", _reason(error)) from error
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise refusal(what, f"at most {limit:,} bytes", "more")
    return data


def read_up_to(file: IO[bytes], most: int) -> bytes:
    """Return the next bytes of a file, at most so many; memory is taken for what is there.

    Asked for a gigabyte at once, Python would take one before it looks at the file.

    Parameters
    ----------
    file : IO
        The file, open for reading.
    most : int
        How many bytes at most.

    Returns
    -------
    bytes
    """
    pieces: list[bytes] = []
    while most > 0 and (piece := file.read(min(most, _PIECE))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def write_anywhere(path: Path, data: bytes) -> None:
    """Write a file to a path or URL that fsspec knows.

    Parameters
    ----------
    path : Path
        Path or URL.
    data : bytes
        Its bytes.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import fsspec

    with fsspec.open(os.fspath(path), "wb") as file:
        file.write(data)


def local_path(path: Path) -> str | None:
    """Return the local path that a path or URL means to fsspec; None if it means no such.

    Parameters
    ----------
    path : Path
        Path or URL.

    Returns
    -------
    str or None

    Examples
    --------
    >>> local_path("file:///data/a.txt"), local_path("s3://bucket/a.txt")
    ('/data/a.txt', None)
    """
    from fsspec.implementations.local import LocalFileSystem

    text = os.fspath(path)
    scheme, found, _ = text.partition("://")
    if (found and scheme not in ("file", "local")) or "::" in text:
        return None
    return str(LocalFileSystem._strip_protocol(text))


def create_file(path: Path, data: bytes, mode: int, refusal: Refusal) -> None:
    """Write a new file; never over anything that is there, and with no other mode for a moment.

    Parameters
    ----------
    path : Path
        Path of the file.
    data : bytes
        Its bytes.
    mode : int
        Its permissions.
    refusal : Refusal
        Makes the error from a message.
    """
    what = os.fspath(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags, mode)
    except FileExistsError:
        raise refusal(what, "a path where nothing is", "one that exists") from None
    except (OSError, ValueError) as error:
        raise refusal(what, "a path to write to", _reason(error)) from error
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        os.unlink(path)
        raise refusal(what, "a path to write to", _reason(error)) from error


def replace_file(path: Path, data: bytes, refusal: Refusal) -> None:
    """Write a file that anybody may read; others see the old one or the new one, never half.

    Parameters
    ----------
    path : Path
        Path of the file.
    data : bytes
        Its bytes.
    refusal : Refusal
        Makes the error from a message.
    """
    what, target = os.fspath(path), os.path.realpath(path)
    draft = ""
    try:
        descriptor, draft = tempfile.mkstemp(prefix=".", dir=os.path.dirname(target))
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, _mode(target))
        os.replace(draft, target)
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise refusal(what, "a path to write to", _reason(error)) from error


def _mode(path: str) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return _READABLE


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
