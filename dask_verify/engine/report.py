"""What happened in a job: plain values for people and for programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dask_verify.core.odds import Odds
from dask_verify.engine.seen import SeenDivergence, bare
from dask_verify.evidence.enrolment.texts import safe
from dask_verify.evidence.exhibits.exhibit import Exhibit
from dask_verify.evidence.files import write_anywhere
from dask_verify.protocol.audit import Audit
from dask_verify.protocol.divergence import Divergence, Proof, settled_for_people
from dask_verify.protocol.messages import Standing, Verdict
from dask_verify.protocol.minutes import Entry
from dask_verify.protocol.pairs import Pair
from dask_verify.views.report import page_html, report_html
from dask_verify.views.words import quantity


@dataclass(frozen=True)
class DomainReport:
    """One domain's part in a job.

    Parameters
    ----------
    standing : Standing
    commitments : int
        Partitions that it signed for.
    nbytes : int
        Canonical bytes of those partitions.
    reason : str
        Why it is suspected; empty otherwise. It proves nothing.

    Examples
    --------
    >>> bob = DomainReport(Standing.SUSPECTED, 4, 797_779, "late")
    >>> bob.standing.name, bob.reason
    ('SUSPECTED', 'late')
    """

    standing: Standing
    commitments: int
    nbytes: int
    reason: str = ""


@dataclass(frozen=True)
class Report:
    """What is known about a job at one moment.

    Parameters
    ----------
    job : str
        Job id, hexadecimal.
    verdict : Verdict or None
        None while the job runs.
    cause : str
        Why there is no answer; empty otherwise.
    domains : mapping of str to DomainReport
    divergences : tuple of Divergence
        Each with ``stage``, ``partition``, ``units``, ``domains``, ``culprits`` and ``cause``.
    bytes_moved : mapping of str to int
        Bytes that reached the coordinator, by purpose: ``answers`` (commitments), ``hashes``
        (descents), ``openings`` (disputes), ``audits`` (challenges; with what was sent on to
        auditors), ``relayed``, ``results``.
    bytes_compared : int
        Bytes of the commitments that were compared.
    bytes_computed : int
        Canonical bytes of all partitions, every replica counted.
    recomputed : tuple of (str, int, int or None)
        Stage, partition and unit (None: all) that the referee computed again.
    progress : mapping of str to (int, int)
        Accepted and total partitions by stage.
    trust_input : bool
        Whether input computed earlier, by whomever, was accepted as it was.
    audits : tuple of Audit
        What was challenged, each with ``stage``, ``partition``, ``units``, ``domains`` (who had
        committed), ``auditor`` and ``outcome``; empty without audits.
    odds : Odds or None
        What the audits promise, stage by stage; None without audits, and without an answer.
    log : tuple of Entry
        What happened, in order: commitments, acceptances, challenges, answers.
    seed_digest : str
        What the job bound of its secret seed before it started, hexadecimal; empty without audits.
    seed : str
        The seed, hexadecimal, so that challenges can be drawn again; empty until the verdict.
    status : str
        ``"running"``, ``"cancelled"``, or the name of the verdict.
    failure : str, optional
        Traceback of what ended the job, if anything did.
    couriers : mapping of str to tuple of str
        By hostile domain, what confines the process that reaches it; empty without couriers.
    agreement : mapping of (str, str) to Pair
        For every two domains, by their names in order (``agreement["alice", "bob"]``, and never
        ``["bob", "alice"]``): to how many partitions, as they are assigned now, both committed
        alike (``agreed``) or otherwise (``diverged``), and for how many of those that both were
        asked for a commitment is not there (``pending``).
    exhibits : tuple of str
        Where `Job.save` has put the exhibits of the divergences, in their order; empty where it
        could not.

    Examples
    --------
    >>> print(job.report)  # doctest: +SKIP
    >>> job.report.domains["bob"].standing  # doctest: +SKIP
    <Standing.EXPOSED: 'exposed'>
    >>> job.report.agreement["alice", "bob"]  # doctest: +SKIP
    Pair(agreed=7, diverged=0, pending=0)
    """

    job: str
    verdict: Verdict | None
    cause: str
    domains: Mapping[str, DomainReport]
    divergences: tuple[Divergence, ...]
    bytes_moved: Mapping[str, int]
    bytes_compared: int
    bytes_computed: int
    recomputed: tuple[tuple[str, int, int | None], ...]
    progress: Mapping[str, tuple[int, int]]
    trust_input: bool
    audits: tuple[Audit, ...] = ()
    odds: Odds | None = None
    log: tuple[Entry, ...] = field(default=(), repr=False)
    seed_digest: str = ""
    seed: str = ""
    status: str = "running"
    failure: str = field(default="", repr=False)
    couriers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    agreement: Mapping[tuple[str, str], Pair] = field(default_factory=dict)
    exhibits: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-like values; what was signed is in the receipt.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> json.dumps(job.report.to_dict())  # doctest: +SKIP
        """
        plain = asdict(replace(self, divergences=(), agreement={}))
        plain["agreement"] = [
            {"domains": list(names), **asdict(pair)} for names, pair in self.agreement.items()
        ]
        plain["divergences"] = [_plain(divergence) for divergence in self.divergences]
        plain["verdict"] = self.verdict.value if self.verdict is not None else None
        plain["odds"] = self.odds.to_dict() if self.odds is not None else None
        for name, domain in self.domains.items():
            plain["domains"][name]["standing"] = domain.standing.value
        return plain

    def __str__(self) -> str:
        # Names of columns, records and reasons are what domains wrote.
        return "\n".join(map(safe, self._lines()))

    def _lines(self) -> list[str]:
        verdict = self.verdict.name if self.verdict is not None else self.status
        lines = [f"verdict      {verdict}" + (f" ({self.cause})" if self.cause else "")]
        for name, domain in self.domains.items():
            lines.append(
                f"domain       {name}: {domain.standing.name},"
                f" {quantity(domain.commitments, 'partition')}, {domain.nbytes:,} bytes"
                + (f" ({domain.reason:.200})" if domain.reason else "")
            )
        lines += [f"divergence   {describe(d)}" for d in self.divergences]
        if self.bytes_compared or self.bytes_computed:
            lines.append(
                f"compared     {self.bytes_compared:,} bytes of commitments"
                f" for {self.bytes_computed:,} bytes computed"
            )
        lines += [f"audit        {line}" for line in self._audited()]
        lines += [
            f"courier      {name}: confined in {', '.join(in_force) or 'nothing'}"
            for name, in_force in self.couriers.items()
        ]
        if self.trust_input:
            lines.append("input        accepted as it was: trust_input=True")
        return lines

    def _audited(self) -> list[str]:
        """Say what was recomputed, what spoke against somebody, and what that promises."""
        stages = self.odds.stages if self.odds is not None else ()
        lines = [
            f"{s.stage}: {s.sampled:,} of {quantity(s.units, 'unit')} recomputed elsewhere"
            f" as committed (rate {s.rate:.3g})"
            for s in stages
        ]
        lines += [
            f"{a.stage} partition {a.partition}: {a.outcome} (by {a.auditor})"
            for a in self.audits
            if a.outcome not in ("agreed", "moot", "pending")
        ]
        if self.odds is None:
            return lines
        lines.append(f"{self.bytes_moved.get('audits', 0):,} bytes moved for it")
        return [*lines, f"odds: {self.odds.headline}", *filter(None, [self.odds.advice])]

    def _repr_html_(self) -> str:
        return report_html(self)

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report, with its divergences record by record, as one HTML file.

        It needs nothing else, and no network. Exhibits that `Job.save` put into the same folder
        are linked; of many divergences the first ones are shown with their records, as long as the
        job is not cancelled.

        Parameters
        ----------
        path : path or URL
            Where fsspec can write.

        Raises
        ------
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> job.report.save_html("report.html")  # doctest: +SKIP
        """
        write_anywhere(path, page_html(self, os.fspath(path), _readable).encode())


def _readable(divergence: Divergence) -> Callable[[], Exhibit] | None:
    """Return what reads the exhibit of a divergence, if it is small enough to be part of a page."""
    if not isinstance(divergence, SeenDivergence) or not divergence.showable:
        return None
    return divergence.kept.exhibit if divergence.kept is not None else None


def _plain(divergence: Divergence) -> dict[str, Any]:
    plain = asdict(replace(bare(divergence), proof=Proof()))
    del plain["proof"]
    return plain


def describe(divergence: Divergence) -> str:
    """Return one line about a divergence.

    Parameters
    ----------
    divergence : Divergence
        The divergence.

    Returns
    -------
    str

    Examples
    --------
    >>> print(describe(Divergence("map", 4, (0,), ("carol", "bob"), ("bob",), "map", "referee")))
    map partition 4, unit 0: carol against bob; cause map; blamed bob (referee)
    """
    units = ", ".join(map(str, divergence.units))
    where = f"{divergence.stage} partition {divergence.partition}"
    if units:
        where += f", unit {units}"
    who = " against ".join(divergence.domains)
    blamed = ", ".join(divergence.culprits) or "nobody"
    settled = settled_for_people(divergence.settled)
    line = f"{where}: {who}; cause {divergence.cause}; blamed {blamed} ({settled})"
    if divergence.sample is not None:
        sample = divergence.sample
        line += f"; record {sample.record}: {sample.one:.80} against {sample.other:.80}"
    return line
