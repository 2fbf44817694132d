"""The dashboard's page as people see it, while a job with a cheat is held in the middle."""

from __future__ import annotations

import asyncio
import math
from contextlib import ExitStack

import dask.bag as db
import pytest
from devtools import a_tab

from dask_verify import LocalDomainCluster, Policy, Verdict, verified_map_reduce
from dask_verify.testing import Saboteur, Tamper

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

#: What the page shows, from Bokeh's models: those are behind what it draws.
SHOWN = """() => {
    const doc = window.Bokeh && Bokeh.documents[0];
    if (!doc || !doc.is_idle) return null;
    const models = [...doc._all_models.values()];
    const texts = models.filter(m => m.type == "Div").map(m => m.text).join(" ");
    const axes = models.filter(m => m.type == "FactorRange").flatMap(m => m.factors);
    return WANTED ? {texts, axes} : null;
}"""


class Hold(Saboteur):
    """Keep some reduces of a domain from starting, for as long as this saboteur is there."""

    def delay(self, stage, partition):
        return math.inf if stage == "reduce" and partition > 1 else 0


def words(line):
    return [(word, 1) for word in line.split()]


def total(word, counts):
    return sum(counts)


@pytest.fixture(scope="module")
def held():
    """Where the dashboard of a cluster is on which one job has ended and another one is held."""
    with ExitStack() as stack:
        # As many threads as reduces, so that those that are held do not hold others up.
        options = {"threads_per_worker": 4, "dashboard_address": "127.0.0.1:0"}
        names = ["alice", "bob", "carol"]
        cluster = stack.enter_context(LocalDomainCluster(names, **options))
        client = cluster.get_client()
        port = cluster._clusters["all domains"].scheduler.http_server.port
        bag = db.from_sequence([f"to be or not to be {i}" for i in range(300)], npartitions=12)
        start = {"client": client, "npartitions": 4}
        policy = Policy(replicas=1, audit=0.2)
        audited = verified_map_reduce(bag, words, total, policy=policy, **start)
        assert audited.wait(60) is Verdict.SAMPLED
        cluster.sabotage("bob", Tamper())
        cluster.sabotage("carol", Hold())
        policy = Policy(deadline=600)  # nobody is late meanwhile
        job = verified_map_reduce(bag, words, total, policy=policy, **start)
        with job._driver.changed:
            reduced = job._driver.changed.wait_for(lambda: half_reduced(job), 30)
        assert reduced
        yield f"http://127.0.0.1:{port}", job, audited
        cluster.sabotage("carol", None)
        assert dict(job.result(60))["be"] == 600


def half_reduced(job):
    return job._driver.state.progress["reduce"] == (2, 4)


def shown(wanted):
    return SHOWN.replace("WANTED", wanted)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_while_a_cheat_is_exposed(held, theme):
    base, job, _ = held

    async def looked():
        async with a_tab(height=880) as tab:
            await tab.go(f"{base}/verify?theme={theme}")
            found = await tab.until(shown('texts.includes("exposed") && axes.length >= 10'))
            await tab.picture(f"dashboard-{theme}")
            style = "getComputedStyle(document.documentElement).backgroundColor"
            return found, await tab.until(f"() => {style}")

    found, background = asyncio.run(looked())
    assert job._driver.plan.job.hex()[:12] in found["texts"]
    assert "running" in found["texts"]
    assert "sampled" in found["texts"]
    assert "bob (exposed)" in found["axes"]
    assert background == {"light": "rgb(250, 250, 250)", "dark": "rgb(22, 25, 29)"}[theme]


def test_the_page_of_an_audited_job_that_has_ended(held):
    """The older of the two jobs, as the table links to it."""
    base, _, audited = held
    name = audited._driver.plan.job.hex()

    async def looked():
        async with a_tab(height=880) as tab:
            await tab.go(f"{base}/verify")
            await tab.until(shown(f'texts.includes("theme=light&amp;job={name}")'))
            await tab.go(f"{base}/verify?theme=light&job={name}")
            found = await tab.until(shown('axes.includes("drawn")'))
            await tab.picture("dashboard-audited")
            return found

    headline = asyncio.run(looked())["texts"].split("</h1>")[0]
    assert name[:12] in headline


@pytest.mark.parametrize(
    ("plot", "theme"), [("agreement", "dark"), ("in-flight", "light"), ("workers", "dark")]
)
def test_single_plots(held, plot, theme):
    base, *_ = held

    async def looked():
        async with a_tab(height=400) as tab:
            await tab.go(f"{base}/individual-verify-{plot}?theme={theme}")
            await tab.until("() => window.Bokeh && Bokeh.documents[0]?.is_idle")
            await tab.picture(f"dashboard-{plot}")
            return await tab.until("() => document.title")

    assert asyncio.run(looked()).startswith("Dask: ")
