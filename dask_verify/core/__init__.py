"""Pure building blocks: canonical bytes, Merkle trees, keys, odds. No Dask, no clock, no I/O."""
