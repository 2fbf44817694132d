"""What befalls a job as time passes: messages, domains and the coordinator itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dask_verify.testing.simulation.world import Simulation


@dataclass(frozen=True)
class Weather:
    """Chances of what may happen at each event, in the order in which one is chosen.

    Events always happen in any order; the rest is left to chance.

    Parameters
    ----------
    duplicates : float
        A message arrives twice.
    losses : float
        A message is lost, or arrives after its deadline.
    copies : float
        A copy of an accepted partition is lost.
    crashes : float
        A domain loses its store and all that it was doing.
    leaves : float
        All workers of a domain vanish; the chance that one comes back is three times that.
    restarts : float
        The coordinator dies, and goes on from its record.
    later : tuple of str
        Domains that are not there from the beginning.
    """

    duplicates: float = 0.1
    losses: float = 0.0
    copies: float = 0.0
    crashes: float = 0.0
    leaves: float = 0.0
    restarts: float = 0.0
    later: tuple[str, ...] = ()


CALM = Weather()


def pass_time(world: Simulation) -> None:
    """Let one event happen, and what befalls the job besides.

    Parameters
    ----------
    world : Simulation
        The simulated job.
    """
    chance, weather = world.random, world.weather
    at = chance.randrange(len(world.pending))
    luck = chance.random()
    if luck < weather.duplicates:
        world.duplicate(at)
    elif luck < weather.duplicates + weather.losses:
        world.lose(at)
    else:
        world.deliver(at)
    if chance.random() < weather.copies:
        world.lose_copy()
    if weather != CALM:
        _befall(world)


def _befall(world: Simulation) -> None:
    chance, weather = world.random, world.weather
    if chance.random() < weather.crashes:
        world.crash(_anybody(world))
    if chance.random() < weather.leaves:
        world.leave(_anybody(world))
    elif world.away and chance.random() < max(0.05, 3 * weather.leaves):
        world.come_back(chance.choice(world.away))
    if chance.random() < weather.restarts:
        world.restart()


def _anybody(world: Simulation) -> str:
    return world.random.choice([domain.name for domain in world.plan.domains])
