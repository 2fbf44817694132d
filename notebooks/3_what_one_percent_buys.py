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
# # What one percent buys
#
# Recompute a random 1 % of the work after the workers have committed to all of it. What does that
# catch? Gross corruption, nearly always. A single wrong record, one time in a hundred. This
# notebook has the figures, an error about them in the literature, and an experiment.

# %%
from dask_verify.core import odds

odds.escape_probability(1, 0.01), odds.escape_probability(459, 0.01)

# %% [markdown]
# If `m` units are corrupt and each unit is drawn with a rate `p`, all of them escape with
# probability `(1 - p) ** m`. The size of the data does not appear: 459 corrupt units are caught
# with 99 %, among a thousand or ten billion.
#
# ## The article's table, and its error
#
# The article that this package follows says of a **1 %** sample of ten billion records: to stay
# under a 50 % chance of detection, a function must corrupt fewer than 694 records, and 5,000
# corrupt records escape with 0.7 %. These are the figures of a **0.1 %** sample:

# %%
import pandas as pd

corrupt = [1, 10, 69, 100, 459, 500, 694, 5_000]
table = pd.DataFrame(
    {
        "corrupt records": corrupt,
        "escape at 0.1 %": [odds.escape_probability(m, 0.001) for m in corrupt],
        "escape at 1 %": [odds.escape_probability(m, 0.01) for m in corrupt],
    }
)
table

# %%
assert round(odds.escape_probability(694, 0.001), 4) == 0.4994  # the article's 694, at 0.1 %
assert round(odds.escape_probability(5_000, 0.001), 4) == 0.0067  # the article's 0.7 %, at 0.1 %
assert (
    odds.escape_probability(69, 0.01) < 0.5 < odds.escape_probability(68, 0.01)
)  # what 1 % is worth

# %% [markdown]
# The article is too modest by a factor of ten. One corrupt record is caught with 1 % all the same.

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(8, 4))
many = range(1, 2_001)
for rate in (0.001, 0.01, 0.1):
    axes.plot(many, [odds.catch_probability(m, rate) for m in many], label=f"{rate:.1%} audited")
axes.set(xscale="log", xlabel="corrupt units", ylabel="chance that one of them is caught")
axes.legend()
axes.grid(alpha=0.3)

# %% [markdown]
# ## Which rate for which purpose

# %%
print(f"{odds.required_rate(10**6, 100, 0.99):.2%} catches 100 corrupt units with 99 %")
print(f"{odds.required_rate(10**6, 1, 0.99):.0%} catches a single one with 99 %: replicate instead")

# %% [markdown]
# ## An experiment
#
# Theory counts draws. Here are real jobs on real workers, in which bob corrupts some of the
# sixteen units of his map partition, and 30 % of the units are audited. He is caught as often as
# the formula says, give or take luck, and nobody else is ever blamed.

# %%
import dask.bag as db

from dask_verify import LocalDomainCluster, Policy, Standing, verified_map_reduce
from dask_verify.testing import Tamper

cluster = LocalDomainCluster(["alice", "bob", "carol"], dashboard_address=None)
client = cluster.get_client()
RATE, UNITS, JOBS = 0.3, 16, 30
bag = db.from_sequence(range(3 * UNITS * 10), npartitions=3)
policy = Policy(replicas=1, audit=RATE, unit_records=10)


def caught():
    job = verified_map_reduce(
        bag, lambda n: [(n % 7, n)], lambda _, ns: sum(ns), policy=policy, client=client
    )
    job.wait(progress=False)
    standing = {name: domain.standing for name, domain in job.report.domains.items()}
    job.cancel()
    assert standing["alice"] is standing["carol"] is Standing.TRUSTED
    return standing["bob"] is Standing.EXPOSED


cluster.sabotage("bob", Tamper(stage="map", partition=1, unit=0))
hits = sum(caught() for _ in range(JOBS))
# Besides the rate, one unit of the stage is always drawn: one of 48 here.
theory = 1 - (1 - RATE) * (1 - 1 / (3 * UNITS))
print(f"one corrupt unit: caught in {hits} of {JOBS} jobs = {hits / JOBS:.0%}, theory {theory:.0%}")

# %%
from scipy.stats import binomtest

assert binomtest(hits, JOBS, theory).pvalue > 1e-6

# %% [markdown]
# Let bob corrupt every unit of his partition, and he does not get away with it once:

# %%
cluster.sabotage("bob", Tamper(stage="map", partition=1))
theory = 1 - odds.escape_probability(UNITS, RATE)
print(f"all of {UNITS} units: {sum(caught() for _ in range(5))} of 5, theory {theory:.1%} each")

# %%
client.close()
cluster.close()
