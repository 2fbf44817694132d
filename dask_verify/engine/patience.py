"""How long to wait for somebody who may be slow on purpose, and may also have much to send."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

SECONDS = 10.0  #: for whatever is asked
RATE = 1 << 20  #: bytes that bring a second more
#: Bytes after which a reply leaves the rest of the openings for the next request.
REPLY = 64 << 20


@dataclass
class Patience:
    """A time limit that grows with what has arrived: a drip never keeps anybody for long.

    Parameters
    ----------
    seconds : float, optional
        Seconds that are given at least.
    moved : int, optional
        Bytes that have arrived so far.

    Examples
    --------
    >>> patience = Patience(seconds=0.0)
    >>> patience.over
    True
    >>> patience.moved += 3600 << 20
    >>> patience.over
    False
    """

    seconds: float = SECONDS
    moved: int = 0
    _began: float = field(default_factory=lambda: time.monotonic())

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._began + self.seconds + self.moved / RATE - time.monotonic()

    @property
    def over(self) -> bool:
        """Whether to wait no longer."""
        return self.left <= 0
