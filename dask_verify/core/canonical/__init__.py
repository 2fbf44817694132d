"""Canonical bytes of values, lists of records, Arrow tables and pandas frames, and back."""

from dask_verify.core.canonical.frames import (
    decode_frame,
    encode_frame,
    encode_frames,
    normalise_frame,
)
from dask_verify.core.canonical.leaf import decode_leaf
from dask_verify.core.canonical.records import decode_records, encode_records, normalise_records
from dask_verify.core.canonical.registry import install_types, register_type, registered_types
from dask_verify.core.canonical.splicing import decode_frames
from dask_verify.core.canonical.table import decode_table, encode_table
from dask_verify.core.canonical.values import decode, decode_plain, encode

__all__ = [
    "decode",
    "decode_frame",
    "decode_frames",
    "decode_leaf",
    "decode_plain",
    "decode_records",
    "decode_table",
    "encode",
    "encode_frame",
    "encode_frames",
    "encode_records",
    "encode_table",
    "install_types",
    "normalise_frame",
    "normalise_records",
    "register_type",
    "registered_types",
]
