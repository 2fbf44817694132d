"""Jobs by kind of fault: a mix and a seed give one job, the same everywhere.

In every mix at most ``faults`` domains are faulty, which is what the promises ask for. What befalls
honest domains (crashes, lost messages, absences) is not limited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

from dask_verify.protocol.domain import Domain
from dask_verify.protocol.job import JobState
from dask_verify.protocol.policy import Detect
from dask_verify.testing.simulation import behaviours as b
from dask_verify.testing.simulation.enrolment import enrol, make_plan
from dask_verify.testing.simulation.nature import USUAL, Nature
from dask_verify.testing.simulation.remembering import KnownJob
from dask_verify.testing.simulation.weather import CALM, Weather
from dask_verify.testing.simulation.world import Simulation

NAMES = ("alice", "bob", "carol", "dave", "eve")
REAL = 8  #: one seed in so many has every signature really checked, each time
_ENVIRONMENTS: tuple[dict[str, str], ...] = ({}, {"rounding": "fused"}, {"rounding": "x87"})


@dataclass
class Draft:
    """What a mix makes of a job before it is planned.

    Parameters
    ----------
    draw : Random
        Where all chance comes from.
    faults : int
        Number of faulty domains.
    names : tuple of str
        Names of the domains.
    policy : dict of str to object
        Arguments of the policy.
    unit_records : int or None
        Records in one unit; None for the default.
    faulty : tuple of str, optional
        Behaviours that faulty domains may have.
    weather : Weather, optional
        What befalls messages and workers.
    nature : Nature, optional
        What the function depends on.
    environments : tuple of dict of str to str, optional
        What domains may enrol.
    """

    draw: Random
    faults: int
    names: tuple[str, ...]
    policy: dict[str, Any]
    unit_records: int | None
    faulty: tuple[str, ...] = b.ALL
    weather: Weather = CALM
    nature: Nature = USUAL
    environments: tuple[dict[str, str], ...] = ({},)

    def replicated(self) -> None:
        """Have every task executed by several domains."""
        self.names = NAMES[: max(len(self.names), self.faults + 1)]
        least = self.faults + 1
        self.policy["replicas"] = self.draw.choice(
            [least, least, self.draw.randint(least, len(self.names))]
        )
        self.policy["audit"] = self.draw.choice([0.0, 0.0, 0.0, 0.5])

    def audited(self, *rates: float | Detect) -> None:
        """Have every task executed once, and audited.

        Parameters
        ----------
        *rates : float or Detect
            The rates, of which one is drawn.
        """
        self.policy |= {"replicas": 1, "audit": self.draw.choice(rates)}
        self.unit_records = self.draw.choice([0, 1, 3, 5, 12])

    def single(self) -> None:
        """Let one domain be faulty at the most."""
        self.faults = self.policy["faults"] = 1


def _draft(draw: Random) -> Draft:
    faults = draw.choice([1, 1, 1, 1, 2, 2, 3])
    referee = draw.choice(["coordinator", "coordinator", "domains"])
    least = faults + 1 if referee == "coordinator" else 2 * faults + 1
    names = NAMES[: draw.randint(min(least, 5), 5)]
    policy = {"faults": faults, "referee": referee, "stand_in": draw.random() < 0.7}
    made = Draft(draw, faults, names, policy, draw.choice([None, None, 0, 1, 5]))
    if faults < len(names) and draw.random() < 0.6:
        made.replicated()
    else:
        made.names = NAMES[: draw.randint(1 if referee == "coordinator" else 2, len(names))]
        made.audited(1e-9, 0.2, 0.6, 1.0, 1.0, Detect(0.5, 0.9), Detect(1, 0.99))
    return made


def _faulty(*names: str) -> Callable[[Draft], None]:
    return lambda draft: setattr(draft, "faulty", names)


def _colluding(draft: Draft) -> None:
    """Several that tell one lie, so that the policy has to allow for several."""
    draft.faulty = b.COLLUDERS
    draft.faults = draft.policy["faults"] = draft.draw.choice([1, 2, 2, 3])
    draft.names = NAMES
    draft.replicated() if draft.draw.random() < 0.7 else draft.audited(0.5, 1.0)


def _botching(draft: Draft) -> None:
    draft.audited(0.2, 1.0, Detect(1, 0.99))
    draft.faulty = (*b.AUDITORS, "covering")


def _sampled(draft: Draft) -> None:
    draft.audited(1e-9, 0.05, 0.2, 0.5, Detect(0.2, 0.9))
    draft.faulty = (*b.LIARS, *b.COLLUDERS, "dodging", "recommits")


def _all_audited(draft: Draft) -> None:
    draft.audited(1.0)
    draft.single()


def _network(draft: Draft) -> None:
    draft.weather = Weather(
        draft.draw.choice([0.1, 0.4]), losses=draft.draw.choice([0.05, 0.2, 0.5])
    )


def _crashing(draft: Draft) -> None:
    chance = draft.draw.choice([0.02, 0.1, 0.3])
    draft.weather = Weather(copies=draft.draw.choice([0, 0.1]), crashes=chance)


def _churning(draft: Draft) -> None:
    later = draft.draw.sample(draft.names, draft.draw.randint(0, len(draft.names)))
    leaves, crashes = draft.draw.choice([0.02, 0.1]), draft.draw.choice([0, 0.02])
    draft.weather = Weather(later=tuple(later), leaves=leaves, crashes=crashes)


def _environments(draft: Draft) -> None:
    draft.environments = _ENVIRONMENTS[: draft.draw.randint(2, 3)]


def _sources(draft: Draft) -> None:
    pinned = draft.draw.random() < 0.5
    changes = draft.draw.randint(0, 12) if pinned or draft.draw.random() < 0.7 else None
    draft.nature = replace(draft.nature, pinned=pinned, changes=changes)


def _random(draft: Draft) -> None:
    draft.nature = Nature(random=True, salt=draft.draw.randrange(8))


def _restarting(draft: Draft) -> None:
    losses, copies, crashes = (draft.draw.choice([0, 0.1]) for _ in range(3))
    often = draft.draw.choice([0.05, 0.2])
    draft.weather = Weather(losses=losses, copies=copies, crashes=crashes, restarts=often)


def _everything(draft: Draft) -> None:
    chances = ("losses", "copies", "crashes", "leaves", "restarts")
    drawn = {name: draft.draw.choice([0, 0.02, 0.1]) for name in chances}
    later = draft.draw.sample(draft.names, draft.draw.randint(0, 1))
    draft.weather = Weather(draft.draw.choice([0, 0.3]), later=tuple(later), **drawn)
    for change in (_environments, _sources):
        if draft.draw.random() < 0.3:
            change(draft)


#: What each mix changes of a job that is drawn at random, with any faults at all.
MIXES: dict[str, Callable[[Draft], None]] = {
    "honest": _faulty(),
    "lying": _faulty(*b.LIARS),
    "colluding": _colluding,
    "equivocating": _faulty(*b.EQUIVOCATORS),
    "silent": _faulty(*b.SILENT),
    "slow": _faulty(*b.SLOW),
    "serving": _faulty(*b.SERVERS),
    "accusing": _faulty(*b.ACCUSERS),
    "auditors": _botching,
    "sampled": _sampled,
    "audited": _all_audited,
    "network": _network,
    "crashing": _crashing,
    "churning": _churning,
    "environments": _environments,
    "sources": _sources,
    "nondeterministic": _random,
    "restarting": _restarting,
    "everything": _everything,
}
_ORDER = tuple(MIXES)


def mix_of(seed: int) -> str:
    """Return the mix that a seed belongs to, where none is asked for: they take turns.

    Parameters
    ----------
    seed : int
        Seed of the simulated job.

    Returns
    -------
    str
    """
    return _ORDER[seed % len(_ORDER)]


def scenario(seed: int, mix: str = "") -> Simulation:
    """Return the job of a seed, ready to run.

    Parameters
    ----------
    seed : int
    mix : str
        One of `MIXES`; by default the one whose turn it is.

    Returns
    -------
    Simulation

    Examples
    --------
    >>> scenario(4).run() == scenario(4).run()
    True
    """
    name = mix or mix_of(seed)
    draw = Random(f"{name} {seed}")
    draft = _draft(draw)
    MIXES[name](draft)
    remember = seed // len(_ORDER) % REAL != 0
    domains = _enrolled(draft, remember)
    shape = {"maps": draw.choice([0, 1, 1, 1, 1, 2, 2, 3]), "reduces": draw.choice([1, 1, 1, 2, 3])}
    plan = make_plan(
        **shape,
        **draft.policy,
        domains=domains,
        seed=sha256(b"%d" % seed).digest(),
        unit_records=draft.unit_records,
        environment=draw.choice(draft.environments),
    )
    protocol = KnownJob if remember else JobState
    return Simulation(plan, _faults(draft), seed, draft.weather, draft.nature, protocol)


def _enrolled(draft: Draft, remember: bool) -> tuple[Domain, ...]:
    made = partial(enrol, remember=remember)
    drawn = [(name, draft.draw.choice(draft.environments)) for name in draft.names]
    return tuple(d for name, where in drawn for d in made(name, environment=where))


def _faults(draft: Draft) -> dict[str, str]:
    most = min(draft.faults, len(draft.names))
    least = min(1, most) if draft.faulty else 0
    liars = draft.draw.sample(draft.names, draft.draw.randint(least, most) if draft.faulty else 0)
    return {name: draft.draw.choice(draft.faulty) for name in liars}
