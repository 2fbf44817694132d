"""From what was asked to what is done: everything that can be refused is refused here."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dask_verify.config import Policy, setting
from dask_verify.engine.saving import check_name, check_place
from dask_verify.errors import InputError, MetaError, PolicyError, VerifyError
from dask_verify.evidence.files import local_path
from dask_verify.evidence.loading import RECEIPT
from dask_verify.mapreduce import check_staffing
from dask_verify.requesting import Request, requested
from dask_verify.running import functions
from dask_verify.running.functions import Reference
from dask_verify.running.inputs import Inputs, collection, gathers, inputs
from dask_verify.running.opening import check_keys
from dask_verify.running.places import Local, Place, Wanted, place

REPORT = ".report.html"
"""What the name of a saved result's report ends with."""
FAILED = ".failed"
"""What is written beside a result by a job without an answer has this in its name."""
TRUST = ".trust.toml"
"""What the name of the trust file of domains on this machine ends with."""


@dataclass(frozen=True)
class Output:
    """Where results go, and what is said of them.

    Parameters
    ----------
    out : str, optional
        Path or URL of the result.
    report : str, optional
        Path of the HTML report.
    quiet : bool
        Whether nothing but errors is said.
    machine : bool
        Whether a summary is printed as JSON.
    """

    out: str | None = None
    report: str | None = None
    quiet: bool = False
    machine: bool = False


@dataclass(frozen=True)
class Asked:
    """The arguments and options of ``dask verify run``, as they were given.

    Parameters
    ----------
    function : str
    inputs : tuple of str
    reducer : str
    combiner : str, optional
    by : tuple of str
    format, blocksize : str, optional
    policy : dict
        Those fields of a policy that were given.
    npartitions : int, optional
    sort : bool
    journal : str, optional
    wanted : Wanted
    output : Output
    """

    function: str
    inputs: tuple[str, ...]
    reducer: str
    combiner: str | None
    by: tuple[str, ...]
    format: str | None
    blocksize: str | None
    policy: dict[str, Any]
    npartitions: int | None
    sort: bool
    journal: str | None
    wanted: Wanted
    output: Output


@dataclass(frozen=True)
class Plan:
    """What is done.

    Parameters
    ----------
    request : Request
        What is computed.
    place : Place
        Where.
    journal : str, optional
    output : Output
    """

    request: Request
    place: Place
    journal: str | None
    output: Output


def plan(asked: Asked) -> Plan:
    """Return what to do.

    1. Where: domains and their keys.
    2. Where to: names of the files to write.
    3. From what: the files to read, their format, and what was asked of it.
    4. What: the functions, and the policy.
    5. Whether the one can satisfy the other.

    Parameters
    ----------
    asked : Asked

    Returns
    -------
    Plan

    Raises
    ------
    VerifyError
        If it cannot be done; nothing has been started then.
    """
    where = placed(asked.wanted)
    _check_journal(asked.journal, where)
    check_output(asked.output, "frame" if asked.by else "bag")
    found = inputs(asked.inputs, asked.format)
    _check_format(asked, found)
    check_apart(asked.output, [*_read(asked), *(("input", file) for file in found.files)])
    _check_outside(asked)
    policy: Policy = _named_after_options(Policy, **asked.policy)
    if isinstance(where, Local):
        _named_after_options(check_staffing, policy, where.names)
    return Plan(_request(asked, found, policy), where, asked.journal, asked.output)


def placed(wanted: Wanted) -> Place:
    """Return where to compute, with keys and configuration looked into.

    Parameters
    ----------
    wanted : Wanted
        What the options say of it.

    Returns
    -------
    Place

    Raises
    ------
    InputError, TrustError
        If options contradict each other, or keys are missing.
    """
    import dask

    where = place(wanted, dask.config.get("scheduler-address", None))
    check_keys(where)
    return where


def check_output(output: Output, result: str | None = None) -> None:
    """Refuse names to which nothing can be written.

    Parameters
    ----------
    output : Output
    result : {"bag", "frame"}, optional
        What the result will be; None if that is not known yet.

    Raises
    ------
    InputError
    """
    for option, path in (("--out", output.out), ("--report", output.report)):
        if path is None or "://" in path:
            continue
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            raise InputError(
                f"{option}: expected a file in a folder that is there, got {path!r}; make"
                f" {folder!r} first"
            )
        if os.path.isdir(path):
            raise InputError(f"{option}: expected a file, got the folder {path!r}; name a file")
        if not os.access(path if os.path.exists(path) else folder, os.W_OK):
            raise InputError(
                f"{option}: expected a path to write to, got {path!r}, which you may not write;"
                " name another"
            )
        if option == "--out" or not os.path.exists(path):
            _check_folder(option, path, folder)
    if output.report is not None and not output.report.lower().endswith((".html", ".htm")):
        raise InputError(
            f"--report: expected the name of a file that is HTML, such as report.html, got"
            f" {output.report!r}; name another"
        )
    if output.out is not None:
        _check_result(output.out, result)
    check_apart(output, ())


def _check_folder(option: str, path: str, folder: str) -> None:
    """Refuse a folder in which no file can be made, whatever it permits; nothing is left there."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{option}: expected a folder in which files can be made, got {folder!r} for {path!r}"
            f" ({error.strerror}); name another"
        ) from error


def _check_result(out: str, result: str | None) -> None:
    try:
        check_place(out)
        if result is not None:
            check_name(out, result)
            _check_suffix(out, result)
    except InputError as error:
        raise InputError(f"--out: {str(error).partition(': ')[2]}; name another") from error


def _check_suffix(out: str, result: str) -> None:
    """Refuse a name that does not say what the file is: nothing else would."""
    if not PurePosixPath(out).suffix:
        wanted = "counts.jsonl" if result == "bag" else "means.parquet"
        raise InputError(f"path: expected a name with a suffix, such as {wanted}, got {out!r}")


def _check_journal(journal: str | None, where: Place) -> None:
    if journal is not None and isinstance(where, Local):
        raise InputError(
            "--journal: expected domains with keys that last, got domains on this machine, whose"
            " keys are gone with the job; pass --scheduler or --domain NAME=ADDRESS"
        )


def _check_format(asked: Asked, found: Inputs) -> None:
    if found.format == "text" and asked.by:
        raise InputError(
            f"--by: expected only for files with columns, got {asked.by[0]!r} for text such as"
            f" {found.files[0]!r}; leave it out, or pass --format csv or parquet"
        )
    if found.format != "text" and not asked.by:
        raise InputError(
            f"--by: expected a key column for {found.format} such as {found.files[0]!r}, got none;"
            " name one of what the mapper gives, or pass --format text to map lines"
        )
    if asked.sort and not asked.by:
        raise InputError(
            "--sort: expected only with --by, since just dataframes are sorted, got it for text;"
            " leave it out, and sort the file"
        )


def check_apart(output: Output, read: Iterable[tuple[str, str | None]]) -> None:
    """Refuse to write over what is read, or twice to one file, under whatever name.

    Parameters
    ----------
    output : Output
    read : iterable of (str, str or None)
        What is read: what it is called in the message, and its path or URL, if there is any.

    Raises
    ------
    InputError
    """
    taken = {_identity(path): what for what, path in read if path is not None}
    for option, path in _written(output):
        what = taken.get(_identity(path))
        if what is not None:
            raise InputError(
                f"{option}: expected a file that is no {what}, got {path!r}, which would be"
                " overwritten; name another"
            )
        taken[_identity(path)] = "file of the result"


def _check_outside(asked: Asked) -> None:
    """Refuse to write where the next run of the same command would read it."""
    written = list(_written(asked.output))
    if asked.journal is not None:
        written.append(("--journal", asked.journal))
    for option, path in written:
        for named in asked.inputs:
            if gathers(named, path):
                raise InputError(
                    f"{option}: expected a file that is not among what {named!r} names, got"
                    f" {path!r}, which the next run would read as input; name one elsewhere"
                )


def _written(output: Output) -> Iterator[tuple[str, str]]:
    """Yield what may be written, each with the option that says so; but for exhibits."""
    out, report = output.out, output.report
    if out is not None:
        yield "--out", out
        for base in (out, out + FAILED):
            yield from (("--out", base + ending) for ending in (RECEIPT, TRUST))
            if report is None:
                yield "--out", base + REPORT
    if report is not None:
        yield "--report", report


def _identity(path: str) -> object:
    """Return what two names of one file have in common."""
    place = local_path(path)
    if place is None:
        return path
    try:
        status = os.stat(place)
    except OSError:
        return os.path.realpath(place)
    return status.st_dev, status.st_ino


def keys_of(wanted: Wanted) -> list[tuple[str, str | None]]:
    """Return the files with keys and certificates, as `check_apart` takes them.

    Parameters
    ----------
    wanted : Wanted

    Returns
    -------
    list of (str, str or None)
    """
    keys, tls = wanted.keys, wanted.tls
    return [
        ("trust file", keys.trust or setting("trust")),
        ("key file", keys.key or setting("coordinator-key")),
        *(("TLS file", path) for path in (tls.ca_file, tls.cert, tls.key)),
    ]


def _named_after_options(check: Any, *arguments: Any, **fields: Any) -> Any:
    """Call something that names the fields of a policy, and let it name the options instead."""
    try:
        return check(*arguments, **fields)
    except PolicyError as error:
        name, colon, said = str(error).partition(":")
        raise PolicyError(f"--{name.replace('_', '-')}{colon}{said}") from error


def _named(asked: Asked) -> tuple[Reference, Reference, Reference | None]:
    """Return what names mapper, reducer and combiner."""
    mapper = functions.refer(asked.function, "mapper")
    reducer = functions.beside(asked.reducer, mapper, "reducer")
    combiner = functions.beside(asked.combiner, mapper, "combiner") if asked.combiner else None
    return mapper, reducer, combiner


def _read(asked: Asked) -> list[tuple[str, str | None]]:
    """Return what is read besides the input, as `check_apart` takes it."""
    scripts = [one.where for one in _named(asked) if one is not None and one.script]
    return [
        *keys_of(asked.wanted),
        ("journal", asked.journal),
        *(("script", script) for script in scripts),
    ]


def _request(asked: Asked, found: Inputs, policy: Policy) -> Request:
    mapper, reducer, combiner = _named(asked)
    work = {
        "mapper": functions.load(mapper, "FUNCTION"),
        "reducer": functions.load(reducer, "--reducer"),
        "combiner": functions.load(combiner, "--combiner") if combiner else None,
    }
    data = collection(found, asked.blocksize)
    try:
        return requested(
            data,
            **work,
            by=list(asked.by) or None,
            sort=asked.sort,
            policy=policy,
            npartitions=asked.npartitions,
        )
    except MetaError as error:
        raise MetaError(
            f"{str(error).rpartition('; pass ')[0] or error}; check the names of the columns"
            " first, then that it takes and gives a DataFrame whatever the rows: it is tried on two"
        ) from error
    except VerifyError:
        raise
    except Exception as error:
        # Dask reads headers when it cuts the input: files may be other than they seem.
        raise InputError(
            f"INPUT: expected files that can be read as {found.format}, got"
            f" {type(error).__name__}: {error}; look at {found.files[0]!r}"
        ) from error
