"""Arrow types as values, and the one plain type of all physical variants.

Guarantees: two types have the same plain type exactly if they hold the same values; field
metadata, nullability and the names of list items are not part of it, names of struct fields are.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from dask_verify.core.canonical.wire import Refusal

_UNITS = ("s", "ms", "us", "ns")
_NAMED: dict[str, pa.DataType] = {
    str(kind): kind
    for kind in (
        pa.null(),
        pa.bool_(),
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float16(), pa.float32(), pa.float64()),
        *(pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms")),
        *(pa.time64("us"), pa.time64("ns"), pa.month_day_nano_interval()),
        *(pa.duration(unit) for unit in _UNITS),
        *(pa.string(), pa.large_string(), pa.string_view()),
        *(pa.binary(), pa.large_binary(), pa.binary_view()),
    )
}
# The narrow ones came with Arrow 18.
_DECIMALS = {
    name: getattr(pa, name)
    for name in ("decimal32", "decimal64", "decimal128", "decimal256")
    if hasattr(pa, name)
}


def is_text(kind: pa.DataType) -> bool:
    """Say whether a type is one of the string types.

    Parameters
    ----------
    kind : pyarrow.DataType
        The type.

    Returns
    -------
    bool
    """
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Say whether a type is one of the binary types of variable length.

    Parameters
    ----------
    kind : pyarrow.DataType
        The type.

    Returns
    -------
    bool
    """
    return bool(pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind))


def is_list(kind: pa.DataType) -> bool:
    """Say whether a type is one of the list types of variable length.

    Parameters
    ----------
    kind : pyarrow.DataType
        The type.

    Returns
    -------
    bool
    """
    views = pt.is_list_view(kind) or pt.is_large_list_view(kind)
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or views)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which all physical variants of a column are stored.

    Parameters
    ----------
    kind : pyarrow.DataType
        The type.

    Returns
    -------
    pyarrow.DataType
    """
    if pt.is_dictionary(kind) or pt.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if is_text(kind):
        return pa.large_string()
    if is_bytes(kind):
        return pa.large_binary()
    if is_list(kind):
        return pa.large_list(plain_type(kind.value_type))
    if pt.is_fixed_size_list(kind):
        return pa.list_(plain_type(kind.value_type), kind.list_size)
    if pt.is_struct(kind):
        return pa.struct([(field.name, _plain_field(field)) for field in kind])
    if pt.is_map(kind):
        keys, items = plain_type(kind.key_type), plain_type(kind.item_type)
        return pa.map_(keys, items, keys_sorted=kind.keys_sorted)
    type_value(kind)
    return kind


def _plain_field(field: pa.Field) -> pa.DataType:
    try:
        return plain_type(field.type)
    except Refusal as refusal:
        refusal.under(field.name)
        raise


def type_value(kind: pa.DataType) -> Any:
    """Return a type, exactly as it is, as a value for ``encode``.

    Parameters
    ----------
    kind : pyarrow.DataType
        The type.

    Returns
    -------
    object
    """
    if str(kind) in _NAMED:
        return str(kind)
    if pt.is_timestamp(kind):
        return ["timestamp", kind.unit, kind.tz]
    if pt.is_decimal(kind):
        return [f"decimal{kind.bit_width}", kind.precision, kind.scale]
    if pt.is_fixed_size_binary(kind) and kind.byte_width:
        return ["fixed_size_binary", kind.byte_width]
    return _nested_value(kind)


def _nested_value(kind: pa.DataType) -> Any:
    if pt.is_list(kind):
        return ["list", _field_value(kind.value_field)]
    if pt.is_large_list(kind):
        return ["large_list", _field_value(kind.value_field)]
    if pt.is_fixed_size_list(kind) and kind.list_size and not is_empty(kind.value_type):
        return ["fixed_size_list", kind.list_size, _field_value(kind.value_field)]
    if pt.is_struct(kind):
        return ["struct", *map(_field_value, kind)]
    if pt.is_map(kind):
        return [
            "map",
            _field_value(kind.key_field),
            _field_value(kind.item_field),
            kind.keys_sorted,
        ]
    raise Refusal(kind, "cast the column to a supported type", f"Arrow {kind}")


def is_empty(kind: pa.DataType) -> bool:
    """Say whether values of a type take no bytes, so that no count of them can be checked.

    Parameters
    ----------
    kind : pyarrow.DataType
        The type.

    Returns
    -------
    bool
    """
    return bool(pt.is_null(kind)) or (
        bool(pt.is_struct(kind)) and all(is_empty(field.type) for field in kind)
    )


def _field_value(field: pa.Field) -> Any:
    return [field.name, field.nullable, type_value(field.type)]


def type_from(value: Any) -> pa.DataType:
    """Return the type of ``type_value``.

    Parameters
    ----------
    value : object
        What `type_value` gave.

    Returns
    -------
    pyarrow.DataType
    """
    if type(value) is str:
        return _NAMED[value]
    name, *rest = value
    if name in _DECIMALS:
        return _DECIMALS[name](*rest)
    kind = _BUILDERS[name](*rest)
    type_value(kind)
    return kind


def _field_from(value: Any) -> pa.Field:
    name, nullable, kind = value
    return pa.field(name, type_from(kind), nullable=nullable)


_BUILDERS: dict[str, Any] = {
    "timestamp": pa.timestamp,
    "fixed_size_binary": pa.binary,
    "list": lambda item: pa.list_(_field_from(item)),
    "large_list": lambda item: pa.large_list(_field_from(item)),
    "fixed_size_list": lambda size, item: pa.list_(_field_from(item), size),
    "struct": lambda *fields: pa.struct([_field_from(field) for field in fields]),
    "map": lambda key, item, keys_sorted: pa.map_(
        _field_from(key), _field_from(item), keys_sorted=keys_sorted
    ),
}
