"""Jobs from the command line on clusters that are there: one scheduler over TLS, and couriers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest
from commands import (
    PATIENCE,
    free_address,
    hears_ctrl_c,
    running,
    scheduler_command,
    worker_command,
)
from distributed import Client

from dask_verify.evidence.enrolment.keys import write_key
from dask_verify.evidence.enrolment.trust import Entry, Trust, save_trust
from dask_verify.protocol.domain import COORDINATOR, Identity

pytestmark = [pytest.mark.cluster, pytest.mark.matrix]
COUNTS = {"to": 3, "be": 2, "or": 1, "not": 1, "sleep": 1}


def command(*arguments):
    return [sys.executable, "-m", "dask", "verify", *map(str, arguments)]


def dask(*arguments, cwd):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=110, cwd=cwd)


def tls_options(gated):
    return (
        *("--scheduler", gated.address, "--trust", gated.trust),
        *("--key", gated.folder / "coordinator.key"),
        *gated.certified.options(COORDINATOR),
    )


def checked(here, trust):
    evidence = ("counts.jsonl.receipt.json", "--trust", trust, "--data", "counts.jsonl", "--json")
    done = dask("check", *evidence, cwd=here)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_one_scheduler_over_tls(here, gated):
    done = dask("run", "words.py", "texts", "--out", "counts.jsonl", *tls_options(gated), cwd=here)
    assert done.returncode == 0, done.stderr
    assert checked(here, gated.trust)["verdict"] == "agreed"
    assert not (here / "counts.jsonl.trust.toml").exists()


def test_a_job_is_interrupted_and_resumed(here, gated):
    """The first process is stopped by Ctrl-C while workers are in the middle of something."""
    code = (here / "words.py").read_text()
    (here / "slow.py").write_text(
        code + f"\n\ndef slow(line):\n    import pathlib, time\n"
        f"    pathlib.Path({str(here / 'began')!r}).touch()\n    time.sleep(3)\n"
        "    return mapper(line)\n"
    )
    options = tls_options(gated)
    asked = ("run", "slow.py:slow", "texts", "--journal", here / "count.journal", *options)
    process = subprocess.Popen(
        command(*asked), cwd=here, stderr=subprocess.PIPE, text=True, preexec_fn=hears_ctrl_c
    )
    try:
        while not (here / "began").exists():
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert f"go on with: dask verify resume {here / 'count.journal'}" in said
    resume = ("resume", here / "count.journal", *options)
    for out, words in (
        ("counts.parquet", "the name of a file that is JSON lines"),
        ("texts/a.txt", "a file that is no input"),
    ):
        refused = dask(*resume, "--out", out, cwd=here)
        assert refused.returncode == 2, refused.stderr
        assert f"--out: expected {words}" in refused.stderr
    done = dask(*resume, "--out", "counts.jsonl", "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == len(COUNTS)
    assert checked(here, gated.trust)["verdict"] == "agreed"


def test_a_cluster_for_each_domain_is_reached_by_couriers(here, tmp_path):
    names = ("alice", "bob")
    keys = {name: Identity.generate(name) for name in (*names, COORDINATOR)}
    for name, identity in keys.items():
        write_key(tmp_path / f"{name}.key", identity)
    entries = {name: Entry(name, identity.public_key) for name, identity in keys.items()}
    trust = tmp_path / "domains.toml"
    save_trust(trust, Trust((entries["alice"], entries["bob"]), entries[COORDINATOR]))
    domains = []
    with ExitStack() as stack:
        for name in names:
            address = free_address()
            domains += ["--domain", f"{name}={address}"]
            started = scheduler_command(address, trust)
            stack.enter_context(running(*started, log=tmp_path / f"{name}-scheduler.log"))
            started = worker_command(address, tmp_path / f"{name}.key", "--no-nanny")
            stack.enter_context(running(*started, log=tmp_path / f"{name}.log"))
            with Client(address, timeout=PATIENCE, set_as_default=False) as client:
                client.wait_for_workers(1, timeout=PATIENCE)
        signing = ("--trust", trust, "--key", tmp_path / "coordinator.key")
        done = dask(
            "run", "words.py", "texts", "--out", "counts.jsonl", *domains, *signing, cwd=here
        )
    assert done.returncode == 0, done.stderr
    assert "courier      alice: confined in" in done.stderr
    assert checked(here, trust)["verdict"] == "agreed"


def test_a_scheduler_that_is_not_there(here, tmp_path):
    key = Identity.generate("alice").public_key
    save_trust(tmp_path / "domains.toml", Trust((Entry("alice", key),)))
    options = ("--scheduler", free_address(), "--trust", tmp_path / "domains.toml")
    environment = os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    done = subprocess.run(
        command("run", "words.py", "texts", "--replicas", "1", *options),
        capture_output=True, text=True, timeout=110, cwd=here, env=environment,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: --scheduler: expected a scheduler at")
