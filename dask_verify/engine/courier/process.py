"""What runs in a courier: one Dask client, and a loop that does what the coordinator says.

It gives up its rights first, then imports Dask, says what it has given up, and connects only when
it is told to. Whatever a domain makes this process do from then on, it has no credentials but the
certificate for that domain's scheduler, and a coordinator that expects the worst of it.
"""

from __future__ import annotations

import os
import sys

from dask_verify.engine.courier.confinement import confine


def main() -> None:
    """Serve the coordinator on standard input and output."""
    folder, memory, port, parent = sys.argv[1:]
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    # A domain may have the client print something: that must not come between the frames.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    in_force = confine(folder, int(memory), int(port), int(parent))
    # Only now: what this imports starts threads, which would have kept their rights.
    from dask_verify.engine.courier.service import Service

    Service(answers).serve(os.fdopen(os.dup(sys.stdin.fileno()), "rb"), in_force)
    # Threads may wait for a domain that never answers.
    os._exit(0)


if __name__ == "__main__":
    main()
