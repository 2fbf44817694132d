"""Carries: Dask submits, workers compute and keep, and nothing here decides who is right."""
