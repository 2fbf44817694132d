"""Page, JSON and metrics of real schedulers, over HTTP, as whoever watches a cluster reads them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import dask.bag as db
import pytest
from commands import PATIENCE

from dask_verify import DomainPlugin, LocalDomainCluster, Policy, Verdict, verified_map_reduce
from dask_verify.engine.courier.pool import CourierPool
from dask_verify.engine.pool import SeparatePool, SharedPool
from dask_verify.testing import Saboteur, Tamper

NAMES = ["alice", "bob", "carol"]
BAG = db.from_sequence([f"to be or not to be {i}" for i in range(90)], npartitions=9)


def words(line):
    return [(word, 1) for word in line.split()]


def total(word, counts):
    return sum(counts)


class Hold(Saboteur):
    """Keep reduces from starting, for as long as this saboteur is there."""

    def delay(self, stage, partition):
        return math.inf if stage == "reduce" else 0


class Watched:
    """A cluster, what its dashboard answers, and when it was told something."""

    def __init__(self, cluster):
        self.cluster = cluster
        (of_all,) = cluster._clusters.values()
        self.scheduler = of_all.scheduler
        self.plugin = self.scheduler.plugins["dask-verify-domains"]
        self.base = f"http://127.0.0.1:{self.scheduler.http_server.port}"
        self._told, put = threading.Condition(), self.plugin._board.put

        def noticed(*what):
            with self._told:
                put(*what)
                self._told.notify_all()

        self.plugin._board.put = noticed

    def text(self, path):
        with urllib.request.urlopen(self.base + path, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def facts(self):
        return json.loads(self.text("/verify.json"))

    def of(self, job, holds):
        """Return what is said of a job, once that holds."""
        name = job._driver.plan.job.hex()
        found = []

        def there():
            found[:] = [told for told in self._jobs() if told["job"] == name]
            return bool(found) and holds(found[0])

        with self._told:
            assert self._told.wait_for(there, PATIENCE), found
        (told,) = [told for told in self.facts()["jobs"] if told["job"] == name]
        return told

    def _jobs(self):
        return [kept.to_dict(kept.heard) for kept in self.plugin._board.jobs()]

    def metrics(self):
        lines = (line for line in self.text("/metrics").splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def start(self, **policy):
        how = {"client": self.cluster.get_client(), "npartitions": 3}
        return verified_map_reduce(BAG, words, total, policy=Policy(**policy), **how)


@pytest.fixture(scope="module")
def watched():
    saboteurs = {"bob": Tamper()}
    with LocalDomainCluster(NAMES, saboteurs=saboteurs, dashboard_address=":0") as cluster:
        yield Watched(cluster)


@pytest.mark.cluster
def test_what_there_is_before_any_job(watched):
    found = watched.facts()
    assert found["version"] == 1
    assert found["jobs"] == []
    expected = {"workers": 1, "in_flight": 0, "standing": "trusted"}
    assert found["domains"] == dict.fromkeys(NAMES, expected)
    assert 'href="verify"' in watched.text("/status")
    assert 'href="individual-verify-agreement"' in watched.text("/status")
    page = watched.text("/verify")
    assert 'href="status"' in page
    assert "statics/css/base.css" in page


@pytest.mark.cluster
def test_a_job_with_a_cheat(watched):
    before = watched.metrics()
    job = watched.start()
    assert dict(job.result(PATIENCE))["be"] == 180
    told = watched.of(job, lambda told: told["status"] == "corrected")
    assert told["standing"] == {"alice": "trusted", "bob": "exposed", "carol": "trusted"}
    assert told["progress"] == {"map": [9, 9], "reduce": [3, 3]}
    assert sum(told["divergences"].values()) == len(job.report.divergences) > 0
    assert told["audits"] == {}
    assert not told["audited"]
    assert told["history"][-1][1:] == [9, 3]
    assert watched.facts()["domains"]["bob"]["standing"] == "exposed"

    grown = {k: n - before.get(k, 0) for k, n in watched.metrics().items()}
    assert grown['dask_verify_partitions_accepted_total{stage="map"}'] == 9
    assert grown['dask_verify_divergences_total{cause="map"}'] == told["divergences"]["map"]
    assert grown['dask_verify_jobs{status="corrected"}'] == 1
    assert grown["dask_verify_domains_exposed"] == 1
    assert watched.metrics()['dask_verify_workers{domain="alice"}'] == 1


@pytest.mark.cluster
def test_two_jobs_of_which_one_is_cancelled(watched):
    """While its reduces are held nobody learns that all audits of its maps have been made."""
    for name in NAMES:
        watched.cluster.sabotage(name, Hold())
    held = watched.start(replicas=1, audit=1.0, deadline=600)
    told = watched.of(held, lambda told: told["progress"]["map"] == [9, 9])
    with held._driver.changed:
        drawn = held._driver.changed.wait_for(lambda: held._driver.state.reduce_inputs, PATIENCE)
    assert drawn
    assert len(held.report.audits) >= 9
    told = watched.of(held, lambda told: told["progress"]["map"] == [9, 9])
    assert (told["status"], told["audited"], told["audits"]) == ("running", True, {})
    facts = watched.facts()
    assert sum(domain["in_flight"] for domain in facts["domains"].values()) <= 3
    held.cancel()
    told = watched.of(held, lambda told: told["status"] == "cancelled")
    assert told["audits"] == {}

    for name in NAMES:
        watched.cluster.sabotage(name, None)
    other = watched.start(replicas=1, audit=1.0)
    assert other.wait(PATIENCE) is Verdict.SAMPLED
    told = watched.of(other, lambda told: told["status"] == "sampled")
    assert told["audits"] == {"agreed": len(other.report.audits)}
    jobs = [job["job"] for job in watched.facts()["jobs"]]
    assert jobs[:2] == [job._driver.plan.job.hex() for job in (other, held)]


@pytest.mark.cluster
@pytest.mark.parametrize(
    "message",
    [
        {},
        {"notice": None},
        {"notice": "x" * 100_000},
        {"notice": {"version": 1, "job": "<script>"}},
        {"notice": {str(i): i for i in range(10_000)}},
        {"notice": [[[[[{}]]]]]},
    ],
)
def test_garbage_from_a_client_is_answered_with_what_is_wrong(watched, message):
    client = watched.cluster.get_client()
    before = watched.facts()
    answer = client.sync(client.scheduler.verify_publish, **message)
    assert answer.startswith("notice: expected a dict")
    assert len(answer) < 1000
    assert watched.facts()["jobs"] == before["jobs"]
    assert watched.facts()["totals"] == before["totals"]


@pytest.mark.cluster
def test_registering_the_plugin_again_changes_nothing(watched):
    client = watched.cluster.get_client()
    applications = len(watched.scheduler.http_application.applications)
    before = watched.facts()
    client.register_plugin(DomainPlugin())
    assert watched.facts()["jobs"] == before["jobs"]
    assert len(watched.scheduler.http_application.applications) == applications
    assert watched.text("/status").count('href="verify"') == 1


@pytest.mark.cluster
def test_a_scheduler_that_dies_holds_no_job_up():
    others = set(threading.enumerate())
    with LocalDomainCluster(["alice", "bob"], dashboard_address=None) as cluster:
        for name in ("alice", "bob"):
            cluster.sabotage(name, Hold())
        watched = Watched(cluster)
        job = watched.start(deadline=600)
        watched.of(job, lambda told: told["status"] == "running")
    job.cancel()
    assert job.status == "cancelled"
    publishers = {t for t in threading.enumerate() if t.name == "dask-verify-publish"}
    for thread in publishers - others:
        thread.join(PATIENCE)
        assert not thread.is_alive()


# --- schedulers of domains ------------------------------------------------------------------


@pytest.mark.cluster
def test_a_scheduler_that_is_a_domains_own_is_told_nothing(separate_cluster):
    """It is on the other side: it would learn how the other domains are, and when to lie."""
    how = {"client": separate_cluster.get_client(), "npartitions": 3}
    job = verified_map_reduce(BAG, words, total, **how)
    assert job.wait(PATIENCE) is Verdict.AGREED
    job.cancel()
    for name, cluster in separate_cluster._clusters.items():
        facts = cluster.scheduler.plugins["dask-verify-domains"].facts()
        assert facts["jobs"] == []
        assert list(facts["domains"]) == [name]
        assert not any(facts["totals"].values())


@pytest.mark.parametrize("kind", [SeparatePool, CourierPool])
def test_no_other_pool_tells_anybody(kind):
    assert SharedPool.publishes
    assert not kind.publishes
    with pytest.raises(ConnectionError, match="told nothing"):
        kind.publish(object.__new__(kind), {}, timeout=1)


# --- what may be missing --------------------------------------------------------------------

WITHOUT = """
import asyncio, json, sys, urllib.error, urllib.request
for name in {missing!r}:
    sys.modules[name] = None
from distributed import Scheduler
from dask_verify import DomainPlugin

def get(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code

async def main():
    options = dict(port=0, dashboard_address="127.0.0.1:0", dashboard=True, host="127.0.0.1")
    plugin = DomainPlugin()
    async with Scheduler(plugins=[plugin], **options) as scheduler:
        base = f"http://127.0.0.1:{{scheduler.http_server.port}}"
        paths = ("/verify.json", "/verify", "/metrics")
        return [await asyncio.to_thread(get, base + path) for path in paths]

facts, page, metrics = asyncio.run(main())
print(json.loads(facts)["version"], page if isinstance(page, int) else "page",
      "dask_verify_jobs" in metrics, "bokeh" in sys.modules and bool(sys.modules["bokeh"]))
"""


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ([], "1 page True True"),
        (["bokeh"], "1 404 True False"),
        (["prometheus_client"], "1 page False True"),
        (["bokeh", "prometheus_client"], "1 404 False False"),
    ],
)
def test_what_is_not_installed_is_left_out(missing, expected):
    code = WITHOUT.format(missing=missing)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout.strip() == expected, done.stderr
    assert "shows no verified jobs" not in done.stderr


def test_a_coordinator_imports_no_bokeh():
    code = (
        "import sys, dask_verify; dask_verify.DomainPlugin; dask_verify.verified_map_reduce\n"
        "print('bokeh' in sys.modules, 'prometheus_client' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
