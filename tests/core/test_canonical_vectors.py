"""Published vectors: the bytes never change, under any hash seed.

``python tests/core/test_canonical_vectors.py`` prints the bytes that this installation makes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
from canonical_cases import frames, record_leaves, tables, values

from dask_verify.core.canonical import (
    decode,
    decode_frame,
    decode_records,
    decode_table,
    encode,
    encode_frame,
    encode_records,
    encode_table,
)

FILE = Path(__file__).parent / "vectors" / "canonical.json"
GROUPS = {
    "values": (encode, decode, values),
    "records": (encode_records, decode_records, record_leaves),
    "frames": (encode_frame, decode_frame, frames),
    "tables": (encode_table, decode_table, tables),
}


def vectors() -> dict[str, dict[str, str]]:
    return {
        group: {name: forth(value).hex() for name, value in make().items()}
        for group, (forth, _, make) in GROUPS.items()
    }


def test_bytes_are_the_published_ones():
    assert vectors() == json.loads(FILE.read_text())


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_bytes_do_not_depend_on_the_hash_seed(seed):
    path = os.pathsep.join(["", str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, check=True, capture_output=True, text=True
    )
    assert json.loads(done.stdout) == json.loads(FILE.read_text())


@pytest.mark.parametrize("group", GROUPS)
def test_published_bytes_decode_and_encode_again(group):
    forth, back, _ = GROUPS[group]
    for name, data in json.loads(FILE.read_text())[group].items():
        assert forth(back(bytes.fromhex(data))).hex() == data, name


if __name__ == "__main__":
    print(json.dumps(vectors(), indent=1))
