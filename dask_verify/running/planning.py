"""From what was asked to what is done: everything that can be refused is refused here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from dask_verify.config import Policy
from dask_verify.engine.saving import check_name
from dask_verify.errors import InputError, MetaError, PolicyError, VerifyError
from dask_verify.mapreduce import check_staffing
from dask_verify.requesting import Request, requested
from dask_verify.running import functions
from dask_verify.running.inputs import Inputs, collection, inputs
from dask_verify.running.opening import check_keys
from dask_verify.running.places import Local, Place, Wanted, place

REPORT = ".report.html"
"""What the name of a saved result's report ends with."""


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
    _check_not_input(asked.output, found)
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
    if output.out is not None and result is not None:
        _check_kind(output.out, result)


def _check_kind(out: str, result: str) -> None:
    try:
        check_name(out, result)
    except InputError as error:
        raise InputError(f"--out: {str(error).partition(': ')[2]}; name another") from error


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


def _check_not_input(output: Output, found: Inputs) -> None:
    written = {"--out": output.out, "--report": output.report}
    for option, path in written.items():
        if path is not None and (path in found.files or os.path.abspath(path) in found.files):
            raise InputError(
                f"{option}: expected a file that is no input, got {path!r}, which would be"
                " overwritten; name another"
            )


def _named_after_options(check: Any, *arguments: Any, **fields: Any) -> Any:
    """Call something that names the fields of a policy, and let it name the options instead."""
    try:
        return check(*arguments, **fields)
    except PolicyError as error:
        name, colon, said = str(error).partition(":")
        raise PolicyError(f"--{name.replace('_', '-')}{colon}{said}") from error


def _request(asked: Asked, found: Inputs, policy: Policy) -> Request:
    mapper = functions.refer(asked.function, "mapper")
    reducer = functions.beside(asked.reducer, mapper, "reducer")
    combiner = asked.combiner and functions.beside(asked.combiner, mapper, "combiner")
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
            f"{str(error).rpartition('; pass ')[0] or error}; let it take and give a DataFrame"
            " whatever the rows, since it is tried on two"
        ) from error
    except VerifyError:
        raise
    except Exception as error:
        # Dask reads headers when it cuts the input: files may be other than they seem.
        raise InputError(
            f"INPUT: expected files that can be read as {found.format}, got"
            f" {type(error).__name__}: {error}; look at {found.files[0]!r}"
        ) from error
