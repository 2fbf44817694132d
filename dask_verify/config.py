"""Settings: ``verify.yaml`` under ``dask.config``, overridden by what a `Policy` names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import yaml

from dask_verify.protocol import policy
from dask_verify.protocol.policy import Policy

__all__ = ["Policy", "setting"]

_FILE = Path(__file__).with_name("verify.yaml")


def _load() -> None:
    defaults = yaml.safe_load(_FILE.read_text())
    dask.config.update_defaults(defaults)


def setting(name: str) -> Any:
    """Return a setting below ``verify:``.

    Parameters
    ----------
    name : str
        Name of the setting, as in ``verify.yaml``.

    Returns
    -------
    object

    Examples
    --------
    >>> setting("replicas")
    2
    """
    return dask.config.get("verify." + name.replace("_", "-"))


_load()
policy.set_defaults(setting)
