"""Couriers: processes without credentials that hold the Dask clients of hostile domains.

A Dask client unpickles what its scheduler and its workers send it. So the client of a domain that
may attack lives in a process of its own, which passes bounded bytes to the coordinator:

* `remote`: which scheduler a domain has, as the user says it;
* `wire`: frames, and what they may hold, in both directions;
* `confinement`, `syscalls`: what the process gives up before it connects to anybody;
* `process`: what runs in it;
* `line`: one such process and the threads that write to it and read from it;
* `futures`: results that it was asked for;
* `courier`: everything about one domain's courier, started again where it ends;
* `pool`: the couriers of all domains, as the pool that a job uses.

This file imports nothing: a courier gives up its rights before it imports anything large.
"""
