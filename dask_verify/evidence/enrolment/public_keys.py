"""Which public keys a trust file may hold: those that `dask_verify.core.public_keys` finds good."""

from dask_verify.core.public_keys import SIZE, public_key_flaw

__all__ = ["SIZE", "public_key_flaw"]
