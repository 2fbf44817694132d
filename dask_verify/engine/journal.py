"""The journal of a job: what happened, on disk before anybody acts on it.

What holds:

* The first record says what the job is; every further one, what happened. They form a chain
  (`dask_verify.core.chain`), and are forced to disk before a decision that follows from them is
  carried out.
* A record that was torn while it was written is dropped; a journal that was changed is refused.
* One process writes a journal at a time.

A journal holds the secret seed of the job's audits and, pickled, the user's functions: it is the
coordinator's own, and read by nobody else.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from dask_verify.core.chain import Chain, Links
from dask_verify.errors import DecodingError, JournalError
from dask_verify.evidence.files import local_path

try:
    import fcntl
except ImportError:  # where there are no such locks, nobody is kept out
    fcntl = None  # type: ignore[assignment]

_OWN = 0o600  #: whoever reads it knows what will be sampled


class Log(ABC):
    """Bytes that only grow, and stay."""

    @abstractmethod
    def read(self) -> bytes:
        """Return all that is there.

        Returns
        -------
        bytes
        """

    @abstractmethod
    def cut(self, size: int) -> None:
        """Drop what is behind so many bytes.

        Parameters
        ----------
        size : int
            How many bytes stay.
        """

    @abstractmethod
    def add(self, data: bytes) -> None:
        """Add some bytes; when this returns, they stay.

        Parameters
        ----------
        data : bytes
            The bytes.
        """

    @abstractmethod
    def close(self) -> None:
        """Let others have it."""


class LocalLog(Log):
    """One file of a local file system, locked while it is open.

    Parameters
    ----------
    path : str
    new : bool
        Whether it must not exist yet, or must exist.
    """

    def __init__(self, path: str, new: bool) -> None:
        flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._file = os.open(path, flags | (os.O_CREAT | os.O_EXCL if new else 0), _OWN)
        try:
            self._lock(path)
        except BaseException:
            self.close()
            raise
        if new:
            _sync_folder(Path(path).parent)

    def _lock(self, path: str) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JournalError(
                f"journal {path}: expected one that no process writes, got one that is in use;"
                " call cancel() on its job if it ended here, or end the process that runs it"
            ) from error

    def read(self) -> bytes:
        """Return all that is there."""
        parts, at = [], 0
        while part := os.pread(self._file, 1 << 24, at):
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def cut(self, size: int) -> None:
        """Drop what is behind so many bytes."""
        os.ftruncate(self._file, size)
        os.fsync(self._file)

    def add(self, data: bytes) -> None:
        """Append some bytes and force them to disk."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file, and so give the lock back."""
        with contextlib.suppress(OSError):  # it is closed already
            os.close(self._file)
        self._file = -1


class ObjectLog(Log):
    """Numbered objects of a file system that cannot append, such as a bucket: each a whole write.

    Parameters
    ----------
    filesystem : fsspec.AbstractFileSystem
    path : str
        Folder of the objects.
    new : bool
        Whether there must be none yet, or must be some.
    """

    def __init__(self, filesystem: Any, path: str, new: bool) -> None:
        self._fs, self._path = filesystem, path.rstrip("/")
        self._names = self._found()
        if new and self._names:
            raise FileExistsError(path)
        if not new and not self._names:
            raise FileNotFoundError(path)
        if new:
            self._fs.makedirs(self._path, exist_ok=True)

    def _found(self) -> list[str]:
        self._fs.invalidate_cache()
        try:
            # Listed rather than matched: a name is no pattern, whatever is in it.
            found = self._fs.ls(self._path, detail=False)
        except FileNotFoundError:
            return []
        return sorted(name for name in found if name.endswith(".part"))

    def read(self) -> bytes:
        """Return all that is there.

        Raises
        ------
        DecodingError
            If an object is missing between others.
        """
        expected = [f"{number:09d}.part" for number in range(len(self._names))]
        if [name.rsplit("/", 1)[-1] for name in self._names] != expected:
            raise DecodingError(
                f"expected {len(expected)} objects with numbers from 0, got {self._names[-1]!r}"
                " as the last: one is missing"
            )
        return b"".join(self._fs.cat_file(name) for name in self._names)

    def cut(self, size: int) -> None:
        """Drop what is behind so many bytes: of the last object, since all others are whole.

        Raises
        ------
        DecodingError
            If it is more than that.
        """
        last, surplus = self._names[-1], len(self.read()) - size
        data = self._fs.cat_file(last)
        if surplus > len(data):
            raise DecodingError(f"expected a torn end in {last} alone, got one before it")
        if surplus < len(data):
            self._fs.pipe_file(last, data[: len(data) - surplus])
        else:
            self._fs.rm_file(self._names.pop())

    def add(self, data: bytes) -> None:
        """Write one more object.

        Raises
        ------
        FileExistsError
            If another process has: a bucket has no locks, so that of two the slower one stops.
        """
        name = f"{self._path}/{len(self._names):09d}.part"
        self._fs.invalidate_cache()
        if self._fs.exists(name):
            raise FileExistsError(f"{name}, which another process wrote")
        self._fs.pipe_file(name, data)
        self._names.append(name)

    def close(self) -> None:
        """Nothing is held."""


class Journal:
    """Records of one job, being written.

    Parameters
    ----------
    log : Log
    chain : Chain
        Where it ends.
    """

    def __init__(self, log: Log, chain: Chain | None = None) -> None:
        self._log, self._chain = log, chain or Chain()
        self._unwritten: list[bytes] = []
        self._failure: JournalError | None = None

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Journal:
        """Begin a journal where there is none.

        Parameters
        ----------
        path : str or path
            Path or URL.

        Returns
        -------
        Journal

        Raises
        ------
        JournalError
            If there is one, or none can be made there.
        """
        return cls(_opened(path, new=True))

    @classmethod
    def reopen(cls, path: str | os.PathLike[str]) -> tuple[Journal, list[bytes]]:
        """Open a journal to go on with it; return it with the records that it has.

        Parameters
        ----------
        path : str or path
            Path or URL.

        Returns
        -------
        tuple of (Journal, list of bytes)

        Raises
        ------
        JournalError
            If there is none, another process writes it, or it was changed.
        """
        log = _opened(path, new=False)
        try:
            data = log.read()
            links = Links(data)
            records = _records(os.fspath(path), links)
            if links.end < len(data):
                log.cut(links.end)
        except DecodingError as error:
            log.close()
            raise JournalError(f"journal {os.fspath(path)}: {error}") from None
        except BaseException:
            log.close()
            raise
        return cls(log, Chain(links.link)), records

    def write(self, record: bytes) -> None:
        """Add a record; it is not on disk before `sync` returns.

        Parameters
        ----------
        record : bytes
            The record.
        """
        self._unwritten.append(self._chain.record(record))

    def sync(self) -> None:
        """Force everything to disk.

        Raises
        ------
        JournalError
            If that fails, or has failed before: then nothing may be acted on.
        """
        if self._failure is not None:
            # What could not be written then is missing for ever: nothing goes behind the gap.
            raise self._failure
        if self._unwritten:
            data, self._unwritten = b"".join(self._unwritten), []
            try:
                self._log.add(data)
            except Exception as error:
                # Clients of object stores have errors of their own.
                self._failure = JournalError(
                    f"journal: expected {len(data)} bytes to be written, got"
                    f" {str(error) or repr(error)}; make room,"
                    " and go on with dask_verify.resume(): what was decided before still holds"
                )
                raise self._failure from error

    def close(self) -> None:
        """Close it; what was not forced to disk is dropped."""
        self._log.close()


def _records(place: str, links: Links) -> list[bytes]:
    """Return what a journal has, or say what it is instead."""
    records: list[bytes] = []
    try:
        records.extend(links)
    except DecodingError as error:
        if not records:
            raise JournalError(
                f"journal {place}: expected one that dask_verify wrote, got another file, or one"
                f" whose beginning was changed ({error}); name the file that was passed as journal="
            ) from None
        raise JournalError(
            f"journal {place}: {error}; restore it from a copy, or run the job again"
        ) from None
    if not records:
        raise JournalError(
            f"journal {place}: expected what a job is, got nothing whole: it had not even begun;"
            " remove it, and run the job again"
        )
    return records


def _opened(path: str | os.PathLike[str], new: bool) -> Log:
    place = os.fspath(path)
    try:
        filesystem, inner = fsspec.core.url_to_fs(place)
        if isinstance(filesystem, LocalFileSystem):
            return LocalLog(inner, new)
        return ObjectLog(filesystem, inner, new)
    except JournalError:
        raise
    except FileExistsError as error:
        if os.path.isdir(local_path(place) or ""):
            raise JournalError(
                f"journal {place}: expected the name of a file that is not there yet, got a folder;"
                " name a file in it"
            ) from error
        raise JournalError(
            f"journal {place}: expected no file of that name, got one; go on with its job with"
            " dask_verify.resume(), or name another file"
        ) from error
    except FileNotFoundError as error:
        raise JournalError(
            f"journal {place}: expected {'its folder' if new else 'a journal'}, got nothing there"
            f" (as seen from {os.getcwd()})"
        ) from error
    except IsADirectoryError as error:
        raise JournalError(
            f"journal {place}: expected a file, got a folder; name the file that was passed as"
            " journal="
        ) from error
    except (OSError, ValueError) as error:
        raise JournalError(f"journal {place}: cannot be opened ({error!r:.200})") from error


def _sync_folder(folder: Path) -> None:
    """Force the name of a new file to disk as well."""
    with contextlib.suppress(OSError):  # not every system lets a folder be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
