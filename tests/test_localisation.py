"""One wrong record among a million is found by moving hashes, not data."""

from __future__ import annotations

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from dask_verify import Policy, Standing, Verdict, verified_map_reduce
from dask_verify.testing import Tamper

pytestmark = pytest.mark.cluster
ROWS, UNIT, WRONG = 1_000_000, 10_000, 654_321


def halve(df):
    return df.assign(x=df.x // 2)


def total(df):
    return df.groupby("k", as_index=False).x.sum()


def test_one_wrong_record_in_a_million(shared_cluster):
    pdf = pd.DataFrame({"k": np.arange(ROWS) % 5, "x": np.arange(ROWS)})
    unit, record = divmod(WRONG, UNIT)
    shared_cluster.sabotage("bob", Tamper(partition=0, unit=unit, record=record))
    try:
        job = verified_map_reduce(
            dd.from_pandas(pdf, npartitions=1),
            halve,
            total,
            by="k",
            sort=True,
            policy=Policy(unit_records=UNIT),
            client=shared_cluster.get_client(),
        )
        pd.testing.assert_frame_equal(job.result(timeout=110), total(halve(pdf)))
    finally:
        shared_cluster.sabotage("bob", None)
    report = job.report
    job.cancel()
    assert report.verdict is Verdict.CORRECTED
    assert report.domains["bob"].standing is Standing.EXPOSED
    assert report.domains["alice"].standing is Standing.TRUSTED
    assert 0 < report.bytes_moved["hashes"] < 64 << 10
    assert report.recomputed == (("map", 0, unit),)
    (divergence,) = report.divergences
    assert (divergence.stage, divergence.partition, divergence.units) == ("map", 0, (unit,))
    assert divergence.culprits == ("bob",)
    sample = divergence.sample
    said = dict(zip(divergence.domains, (sample.one, sample.other), strict=True))
    assert f"x={WRONG // 2}" in said["alice"]
    assert f"x={WRONG // 2 ^ 1}" in said["bob"]
    assert sample.record == record
