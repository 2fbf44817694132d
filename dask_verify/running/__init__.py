"""``dask verify run`` and ``dask verify resume``: verified jobs from a shell.

Every call of ``dask`` imports `commands`, so that module imports nothing heavy. What was asked
becomes a plan first: `places` says where to compute, `functions` and `inputs` what, and
`planning` puts them together; whatever cannot be done is refused there, before anything starts.
`opening` then starts or reaches the domains, `acting` runs the job, and `outcome` says what came of
it.
"""
