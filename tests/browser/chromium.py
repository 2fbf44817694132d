"""Chromium without a screen: where it is, and pictures of what it shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH = 1280  #: pixels, of a window as people have it
SCHEMES = {"dark": 0, "light": 1}  #: what pages find in ``prefers-color-scheme``

_FLAGS = (
    "--headless",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    # It would look for updates and hosts of its own.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE = 100.0  #: seconds


def find_chromium() -> str:
    """Return the program; where there is none, skip the test, or fail in CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        text = "no Chromium here: apt-get install --no-install-recommends chromium"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return found


def artifacts() -> Path:
    """Return the folder in which pictures are kept: what ``DASK_VERIFY_ARTIFACTS`` says."""
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("DASK_VERIFY_ARTIFACTS") or root / "build" / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def screenshot(url: str, name: str, scheme: str = "light", height: int = 1600, *flags: str) -> Path:
    """Return a picture of a page, as PNG in `artifacts`.

    Parameters
    ----------
    url : str
        ``Path.as_uri()`` of a file, or what a server has.
    name : str
        Of the file, without ``.png``.
    scheme : str
        ``"light"`` or ``"dark"``.
    height : int
        Of the window, in pixels: nothing below is in the picture.
    *flags : str
        More of Chromium's own, such as ``--virtual-time-budget=5000`` for pages with scripts.
    """
    picture = artifacts() / f"{name}.png"
    picture.unlink(missing_ok=True)
    run(url, scheme, f"--screenshot={picture}", f"--window-size={WIDTH},{height}", *flags)
    assert picture.read_bytes().startswith(b"\x89PNG"), f"no picture of {url}"
    return picture


def page_text(url: str, scheme: str = "light", *flags: str) -> str:
    """Return a page as Chromium made it: its elements after scripts have run, as HTML."""
    return run(url, scheme, "--dump-dom", f"--window-size={WIDTH},1600", *flags)


def run(url: str, scheme: str, *flags: str) -> str:
    """Run Chromium on one page with an empty profile, and return what it prints."""
    color = f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [find_chromium(), *_FLAGS, f"--user-data-dir={profile}", color, *flags, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    sys.stderr.write(done.stderr[-2000:])
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
