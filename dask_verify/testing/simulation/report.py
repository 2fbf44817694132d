"""Counts over many simulated jobs, by mix, and how to see each failure again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dask_verify.testing.simulation.mixes import MIXES
from dask_verify.testing.simulation.promises import BROKEN, Outcome

#: What the counts that must be zero are called.
MEANING = {
    "wrong": "wrong answers accepted",
    "blamed": "honest domains exposed",
    "endless": "jobs that never ended",
    "suspected": "honest domains suspected without cause",
    "miscalled": "deterministic functions called non-deterministic",
    "order": "challenges out of order",
    "verdicts": "verdicts that changed as none may",
    "replay": "events that led to another state when they were replayed",
    "crashed": "errors in the protocol",
}
_SHOWN = 20  #: failures of which the command that replays them is printed


@dataclass
class Tally:
    """What came of the jobs of one mix.

    Parameters
    ----------
    jobs : int
    verdicts : Counter of str
    broken : Counter of str
        Jobs that broke a promise, as `MEANING` names them.
    escaped : int
        Jobs in which a sample let a wrong answer through, as it may.
    diverged, exposed, suspected : int
        Jobs in which there was one: whether the faults of the mix matter at all.
    """

    jobs: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    escaped: int = 0
    diverged: int = 0
    exposed: int = 0
    suspected: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count one job.

        Parameters
        ----------
        outcome : Outcome
            What came of the job.
        """
        self.jobs += 1
        self.verdicts[outcome.verdict] += 1
        self.broken.update(outcome.broken)
        self.escaped += outcome.escaped
        self.diverged += outcome.divergences > 0
        self.exposed += outcome.exposed > 0
        self.suspected += outcome.suspected > 0

    def merge(self, other: Tally) -> None:
        """Add the counts of other jobs of this mix.

        Parameters
        ----------
        other : Tally
            The other counts.
        """
        self.verdicts.update(other.verdicts)
        self.broken.update(other.broken)
        for name in ("jobs", "escaped", "diverged", "exposed", "suspected"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Report:
    """What came of many jobs.

    Parameters
    ----------
    tallies : dict of str to Tally
        By mix.
    failures : list of (int, str, tuple of str)
        Seed, mix and broken promises of every job that broke one.

    Examples
    --------
    >>> report = Report()
    >>> report.count(7, "honest", Outcome("agreed", (), False, 0, 0, 0))
    >>> report.jobs, report.sound
    (1, True)
    """

    tallies: dict[str, Tally] = field(default_factory=dict)
    failures: list[tuple[int, str, tuple[str, ...]]] = field(default_factory=list)

    def count(self, seed: int, mix: str, outcome: Outcome) -> None:
        """Count the job of one seed.

        Parameters
        ----------
        seed : int
            Seed of the simulated job.
        mix : str
            Name of the mix; empty for the seed's own.
        outcome : Outcome
            What came of the job.
        """
        self.tallies.setdefault(mix, Tally()).add(outcome)
        if outcome.broken:
            self.failures.append((seed, mix, outcome.broken))

    def merge(self, other: Report) -> None:
        """Add the counts of other seeds.

        Parameters
        ----------
        other : Report
            The other counts.
        """
        for mix, tally in other.tallies.items():
            self.tallies.setdefault(mix, Tally()).merge(tally)
        self.failures += other.failures

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return sum(tally.jobs for tally in self.tallies.values())

    @property
    def escaped(self) -> int:
        """Wrong answers that a sample let through, as it may."""
        return sum(tally.escaped for tally in self.tallies.values())

    @property
    def verdicts(self) -> Counter[str]:
        """How the jobs ended."""
        return sum((tally.verdicts for tally in self.tallies.values()), Counter())

    @property
    def broken(self) -> Counter[str]:
        """How often each promise was broken."""
        return sum((tally.broken for tally in self.tallies.values()), Counter())

    @property
    def sound(self) -> bool:
        """Whether no promise was broken."""
        return not self.failures

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values.

        Returns
        -------
        dict of str to object
        """
        return {
            "jobs": self.jobs,
            "sound": self.sound,
            "broken": {name: self.broken[name] for name in MEANING},
            "escaped": self.escaped,
            "verdicts": dict(sorted(self.verdicts.items())),
            "mixes": {mix: _plain(self.tallies[mix]) for mix in self._mixes()},
            "failures": [
                {"seed": seed, "mix": mix, "broken": list(broken)}
                for seed, mix, broken in self.failures
            ],
        }

    def to_text(self) -> str:
        """Return the report as it is printed.

        Returns
        -------
        str
        """
        return "\n".join((*self._table(), "", *self._totals(), *self._failures()))

    def _mixes(self) -> list[str]:
        return [mix for mix in MIXES if mix in self.tallies]

    def _table(self) -> Iterable[str]:
        words = ("agreed", "corrected", "sampled", "inconclusive", "nondeterministic")
        heads = ("jobs", *words[:-1], "nondeterm.", "wrong", "blamed", "endless", "escaped")
        yield f"{'mix':<17}" + "".join(f"{head:>13}" for head in heads)
        for mix in self._mixes():
            tally = self.tallies[mix]
            ends = [tally.verdicts[word] for word in words]
            broken = [tally.broken[name] for name in ("wrong", "blamed", "endless")]
            row = (tally.jobs, *ends, *broken, tally.escaped)
            yield f"{mix:<17}" + "".join(f"{number:>13,}" for number in row)

    def _totals(self) -> Iterable[str]:
        yield f"{self.jobs:>11,} jobs"
        for name, meaning in MEANING.items():
            yield f"{self.broken[name]:>11,} {meaning}"
        yield f"{self.escaped:>11,} wrong answers that a sample let through, as it may"

    def _failures(self) -> Iterable[str]:
        for seed, mix, broken in self.failures[:_SHOWN]:
            command = f"python -m dask_verify.testing.simulate --mix {mix} --replay {seed}"
            yield f"{', '.join(broken)}: {command}"
        if len(self.failures) > _SHOWN:
            yield f"... and {len(self.failures) - _SHOWN} more"


def _plain(tally: Tally) -> dict[str, Any]:
    counts = ("jobs", "escaped", "diverged", "exposed", "suspected")
    return {
        **{name: getattr(tally, name) for name in counts},
        "verdicts": dict(sorted(tally.verdicts.items())),
        "broken": {name: tally.broken[name] for name in BROKEN},
    }
