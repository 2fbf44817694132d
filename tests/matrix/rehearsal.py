"""What the cells of the matrix share: clusters, jobs with known answers, and cleaning up."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import Any

import dask.bag as db
import dask.dataframe as dd
import pandas as pd
from distributed import Client

from dask_verify import LocalDomainCluster, Policy, verified_map_reduce
from dask_verify.engine.enrolment import enrol

NAMES = ("alice", "bob", "carol", "dave")
MAPS, REDUCES = 6, 3
RECORDS = 40  # in a partition
UNIT = 15  # records, so that there are three units in a partition
TIMEOUT = 100


# --- jobs -----------------------------------------------------------------------------------

LINES = [f"w{i % 7} w{i % 11} w{i % 13} {i}" for i in range(MAPS * RECORDS)]


def words(line):
    *found, number = line.split()
    return [(word, int(number)) for word in found]


def gather(word, numbers):
    return len(numbers), sum(numbers)


def expected_bag():
    groups: dict[str, list[int]] = {}
    for line in LINES:
        for word, number in words(line):
            groups.setdefault(word, []).append(number)
    return {word: gather(word, numbers) for word, numbers in groups.items()}


FRAME = pd.DataFrame(
    {
        # The dtype that Dask would turn other strings into.
        "k": pd.array([f"k{i * i % 23}" for i in range(MAPS * RECORDS)], "string[pyarrow]"),
        "x": [i * 3 % 101 for i in range(MAPS * RECORDS)],
    }
)


def double(df):
    return df.assign(y=df.x * 2)[["k", "y"]]


def totals(df):
    return df.groupby("k", as_index=False).y.sum()


def run(kind: str, client: Any, policy: Policy) -> Any:
    """Start the job whose answer `check` knows."""
    if kind == "bag":
        bag = db.from_sequence(LINES, npartitions=MAPS)
        return verified_map_reduce(
            bag, words, gather, policy=policy, npartitions=REDUCES, client=client
        )
    ddf = dd.from_pandas(FRAME, npartitions=MAPS)
    return verified_map_reduce(
        ddf, double, totals, by="k", sort=True, policy=policy, npartitions=REDUCES, client=client
    )


def check(kind: str, result: Any) -> None:
    """Compare a result with the one computed without Dask."""
    if kind == "bag":
        assert len(result) == len(dict(result))
        assert dict(result) == expected_bag()
    else:
        pd.testing.assert_frame_equal(result, totals(double(FRAME)))


# --- clusters -------------------------------------------------------------------------------


class Stages:
    """A cluster for each kind of pool, kept until the end of the session."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._clusters: dict[str, LocalDomainCluster] = {}
        self._clients: dict[int, Client] = {}

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def cluster(self, pool: str) -> LocalDomainCluster:
        if pool not in self._clusters:
            cluster = LocalDomainCluster(NAMES, shared=pool == "shared", dashboard_address=None)
            self._clusters[pool] = self._stack.enter_context(cluster)
        return self._clusters[pool]

    def client(self, pool: str, domains: int) -> Any:
        """A client, or a dict of them, that knows only the first domains."""
        cluster = self.cluster(pool)
        full = cluster.get_client()
        if isinstance(full, dict):
            return {name: full[name] for name in NAMES[:domains]}
        if domains not in self._clients:
            client = Client(full.scheduler.address, set_as_default=False)
            self._clients[domains] = self._stack.enter_context(client)
            enrol(client, cluster.domains[:domains])
        return self._clients[domains]

    @contextmanager
    def sabotaged(self, pool: str, saboteurs: dict[str, Any]):
        """Domains with saboteurs; afterwards every domain is as it was, and works."""
        cluster = self.cluster(pool)
        try:
            for name, saboteur in saboteurs.items():
                cluster.sabotage(name, saboteur)
            yield cluster
        finally:
            for name in saboteurs:
                cluster.sabotage(name, None)
            self.wait_for_workers(pool)

    def wait_for_workers(self, pool: str) -> None:
        """Wait until each domain has a worker whose thread is free: restarted, if it must be."""
        clients = self.cluster(pool).get_client()
        futures = [
            (clients[name] if isinstance(clients, dict) else clients).submit(
                int, resources={f"domain:{name}": 1}, pure=False
            )
            for name in NAMES
        ]
        for future in futures:
            future.result(timeout=TIMEOUT)
