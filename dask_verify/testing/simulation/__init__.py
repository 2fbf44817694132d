"""The protocol against simulated domains: one process, no threads, no cluster, and a seed.

`world.Simulation` is one job; `mixes` draws jobs by kind of fault; `promises` says what must hold
of each; `report` counts. The command is ``python -m dask_verify.testing.simulate``.
"""

from __future__ import annotations

from dask_verify.testing.simulation.behaviours import ALL
from dask_verify.testing.simulation.enrolment import enrol, identity, make_plan
from dask_verify.testing.simulation.nature import Nature
from dask_verify.testing.simulation.weather import Weather
from dask_verify.testing.simulation.world import Simulation

__all__ = ["ALL", "Nature", "Simulation", "Weather", "enrol", "identity", "make_plan"]
