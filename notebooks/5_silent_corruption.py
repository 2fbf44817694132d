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
# # Silent corruption, and functions that are none
#
# Nobody cheats here. But a machine flips bits, and some functions give something else each time
# they are called: ordinary Dask pipelines return an answer in both cases, and nobody notices. With
# a host, a rack or a software version for a domain, the same checks find them. They also tell the
# two apart, which matters: one is the machine's fault, the other yours.

# %%
import random
import threading
import time

import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd

from dask_verify import LocalDomainCluster, Policy, Verdict, verified_map_reduce
from dask_verify.errors import InputError, NondeterministicError
from dask_verify.testing import Saboteur

cluster = LocalDomainCluster(["rack-1", "rack-2", "rack-3"], dashboard_address=None)
client = cluster.get_client()

# %% [markdown]
# ## A machine that flips a bit
#
# One in a few hundred floats has its lowest bit flipped on rack 2. The sums look perfectly sane.


# %%
class FlipsBits(Saboteur):
    def map_output(self, partition, unit, records):
        flipped = records.copy()
        bits = flipped.x.to_numpy().view(np.int64).copy()
        bits[::300] ^= 1
        return flipped.assign(x=bits.view(np.float64))


cluster.sabotage("rack-2", FlipsBits())
rows = pd.DataFrame({"k": np.arange(6_000) % 10, "x": np.sqrt(np.arange(6_000.0))})
frame = dd.from_pandas(rows, npartitions=6)


def keep(df):
    return df


def sums(df):
    return df.groupby("k", as_index=False).x.sum()


job = verified_map_reduce(frame, keep, sums, by="k", sort=True, client=client)
job.result()
print(job.verdict)
for name, domain in job.report.domains.items():
    print(name, domain.standing.name)
print(job.report.divergences[0].sample)
assert job.verdict is Verdict.CORRECTED

# %%
cluster.sabotage("rack-2", None)

# %% [markdown]
# **What to do:** take the machine out. The divergences name the partition and the record, so the
# same input can be run on it again.
#
# ## A mapper with unseeded randomness
#
# The machines are sound now. The function is not: it keeps a random half of the records.


# %%
def half(n):
    return [(n % 10, n)] if random.random() < 0.5 else []


def total(key, numbers):
    return sum(numbers)


def attempt(mapper, bag, reducer=total):
    """Run a job; say what became of it. Whatever that is, no rack may be blamed."""
    job = verified_map_reduce(bag, mapper, reducer, client=client)
    try:
        job.result()
        said = str(job.verdict)
    except NondeterministicError as error:
        said = f"{type(error).__name__}: {str(error)[:150]}..."
    assert not any(domain.standing.name == "EXPOSED" for domain in job.report.domains.values())
    job.cancel()
    return said


numbers = db.from_sequence(range(3_000), npartitions=6)
print(attempt(half, numbers))

# %% [markdown]
# `NONDETERMINISTIC`, and nobody is blamed: the coordinator's own two runs differed. Plain Dask
# would have returned a number.
#
# **What to do:** draw from the record, not from the process. A seed that is the same on every
# worker is not enough if the order of calls may differ.


# %%
def seeded_half(n):
    return [(n % 10, n)] if random.Random(n).random() < 0.5 else []


print(attempt(seeded_half, numbers))

# %% [markdown]
# ## Threads that share something
#
# A counter in the worker process, which all calls of the mapper increase: the numbers depend on
# who comes first. (A lock of the notebook itself could not even travel: `verified_map_reduce` says
# so before anything starts.)

# %%
lock = threading.Lock()


def numbered(n):
    with lock:
        return [(n % 10, n)]


try:
    verified_map_reduce(numbers, numbered, total, client=client)
except InputError as error:
    print(error)


# %%
def counted(n):
    import builtins  # stands for any module that is imported once in a process

    builtins.calls = getattr(builtins, "calls", 0) + 1
    return [(n % 10, builtins.calls)]


print(attempt(counted, numbers))

# %% [markdown]
# **What to do:** no state that outlives a call. Number records before the job (`zip` the bag with
# a range), or in the reducer, where all values of a key are together and in order.
#
# ## The clock, `hash()`, and the order of sets
#
# Strings hash differently in every process, unless `PYTHONHASHSEED` is set, as Dask's nannies do
# and many others do not: the order of a set is nothing to rely on. The coordinator's two runs have
# two hash seeds, and `LocalDomainCluster` gives each domain one of its own, so this is found.

# %%
lines = db.from_sequence(["to be or not to be that is the question"] * 600, npartitions=6)
for mapper in (
    lambda line: [(word, i) for i, word in enumerate(set(line.split()))],
    lambda line: [(word, hash(word)) for word in line.split()],
    lambda line: [(word, time.time_ns()) for word in line.split()],
):
    print(attempt(mapper, lines))

# %% [markdown]
# What makes no two domains differ is not found: on workers that all have one hash seed, the first
# two mappers would pass, until somebody brings a worker of his own. **What to do:**
# `sorted(set(...))`; a hash of `hashlib`; a time that is an argument of the job.
#
# ## The order of floats
#
# Addition of floats is not associative, so a sum depends on its order. Dask's tree reductions
# promise none; here it is fixed: map partition, unit, record. Summing in the reducer is thus
# deterministic on any number of workers, and bit for bit:

# %%
floats = db.from_sequence([0.1 * n for n in range(3_000)], npartitions=6)
answers = set()
for replicas in (2, 3):
    job = verified_map_reduce(
        floats,
        lambda x: [("sum", x)],
        lambda key, xs: sum(xs),
        policy=Policy(replicas=replicas),
        client=client,
    )
    answers.add(dict(job.result())["sum"])
    assert job.verdict is Verdict.AGREED
assert len(answers) == 1
answers

# %% [markdown]
# What still may differ is the *machine*: a matrix product of another BLAS, or another SIMD width.
# Domains say what they run on when they are enrolled, and nobody is blamed across such a
# difference; the job ends `INCONCLUSIVE` with the cause `environment` if too few agree. **What to
# do:** the same image everywhere, or round in the mapper.

# %%
client.close()
cluster.close()
