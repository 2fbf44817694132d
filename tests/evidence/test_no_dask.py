"""What decides, executes and checks is imported without Dask, and without asking for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

WALK = """
import importlib, pkgutil, sys

class Refuse:
    asked = []
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("dask", "distributed", "yaml", "zict"):
            self.asked.append(name)
            raise ModuleNotFoundError(f"{name} is not here", name=name)

sys.meta_path.insert(0, Refuse())
package = importlib.import_module(sys.argv[1])
names = [one.name for one in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    importlib.import_module(name)
assert not Refuse.asked, Refuse.asked
print(*names)
"""


@pytest.mark.parametrize("layer", ["core", "protocol", "execution", "evidence"])
def test_no_module_of_these_layers_imports_it(layer):
    ran = subprocess.run(
        [sys.executable, "-c", WALK, f"dask_verify.{layer}"], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.split()) > 2, "packages below it are walked"


def test_the_walk_would_notice_it():
    ran = subprocess.run(
        [sys.executable, "-c", WALK, "dask_verify.engine"], capture_output=True, text=True
    )
    assert ran.returncode != 0
    assert "is not here" in ran.stderr
