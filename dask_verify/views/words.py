"""What things are called where people see them, and how they look: tones, not verdicts of our own.

Only what has an answer looks like one: everything else is red, amber or grey, and says so.
"""

from __future__ import annotations

from typing import NamedTuple

from dask_verify.protocol.messages import Standing, Verdict
from dask_verify.views.advice import ADVICE

GOOD, FAIR, DOUBT, BAD, PLAIN = "good", "fair", "doubt", "bad", "plain"


class Badge(NamedTuple):
    """A word in a colour, with a sentence that says what it means.

    Parameters
    ----------
    word : str
    tone : {"good", "fair", "doubt", "bad", "plain"}
        What the colour says.
    sentence : str
        What the word means.
    """

    word: str
    tone: str
    sentence: str


_VERDICTS = {
    Verdict.AGREED: (GOOD, "Nobody differed: enough domains agree on every partition."),
    Verdict.CORRECTED: (
        FAIR,
        "Somebody differed, and the answer does not depend on them; see the divergences.",
    ),
    Verdict.SAMPLED: (
        FAIR,
        "Every audit found what was committed. A sample catches gross corruption, not single"
        " records: see the odds.",
    ),
    Verdict.NONDETERMINISTIC: (
        BAD,
        "No verified answer: the same input gave different outputs, in the coordinator's own"
        " processes or in more domains than may be faulty, so nobody can be blamed.",
    ),
}
_UNDECIDED = {
    "running": (PLAIN, "No verdict yet: nothing here is verified so far."),
    "cancelled": (DOUBT, "No verified answer: the job was cancelled before its verdict."),
    "interrupted": (
        DOUBT,
        "No verdict yet: the job was interrupted; dask_verify.resume() goes on with its journal.",
    ),
}
_STANDINGS = {
    Standing.TRUSTED: (GOOD, "nothing speaks against it"),
    Standing.SUSPECTED: (DOUBT, "late, silent or failing; this proves nothing"),
    Standing.EXPOSED: (BAD, "proven to have signed something wrong"),
}
_SETTLED = {
    "referee": "The coordinator computed it again, in fresh processes.",
    "votes": "More domains than may be faulty signed the contrary.",
    "exposed elsewhere": "Another divergence had exposed the signer already.",
    "opening": "It signed an opening that its own commitment contradicts.",
    "counts": "The numbers of records that were signed contradict each other.",
}


def verdict_badge(verdict: Verdict | None, status: str, cause: str) -> Badge:
    """Return how a job ended, or where it stands.

    Parameters
    ----------
    verdict : Verdict or None
        None without one.
    status : str
        As `Job.status` has it.
    cause : str
        Why there is no answer, a key of `ADVICE`; empty otherwise.

    Returns
    -------
    Badge

    Examples
    --------
    >>> verdict_badge(Verdict.INCONCLUSIVE, "inconclusive", "unanswered").tone
    'bad'
    """
    if verdict is Verdict.INCONCLUSIVE:
        why = ADVICE.get(cause, cause or "no cause is known")
        return Badge("INCONCLUSIVE", BAD, f"No verified answer ({cause or 'no cause'}): {why}.")
    if verdict is not None:
        return Badge(verdict.name, *_VERDICTS[verdict])
    unknown = (DOUBT, "No verdict: nothing here is verified.")
    return Badge(status.upper(), *_UNDECIDED.get(status, unknown))


def standing_badge(standing: Standing) -> Badge:
    """Return how a domain stands.

    Parameters
    ----------
    standing : Standing

    Returns
    -------
    Badge

    Examples
    --------
    >>> standing_badge(Standing.SUSPECTED).sentence
    'late, silent or failing; this proves nothing'
    """
    return Badge(standing.name, *_STANDINGS[standing])


def ruling(settled: str, culprits: tuple[str, ...]) -> str:
    """Return in a sentence how a divergence was settled.

    Parameters
    ----------
    settled : str
        As `Divergence.settled` has it.
    culprits : tuple of str
        Who was proven wrong.

    Returns
    -------
    str

    Examples
    --------
    >>> ruling("withheld: source", ())
    'Nobody is blamed: source.'
    """
    if not culprits:
        why = settled.removeprefix("withheld: ").rstrip(".")
        return f"Nobody is blamed: {_SETTLED.get(settled, why)[:500].rstrip('.')}."
    return _SETTLED.get(settled, f"Settled by: {settled[:500]}.")


def quantity(number: int, one: str, many: str = "") -> str:
    """Return a number of things.

    Parameters
    ----------
    number : int
        How many.
    one : str
        What one of them is called.
    many : str, optional
        What several are called, if that is not the same with an s.

    Returns
    -------
    str

    Examples
    --------
    >>> quantity(1, "unit"), quantity(1200, "unit")
    ('1 unit', '1,200 units')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: float) -> str:
    """Return a number of bytes as people read it.

    Parameters
    ----------
    number : float
        Bytes.

    Returns
    -------
    str

    Examples
    --------
    >>> size(999), size(1_536), size(5 * 2**40)
    ('999 B', '1.5 KiB', '5.0 TiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:,.0f} B" if unit == "B" else f"{number:,.1f} {unit}"
        number /= 1024
    return f"{number:,.1f} TiB"
