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
# # Quick start
#
# Three parties lend you machines. You do not fully trust any of them, but you assume that no two
# of them cheat together. Count words on their machines, and know that the count is right.
#
# A *domain* is one such party. Here all three live on this machine, for rehearsal.

# %%
import dask.bag as db

from dask_verify import LocalDomainCluster, Policy, verified_map_reduce

cluster = LocalDomainCluster(["alice", "bob", "carol"], dashboard_address=None)
client = cluster.get_client()

# %% [markdown]
# The text is the King James Bible: 31,103 verses in eight partitions.

# %%
import json
from importlib.resources import files

path = files("bible") / "data" / "kjv.jsonl"
verses = [json.loads(line)["text"] for line in path.read_text().splitlines()]
bag = db.from_sequence(verses, npartitions=8)
len(verses), verses[0]

# %% [markdown]
# A *mapper* gives `(key, value)` pairs for one record, a *reducer* one value for a key and all its
# values. A *combiner* shortens what the mapper gave before it travels.


# %%
def words(verse):
    return [(word.strip(".,:;?!()'").lower(), 1) for word in verse.split()]


def total(word, counts):
    return sum(counts)


job = verified_map_reduce(bag, words, total, combiner=total, client=client)
counts = job.result()
sorted(counts, key=lambda pair: -pair[1])[:5]

# %% [markdown]
# Every partition was computed in two domains, and what they *committed to* was compared: the roots
# of Merkle trees, not the data. `AGREED` says that nobody differed. A verdict is never true or
# false, so that `if job.verdict` cannot be written by mistake.

# %%
job.verdict

# %%
job

# %% [markdown]
# It is the answer that plain Python gives:

# %%
from collections import Counter

assert dict(counts) == Counter(key for verse in verses for key, _ in words(verse))

# %% [markdown]
# ## A dataframe
#
# The same with pandas semantics: `mapper(df)` and `reducer(df)` give frames, and `by` names the
# keys. `npartitions` is the number of reduce partitions.

# %%
import dask.dataframe as dd
import pandas as pd

lengths = pd.DataFrame(
    {"first": [v[0].lower() for v in verses], "length": [len(v) for v in verses]}
)
frame = dd.from_pandas(lengths, npartitions=4)


def long_ones(df):
    return df[df.length > 100]


def means(df):
    return df.groupby("first", as_index=False).length.mean()


job = verified_map_reduce(frame, long_ones, means, by="first", sort=True, client=client)
job.result().head()

# %% [markdown]
# ## Cheaper: audit a sample
#
# `replicas=2` costs twice the computing. `replicas=1` with an audit computes everything once and
# has a random share computed again by another domain, after the first one has committed to its
# output. What that promises is a matter of odds, and the report says them.

# %%
sampled = Policy(replicas=1, audit=0.05, unit_records=200)
job = verified_map_reduce(bag, words, total, combiner=total, policy=sampled, client=client)
assert dict(job.result()) == dict(counts)
print(job.verdict, "-", job.report.odds.headline)

# %% [markdown]
# The next notebook lets somebody cheat.

# %%
client.close()
cluster.close()
