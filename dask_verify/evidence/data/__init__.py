"""Result files: written, read, and compared by value with the Merkle roots of a job."""

from dask_verify.evidence.data.files import read_data
from dask_verify.evidence.data.json_lines import read_json_lines, write_json_lines
from dask_verify.evidence.data.leaves import (
    compare,
    frame_shape,
    has_categories,
    roots_of,
    row_order,
)
from dask_verify.evidence.data.shape import ResultShape
from dask_verify.evidence.data.tables import read_parquet, write_parquet

__all__ = [
    "ResultShape",
    "compare",
    "frame_shape",
    "has_categories",
    "read_data",
    "read_json_lines",
    "read_parquet",
    "roots_of",
    "row_order",
    "write_json_lines",
    "write_parquet",
]
