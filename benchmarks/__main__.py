"""``python -m benchmarks``; guarded, because every worker process imports the main module."""

from __future__ import annotations

if __name__ == "__main__":
    from benchmarks.cli import main

    main(prog_name="python -m benchmarks")
