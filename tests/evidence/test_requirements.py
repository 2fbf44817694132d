"""What an environment without Dask is made from is what the package itself asks for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import dask_verify.evidence

HERE = Path(dask_verify.evidence.__file__).parent
ROOT = Path(__file__).parents[2]
CLUSTER = ("dask", "distributed", "jinja2", "markupsafe", "pyyaml", "zict")


def listed(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_they_are_those_of_the_package_without_what_only_clusters_need():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = listed((HERE / "requirements.txt").read_text())
    rest = [line for line in project["dependencies"] if line not in own]
    assert own == sorted(own)
    assert [line.partition(">=")[0] for line in rest] == list(CLUSTER)
    assert set(own) < set(project["dependencies"])
