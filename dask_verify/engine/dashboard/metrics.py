"""Verified jobs for Prometheus, among the metrics that a Dask scheduler has at ``/metrics``.

Labels are names of domains that the scheduler knows, and words from fixed lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from dask_verify.engine.compat import metric_name
from dask_verify.engine.dashboard.noticeboard import UNHEARD
from dask_verify.engine.dashboard.notices import CAUSES, OUTCOMES, STAGES, STATUSES
from dask_verify.engine.plugin import NAME


class VerifyCollector:
    """Collects what `DomainPlugin` knows.

    Parameters
    ----------
    server : distributed.Scheduler
        Whose metrics are asked for; Dask puts another into its place, where a process has several.
    """

    def __init__(self, server: Any) -> None:
        self.server = server

    def describe(self) -> list[Any]:
        """Return nothing: so that being registered asks for no facts.

        Returns
        -------
        list
            Empty.
        """
        return []

    def collect(self) -> Iterator[Any]:
        """Return the metrics of the moment; none without the plugin.

        Returns
        -------
        iterator of prometheus_client.core.Metric
        """
        plugin = self.server.plugins.get(NAME)
        return iter(()) if plugin is None else families(plugin.facts())


def families(facts: Mapping[str, Any]) -> Iterator[Any]:
    """Yield what facts are as metrics.

    Parameters
    ----------
    facts : dict
        As `DomainPlugin.facts` returns them.

    Yields
    ------
    prometheus_client.core.Metric
        Each with all of its samples.

    Examples
    --------
    >>> facts = {"domains": {}, "jobs": [], "totals": {}}
    >>> [family.name for family in families(facts)][:2]
    ['dask_verify_jobs', 'dask_verify_partitions_accepted']
    """
    jobs = Counter(job["status"] for job in facts["jobs"])
    text = "Verified jobs that the scheduler remembers, by how they are"
    yield _family(GaugeMetricFamily, "jobs", text, "status", jobs, (*STATUSES, UNHEARD))
    for what, name, text, label, values in _COUNTED:
        counts = facts["totals"].get(what, {})
        yield _family(CounterMetricFamily, name, text, label, counts, values)
    domains = facts["domains"]
    for key, name, text in _OF_DOMAINS:
        counts = {domain: known[key] for domain, known in domains.items()}
        yield _family(GaugeMetricFamily, name, text, "domain", counts, ())
    standing = Counter(known["standing"] for known in domains.values())
    for found in ("exposed", "suspected"):
        text = f"Domains that are {found} at worst in any of the jobs remembered"
        yield GaugeMetricFamily(metric_name(f"domains_{found}"), text, value=standing[found])


_COUNTED = (
    ("partitions", "partitions_accepted", "Partitions that were accepted", "stage", STAGES),
    ("divergences", "divergences", "Divergences that were settled", "cause", CAUSES),
    ("audits", "audits", "Audits of jobs that have a verdict", "outcome", OUTCOMES),
)
_OF_DOMAINS = (
    ("in_flight", "replicas_in_flight", "Verified tasks that workers of a domain have"),
    ("workers", "workers", "Workers of a domain"),
)


def _family(
    kind: Any, name: str, text: str, label: str, counts: Mapping[str, int], least: tuple[str, ...]
) -> Any:
    """Return a metric with a value for everything counted, and for what could be."""
    family = kind(metric_name(name), text, labels=[label])
    for value in (*least, *(value for value in counts if value not in least)):
        family.add_metric([value], counts.get(value, 0))
    return family
