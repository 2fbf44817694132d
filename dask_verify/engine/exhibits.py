"""Exhibits: what is kept of an arbitration, and the files that are made of it.

* The kept part is as small as it can be: one unit, if that shows all that was found; else the
  whole partition, which also convicts whoever opens nothing.
* It is kept in a file of the job, since it may be as large as a partition.
* What nobody arbitrated gives an exhibit too, with what was signed.
* No liar's answer makes an exhibit that its own reader refuses: each is read when it is made, and
  shows less where that is needed. All that a job keeps is bounded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_verify.core.merkle import MerkleTree
from dask_verify.core.seal import INPUT, OUTPUT, Answer
from dask_verify.engine.transcript import Made, Transcript
from dask_verify.errors import EvidenceError, InputError
from dask_verify.evidence.envelope import seal
from dask_verify.evidence.exhibits.checks import MOST, blame, read_exhibit
from dask_verify.evidence.exhibits.exhibit import Exhibit, statement_of
from dask_verify.evidence.exhibits.names import importable
from dask_verify.evidence.exhibits.parts import Given, Leaf, Recomputation
from dask_verify.evidence.exhibits.truth import Truth, contradicts, gainsays, reading_of
from dask_verify.evidence.exhibits.work import ROLES, Bound, Functions, Shape
from dask_verify.evidence.fields import parse
from dask_verify.evidence.files import write_anywhere
from dask_verify.execution.work import Work, name_of
from dask_verify.protocol.answers import signed_parts
from dask_verify.protocol.divergence import Divergence
from dask_verify.protocol.domain import Identity
from dask_verify.protocol.messages import MAP, READ, Finding, Task
from dask_verify.protocol.quorum import Claim
from dask_verify.views.divergence import divergence_html

if TYPE_CHECKING:
    from dask_verify.engine.driver import Driver

_LARGEST = 256 << 20  #: bytes of a partition that is kept as a whole
_BUDGET = 1 << 30  #: bytes that a job keeps for its exhibits


# --- what is kept of an arbitration ---------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """What an exhibit shows of a divergence besides what was signed about it.

    Parameters
    ----------
    leaves : tuple of Leaf, optional
        The differing leaves, with their proofs.
    given : Given or None, optional
        The input of the unit.
    referee : Recomputation or None, optional
        What the referee computed.
    """

    leaves: tuple[Leaf, ...] = ()
    given: Given | None = None
    referee: Recomputation | None = None

    def to_bytes(self) -> bytes:
        """Return this as JSON.

        Returns
        -------
        bytes
        """
        plain: dict[str, Any] = {"leaves": [leaf.plain() for leaf in self.leaves]}
        for name, part in (("given", self.given), ("referee", self.referee)):
            if part is not None:
                plain[name] = part.plain()
        return json.dumps(plain, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes, task: Task, shape: Shape) -> Kept:
        """Return what `to_bytes` wrote.

        Parameters
        ----------
        data : bytes
            What `to_bytes` wrote.
        task : Task
            The task that diverged.
        shape : Shape
            Shape of the job's work.

        Returns
        -------
        Kept
        """
        fields = parse(data, "kept")
        has = fields.has
        return cls(
            tuple(Leaf.read(one) for one in fields.objects("leaves")),
            Given.read(fields.object("given"), *task, shape) if has("given") else None,
            Recomputation.read(fields.object("referee")) if has("referee") else None,
        )


def keep(
    path: Path,
    transcript: Transcript,
    finding: Finding,
    claims: Sequence[Claim],
    answers: Sequence[Answer],
) -> str:
    """Write what an exhibit will show of an arbitration; return the name of the file.

    Nothing is kept, and there is no name, once the job has kept `_BUDGET` bytes.

    Parameters
    ----------
    path : Path
        Of the file, which no other arbitration writes; its folder, the job's, may not exist yet.
    transcript : Transcript
    finding : Finding
    claims : sequence of Claim
        The commitments that were arbitrated.
    answers : sequence of Answer
        Auditors' answers that are part of the divergence.

    Returns
    -------
    str
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    room = _BUDGET - sum(other.stat().st_size for other in path.parent.iterdir())
    if room <= 0:
        return ""
    data = kept(transcript, finding, claims, answers).to_bytes()
    if len(data) > room:
        return ""
    path.write_bytes(data)
    return path.name


def kept(
    transcript: Transcript, finding: Finding, claims: Sequence[Claim], answers: Sequence[Answer]
) -> Kept:
    """Return the least that shows what an arbitration found; see `keep`.

    Parameters
    ----------
    transcript : Transcript
        What was asked and answered in the arbitration.
    finding : Finding
        What the arbitration found.
    claims : sequence of Claim
        The claims on the task.
    answers : sequence of Answer
        Auditors' answers about it.

    Returns
    -------
    Kept
    """
    made = transcript.made
    unit = finding.units[0] if finding.units else 0
    view = _View(transcript, claims, unit, finding.cause)
    if made is None:
        return Kept(view.leaves(None), view.given())
    if len(set(map(len, made.runs))) > 1:
        return Kept(view.leaves(None))  # the processes have even read differently
    named = finding.units or not (finding.wrong or finding.liars)
    single = _narrowed(transcript, made, unit) if named else made
    truth = _truth(transcript.task, single)
    leaves = view.leaves(truth if made.stable else None)
    enough = not made.stable or _shows(truth, single.given, leaves, finding, claims, answers)
    if not enough and made.nbytes <= _LARGEST:
        single = made
    return Kept(leaves, single.given, _referee(transcript.task, single, leaves, claims))


def _truth(task: Task, made: Made) -> Truth:
    given, whole = made.given, made.commitment
    reading = reading_of(whole) if whole is not None and task.stage == MAP else None
    found = (task.stage, given.start, given.stop, made.runs[0])
    return Truth(*found, None, reading, source=reading is not None)


def _shows(
    truth: Truth,
    given: Given,
    leaves: Sequence[Leaf],
    finding: Finding,
    claims: Sequence[Claim],
    answers: Sequence[Answer],
) -> bool:
    """Whether one unit alone convicts everybody whom the finding does."""
    if finding.cause != READ:
        truth = replace(truth, reading=None, source=False)  # a replay will not know
    wrong = [c for c in claims if c.digest in finding.wrong]
    lying = [a for a in answers if a.domain in finding.liars]
    return all(contradicts(truth, c.commitment, leaves, given) for c in wrong) and all(
        gainsays(truth, answer, given) for answer in lying
    )


@dataclass(frozen=True)
class _View:
    """One unit, as each side committed to it."""

    transcript: Transcript
    claims: Sequence[Claim]
    unit: int
    cause: str

    def leaves(self, truth: Truth | None) -> tuple[Leaf, ...]:
        """Return for each side a leaf of the unit: one that is wrong, or that differs."""
        found: dict[tuple[str, bytes], Leaf] = {}
        for claim in self.claims:
            said = claim.commitment
            mapping = said.stage == MAP
            if self.unit >= (said.units if mapping else said.buckets):
                continue
            if self.cause == READ and said.input_root:
                leaf = self.transcript.leaf(claim, INPUT, self.unit)
            else:
                bucket = self._bucket(claim, truth)
                index = bucket * said.units + self.unit if mapping else self.unit
                leaf = self.transcript.leaf(claim, OUTPUT, index)
            if leaf is not None:
                found.setdefault((leaf.tree, leaf.root), leaf)
        return tuple(found.values())

    def given(self) -> Given | None:
        """Return what the unit is computed from, where nobody has computed it."""
        if self.transcript.task.stage != MAP:
            sources = self.transcript.sources(self.unit, self.unit + 1)
            return Given(self.unit, self.unit + 1, sources=sources)
        if self.cause != READ:
            for claim in self.claims:
                if claim.commitment.input_root and self.unit < claim.commitment.units:
                    self.transcript.leaf(claim, INPUT, self.unit)
        return self.transcript.given(self.unit)

    def _bucket(self, claim: Claim, truth: Truth | None) -> int:
        """Return in which bucket a side's unit is worth looking at."""
        if claim.commitment.stage != MAP:
            return 0
        own = self._known(claim)
        others = [o for c in self.claims if c.digest != claim.digest and (o := self._known(c))]
        if truth is not None:
            others.insert(0, dict(enumerate(truth.column(self.unit))))
        found = _differing(own, others)
        if found is None and (column := self.transcript.column(claim, self.unit)):
            others += [dict(enumerate(c)) for c in map(self._column, self.claims) if c]
            found = _differing(dict(enumerate(column)), others)
        return next(iter(own), 0) if found is None else found

    def _known(self, claim: Claim) -> dict[int, bytes]:
        units = claim.commitment.units
        known = self.transcript.known(claim, OUTPUT, self.unit)
        return {index // units: value for index, value in known.items()}

    def _column(self, claim: Claim) -> tuple[bytes, ...] | None:
        return self.transcript.column(claim, self.unit)


def _differing(own: dict[int, bytes], others: Sequence[dict[int, bytes]]) -> int | None:
    """Return the first place where one has something else than the first other that differs."""
    for other in others:
        for at in sorted(own.keys() & other.keys()):
            if own[at] != other[at]:
                return at
    return None


def _narrowed(transcript: Transcript, made: Made, unit: int) -> Made:
    """Return what was computed of one unit."""
    given = made.given
    units = given.stop - given.start
    if units == 1 or not given.start <= unit < given.stop:
        return made
    if transcript.task.stage == MAP:
        proof = tuple(MerkleTree(given.inputs).range_proof(unit, unit + 1))
        inputs = given.inputs[unit : unit + 1]
        given, at = Given(unit, unit + 1, inputs, given.root, proof), slice(unit, None, units)
    else:
        sources = transcript.sources(unit, unit + 1)
        given, at = Given(unit, unit + 1, sources=sources), slice(unit, unit + 1)
    runs = tuple(run[at] for run in made.runs)
    return replace(made, given=given, runs=runs, leaves=made.leaves[:][at])


def _referee(
    task: Task, made: Made, leaves: Sequence[Leaf], claims: Sequence[Claim]
) -> Recomputation:
    """Return what was computed, with the leaf that stands against those of the sides."""
    found = Recomputation(tuple(b"".join(run) for run in made.runs), made.commitment)
    if not made.stable:
        return found
    width = made.given.stop - made.given.start
    bucket, unit = 0, made.given.start
    for leaf in leaves:
        if leaf.tree == OUTPUT:
            units = leaf.size // (len(made.runs[0]) // width)
            bucket, unit = divmod(leaf.index, units) if task.stage == MAP else (0, leaf.index)
            break
    units = claims[0].commitment.units if made.commitment is None else made.commitment.units
    index = bucket * units + unit if task.stage == MAP else unit
    return replace(found, index=index, leaf=made.leaves[bucket * width + unit - made.given.start])


# --- exhibits of a job ----------------------------------------------------------------------


@dataclass(frozen=True)
class KeptExhibit:
    """One divergence of a job; its file is made when it is asked for.

    Parameters
    ----------
    divergence : Divergence
    """

    divergence: Divergence
    _driver: Driver = field(repr=False)
    _identity: Identity = field(repr=False)

    def _repr_html_(self) -> str:
        return divergence_html(self.divergence, self.exhibit)

    @property
    def nbytes(self) -> int:
        """Bytes that the job kept for it; 0 if nothing is there."""
        path = self._driver.exhibits / (self.divergence.proof.material or "nothing")
        return path.stat().st_size if path.is_file() else 0

    def exhibit(self) -> Exhibit:
        """Return what the file says.

        Returns
        -------
        Exhibit

        Raises
        ------
        InputError
            If the job was cancelled meanwhile.
        """
        return exhibit_of(self._driver, self.divergence)[0]

    def to_bytes(self) -> bytes:
        """Return the file's bytes: an envelope, signed by the coordinator.

        Returns
        -------
        bytes

        Raises
        ------
        InputError
            If the job was cancelled meanwhile.
        JournalError
            If the job ended before its journal has all that is known here.
        """
        self._driver.check_written()
        return seal(exhibit_of(self._driver, self.divergence)[1], self._identity)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, for ``dask verify exhibit show`` and ``replay``.

        Parameters
        ----------
        path : path or URL
            Where fsspec can write.

        Raises
        ------
        InputError, JournalError
            As `to_bytes` does.
        OSError
            If the file cannot be written.
        """
        write_anywhere(path, self.to_bytes())


def exhibits(driver: Driver, identity: Identity) -> tuple[KeptExhibit, ...]:
    """Return the exhibits of a job, one for each divergence in order.

    Parameters
    ----------
    driver : Driver
    identity : Identity
        The coordinator, who signs them.

    Returns
    -------
    tuple of KeptExhibit
    """
    found = list(driver.state.divergences)
    return tuple(KeptExhibit(divergence, driver, identity) for divergence in found)


def exhibit_of(driver: Driver, divergence: Divergence) -> tuple[Exhibit, bytes]:
    """Return the exhibit of a divergence, and the statement that says it and was read back.

    Parameters
    ----------
    driver : Driver
        The job's driver.
    divergence : Divergence
        The divergence.

    Returns
    -------
    tuple of (Exhibit, bytes)

    Raises
    ------
    InputError
        If what was kept for it is gone with the job.
    """
    proof, shape = divergence.proof, Shape.of(driver.work)
    task = Task(divergence.stage, divergence.partition)
    what = _kept(driver, proof.material, task, shape)
    refusal: EvidenceError | None = None
    for shown in dict.fromkeys((what, replace(what, referee=None), Kept(what.leaves), Kept())):
        try:
            made = _exhibit(driver, divergence, shape, shown)
            payload = made.payload()
            read_exhibit(statement_of(payload)[1])
            return made, payload
        except EvidenceError as error:
            refusal = refusal or error
    assert refusal is not None, "something was tried"
    raise refusal


def _exhibit(driver: Driver, divergence: Divergence, shape: Shape, what: Kept) -> Exhibit:
    proof, given, units = divergence.proof, what.given, divergence.units
    if given is not None and given.stop - given.start == 1:
        units = (given.start,)  # others may have signed that there are more
    claims = {(claim.domain, claim.digest): claim for claim in reversed(proof.claims)}
    answers = {answer.to_bytes(): (answer, s) for answer, s in map(_answer, proof.answers)}
    bare = Exhibit(
        stage=divergence.stage,
        partition=divergence.partition,
        units=units,
        cause=divergence.cause,
        settled=divergence.settled,
        culprits=divergence.culprits,
        excused=(),
        unshown=(),
        terms=Bound.read(driver.terms.to_bytes(), "terms"),
        inputs=proof.inputs,
        shape=shape,
        functions=_functions(driver.work, driver.shipped.data),
        claims=tuple(reversed(claims.values()))[:MOST],
        answers=tuple(answers.values())[:MOST],
        leaves=what.leaves,
        given=given,
        referee=what.referee,
        opening=proof.opening,
    )
    excused, unshown = blame(bare)
    return replace(bare, excused=excused, unshown=unshown)


def _kept(driver: Driver, name: str, task: Task, shape: Shape) -> Kept:
    if not name:
        return Kept()
    try:
        data = (driver.exhibits / name).read_bytes()
    except OSError as error:
        raise InputError(
            "exhibit: expected what the job kept of it, got nothing; save exhibits before the job"
            " is cancelled or dropped"
        ) from error
    return Kept.from_bytes(data, task, shape)


def _functions(work: Work, shipped: bytes) -> Functions:
    found = {role: f for role in ROLES if (f := getattr(work, role)) is not None}
    named = frozenset(role for role, function in found.items() if importable(function))
    return Functions(shipped, {role: name_of(f) for role, f in found.items()}, named)


def _answer(wire: bytes) -> tuple[Answer, bytes]:
    answer, _, signature = signed_parts(wire)
    return answer, signature
