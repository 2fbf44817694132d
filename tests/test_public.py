"""The public surface, and what importing it costs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import dask_verify

HEAVY = ("dask", "distributed", "pandas", "numpy", "pyarrow", "bokeh", "tornado")


def imported_by(statement):
    """Return the top-level packages that a statement loads in a fresh process."""
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_public_names():
    assert dask_verify.__all__ == [
        "Detect",
        "DomainPlugin",
        "LocalDomainCluster",
        "Policy",
        "Standing",
        "Verdict",
        "load",
        "resume",
        "verified_map_reduce",
    ]
    assert set(dask_verify.__all__) <= set(dir(dask_verify))


@pytest.mark.parametrize("name", dask_verify.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(dask_verify, name)
    assert value.__name__ == name
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'verify_everything'"):
        dask_verify.verify_everything  # noqa: B018


def test_importing_the_package_loads_nothing_heavy():
    assert imported_by("import dask_verify").isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "module", ["core", "core.canonical", "core.merkle", "core.seal", "core.keys", "errors"]
)
def test_the_core_loads_neither_dask_nor_pandas(module):
    loaded = imported_by(f"import dask_verify.{module}")
    assert loaded.isdisjoint({"dask", "distributed", "pandas"})


@pytest.mark.parametrize("module", ["messages", "policy", "quorum", "dispute", "job"])
def test_the_protocol_loads_neither_dask_nor_pandas(module):
    loaded = imported_by(f"import dask_verify.protocol.{module}")
    assert loaded.isdisjoint({"dask", "distributed", "pandas"})


def test_the_command_line_loads_only_click():
    assert imported_by("import dask_verify.cli").isdisjoint(HEAVY)


@pytest.mark.parametrize("name", dask_verify.__all__)
def test_names_are_loaded_from_where_they_are_declared(name):
    home = importlib.import_module(dask_verify._HOME[name])
    assert getattr(home, name) is getattr(dask_verify, name)
