"""Two small jobs: replicated words, and sampled means of a dataframe."""

from __future__ import annotations

import sys

import cloudpickle
import dask.bag as db
import dask.dataframe as dd
import pandas as pd

from dask_verify import Policy, verified_map_reduce

# Workers and replays cannot import this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

# Of the cheat's 15 units none is drawn once in 70 million jobs.
RATE = 0.7
LINES = ["to be or not to be", "that is the question"] * 20


def words(line):
    return [(word, 1) for word in line.split()]


def total(word, counts):
    return sum(counts)


def landed(flights):
    return flights.dropna(subset=["delay"])


def means(flights):
    return flights.groupby("carrier", as_index=False).delay.mean()


def replicated_words(client):
    bag = db.from_sequence(LINES, npartitions=4)
    return verified_map_reduce(bag, words, total, npartitions=2, client=client)


def sampled_means(client):
    delays = [float(i * 7 % 31) if i % 11 else None for i in range(120)]
    flights = pd.DataFrame({"carrier": ["UA", "AA", "DL", "B6"] * 30, "delay": delays})
    return verified_map_reduce(
        dd.from_pandas(flights, npartitions=4),
        landed,
        means,
        by="carrier",
        sort=True,
        npartitions=2,
        policy=Policy(replicas=1, audit=RATE, unit_records=2),
        client=client,
    )
