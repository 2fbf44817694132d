"""Result files by path or URL: Parquet for dataframes, JSON lines for bags."""

from __future__ import annotations

import os
from typing import Any

import fsspec

from dask_verify.errors import DataError
from dask_verify.evidence.data.json_lines import read_json_lines
from dask_verify.evidence.data.shape import ResultShape
from dask_verify.evidence.data.tables import read_parquet

_PARQUET = b"PAR1"
_WIDER = 8  #: times as many bytes as canonical ones may numbers take that another tool wrote
_LONGER = 16  #: times as many bytes may JSON take that another tool wrote
_SLACK, _SLACK_JSON = 1 << 26, 1 << 20


def read_data(path: str | os.PathLike[str], shape: ResultShape) -> Any:
    """Read a result file.

    Parameters
    ----------
    path : str or path
        A local path, or a URL that fsspec knows.
    shape : ResultShape
        What must be in it. Its values are not checked here: see `compare`.

    Returns
    -------
    list of (key, value), or pandas.DataFrame

    Raises
    ------
    DataError
        If it cannot be opened, or holds something else.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b'["a", 1]')
    ...     file.flush()
    ...     read_data(file.name, ResultShape("bag", 1, 1))
    [('a', 1)]
    """
    shape.check()
    try:
        with fsspec.open(os.fspath(path), "rb") as file:
            return _read(file, shape)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # each file system of fsspec has errors of its own
        raise DataError(
            f"{path}: expected a file to read, got {type(error).__name__}: {error}"
        ) from None


def _read(file: Any, shape: ResultShape) -> Any:
    parquet = file.read(len(_PARQUET)) == _PARQUET
    if parquet != (shape.kind == "frame"):
        want, got = ("JSON lines", "Parquet") if parquet else ("Parquet", "something else")
        raise DataError(f"expected {want} of a {shape.kind}, got {got}")
    file.seek(0)
    if not parquet:
        most = _LONGER * shape.nbytes + _SLACK_JSON if shape.nbytes else None
        return read_json_lines(file, shape.records, most)
    limit = _WIDER * shape.nbytes + _SLACK if shape.nbytes else None
    return read_parquet(file, shape.empty, shape.total, limit)
