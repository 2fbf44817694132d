"""Lets the tests of this folder import what they share, and exhibits made without a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "evidence" / "exhibits")]
