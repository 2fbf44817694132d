"""How much is moved: a slice, or with ``DASK_VERIFY_LARGE=full`` all that is promised."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import pytest

sys.path.append(str(Path(__file__).parent))

import coordinating
import generated

cloudpickle.register_pickle_by_value(coordinating)
cloudpickle.register_pickle_by_value(generated)


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether to move all that is promised."""
    return os.environ.get("DASK_VERIFY_LARGE") == "full"


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print figures for whoever reads the log, with the seconds since the test began."""
    began = time.monotonic()

    def told(text: str) -> None:
        with capsys.disabled():
            print(f"\n   {time.monotonic() - began:.0f} s: {text}")

    return told
