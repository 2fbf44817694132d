"""Lets the tests of this folder import what they share, and makers of receipts and exhibits."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
EVIDENCE = HERE.parent / "evidence"
SHARED = (HERE, EVIDENCE / "receipts", EVIDENCE / "exhibits", HERE.parent / "protocol")
sys.path += [str(folder) for folder in SHARED]
