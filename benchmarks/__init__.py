"""What verification costs: against plain Dask, against doing it by hand, and as jobs grow.

``python -m benchmarks list`` says what there is, ``python -m benchmarks run --help`` how to run it.
"""
