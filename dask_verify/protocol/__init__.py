"""Decides: events in, instructions out. Knows no Dask, no clock and no I/O."""
