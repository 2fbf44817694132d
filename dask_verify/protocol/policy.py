"""What the user demands of a job, checked when it is written down."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dask_verify.errors import PolicyError

#: Defaults, also those of ``verify.yaml`` (a test compares them).
DEFAULTS: dict[str, Any] = {
    "replicas": 2,
    "faults": None,
    "audit": 0.0,
    "unit_records": None,
    "referee": "coordinator",
    "stand_in": True,
    "trust_input": False,
    "deadline": None,
    "window": 4,
    "buckets": None,
}

_lookup: Callable[[str], Any] = DEFAULTS.__getitem__


def set_defaults(lookup: Callable[[str], Any]) -> None:
    """Let a configuration system supply the values of fields that a policy does not name.

    Parameters
    ----------
    lookup : callable
        Gives a value by the name of the setting.
    """
    global _lookup
    _lookup = lookup


def _default(name: str) -> Any:
    return field(default_factory=lambda: _lookup(name))


@dataclass(frozen=True)
class Detect:
    """An audit rate that is chosen from the size of the data.

    Parameters
    ----------
    corrupt : float or int
        The corruption that must be noticed: a share of the units (below 1) or their number.
    confidence : float
        With which chance, between 0 and 1.

    Raises
    ------
    PolicyError
        If a value is out of range.

    Examples
    --------
    >>> rate = Detect(corrupt=1e-4, confidence=0.999).rate(units=1_000_000, domains=3, faults=1)
    >>> f"{rate:.3f}"
    '0.067'
    """

    corrupt: float
    confidence: float

    def __post_init__(self) -> None:
        share = _real(self.corrupt) and 0 < self.corrupt < 1
        count = isinstance(self.corrupt, numbers.Integral) and _real(self.corrupt)
        if not (share or (count and self.corrupt >= 1)):
            raise PolicyError(
                "Detect.corrupt: expected a share of the units between 0 and 1, or their number"
                f" as a whole number of at least 1, got {self.corrupt!r}"
            )
        if not _real(self.confidence) or not 0 < self.confidence < 1:
            raise PolicyError(
                f"Detect.confidence: expected a chance between 0 and 1, got {self.confidence!r}"
            )

    def rate(self, units: int, domains: int, faults: int) -> float:
        """Return the rate that does it, 1 at the most.

        Faulty auditors may cover for each other, so the rate is raised by what they take away.

        Parameters
        ----------
        units : int
            Map units of the job.
        domains, faults : int

        Returns
        -------
        float

        Examples
        --------
        >>> round(Detect(corrupt=100, confidence=0.99).rate(units=10_000, domains=3, faults=0), 3)
        0.045
        """
        from dask_verify.core import odds

        if units < 1:
            return 1.0
        corrupt = self.corrupt if self.corrupt >= 1 else math.ceil(self.corrupt * units)
        plain = odds.required_rate(units, max(1, min(int(corrupt), units)), self.confidence)
        return min(1.0, plain / odds.effective_rate(1.0, domains, min(faults, domains - 1)))


@dataclass(frozen=True)
class Policy:
    """What a job has to satisfy. Fields that are not given come from ``dask.config`` (``verify:``).

    Parameters
    ----------
    replicas : int
        Domains that execute every task: 1, or at least ``faults + 1``.
    faults : int, optional
        Domains that may be faulty (``f``); default ``max(1, replicas - 1)``.
    audit : float or Detect
        Share of the units that other domains recompute after commitment; or what must be noticed,
        from which the share follows.
    unit_records : int, optional
        Input records in one unit; default: 1,024 for a bag, more where it has more than ten
        partitions (10,240 where it has 100), and the whole partition for a dataframe.
    referee : {"coordinator", "domains"}
        Who decides a divergence: the coordinator recomputes the differing unit, or further
        domains run the task.
    stand_in : bool
        Whether the coordinator may compute a task as one more replica when domains run out.
    trust_input : bool
        Accept collections that hold results computed earlier, which nobody verifies.
    deadline : float, optional
        Seconds without an answer after which a task makes its domain suspected, not counting those
        in which it waits behind others that get done; default: derived from the times that other
        tasks of the stage took. A domain that has no workers any more is late sooner.
    window : int
        Partitions in flight in each domain, per worker.
    buckets : int, optional
        Key buckets per reduce partition; default: 8 for a bag, 1 for a dataframe with a combiner,
        and without one so many that there are as many as input partitions, 256 at the most. A
        reducer has one in memory.

    Raises
    ------
    PolicyError
        If a value is out of range, or the values contradict each other.

    Examples
    --------
    >>> Policy(replicas=3).faults
    2
    >>> Policy(replicas=2, faults=2)
    Traceback (most recent call last):
        ...
    dask_verify.errors.PolicyError: replicas: expected 1 or at least faults + 1 = 3, got 2; ...
    """

    replicas: int = _default("replicas")
    faults: int = _default("faults")
    audit: float | Detect = _default("audit")  # noqa: RUF009 - it makes a field
    unit_records: int | None = _default("unit_records")
    referee: str = _default("referee")
    stand_in: bool = _default("stand_in")
    trust_input: bool = _default("trust_input")
    deadline: float | None = _default("deadline")
    window: int = _default("window")
    buckets: int | None = _default("buckets")

    def __post_init__(self) -> None:
        _whole("replicas", self.replicas, 1)
        if self.faults is None:
            object.__setattr__(self, "faults", max(1, self.replicas - 1))
        _whole("faults", self.faults, 1)
        if self.replicas != 1 and self.replicas < self.faults + 1:
            raise PolicyError(
                f"replicas: expected 1 or at least faults + 1 = {self.faults + 1},"
                f" got {self.replicas}; raise replicas or lower faults"
            )
        _rate(self.audit)
        for name in ("unit_records", "buckets"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), 1)
        _whole("window", self.window, 1)
        if self.referee not in ("coordinator", "domains"):
            raise PolicyError(f"referee: expected 'coordinator' or 'domains', got {self.referee!r}")
        _flags(self)
        _seconds(self.deadline)

    @property
    def audited(self) -> bool:
        """Whether anything is recomputed after commitment."""
        return isinstance(self.audit, Detect) or self.audit > 0


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise PolicyError(f"{name}: expected a whole number of at least {least}, got {value!r}")


def _real(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _rate(value: Any) -> None:
    if not isinstance(value, Detect) and (not _real(value) or not 0 <= value <= 1):
        raise PolicyError(f"audit: expected a rate from 0 to 1, or a Detect, got {value!r}")


def _flags(policy: Policy) -> None:
    for name in ("stand_in", "trust_input"):
        if not isinstance(getattr(policy, name), bool):
            raise PolicyError(f"{name}: expected True or False, got {getattr(policy, name)!r}")


def _seconds(value: Any) -> None:
    if value is None:
        return
    if not _real(value) or not 0 < value < math.inf:
        raise PolicyError(f"deadline: expected a positive number of seconds, got {value!r}")
