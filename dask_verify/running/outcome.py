"""What came of a job, as JSON and as lines for people; what domains chose of it is escaped."""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from dask_verify.errors import TaskError
from dask_verify.evidence.console import one_line
from dask_verify.evidence.data import write_json_lines
from dask_verify.evidence.enrolment.texts import safe
from dask_verify.protocol.messages import Verdict
from dask_verify.views.words import quantity

if TYPE_CHECKING:
    from dask_verify.engine.report import Report

HEAD = 20
"""Rows of a result that are printed."""
_DIVERGENCES = 5  #: that are printed; all are in the report
_WIDTH = 200  #: characters of a line about a domain or a divergence
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')


@dataclass(frozen=True)
class Outcome:
    """How a job ended, and what was written.

    Parameters
    ----------
    report : Report
    seconds : float
        From the start of the job until all was written.
    rows : int or None
        Of the result; None without one.
    paths : mapping of str to str
        What was written: ``result``, ``receipt``, ``trust``, ``report``.
    exhibits : tuple of str
        Paths of the exhibits.
    error : str
        Why there is no answer, in one line; empty if there is one.
    cheat : str
        Which domain was to lie; empty for none.
    trust : str
        The trust file that the user has; empty for one that was written, see `paths`.
    """

    report: Report
    seconds: float
    rows: int | None = None
    paths: Mapping[str, str] = field(default_factory=dict)
    exhibits: tuple[str, ...] = ()
    error: str = ""
    cheat: str = ""
    trust: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return this as JSON values.

        Returns
        -------
        dict
        """
        report = self.report
        domains = {
            name: {
                "standing": domain.standing.value,
                "partitions": domain.commitments,
                "bytes": domain.nbytes,
                "reason": domain.reason,
            }
            for name, domain in report.domains.items()
        }
        blamed = {name for divergence in report.divergences for name in divergence.culprits}
        return {
            "job": report.job,
            "answered": not self.error,
            "verdict": report.verdict.value if isinstance(report.verdict, Verdict) else None,
            "cause": report.cause,
            "error": self.error or None,
            "failure": report.failure or None,
            "domains": domains,
            "divergences": len(report.divergences),
            "blamed": sorted(blamed),
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
            "paths": {**self.paths, "exhibits": list(self.exhibits)},
        }

    def lines(self) -> list[str]:
        """Return this as lines for people, with the command that checks what was written.

        Returns
        -------
        list of str
            Each harmless in a terminal.
        """
        lines = _shortened(str(self.report).splitlines())
        told = self.report.domains.get(self.cheat)
        if told is not None and not told.commitments:
            lines.append(f"{'cheat':<12} {self.cheat} finished no work, so it could not lie")
        rows = "" if self.rows is None else quantity(self.rows, "row")
        for what, path in self.paths.items():
            lines.append(f"{what:<12} {path}" + (f" ({rows})" if what == "result" else ""))
        if self.exhibits:
            rest = f" ... ({len(self.exhibits):,})" if len(self.exhibits) > 1 else ""
            lines.append(f"{'exhibits':<12} {self.exhibits[0]}{rest}")
        lines.append(f"{'job took':<12} {self.seconds:.1f} s")
        if not self.error and "result" in self.paths:
            lines.append(f"check        {self._check()}")
        return [safe(line) for line in lines]

    def _check(self) -> str:
        trust = self.paths.get("trust") or self.trust or "TRUSTFILE"
        command = ["dask", "verify", "check", self.paths["receipt"], "--trust", trust]
        return shlex.join([*command, "--data", self.paths["result"]])


def _shortened(lines: list[str]) -> list[str]:
    """Leave out divergences but some, and the ends of long lines."""
    kept, seen = [], 0
    rest = sum(line.startswith("divergence") for line in lines) - _DIVERGENCES
    for line in lines:
        seen += line.startswith("divergence")
        if seen <= _DIVERGENCES or not line.startswith("divergence"):
            kept.append(line[:_WIDTH])
        elif seen == _DIVERGENCES + 1:
            kept.append(f"{'':<12} and {quantity(rest, 'more divergence')}")
    return kept


def head(result: Any) -> tuple[list[str], int]:
    """Return the first rows of a result as lines, and how many there are in all.

    Parameters
    ----------
    result : list of (key, value), or pandas.DataFrame

    Returns
    -------
    tuple of (list of str, int)

    Examples
    --------
    >>> head([("be", 2), ("to", 2)])
    (['["be", 2]', '["to", 2]'], 2)
    """
    if isinstance(result, list):
        file = io.BytesIO()
        write_json_lines(islice(result, HEAD), file)
        # Texts may hold what Python takes for the end of a line.
        lines = file.getvalue().decode().removesuffix("\n").split("\n") if result else []
        return [_visible(line) for line in lines], len(result)
    lines = result.head(HEAD).to_string().split("\n")
    return [safe(line) for line in lines], len(result)


def _visible(line: str) -> str:
    """Return JSON that says the same, without characters that a terminal acts on, or that hide."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def reason(error: Exception) -> str:
    """Return in one line why there is no answer.

    Parameters
    ----------
    error : Exception
        What the job raised instead of an answer.

    Returns
    -------
    str

    Examples
    --------
    >>> reason(TaskError("ValueError: x", 'File "/tmp/words.py", line 4, in mapper'))
    'ValueError: x (words.py, line 4, in mapper); the functions failed in more domains than may be \
faulty, so this is their own error: mend them'
    """
    if not isinstance(error, TaskError):
        return one_line(str(error) or type(error).__name__)
    frames = _FRAME.findall(error.traceback_text)
    first = str(error).splitlines()[0]
    if first.startswith("UnicodeDecodeError") and any(_reads_text(path) for path, *_ in frames):
        return (
            "INPUT: expected text in UTF-8, got a file with other bytes (UnicodeDecodeError);"
            " convert it, such as with iconv"
        )
    where = ""
    if frames:
        path, line, function = frames[-1]
        # What travels by value has no file any more.
        file = "" if path.startswith("<") else f"{PurePath(path).name}, "
        where = f" ({file}line {line}, in {function})"
    return one_line(
        f"{first:.500}{where:.200}; the functions failed in more domains than may be faulty, so"
        " this is their own error: mend them"
    )


def _reads_text(path: str) -> bool:
    """Whether code is that which reads lines of text, before any function of the user's."""
    return PurePath(path).parts[-3:] == ("dask", "bag", "text.py")
