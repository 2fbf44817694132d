"""Lets the tests of this folder import what they share, and the simulator of the protocol."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parents[1] / "protocol")]
