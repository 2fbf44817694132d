"""MapReduce on machines that you do not fully trust, with answers that you can.

The public names, and nothing else; each is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dask_verify.version import VERSION

if TYPE_CHECKING:
    from dask_verify.engine.cluster import LocalDomainCluster
    from dask_verify.engine.plugin import DomainPlugin
    from dask_verify.evidence.loading import load
    from dask_verify.mapreduce import verified_map_reduce
    from dask_verify.protocol.messages import Standing, Verdict
    from dask_verify.protocol.policy import Detect, Policy
    from dask_verify.resuming import resume

__version__ = VERSION

__all__ = [
    "Detect",
    "DomainPlugin",
    "LocalDomainCluster",
    "Policy",
    "Standing",
    "Verdict",
    "load",
    "resume",
    "verified_map_reduce",
]

_HOME = {
    "Detect": "dask_verify.protocol.policy",
    "DomainPlugin": "dask_verify.engine.plugin",
    "LocalDomainCluster": "dask_verify.engine.cluster",
    "Policy": "dask_verify.config",
    "Standing": "dask_verify.protocol.messages",
    "Verdict": "dask_verify.protocol.messages",
    "load": "dask_verify.evidence.loading",
    "resume": "dask_verify.resuming",
    "verified_map_reduce": "dask_verify.mapreduce",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
