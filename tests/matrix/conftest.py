"""Two long-lived clusters of four domains; jobs use as many of the domains as a cell asks for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cloudpickle
import pytest

sys.path.append(str(Path(__file__).parent))

import rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator

cloudpickle.register_pickle_by_value(rehearsal)


@pytest.fixture(scope="session")
def stages() -> Iterator[rehearsal.Stages]:
    """Clusters to rehearse on, started when first asked for."""
    with rehearsal.Stages() as stages:
        yield stages
