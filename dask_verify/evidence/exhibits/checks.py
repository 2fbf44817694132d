"""Reading an exhibit: every field is held against the others before anybody acts on it."""

from __future__ import annotations

from collections.abc import Iterable

from dask_verify.core.merkle import BLAKE3
from dask_verify.core.seal import (
    ANSWER_CONTEXT,
    INPUT,
    OUTPUT,
    Answer,
    asked,
)
from dask_verify.errors import DecodingError, EvidenceError, SignatureError
from dask_verify.evidence.exhibits.exhibit import (
    OPENING,
    SERVE,
    SETTLED,
    VOTES,
    WITHHELD,
    Exhibit,
)
from dask_verify.evidence.exhibits.parts import Given, Leaf, Recomputation, commitment_of
from dask_verify.evidence.exhibits.truth import reading_of
from dask_verify.evidence.exhibits.work import Bound, Functions, Shape
from dask_verify.evidence.fields import Fields
from dask_verify.protocol.domain import COORDINATOR, Domain
from dask_verify.protocol.messages import MAP, READ, REDUCE
from dask_verify.protocol.quorum import CONTEXT, Claim
from dask_verify.protocol.serving import accused, convicts
from dask_verify.protocol.terms import map_inputs, reduce_inputs

_TEXT = 200  #: characters of a name, or of how something was settled
MOST = 1000  #: commitments, answers and leaves of an exhibit, each
_SIZES = 8  #: sizes of a tree that are tried, where signers of its root disagree on them


def read_exhibit(fields: Fields) -> Exhibit:
    """Read and check an exhibit's fields, in the order that `exhibit` states.

    Parameters
    ----------
    fields : Fields
        The fields.

    Returns
    -------
    Exhibit

    Raises
    ------
    EvidenceError
        If anything about it does not hold.
    """
    stage, partition = fields.choice("stage", (MAP, REDUCE)), fields.number("partition")
    shape = Shape.read(fields.object("work"))
    terms = _terms(fields)
    exhibit = Exhibit(
        stage=stage,
        partition=partition,
        units=fields.numbers("units"),
        cause=fields.choice("cause", (READ, stage, SERVE)),
        settled=_settled(fields),
        culprits=_names(fields, "culprits"),
        excused=_names(fields, "excused"),
        unshown=_names(fields, "unshown"),
        terms=terms,
        inputs=fields.digest("inputs"),
        shape=shape,
        functions=Functions.read(fields.object("functions")),
        claims=tuple(_claim(one, terms.keys) for one in _few(fields, "claims")),
        answers=tuple(_answer(one, terms.keys) for one in _few(fields, "answers")),
        leaves=tuple(Leaf.read(one) for one in _few(fields, "leaves")),
        given=Given.read(fields.object("given"), stage, partition, shape)
        if fields.has("given")
        else None,
        referee=Recomputation.read(fields.object("referee")) if fields.has("referee") else None,
        opening=fields.octets("opening"),
    )
    fields.end()
    check(exhibit)
    return exhibit


def check(exhibit: Exhibit) -> None:
    """Check what the parts of an exhibit say about each other.

    Parameters
    ----------
    exhibit : Exhibit
        The exhibit.

    Raises
    ------
    EvidenceError
        If they do not fit.
    """
    _check_terms(exhibit)
    _check_signed(exhibit)
    _check_leaves(exhibit)
    _check_given(exhibit)
    _check_referee(exhibit)
    _check_cause(exhibit)
    _check_blame(exhibit)


# --- single fields --------------------------------------------------------------------------


def _settled(fields: Fields) -> str:
    text = fields.text("settled")
    if text not in SETTLED and not (text.startswith(WITHHELD) and len(text) <= _TEXT):
        raise EvidenceError(fields.at("settled"), f"one of {SETTLED}, or {WITHHELD}...", text)
    return text


def _few(fields: Fields, name: str) -> tuple[Fields, ...]:
    found = fields.objects(name)
    if len(found) > MOST:
        raise EvidenceError(fields.at(name), f"at most {MOST:,}", f"{len(found):,}")
    return found


def _names(fields: Fields, name: str) -> tuple[str, ...]:
    names = fields.texts(name)
    _require_once(names, fields.at(name))
    return names


def _require_once(values: Iterable[object], path: str) -> None:
    said = list(values)
    if len(set(said)) != len(said):
        raise EvidenceError(path, "each of them once", "one of them twice")


def coordinator_of(fields: Fields) -> bytes:
    """Return the key that the job id names as the coordinator's; nothing else is checked.

    Parameters
    ----------
    fields : Fields
        The fields.

    Returns
    -------
    bytes
    """
    return _terms(fields).coordinator


def _terms(fields: Fields) -> Bound:
    terms = Bound.read(fields.octets("terms"), fields.at("terms"))
    job = fields.digest("job")
    if terms.job != job:
        raise EvidenceError(fields.at("job"), terms.job, job)
    return terms


def _signed(fields: Fields) -> tuple[str, bytes, bytes]:
    domain, payload = fields.text("domain"), fields.octets("payload")
    signature = fields.octets("signature")
    fields.end()
    return domain, payload, signature


def _verify(
    fields: Fields, keys: dict[str, bytes], domain: str, context: str, said: bytes, signature: bytes
) -> None:
    """Check a domain's signature; what the coordinator said itself carries the exhibit's alone."""
    if domain == COORDINATOR:
        if signature:
            raise EvidenceError(fields.at("signature"), "none but the exhibit's own", signature)
        return
    if domain not in keys:
        raise EvidenceError(fields.at("domain"), f"one of {sorted(keys)}", domain)
    try:
        Domain(domain, keys[domain]).verify(context, said, signature)
    except SignatureError as error:
        raise EvidenceError(fields.path, f"a signature of {domain}", f"{error!s:.200}") from None


def _claim(fields: Fields, keys: dict[str, bytes]) -> Claim:
    domain, payload, signature = _signed(fields)
    _verify(fields, keys, domain, CONTEXT, payload, signature)
    commitment = commitment_of(payload, fields.at("payload"))
    if commitment.domain != domain:
        raise EvidenceError(fields.at("domain"), commitment.domain, domain)
    return Claim(domain, commitment, signature)


def _answer(fields: Fields, keys: dict[str, bytes]) -> tuple[Answer, bytes]:
    """Read an answer; what is signed is a statement about it, so it is parsed before that."""
    domain, payload, signature = _signed(fields)
    path = fields.at("payload")
    try:
        answer = Answer.from_bytes(payload)
    except DecodingError as error:
        raise EvidenceError(path, "an auditor's answer", f"{error!s:.200}") from None
    _verify(fields, keys, domain, ANSWER_CONTEXT, answer.statement(), signature)
    width = len(answer.hashes) % len(answer.units) if answer.units else len(answer.hashes) - 1
    if answer.domain != domain or width:
        raise EvidenceError(path, f"an answer of {domain}, equally long for each unit", "another")
    if (answer.stage == READ) == bool(answer.units):
        raise EvidenceError(path, "units where units were audited", f"{len(answer.units)}")
    _require_once(answer.units, path)
    return answer, signature


# --- what they say about each other ---------------------------------------------------------


def _check_terms(exhibit: Exhibit) -> None:
    terms, shape = exhibit.terms, exhibit.shape
    if exhibit.functions.digest != terms.functions:
        raise EvidenceError("functions", terms.functions, exhibit.functions.digest)
    exhibit.functions.check_names()
    cut = (shape.partitions, shape.buckets, shape.unit_records)
    if cut != terms.cut:
        raise EvidenceError("work", f"partitions, buckets and units of {terms.cut}", cut)
    there = terms.maps if exhibit.stage == MAP else shape.partitions
    if exhibit.partition >= there:
        raise EvidenceError("partition", f"one below {there}", exhibit.partition)


def _check_signed(exhibit: Exhibit) -> None:
    about = (exhibit.job, exhibit.partition, exhibit.inputs)
    for claim in exhibit.claims:
        said = claim.commitment
        if (said.job, said.partition, said.inputs) != about or said.stage != exhibit.stage:
            raise EvidenceError("claims", "commitments to this task", f"one of {claim.domain}")
        if (said.buckets, len(said.counts)) != _buckets(exhibit):
            raise EvidenceError("claims", f"buckets and counts {_buckets(exhibit)}", claim.domain)
    for answer, _ in exhibit.answers:
        fits = answer.stage in (READ, MAP) if exhibit.stage == MAP else answer.stage == REDUCE
        if (answer.job, answer.partition, answer.inputs) != about or not fits:
            raise EvidenceError("answers", "answers about this task", f"one of {answer.domain}")
    _require_once([(c.domain, c.digest) for c in exhibit.claims], "claims")
    _require_once([a.to_bytes() for a, _ in exhibit.answers], "answers")
    if exhibit.stage == MAP and exhibit.inputs != map_inputs(exhibit.job, exhibit.partition):
        raise EvidenceError("inputs", "the digest of this job and partition", exhibit.inputs)


def _buckets(exhibit: Exhibit) -> tuple[int, int]:
    """Return the buckets of an honest partition, and how many counts it has."""
    if exhibit.stage == MAP:
        return exhibit.shape.buckets, exhibit.shape.partitions
    return exhibit.shape.run, exhibit.shape.run


def _check_leaves(exhibit: Exhibit) -> None:
    signed = {(OUTPUT, c.commitment.root, c.commitment.size) for c in exhibit.claims}
    signed |= {(INPUT, c.commitment.input_root, c.commitment.units) for c in exhibit.claims}
    for number, leaf in enumerate(exhibit.leaves):
        if (leaf.tree, leaf.root, leaf.size) not in signed:
            raise EvidenceError(f"leaves[{number}].root", "one of a commitment", leaf.root)
    _require_once([(leaf.tree, leaf.root, leaf.index) for leaf in exhibit.leaves], "leaves")


def _check_given(exhibit: Exhibit) -> None:
    given = exhibit.given
    if given is None:
        return
    single = given.stop - given.start == 1
    named = bool(exhibit.units) or _finds(exhibit)
    if single and named and exhibit.units != (given.start,):
        raise EvidenceError("units", f"[{given.start}], as is given", list(exhibit.units))
    if exhibit.stage == REDUCE:
        expected = reduce_inputs(exhibit.job, (s.commitment.digest for s in given.sources))
        if exhibit.inputs != expected or len(given.sources) != exhibit.terms.maps:
            raise EvidenceError("given.sources", "those that were assigned", "others")
        for number, source in enumerate(given.sources):
            made = source.commitment
            about = (exhibit.job, map_inputs(exhibit.job, number), COORDINATOR)
            if (made.job, made.inputs, made.domain) != about:
                raise EvidenceError(
                    "given.sources",
                    "commitments as the coordinator holds them",
                    f"one of {made.domain:.100}",
                )
    elif given.root:
        units_under(exhibit, given)
    elif exhibit.shape.unit_records:
        raise EvidenceError("given.root", "one, since partitions are cut into units", "none")


def units_under(exhibit: Exhibit, given: Given) -> int:
    """Return how many units a partition has, of some of which the inputs are given.

    Parameters
    ----------
    exhibit : Exhibit
        The exhibit.
    given : Given
        The inputs that the exhibit has.

    Returns
    -------
    int

    Raises
    ------
    EvidenceError
        If the inputs do not lead to a root that was committed to.
    """
    said = [claim.commitment for claim in exhibit.claims]
    if exhibit.referee is not None and exhibit.referee.commitment is not None:
        said.insert(0, exhibit.referee.commitment)
    # A liar may sign the root that others signed, and another number of units.
    sizes = dict.fromkeys(c.units for c in said if c.input_root == given.root)
    refusal = EvidenceError("given.root", "an input root of a commitment", given.root)
    for size in list(sizes)[:_SIZES]:
        try:
            given.prove(size, "given")
            return size
        except EvidenceError as error:
            refusal = error
    raise refusal


def _finds(exhibit: Exhibit) -> bool:
    """Whether the coordinator's recomputation contradicts anybody."""
    return exhibit.told is not None and bool(exhibit.contradicted(exhibit.told))


def _check_referee(exhibit: Exhibit) -> None:
    referee, given = exhibit.referee, exhibit.given
    if referee is None:
        return
    if given is None:
        raise EvidenceError("given", "what the referee computed from", "nothing")
    column = exhibit.shape.column(exhibit.stage)
    count = BLAKE3.size * column * (given.stop - given.start)
    if any(len(run) != count for run in referee.runs):
        raise EvidenceError("referee.runs", f"{count} bytes each", [len(r) for r in referee.runs])
    whole = referee.commitment
    if whole is not None:
        about = (exhibit.job, exhibit.stage, exhibit.partition, COORDINATOR, exhibit.inputs)
        said = (whole.job, whole.stage, whole.partition, whole.domain, whole.inputs)
        if said != about or (whole.buckets, len(whole.counts)) != _buckets(exhibit):
            raise EvidenceError("referee.commitment", "one to this task", "another")
        if whole.input_root != given.root:
            raise EvidenceError("given.root", whole.input_root, given.root)
    _check_shown(exhibit)


def _check_shown(exhibit: Exhibit) -> None:
    """Check that the referee's leaf is one that it computed."""
    referee, told = exhibit.referee, exhibit.told
    assert referee is not None, "there is a referee whose leaf is looked at"
    if told is None:
        if referee.leaf or referee.index:
            raise EvidenceError("referee.leaf", "none, since its runs differ", "one")
        return
    whole = referee.commitment
    units = [whole.units] if whole else [claim.commitment.units for claim in exhibit.claims]
    if BLAKE3.leaf(referee.leaf) not in {told.at(referee.index, n) for n in units}:
        raise EvidenceError("referee.leaf", "a leaf that it computed", "another")


def _check_cause(exhibit: Exhibit) -> None:
    told = exhibit.told
    if (exhibit.cause == SERVE) != bool(exhibit.opening):
        raise EvidenceError("cause", "serve with a wrong opening, and only then", exhibit.cause)
    withheld = exhibit.settled.startswith(WITHHELD)
    if (exhibit.cause == SERVE) != (exhibit.settled == OPENING) and not withheld:
        raise EvidenceError("settled", "by an opening where one is shown", exhibit.settled)
    if exhibit.cause == SERVE and (exhibit.referee is not None or exhibit.given is not None):
        raise EvidenceError("referee", "none, since an opening shows it all", "one")
    if told is None or told.reading is None:
        return
    contradicted = exhibit.contradicted(told)
    wrong = [c.commitment for c in exhibit.claims if c.domain in contradicted]
    misread = any(reading_of(commitment) != told.reading for commitment in wrong)
    about_reading = any(answer.stage == READ for answer, _ in exhibit.answers)
    if misread != (exhibit.cause == READ) and not (exhibit.cause == READ and about_reading):
        raise EvidenceError("cause", READ if misread else exhibit.stage, exhibit.cause)


def _check_blame(exhibit: Exhibit) -> None:
    for name in exhibit.culprits:
        if name not in exhibit.terms.keys:
            raise EvidenceError("culprits", f"some of {sorted(exhibit.terms.keys)}", name)
    if exhibit.settled.startswith(WITHHELD) and exhibit.culprits:
        raise EvidenceError("culprits", "nobody, since blame was withheld", exhibit.culprits)
    excused, unshown = blame(exhibit)
    for name, expected in (("excused", excused), ("unshown", unshown)):
        got = getattr(exhibit, name)
        if got != expected:
            raise EvidenceError(name, list(expected), list(got))


def blame(exhibit: Exhibit) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who is contradicted and not blamed, and who is blamed and not contradicted.

    Parameters
    ----------
    exhibit : Exhibit
        The exhibit.

    Returns
    -------
    tuple of (tuple of str, tuple of str)

    Raises
    ------
    EvidenceError
        If there is a signed opening, and it does not convict exactly who is blamed.
    """
    told, culprits = exhibit.told, frozenset(exhibit.culprits)
    if exhibit.cause == SERVE:
        convicted = _convicted(exhibit)
        if culprits != convicted and not exhibit.settled.startswith(WITHHELD):
            raise EvidenceError("culprits", sorted(convicted), sorted(culprits))
        return tuple(sorted(convicted - culprits)), ()
    contradicted = frozenset[str]() if told is None else exhibit.contradicted(told)
    shown = exhibit.outvoted() if exhibit.settled == VOTES else frozenset[str]()
    unshown = culprits - contradicted - shown
    return tuple(sorted(contradicted - culprits)), tuple(sorted(unshown))


def _convicted(exhibit: Exhibit) -> frozenset[str]:
    """Return who signed a wrong opening of what it had itself committed to."""
    try:
        said = accused(exhibit.opening)
    except DecodingError as error:
        raise EvidenceError("opening", "a signed opening", f"{error!s:.200}") from None
    if (said.stage, said.partition, said.job) != (exhibit.stage, exhibit.partition, exhibit.job):
        raise EvidenceError("opening", "one of this partition", "one of another")
    if said.domain not in exhibit.terms.keys:
        raise EvidenceError("opening", f"one of {sorted(exhibit.terms.keys)}", said.domain)
    own = [c.commitment for c in exhibit.claims if c.domain == said.domain]
    for commitment in own:
        request = asked(commitment, said.tree, said.start, said.stop, said.domain)
        domain = Domain(said.domain, exhibit.terms.keys[said.domain])
        same = (request.root, request.size) == (said.root, said.size)
        if same and convicts(exhibit.opening, request, domain):
            return frozenset({said.domain})
    raise EvidenceError("opening", "one that convicts who signed it", "one that does not")
