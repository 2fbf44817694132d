"""A hostile scheduler and worker, and a coordinator that reaches them by couriers."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.bag as db
import pytest
from distributed import Client

from dask_verify import LocalDomainCluster, Policy, Standing, verified_map_reduce
from dask_verify.engine.courier.remote import Remote
from dask_verify.engine.enrolment import enrol
from dask_verify.errors import InputError
from dask_verify.protocol.domain import Domain

pytestmark = pytest.mark.cluster

WORDS = ["to", "be", "or", "not", "to", "be"] * 4
MEMORY = 200 << 20  #: bytes that the coordinator may grow by; a job itself takes some ten million


class Hostile:
    """The hostile domain, and what its bombs have left behind."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.folder, self._process = folder, process
        self.address, key, environment = self._answer()
        self.domain = Domain("bob", bytes.fromhex(key), environment)

    def attack(self, name: str | None) -> None:
        assert self._process.stdin is not None
        print(json.dumps(name), file=self._process.stdin, flush=True)
        self._answer()

    def ran_in(self) -> set[int]:
        """Return the processes in which a bomb could write."""
        return {int(path.name) for path in self.folder.iterdir() if path.name.isdigit()}

    def forget(self) -> None:
        for pid in self.ran_in():
            (self.folder / str(pid)).unlink()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "secret").write_text("of the coordinator")
    script = Path(__file__).with_name("hostile_domain.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:  # fmt: skip
        yield Hostile(folder, process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def domains(hostile: Hostile, separate_cluster: LocalDomainCluster) -> dict[str, Remote]:
    """Two honest domains and the hostile one, in its usual place."""
    found = separate_cluster.get_remotes()
    # Room for a Dask client, and not for what the hostile one would have it take.
    found["bob"] = Remote(hostile.address, memory_limit=1 << 30)
    enrol(found["bob"], [hostile.domain], coordinator=separate_cluster.coordinator)
    return found


def names_of_threads(job: Any, domain: str) -> set[str]:
    """Return the names of the threads of a domain's courier: a bomb changes them."""
    line = job._driver.pool._couriers[domain]._line
    process = line._process if line is not None else None
    if process is None or process.returncode is not None:
        return set()
    folder = Path(f"/proc/{process.pid}/task")
    return {(task / "comm").read_text().strip() for task in folder.iterdir()}


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def run(domains: dict[str, Remote], policy: Policy | None = None) -> Any:
    job = verified_map_reduce(
        db.from_sequence(WORDS, npartitions=6),
        lambda word: [(word, 1)],
        lambda word, ones: sum(ones),
        npartitions=6,
        policy=policy or Policy(deadline=20.0),
        client=domains,
    )
    assert dict(job.result(timeout=100)) == {word: WORDS.count(word) for word in WORDS}
    return job


#: Each attack, and whether the courier is seen to have run what it was sent.
QUICK = {"value": True}
LONG = {
    "events": True, "exception": True, "messages": True, "large": False, "served bomb": False,
    "served too much": False, "nested": False, "lying": False, "truncated": False,
    "endless": False, "compressed": False,
}  # fmt: skip
HARMLESS = ("events", "messages", "endless")  #: to the answers that are given
ATTACKS = [
    *(pytest.param(*attack, id=attack[0]) for attack in QUICK.items()),
    *(pytest.param(*a, id=a[0].replace(" ", "-"), marks=pytest.mark.matrix) for a in LONG.items()),
]


@pytest.mark.parametrize(("attack", "runs"), ATTACKS)
def test_an_attack_reaches_the_courier_and_no_further(
    hostile: Hostile, domains: dict[str, Remote], attack: str, runs: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SECRET_OF_THE_COORDINATOR", "secret")
    hostile.attack(attack)
    hostile.forget()
    before = resident()
    with dask.config.set({"verify.courier-answer": "16MiB"}):
        job = run(domains)
    pool = job._driver.pool
    couriers = {c._line._process.pid for c in pool._couriers.values() if c._line is not None}
    threads = names_of_threads(job, "bob")
    standing = {name: domain.standing for name, domain in job.report.domains.items()}
    receipt = job.receipt
    job.cancel()
    hostile.attack(None)
    assert resident() - before < MEMORY
    # Nothing ran here, and what ran in the courier could neither write nor read.
    assert os.getpid() not in hostile.ran_in()
    assert not couriers & hostile.ran_in()
    assert "stole" not in threads
    assert ("bombed" in threads) is runs
    assert standing["alice"] is standing["carol"] is Standing.TRUSTED
    if attack in HARMLESS or attack.startswith("served"):
        assert standing["bob"] is not Standing.EXPOSED
    else:
        assert standing["bob"] is not Standing.TRUSTED
    assert receipt is not None


def test_who_greets_with_a_pickle_is_not_even_asked_for_its_workers(
    hostile: Hostile, domains: dict[str, Remote]
) -> None:
    hostile.attack("handshake")
    hostile.forget()
    try:
        with pytest.raises(InputError, match="no worker of domain 'bob'"):
            run(domains)
    finally:
        hostile.attack(None)
    assert os.getpid() not in hostile.ran_in()


def test_the_bomb_would_run_in_a_client_of_this_process(hostile: Hostile) -> None:
    """Else nothing above would show anything."""
    hostile.forget()
    with Client(hostile.address, set_as_default=False) as client:
        from hostile_domain import Bomb

        client.submit(Bomb, str(hostile.folder), key="bomb").result(timeout=60)
    assert os.getpid() in hostile.ran_in()
    hostile.forget()


@pytest.mark.matrix
def test_without_an_attack_the_domain_is_like_any_other(
    hostile: Hostile, domains: dict[str, Remote]
) -> None:
    hostile.attack(None)
    job = run(domains)
    assert {d.standing for d in job.report.domains.values()} == {Standing.TRUSTED}
    assert len(job.report.divergences) == 0
    job.cancel()
