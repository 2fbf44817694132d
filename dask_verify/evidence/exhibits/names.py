"""Which functions may be run because an exhibit names them.

An exhibit is made by somebody else, who chooses both the function and what it is called with: a
name such as ``os:system`` would run any command. So a name alone is good for one kind of function:

* a plain function (no lambda, closure, partial or other callable), found under exactly its own
  module and name, and made in that module;
* of a module that is not Python's own, nor installed beside the libraries, where anything may lie:
  what is installed needs the user's word that it may be called with anything (``--trust-module``);
* of a module whose source defines it: what does not is not imported, since a script of that name
  would be run;
* never of Python itself, of general-purpose libraries, or of this package but for what its demo
  maps and reduces with.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Callable, Collection
from pathlib import Path
from types import FunctionType
from typing import Any

from dask_verify.errors import CodeRefusedError
from dask_verify.execution.work import name_of

_DEMO = "dask_verify.demo"
_OF_DEMO = frozenset({"ones", "total", "landed", "means", "words"})
_SOURCE = 16 << 20  #: bytes of a module that is looked into
_PACKAGES = frozenset({"site-packages", "dist-packages"})
#: Libraries for general use, wherever they lie: what they can be made to do is anybody's guess.
_LIBRARIES = """
IPython PIL attr blake3 bokeh cbor2 cffi click cloudpickle cryptography dask dask_expr dill
distributed docker fabric fsspec ipykernel invoke jax jinja2 joblib keras lightgbm lz4 matplotlib
msgpack multiprocess notebook numba numpy pandas paramiko pathos pip pkg_resources plumbum polars
psutil py pyarrow pymerkle pytest requests ruamel s3fs scipy securesystemslib setuptools sh sklearn
sqlalchemy tensorflow toolz torch tornado urllib3 wheel xgboost yaml zict
"""
_NEVER = frozenset(_LIBRARIES.split())


def importable(function: Any) -> bool:
    """Whether the name of a function leads to it: wherever its module can be imported.

    Parameters
    ----------
    function : object
        The function.

    Returns
    -------
    bool

    Examples
    --------
    >>> importable(importable), importable(lambda x: x)
    (True, False)
    """
    module, name = name_of(function).split(":")
    found = vars(sys.modules[module]).get(name) if module in sys.modules else None
    return found is function and not _flaw(function, module, name) and module != "__main__"


def check_name(role: str, name: str) -> tuple[str, str]:
    """Return module and name of a function that may be looked for.

    Parameters
    ----------
    role : str
        What the function is for, such as ``mapper``.
    name : str
        ``module:qualname``.

    Returns
    -------
    tuple of (str, str)

    Raises
    ------
    CodeRefusedError
        If it is never run by name, wherever it lies.

    Examples
    --------
    >>> check_name("mapper", "flights.delays:landed")
    ('flights.delays', 'landed')
    >>> check_name("mapper", "os:system")
    Traceback (most recent call last):
        ...
    dask_verify.errors.CodeRefusedError: mapper: expected a function of the user's own code, got \
os:system, of Python itself; whoever made the exhibit chose what it is called with
    """
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in module.split(".")) or not function.isidentifier():
        raise _refused(role, name, ", which is no function of a module")
    top = module.partition(".")[0]
    if top == "__main__":
        raise _refused(role, name, ", of a script or notebook; --trust-code loads what was shipped")
    if top in sys.stdlib_module_names or top in sys.builtin_module_names or top == "__future__":
        raise _refused(role, name, ", of Python itself")
    demo = module == _DEMO and function in _OF_DEMO
    if top in _NEVER or (top == "dask_verify" and not demo):
        raise _refused(role, name, ", of a library for general use")
    return module, function


def find(role: str, name: str, trusted: Collection[str] = ()) -> Callable[..., Any]:
    """Import a function that may be run because an exhibit names it.

    Parameters
    ----------
    role : str
        What it is, for messages.
    name : str
        ``"module:name"``.
    trusted : collection of str
        Installed packages whose functions may be called with anything.

    Returns
    -------
    callable

    Raises
    ------
    CodeRefusedError
        If it is not there, or not such a function.
    """
    module, function = check_name(role, name)
    top = module.partition(".")[0]
    path = _path(role, name, module)
    if module != _DEMO and top not in trusted and any(map(_installed, path)):
        said = f", of an installed package; --trust-module {top} if you know all of its functions"
        raise _refused(role, name, said)
    if not _defines(path[-1], function):
        raise _refused(role, name, ", which the source of its module does not define")
    try:
        there: dict[str, Any] = vars(importlib.import_module(module))
    except Exception as error:
        said = f", which cannot be imported ({type(error).__name__}: {error!s:.200})"
        raise _refused(role, name, said) from None
    found: Any = there.get(function)
    flaw = _flaw(found, module, function) or (
        "" if found.__globals__ is there else "a function made in another module"
    )
    if flaw:
        raise _refused(role, name, f", which is {flaw}")
    result: Callable[..., Any] = found
    return result


def _path(role: str, name: str, module: str) -> list[str]:
    """Return where a module lies, and before it its packages; none of them is imported."""
    found: list[str] = []
    within, parts = None, module.split(".")
    for at in range(len(parts)):
        try:
            spec = (
                importlib.machinery.PathFinder.find_spec(".".join(parts[: at + 1]), within)
                if at
                else importlib.util.find_spec(module.partition(".")[0])
            )
        except Exception:
            # Finders are hooks of whatever is installed: what they cannot find is not there.
            spec = None
        if spec is None:
            said = ", which cannot be imported; set an absolute PYTHONPATH, to where it lies"
            raise _refused(role, name, said)
        within = list(spec.submodule_search_locations or ())
        found += [spec.origin] if spec.origin else within
    if not found:
        raise _refused(role, name, ", which lies nowhere")
    return found


def _defines(place: str, function: str) -> bool:
    """Whether a file is Python source with such a function at its top level."""
    try:
        path = Path(place)
        if path.suffix != ".py" or path.stat().st_size > _SOURCE:
            return False
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return any(isinstance(one, ast.FunctionDef) and one.name == function for one in tree.body)


def _flaw(found: Any, module: str, name: str) -> str:
    """Return why something is not the plain function of that name; nothing if it is."""
    if type(found) is not FunctionType:
        return "no plain function"
    if (found.__module__, found.__qualname__) != (module, name):
        return f"in truth {found.__module__}:{found.__qualname__}"
    if found.__closure__ is not None or hasattr(found, "__wrapped__"):
        return "a closure"
    return ""


def _installed(place: str) -> bool:
    """Whether a module lies where Python and its packages are installed."""
    roots = {sysconfig.get_path(n) for n in ("stdlib", "platstdlib", "purelib", "platlib")}
    roots |= {*site.getsitepackages(), site.getusersitepackages()}
    path = Path(place).resolve()
    if not _PACKAGES.isdisjoint((*Path(place).parts, *path.parts)):
        return True
    return any(path.is_relative_to(Path(root).resolve()) for root in roots)


def _refused(role: str, name: str, why: str) -> CodeRefusedError:
    return CodeRefusedError(
        role,
        "a function of the user's own code",
        f"{name:.200}{why}; whoever made the exhibit chose what it is called with",
    )
