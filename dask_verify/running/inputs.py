"""The input files of a job: found here, in a fixed order, and of one format."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dask_verify.errors import InputError
from dask_verify.evidence.files import local_path

FORMATS = ("text", "csv", "parquet")
_SUFFIXES = {
    **dict.fromkeys((".txt", ".text", ".log", ".md", ".jsonl", ".ndjson"), "text"),
    ".csv": "csv",
    **dict.fromkeys((".parquet", ".parq", ".pq"), "parquet"),
}
_BLOCKSIZE = "32 MiB"  #: of text and CSV, where the user does not say


@dataclass(frozen=True)
class Inputs:
    """Files of one format.

    Parameters
    ----------
    files : tuple of str
        Absolute paths, or URLs, in the order in which they are read.
    format : {"text", "csv", "parquet"}
    compression : str or None
        As fsspec names it.
    """

    files: tuple[str, ...]
    format: str
    compression: str | None = None


def inputs(named: Sequence[str], asked: str | None = None) -> Inputs:
    """Find what was named, and of what format it is.

    Parameters
    ----------
    named : sequence of str
        Paths, folders, patterns, URLs.
    asked : str, optional
        The format; default: from the names.

    Returns
    -------
    Inputs

    Raises
    ------
    InputError
        If nothing is there, something is there twice, or the format is mixed or unknown.
    """
    files = [file for one in named for file in _found(one)]
    (file, times), *_ = Counter(files).most_common(1)
    if times > 1:
        raise InputError(
            f"INPUT: expected every file once, got {file!r} {times} times; its records would count"
            " as often: name it once"
        )
    return Inputs(tuple(files), *one_format(files, asked))


def gathers(named: str, path: str) -> bool:
    """Return whether an argument would stand for a file, if that were there.

    Parameters
    ----------
    named : str
        A path, folder, pattern or URL.
    path : str
        Path or URL of the file.

    Returns
    -------
    bool

    Examples
    --------
    >>> gathers("texts", "texts/counts.jsonl"), gathers("texts/*.txt", "texts/counts.jsonl")
    (True, False)
    """
    inside, base = _place(path), _place(named).rstrip("/")
    if any(c in base for c in "*?["):
        # What a pattern matches may be a folder.
        steps = [PurePosixPath(inside), *PurePosixPath(inside).parents]
        return any(one.match(base) and not _hidden(inside[len(str(one)) :]) for one in steps)
    return inside.startswith(f"{base}/") and not _hidden(inside[len(base) :])


def one_format(files: Sequence[str], asked: str | None = None) -> tuple[str, str | None]:
    """Return the format and the compression that all files have, by their names.

    Parameters
    ----------
    files : sequence of str
    asked : str, optional
        The format, whatever the names say.

    Returns
    -------
    tuple of (str, str or None)

    Raises
    ------
    InputError
        If they differ, or cannot be told.

    Examples
    --------
    >>> one_format(["a.csv.gz", "b.csv.gz"])
    ('csv', 'gzip')
    """
    kinds = {file: kind(file) for file in files}
    formats: dict[str | None, str] = {}
    compressions: dict[str | None, str] = {}
    for file, (form, compression) in kinds.items():
        formats.setdefault(asked or form, file)
        compressions.setdefault(compression, file)
    if None in formats:
        raise InputError(
            f"INPUT: expected names that end like {', '.join(_SUFFIXES)}, also with .gz and the"
            f" like, got {formats[None]!r}; pass --format text, csv or parquet"
        )
    if len(formats) > 1:
        raise InputError(_differ("one format", formats) + ", or pass --format for all")
    if len(compressions) > 1:
        raise InputError(_differ("one compression", compressions))
    (form,), (compression,) = formats, compressions
    if form == "parquet" and compression is not None:
        raise InputError(
            f"INPUT: expected Parquet files as they are, got {files[0]!r}, which is compressed as"
            " a whole; unpack it"
        )
    return str(form), compression


def kind(file: str) -> tuple[str | None, str | None]:
    """Return format and compression by a file's name; None where it does not tell.

    Parameters
    ----------
    file : str
        Path or URL.

    Returns
    -------
    tuple of (str or None, str or None)

    Examples
    --------
    >>> kind("s3://bucket/a.CSV.gz"), kind("notes")
    (('csv', 'gzip'), (None, None))
    """
    from fsspec.utils import infer_compression

    path = PurePosixPath(file.lower())
    compression: str | None = infer_compression(path.name)
    suffix = path.with_suffix("").suffix if compression else path.suffix
    return _SUFFIXES.get(suffix), compression


def collection(given: Inputs, blocksize: str | None = None) -> Any:
    """Return a Dask bag of lines, or a Dask dataframe; nothing but headers is read.

    Parameters
    ----------
    given : Inputs
    blocksize : str, optional
        Bytes of a partition, such as ``"16 MiB"``; default: 32 MiB of text or CSV, and as Dask
        cuts Parquet. A compressed file is one partition.

    Returns
    -------
    dask.bag.Bag or dask.dataframe.DataFrame

    Raises
    ------
    InputError
        If they cannot be read.
    """
    import dask.bag as db
    import dask.dataframe as dd

    _check_blocksize(given, blocksize)
    size = None if given.compression else (blocksize or _BLOCKSIZE)
    read: dict[str, Callable[[], Any]] = {
        "text": lambda: db.read_text(
            list(given.files), blocksize=size, compression=given.compression
        ),
        "csv": lambda: dd.read_csv(
            list(given.files), blocksize=size, compression=given.compression
        ),
        "parquet": lambda: dd.read_parquet(
            list(given.files), **({"blocksize": blocksize} if blocksize else {})
        ),
    }
    try:
        return read[given.format]()
    except Exception as error:
        # Whatever a reader raises of a user's files: nothing has been started yet.
        if empty := next(filter(_empty, given.files), None):
            raise InputError(
                f"INPUT: expected files that can be read as {given.format}, got {empty!r}, which is"
                " empty; leave it out, or fill it"
            ) from error
        raise InputError(
            f"INPUT: expected files that can be read as {given.format}, got"
            f" {type(error).__name__}: {error}; look at {given.files[0]!r}, or pass --format"
        ) from error


def _empty(file: str) -> bool:
    """Whether a file has nothing in it; also not where that cannot be told."""
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(file)
        return bool(filesystem.size(path) == 0)
    except Exception:
        return False  # it is another error that is told


def _check_blocksize(given: Inputs, blocksize: str | None) -> None:
    from dask.utils import parse_bytes

    if blocksize is None:
        return
    try:
        good = int(parse_bytes(blocksize)) > 0
    except ValueError:
        good = False
    if not good:
        raise InputError(f"--blocksize: expected a size such as '16 MiB', got {blocksize!r}")
    if given.compression:
        raise InputError(
            f"--blocksize: expected only for files that can be cut, got {given.files[0]!r}, which"
            " is compressed: each is one partition; leave it out, or unpack them"
        )


def _differ(what: str, by: dict[str | None, str]) -> str:
    seen = " and ".join(f"{file!r} ({name or 'none'})" for name, file in list(by.items())[:2])
    return f"INPUT: expected files of {what}, got {seen}; name them apart"


def _found(named: str) -> list[str]:
    """Return the files that one argument stands for, sorted."""
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(named)
        files = sorted(_files(filesystem, path))
        folder = not files and filesystem.isdir(path)
    except Exception as error:
        # Stores have errors of their own, and a scheme may need a package that is not there.
        raise InputError(
            f"INPUT: expected a path or a URL that fsspec reads, got {named!r}"
            f" ({type(error).__name__}: {error}); check the name"
        ) from error
    if not files and folder:
        raise InputError(
            f"INPUT: expected a folder with files, got {named!r}, which has none (names that"
            " begin with . or _ are left out); put some there, or name another"
        )
    if not files:
        raise InputError(
            f"INPUT: expected a file, a folder with files, or a pattern that matches some, got"
            f" {named!r}, where nothing is; check the name"
        )
    odd = [file for file in files if any(c in file for c in "*?[")]
    if odd:
        raise InputError(
            f"INPUT: expected files without *, ? and [ in their names, which Dask takes for"
            f" patterns, got {odd[0]!r}; rename it"
        )
    if _local(filesystem):
        return [os.path.abspath(file) for file in files]
    return [filesystem.unstrip_protocol(file) for file in files]


def _files(filesystem: Any, path: str) -> Iterator[str]:
    if filesystem.isfile(path):
        yield path
    elif filesystem.isdir(path):
        base = path.rstrip("/")
        yield from (file for file in filesystem.find(path) if not _hidden(file[len(base) :]))
    elif any(c in path for c in "*?["):
        wanted = PurePosixPath(path).name.startswith(".")
        for match in filesystem.glob(path):
            # As in a shell, what is hidden has to be asked for.
            if wanted or not PurePosixPath(match).name.startswith("."):
                yield from _files(filesystem, match)


def _place(path: str) -> str:
    """Return a path in the one way in which it can be compared; a URL of a store as it is."""
    local = local_path(path)
    return path if local is None else os.path.realpath(local)


def _hidden(within: str) -> bool:
    """Whether something in a folder is none of its data, such as ``.git`` or ``_SUCCESS``."""
    return any(part.startswith((".", "_")) for part in PurePosixPath(within).parts)


def _local(filesystem: Any) -> bool:
    protocol = filesystem.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)
