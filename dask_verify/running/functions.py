"""The functions of a job, as a command line names them: ``words.py:mapper`` or ``package:mapper``.

What holds:

* A script is imported under its own name, never as ``__main__``: what stands under
  ``if __name__ == "__main__":`` is not run.
* Its functions travel to the workers by value, with all that they refer to in it, and their bytes
  are part of the job. Modules, also such as a script imports, travel as their names: they have to
  be installed in every domain.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from dask_verify.errors import InputError, one_of

_NAMED = re.compile(r"(?P<where>.*):(?P<name>[^\W\d]\w*(\.[^\W\d]\w*)*)", re.DOTALL)
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_SHOWN = 8  #: names that an error lists


@dataclass(frozen=True)
class Reference:
    """One function by name.

    Parameters
    ----------
    where : str
        A script's path, or a module's name.
    name : str
        Of the function there; with dots, of an attribute.
    """

    where: str
    name: str

    @property
    def script(self) -> bool:
        """Whether it is in a file rather than in an importable module."""
        return self.where.endswith(".py") or "/" in self.where or os.sep in self.where


def refer(text: str, default: str) -> Reference:
    """Return what the first argument of the command names.

    Parameters
    ----------
    text : str
        ``WHERE:NAME``, or ``WHERE`` alone.
    default : str
        The name there, if none is given.

    Returns
    -------
    Reference

    Examples
    --------
    >>> refer("words.py:ones", "mapper")
    Reference(where='words.py', name='ones')
    >>> refer("words.py", "mapper")
    Reference(where='words.py', name='mapper')
    """
    if match := _NAMED.fullmatch(text):
        return Reference(match["where"], match["name"])
    return Reference(text, default)


def beside(text: str, mapper: Reference, default: str) -> Reference:
    """Return what an option names: a function beside the mapper, or somewhere else.

    Parameters
    ----------
    text : str
        ``NAME``, ``WHERE:NAME``, or a script alone.
    mapper : Reference
        Whose file or module a mere name is looked for in.
    default : str
        The name in a script alone.

    Returns
    -------
    Reference

    Examples
    --------
    >>> beside("total", refer("words.py:ones", "mapper"), "reducer")
    Reference(where='words.py', name='total')
    >>> beside("other.py:total", refer("words.py", "mapper"), "reducer")
    Reference(where='other.py', name='total')
    """
    if _NAME.fullmatch(text) and not text.endswith(".py"):
        return Reference(mapper.where, text)
    return refer(text, default)


def load(reference: Reference, option: str) -> Callable[..., Any]:
    """Import a script or module and return the function.

    Parameters
    ----------
    reference : Reference
    option : str
        What named it, for messages.

    Returns
    -------
    callable

    Raises
    ------
    InputError
        If it cannot be imported, or has no such function.
    """
    module = (_script if reference.script else _module)(reference.where, option)
    try:
        found: Any = reduce(getattr, reference.name.split("."), module)
    except AttributeError:
        raise InputError(
            f"{option}: expected the function {reference.name!r} in {reference.where}, got none of"
            f" that name; {_there(module)}"
        ) from None
    if not callable(found):
        raise InputError(
            f"{option}: expected a function, got {type(found).__name__} {reference.name!r} in"
            f" {reference.where}; {_there(module)}"
        )
    function: Callable[..., Any] = found
    return function


def _there(module: ModuleType) -> str:
    names = [
        name
        for name, value in vars(module).items()
        if type(value) is FunctionType and value.__module__ == module.__name__
    ]
    if not names:
        return "there is no function in it"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"there are {one_of(names[:_SHOWN])}{more}"


def _module(name: str, option: str) -> ModuleType:
    # As with `python -m`: what lies here can be named.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise InputError(
                f"{option}: expected a script such as words.py, or a module that can be imported,"
                f" got {name!r}; check the name"
            ) from None
        raise _broken(name, option, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, option, error) from error


def _script(where: str, option: str) -> ModuleType:
    import cloudpickle

    path = Path(where).resolve()
    if not path.is_file():
        raise InputError(f"{option}: expected a script, got {where!r}, where none is; check it")
    for module in list(sys.modules.values()):
        if getattr(module, "__verify_script__", None) == str(path):
            return module
    name = _free_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(
            f"{option}: expected a script that ends with .py, got {where!r}; rename it"
        )
    module = importlib.util.module_from_spec(spec)
    # What lies beside it can be imported, as by `python words.py`.
    sys.path.insert(0, str(path.parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _broken(where, option, error) from error
    cloudpickle.register_pickle_by_value(module)
    vars(module)["__verify_script__"] = str(path)
    return module


def _free_name(path: Path) -> str:
    """Return the name that an import would give it, unless a module has that already."""
    name = re.sub(r"\W", "_", path.stem)
    taken = name in sys.modules or name in sys.stdlib_module_names or name == "__main__"
    return f"script_{name}" if taken else name


def _broken(where: str, option: str, error: BaseException) -> InputError:
    line = _line_of(where, error)
    return InputError(
        f"{option}: expected {where} to be importable, got {type(error).__name__}: {error}{line};"
        ' make it run, with what only the main program does under `if __name__ == "__main__":`'
    )


def _line_of(where: str, error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return ""  # says so itself
    path, trace, found = str(Path(where).resolve()), error.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            found = f" (line {trace.tb_lineno})"
        trace = trace.tb_next
    return found
