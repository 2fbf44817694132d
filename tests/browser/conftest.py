"""Pages as a browser shows them; skipped where there is none, except in CI."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
