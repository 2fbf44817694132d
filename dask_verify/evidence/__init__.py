"""Evidence: receipts and exhibits that anyone can check offline. Needs no Dask."""
