"""Programs of others: found and run, or it is said what to install."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

PACKAGES = {"node": "nodejs"}


def need(*programs):
    """Skip where a program is missing; in CI none may be."""
    missing = [PACKAGES.get(p, p) for p in programs if shutil.which(p) is None]
    if missing:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(
            f"expected {' and '.join(programs)} on the PATH: apt-get install {' '.join(missing)}"
        )


def output(*command, **options):
    """Return what a program prints; whatever else happens is a failure."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout
