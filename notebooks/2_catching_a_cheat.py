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
# # Catching a cheat, down to the record
#
# Bob's machines change one record of what they compute, and bob signs the result. Who notices, and
# what can be shown to somebody who was not there?

# %%
import tempfile
from pathlib import Path

import dask.bag as db

from dask_verify import LocalDomainCluster, Policy, Standing, verified_map_reduce
from dask_verify.testing import Saboteur

out = Path(tempfile.mkdtemp())


class RoundsUp(Saboteur):
    """Add one to every count of a hundred or more: nobody would see it."""

    def map_output(self, partition, unit, records):
        return [(key, value + 1) if value >= 100 else (key, value) for key, value in records]


cluster = LocalDomainCluster(
    ["alice", "bob", "carol"], saboteurs={"bob": RoundsUp()}, dashboard_address=None
)
client = cluster.get_client()

# %% [markdown]
# A saboteur runs on real workers of its domain, before the domain signs: what it changes is a
# signed lie.

# %%
text = ["it was the best of times", "it was the worst of times", "it was the age of wisdom"] * 2_000
bag = db.from_sequence(text, npartitions=6)


def words(line):
    return [(word, 1) for word in line.split()]


def total(word, counts):
    return sum(counts)


policy = Policy(replicas=2, unit_records=500)
job = verified_map_reduce(bag, words, total, combiner=total, policy=policy, client=client)
counts = dict(job.result())
assert counts["it"] == 6_000
job.verdict

# %% [markdown]
# `CORRECTED`: domains differed, and the answer does not depend on those who were wrong.

# %%
job

# %% [markdown]
# ## What happened
#
# 1. Two domains committed to different roots for the same partition. That alone says nothing about
#    who is wrong.
# 2. The two Merkle trees were descended to the first leaf in which they differ: a few hashes, no
#    data.
# 3. The coordinator computed this one unit again, twice, in fresh processes, and found what alice
#    and carol had.
# 4. Bob had signed the contrary: he is `EXPOSED`. All that he did elsewhere in the job was done
#    again by others.

# %%
divergence = job.report.divergences[0]
divergence

# %%
print(divergence.stage, divergence.partition, divergence.units, divergence.culprits)
print(divergence.sample.one, "against", divergence.sample.other)
assert divergence.culprits == ("bob",)
assert job.report.domains["bob"].standing is Standing.EXPOSED
assert job.report.domains["alice"].standing is Standing.TRUSTED

# %% [markdown]
# ## Show it to somebody else
#
# An *exhibit* is the smallest proof of one divergence: the unit's input, both outputs with their
# proofs, the signatures. It is checked and computed again offline, without Dask.

# %%
job.save(out / "counts.jsonl")
cluster.write_trust(out / "domains.toml")
sorted(path.name for path in out.iterdir())[:4]

# %%
from click.testing import CliRunner

from dask_verify.cli import verify


def dask_verify(*command):
    """Run ``dask verify ...`` as in a shell."""
    done = CliRunner().invoke(verify, [str(part) for part in command])
    print(done.output)
    assert done.exit_code == 0


exhibit, trust = out / "counts.jsonl.exhibit-0.json", out / "domains.toml"
dask_verify("exhibit", "show", exhibit, "--trust", trust)

# %%
# The functions are this notebook's own, so they travel inside the exhibit: we trust their code.
dask_verify("exhibit", "replay", exhibit, "--trust", trust, "--trust-code")

# %% [markdown]
# And the receipt of the whole job, with the data:

# %%
dask_verify(
    "check", out / "counts.jsonl.receipt.json", "--trust", trust, "--data", out / "counts.jsonl"
)

# %% [markdown]
# ## An honest domain is never blamed
#
# Let bob be slow instead, or dead: he is `SUSPECTED` at most, and others do his work. A timeout
# proves nothing.

# %%
from dask_verify.testing import Silent

cluster.sabotage("bob", Silent())
patient = Policy(replicas=2, unit_records=500, deadline=2)
job = verified_map_reduce(bag, words, total, combiner=total, policy=patient, client=client)
assert dict(job.result()) == counts
print(job.verdict, job.report.domains["bob"].standing, "-", job.report.domains["bob"].reason)
assert job.report.domains["bob"].standing is Standing.SUSPECTED

# %%
client.close()
cluster.close()
