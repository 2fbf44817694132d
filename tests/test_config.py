"""Settings: the file, the environment, ``dask.config`` and `Policy`, in rising order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dask
import pytest
import yaml

import dask_verify
from dask_verify.config import Policy, setting
from dask_verify.errors import PolicyError
from dask_verify.protocol.policy import DEFAULTS

FILE = Path(dask_verify.__file__).with_name("verify.yaml")

#: Settings that are not part of a policy.
OTHERS = {
    "coordinator-key", "courier-answer", "courier-confinement", "courier-memory", "deadline-floor",
    "store-memory", "trust",
}  # fmt: skip


def test_the_file_has_the_defaults_of_the_policy():
    (section,) = yaml.safe_load(FILE.read_text()).items()
    name, values = section
    policy = {k.replace("-", "_"): v for k, v in values.items() if k not in OTHERS}
    assert name == "verify"
    assert policy == DEFAULTS
    assert set(values) >= OTHERS


def test_a_policy_without_arguments_has_the_defaults():
    policy = Policy()
    expected = {**DEFAULTS, "faults": 1}
    assert {name: getattr(policy, name) for name in DEFAULTS} == expected


def test_dask_config_overrides_the_file():
    with dask.config.set({"verify.replicas": 3, "verify.unit-records": 10}):
        assert setting("unit_records") == 10
        assert Policy() == Policy(replicas=3, faults=2, unit_records=10)


def test_an_argument_overrides_dask_config():
    with dask.config.set({"verify.replicas": 3}):
        assert Policy(replicas=2).replicas == 2


def test_a_setting_that_makes_no_sense_is_refused_by_the_policy():
    with dask.config.set({"verify.referee": "me"}), pytest.raises(PolicyError, match="referee"):
        Policy()


def from_environment(expression, **variables):
    code = f"from dask_verify import Policy; print({expression})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, timeout=60, env=os.environ | variables,
    )  # fmt: skip
    return done.stdout.strip()


def test_the_environment_overrides_the_file():
    assert from_environment("Policy().replicas", DASK_VERIFY__REPLICAS="3") == "3"
    assert from_environment("Policy().stand_in", DASK_VERIFY__STAND_IN="False") == "False"
