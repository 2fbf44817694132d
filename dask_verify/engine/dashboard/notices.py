"""What a scheduler is told of a job, read as what anybody may have sent.

A notice that is not exactly of the form that `summary` makes is refused, and leaves nothing behind.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dask_verify.engine.dashboard.summary import RUNNING, VERSION
from dask_verify.errors import InputError, one_of
from dask_verify.protocol.messages import MAP, READ, REDUCE, Standing, Verdict

STAGES = (MAP, REDUCE)
STATUSES = (RUNNING, "cancelled", "interrupted", *(verdict.value for verdict in Verdict))
CAUSES = (READ, MAP, REDUCE, "serve")
OUTCOMES = ("agreed", "contradicted", "unopened", "failed", "moot", "pending")
STANDINGS = tuple(standing.value for standing in Standing)

_JOB = re.compile(r"[0-9a-f]{16,128}")
_FIELDS = {
    "version", "job", "status", "replicas", "audited", "progress", "divergences", "audits",
    "standing",
}  # fmt: skip
_MOST = 1 << 40  #: of anything that is counted
_DOMAINS = 1000  #: of one job


@dataclass(frozen=True)
class Notice:
    """What a coordinator says of its job.

    Parameters
    ----------
    job : str
        Job id, hexadecimal.
    status : str
        One of `STATUSES`.
    replicas : int
    audited : bool
    progress : mapping of str to (int, int)
        Accepted partitions, and all, by stage.
    divergences, audits : mapping of str to int
        How many, by cause and by outcome.
    standing : mapping of str to str
        By domain.
    """

    job: str
    status: str
    replicas: int
    audited: bool
    progress: Mapping[str, tuple[int, int]]
    divergences: Mapping[str, int]
    audits: Mapping[str, int]
    standing: Mapping[str, str]

    def counted(self) -> dict[tuple[str, str], int]:
        """Return all that adds up over jobs: by what it is, and its label.

        Returns
        -------
        dict of (str, str) to int
            What it is: ``"partitions"``, ``"divergences"`` or ``"audits"``.
        """
        accepted = {("partitions", stage): done for stage, (done, _) in self.progress.items()}
        diverged = {("divergences", cause): n for cause, n in self.divergences.items()}
        return {**accepted, **diverged, **{("audits", o): n for o, n in self.audits.items()}}


def read_notice(raw: Any, known: Collection[str]) -> Notice:
    """Return what was sent, if it is a notice.

    Parameters
    ----------
    raw : object
        Whatever arrived.
    known : collection of str
        The domains of the scheduler: of others nothing is kept.

    Returns
    -------
    Notice

    Raises
    ------
    InputError
        If it is none.

    Examples
    --------
    >>> read_notice({"version": 1}, [])
    Traceback (most recent call last):
        ...
    dask_verify.errors.InputError: notice: expected a dict of 9 fields, got ['version']
    """
    if type(raw) is not dict:
        raise InputError(f"notice: expected a dict, got {type(raw).__name__}")
    if set(raw) != _FIELDS:
        raise InputError(
            f"notice: expected a dict of {len(_FIELDS)} fields, got {list(raw)[:9]!r:.200}"
        )
    if type(raw["version"]) is not int or raw["version"] != VERSION:
        raise InputError(f"notice: expected version {VERSION}, got {raw['version']!r:.50}")
    if type(raw["job"]) is not str or not _JOB.fullmatch(raw["job"]):
        raise InputError(f"notice: expected a job id, got {raw['job']!r:.50}")
    if type(raw["audited"]) is not bool:
        raise InputError(f"notice: expected whether there are audits, got {raw['audited']!r:.50}")
    standing = _dict("standing", raw["standing"], _DOMAINS)
    return Notice(
        raw["job"],
        _among("status", raw["status"], STATUSES),
        _number("replicas", raw["replicas"]),
        raw["audited"],
        _progress(raw["progress"]),
        _counts("divergences", raw["divergences"], CAUSES),
        _counts("audits", raw["audits"], OUTCOMES),
        {n: _among("standing", standing[n], STANDINGS) for n in known if n in standing},
    )


def _progress(raw: Any) -> dict[str, tuple[int, int]]:
    if type(raw) is not dict or set(raw) != set(STAGES):
        raise InputError(f"notice: expected progress of {one_of(STAGES)}, got {raw!r:.100}")
    return {stage: _share(raw[stage]) for stage in STAGES}


def _share(raw: Any) -> tuple[int, int]:
    if type(raw) not in (list, tuple) or len(raw) != 2:
        raise InputError(f"notice: expected two numbers of partitions, got {raw!r:.100}")
    done, total = (_number("progress", number) for number in raw)
    if done > total:
        raise InputError(f"notice: expected at most {total} partitions, got {done}")
    return done, total


def _counts(what: str, raw: Any, allowed: Collection[str]) -> dict[str, int]:
    counts = _dict(what, raw, len(allowed))
    return {_among(what, name, allowed): _number(what, n) for name, n in counts.items()}


def _dict(what: str, raw: Any, most: int) -> dict[Any, Any]:
    if type(raw) is not dict or len(raw) > most:
        raise InputError(f"notice, {what}: expected a dict of at most {most}, got {raw!r:.100}")
    return raw


def _among(what: str, raw: Any, allowed: Collection[str]) -> str:
    if type(raw) is not str or raw not in allowed:
        raise InputError(f"notice, {what}: expected {one_of(allowed)}, got {raw!r:.50}")
    return raw


def _number(what: str, raw: Any) -> int:
    if type(raw) is not int or not 0 <= raw <= _MOST:
        raise InputError(f"notice, {what}: expected a number from 0 to 2**40, got {raw!r:.50}")
    return raw
