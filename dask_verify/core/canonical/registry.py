"""Classes of the user: how they are taken apart and rebuilt, by registered name.

Nothing is ever imported by name: a name that was not registered in this process is refused.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Any

from dask_verify.core.canonical.reading import BY_NAME
from dask_verify.core.canonical.wire import qualified
from dask_verify.core.canonical.writing import BY_CLASS, WRITERS, Registered, load_optional
from dask_verify.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclasses.dataclass(frozen=True)
class Registration:
    """One registered class, as it travels to other processes.

    Attributes
    ----------
    cls : type
        The class.
    name : str
        Its name in canonical bytes.
    to_value, from_value : callable or None
        How to take it apart and rebuild it; None for the default of its kind of class.
    """

    cls: type
    name: str
    to_value: Callable[[Any], Any] | None = None
    from_value: Callable[[Any], Any] | None = None


_REGISTRATIONS: dict[str, Registration] = {}


def register_type(
    cls: type,
    *,
    name: str | None = None,
    to_value: Callable[[Any], Any] | None = None,
    from_value: Callable[[Any], Any] | None = None,
) -> None:
    """Let instances of a class be encoded and decoded.

    Parameters
    ----------
    cls : type
        The exact class; subclasses need a registration of their own.
    name : str, optional
        Its name in canonical bytes; by default ``module.qualname``.
    to_value, from_value : callable, optional
        Both or neither: to supported values and back. Dataclasses default to their fields,
        enums to the name of the member, named tuples to their items.

    Raises
    ------
    InputError
        If the class has no default, or name or class are registered differently.

    Examples
    --------
    >>> from fractions import Fraction
    >>> class Ratio(Fraction): pass
    >>> register_type(Ratio, name="docs.Ratio", to_value=lambda r: [r.numerator, r.denominator],
    ...               from_value=lambda terms: Ratio(*terms))
    >>> [entry.name for entry in registered_types() if entry.cls is Ratio]
    ['docs.Ratio']
    """
    if not isinstance(cls, type):
        raise InputError(f"register_type expects a class, got {cls!r}")
    name = name or f"{cls.__module__}.{cls.__qualname__}"
    install_types([Registration(cls, name, to_value, from_value)])


def registered_types() -> list[Registration]:
    """Return all registrations, in order of their names; picklable if their functions are.

    Returns
    -------
    list of Registration
        What ``install_types`` takes elsewhere.

    Examples
    --------
    >>> install_types(registered_types())
    """
    return [_REGISTRATIONS[name] for name in sorted(_REGISTRATIONS)]


def install_types(registrations: Iterable[Registration]) -> None:
    """Install registrations made elsewhere; installing one twice does nothing.

    Parameters
    ----------
    registrations : iterable of Registration
        What ``registered_types`` returned.

    Raises
    ------
    InputError
        If a name is taken by another class, or a class has another name.

    Examples
    --------
    >>> install_types([])
    """
    for entry in registrations:
        _check(entry)
        ready = _ready(entry)
        if entry.name in BY_NAME:
            del BY_CLASS[BY_NAME[entry.name].cls]
        _REGISTRATIONS[entry.name] = entry
        BY_NAME[entry.name] = BY_CLASS[entry.cls] = ready


def _check(entry: Registration) -> None:
    load_optional()
    shown = qualified(entry.cls)
    if entry.cls in WRITERS:
        raise InputError(f"{shown} is supported as it is and cannot be registered")
    known = _REGISTRATIONS.get(entry.name)
    if known is not None and not _same_class(known.cls, entry.cls):
        raise InputError(
            f"the name {entry.name!r} is registered for {qualified(known.cls)} and cannot be "
            f"given to {shown}: pass another name="
        )
    if entry.cls in BY_CLASS and BY_CLASS[entry.cls].name != entry.name:
        raise InputError(f"{shown} is registered already, as {BY_CLASS[entry.cls].name!r}")
    if (entry.to_value is None) != (entry.from_value is None):
        raise InputError(f"{shown}: pass both to_value and from_value, or neither")


def _same_class(one: type, other: type) -> bool:
    # A notebook cell that runs again defines its class again; elsewhere a second class is an error.
    redefined = one.__module__ == other.__module__ == "__main__"
    return one is other or (redefined and one.__qualname__ == other.__qualname__)


def _ready(entry: Registration) -> Registered:
    if entry.to_value is not None and entry.from_value is not None:
        return Registered(entry.cls, entry.name, entry.to_value, entry.from_value)
    return Registered(entry.cls, entry.name, *_defaults(entry.cls))


def _defaults(cls: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    if issubclass(cls, enum.Enum):
        # Only members have names that lead back to them; a combination of flags has a value.
        if issubclass(cls, enum.Flag):
            return lambda member: member.value, cls
        return lambda member: member.name, lambda name: cls[name]
    if dataclasses.is_dataclass(cls):
        return _dataclass_defaults(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_make"):
        return list, cls._make
    raise InputError(
        f"{qualified(cls)} is no dataclass, enum or named tuple: pass to_value and from_value"
    )


def _dataclass_defaults(cls: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    if any(
        field._field_type is dataclasses._FIELD_INITVAR  # type: ignore[attr-defined]
        for field in cls.__dataclass_fields__.values()
    ):
        raise InputError(f"{qualified(cls)} has an InitVar: pass to_value and from_value")
    fields = dataclasses.fields(cls)
    names = {field.name for field in fields}
    derived = [field.name for field in fields if not field.init]

    def to_value(item: Any) -> dict[str, Any]:
        return {name: getattr(item, name) for name in names}

    def from_value(values: dict[str, Any]) -> Any:
        if values.keys() != names:
            raise ValueError(f"expected the fields {sorted(names)}, got {sorted(values)}")
        late = {name: values[name] for name in derived}
        item = cls(**{name: value for name, value in values.items() if name not in late})
        for name, value in late.items():
            object.__setattr__(item, name, value)
        return item

    return to_value, from_value
