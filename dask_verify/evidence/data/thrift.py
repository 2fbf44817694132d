"""Thrift's compact protocol, as Parquet files use it for what they say of themselves.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import Any

from dask_verify.errors import DataError

_NESTING = 8


class Thrift:
    """A reader of structs; IndexError where the bytes end.

    Parameters
    ----------
    data : bytes
    lists : bool
        Whether lists are returned, or skipped.
    """

    def __init__(self, data: bytes, lists: bool = False) -> None:
        self.data = data
        self.lists = lists
        self.place = 0

    def byte(self) -> int:
        """Return the next byte.

        Returns
        -------
        int
        """
        self.place += 1
        return self.data[self.place - 1]

    def varint(self) -> int:
        """Return a number of at most 64 bits.

        Returns
        -------
        int

        Raises
        ------
        DataError
            If it is malformed, or nested too deep.
        """
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise DataError("Parquet metadata: expected a number, got one of more than 64 bits")

    def zigzag(self) -> int:
        """Return a number with a sign.

        Returns
        -------
        int
        """
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def skip(self, length: int) -> None:
        """Leave some bytes out.

        Parameters
        ----------
        length : int
            Number of bytes.

        Raises
        ------
        IndexError
            If the bytes end before.
        """
        self.place += length
        if self.place > len(self.data):
            raise IndexError

    def struct(self, depth: int) -> dict[int, Any]:
        """Return the 32-bit numbers, structs and lists of a struct; None in place of the rest.

        Parameters
        ----------
        depth : int
            How many structs and lists are around it.

        Returns
        -------
        dict of int to object

        Raises
        ------
        DataError
            If it is malformed, or nested too deep.
        """
        fields: dict[int, Any] = {}
        name = 0
        while first := self.byte():
            name = name + (first >> 4) if first >> 4 else self.zigzag()
            # Readers cut long ones to 16 bits, and differ in which of two they take.
            if name in fields or not 0 <= name < 1 << 15:
                raise DataError(f"Parquet metadata: expected fields once, got {name}")
            fields[name] = self.value(first & 15, depth)
        return fields

    def value(self, kind: int, depth: int, item: bool = False) -> Any:
        """Return a value, if it is of a kind that is kept.

        Parameters
        ----------
        kind : int
            Thrift's number of the type.
        depth : int
            How many structs and lists are around it.
        item : bool, optional
            Whether it is an item of a list.

        Returns
        -------
        object

        Raises
        ------
        DataError
            If it is malformed, or nested too deep.
        """
        if kind in (1, 2):  # a bool in a struct is all in its kind
            self.skip(int(item))
        elif kind == 3:
            self.skip(1)
        elif kind in (4, 5, 6):
            number = self.zigzag()
            return number if kind == 5 else None
        elif kind == 7:
            self.skip(8)
        elif kind == 8:
            self.skip(self.varint())
        elif kind in (9, 10):
            return self.items(depth)
        elif kind == 12 and depth < _NESTING:
            return self.struct(depth + 1)
        else:
            raise DataError(f"Parquet metadata: expected a known kind of field, got {kind}")
        return None

    def items(self, depth: int) -> list[Any] | None:
        """Return what is in a list.

        Parameters
        ----------
        depth : int
            How many structs and lists are around it.

        Returns
        -------
        list or None

        Raises
        ------
        DataError
            If it is malformed, or nested too deep.
        """
        first = self.byte()
        count = first >> 4 if first >> 4 < 15 else self.varint()
        if depth >= _NESTING:
            raise DataError("Parquet metadata: expected little nesting, got more")
        found = []
        for _ in range(count):
            value = self.value(first & 15, depth + 1, item=True)
            if self.lists:
                found.append(value)
        return found if self.lists else None
