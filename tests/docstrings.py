"""Reads the package's docstrings, and says what numpydoc sections they lack.

What is public, and what its docstring has to have:

* **Public** is every module, class, function, method and property of ``dask_verify`` without a
  leading underscore anywhere in its dotted path; functions inside functions are not.
* Every public thing has a summary: one line that ends with a full stop.
* Functions and methods name **every parameter of their signature** under *Parameters*, have
  *Returns* (or *Yields*) if they give something back, and name under *Raises* every error that a
  ``raise`` directly in them makes. Properties are attributes: their summary is what they return.
* Classes name every argument of their ``__init__``, or their fields (dataclasses, named tuples,
  protocols), under *Parameters* or *Attributes*. Errors name the attributes that they carry.
* What belongs to the **interface** has *Examples* that doctest runs, too: the classes and functions
  that the modules in `INTERFACE` name in ``__all__`` (without one: define), and the public methods
  of those classes, unless they override others. Everything else is internal, and needs none.
* Examples that are not run (``+SKIP``) are for what needs a cluster, or what one made. They
  stand in the modules of `NEEDING_A_CLUSTER` only.

``python tests/docstrings.py`` says what is missing, and exits with 1 if something is.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import distributed

PACKAGE = Path(__file__).parents[1] / "dask_verify"

#: Modules whose public names users call.
INTERFACE = (
    "dask_verify",
    "dask_verify.core.audits",
    "dask_verify.core.canonical",
    "dask_verify.core.chain",
    "dask_verify.core.descent",
    "dask_verify.core.frame_keys",
    "dask_verify.core.hashers",
    "dask_verify.core.keys",
    "dask_verify.core.merkle",
    "dask_verify.core.multiproof",
    "dask_verify.core.normal_keys",
    "dask_verify.core.odds",
    "dask_verify.core.proofs",
    "dask_verify.core.public_keys",
    "dask_verify.core.record",
    "dask_verify.core.seal",
    "dask_verify.engine.enrolment",
    "dask_verify.engine.handle",
    "dask_verify.engine.report",
    "dask_verify.errors",
    "dask_verify.evidence.enrolment.keys",
    "dask_verify.evidence.enrolment.trust",
    "dask_verify.evidence.envelope",
    "dask_verify.evidence.exhibits.exhibit",
    "dask_verify.evidence.exhibits.replay",
    "dask_verify.evidence.loading",
    "dask_verify.evidence.receipts.checking",
    "dask_verify.evidence.receipts.signed",
    "dask_verify.evidence.statement",
    "dask_verify.protocol.draws",
    "dask_verify.testing",
)

#: Modules whose examples need a cluster, or what only a job on one leaves behind.
NEEDING_A_CLUSTER = (
    "dask_verify.engine",
    "dask_verify.errors",
    "dask_verify.evidence.exhibits",
    "dask_verify.evidence.loading",
    "dask_verify.evidence.receipts",
    "dask_verify.mapreduce",
    "dask_verify.resuming",
)

_SECTION = re.compile(r"^([A-Z][\w ]+)\n(-+)$", re.M)


def sections(text: str) -> dict[str, str]:
    """Return the sections of a docstring by their titles; what stands before them is ``""``."""
    found, title, start = {}, "", 0
    for match in _SECTION.finditer(text):
        if len(match[2]) == len(match[1]):
            found[title] = text[start : match.start()]
            title, start = match[1], match.end()
    return found | {title: text[start:]}


def names(section: str) -> set[str]:
    """Return the names that a section of names and descriptions lists."""
    found = set()
    for line in section.splitlines():
        if line and not line[0].isspace():
            found |= {name.strip(" *") for name in line.partition(" :")[0].split(",")}
    return found


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a function without the functions and classes inside it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        yield child
        yield from _own(child)


def _called(node: ast.expr) -> str:
    """Return the last name of a decorator, a base class or what is raised."""
    if isinstance(node, ast.Call | ast.Subscript):
        return _called(node.func if isinstance(node, ast.Call) else node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


@dataclass
class Thing:
    """A module, class, function, method or property."""

    path: str
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    interface: bool = False
    overrides: bool = False

    @cached_property
    def sections(self) -> dict[str, str]:
        return sections(ast.get_docstring(self.node) or "")

    @cached_property
    def decorators(self) -> set[str]:
        return {_called(each) for each in getattr(self.node, "decorator_list", [])}

    @property
    def is_property(self) -> bool:
        return bool(self.decorators & {"property", "cached_property", "setter"})

    def lacks(self) -> Iterator[str]:
        """Yield what the docstring should have, and has not."""
        summary = self.sections[""].strip().partition("\n\n")[0]
        if not summary:
            yield "a summary"
        elif not summary.endswith((".", "?", ":", "!")):
            yield "a full stop after its summary"
        if isinstance(self.node, ast.ClassDef):
            yield from self._class_lacks()
        elif not isinstance(self.node, ast.Module):
            yield from self._function_lacks()
        if self.interface and ">>> " not in self.sections.get("Examples", ""):
            yield "Examples"
        if any(">>> " in text for title, text in self.sections.items() if title != "Examples"):
            yield "its examples under Examples"
        if "+SKIP" in self.sections.get("Examples", "") and not self.path.startswith(
            NEEDING_A_CLUSTER
        ):
            yield "examples that run"

    def _listed(self, *titles: str) -> set[str]:
        return set().union(*(names(self.sections.get(title, "")) for title in titles))

    def _class_lacks(self) -> Iterator[str]:
        wanted, listed = list(self._fields()), self._listed("Parameters", "Attributes")
        for name in wanted:
            if name not in listed:
                yield f"{name} under Parameters or Attributes"
        if self._own_init is not None:
            for name in sorted(self._listed("Parameters") - set(wanted)):
                yield f"no {name} under Parameters: there is no such parameter"

    @property
    def _own_init(self) -> ast.FunctionDef | None:
        functions = [each for each in self.node.body if isinstance(each, ast.FunctionDef)]
        return next((each for each in functions if each.name == "__init__"), None)

    def _fields(self) -> Iterator[str]:
        if self._own_init is not None:
            yield from _parameters(self._own_init)
            return
        for each in self.node.body:
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                constant = _called(each.annotation) == "ClassVar"
                if not constant and not each.target.id.startswith("_"):
                    yield each.target.id

    def _function_lacks(self) -> Iterator[str]:
        nodes = list(_own(self.node))
        if self.decorators & {"command", "group"}:
            return
        yield from self._raises_lacks(nodes)
        if self.is_property or self.overrides:
            return
        listed, wanted = self._listed("Parameters"), _parameters(self.node)
        for name in wanted:
            if name not in listed:
                yield f"{name} under Parameters"
        for name in sorted(listed - set(wanted)):
            yield f"no {name} under Parameters: there is no such parameter"
        yields = any(isinstance(each, ast.Yield | ast.YieldFrom) for each in nodes)
        annotation = ast.unparse(self.node.returns) if self.node.returns else "None"
        returned = annotation not in ("None", "NoReturn", "Never")
        if yields and "Yields" not in self.sections:
            yield "Yields"
        elif not yields and returned and "Returns" not in self.sections:
            yield "Returns"
        elif not returned and "Returns" in self.sections:
            yield "no Returns: it returns nothing"

    def _raises_lacks(self, nodes: list[ast.AST]) -> Iterator[str]:
        raised = {_called(each.exc) for each in nodes if isinstance(each, ast.Raise) and each.exc}
        known = names(self.sections.get("Raises", ""))
        for name in sorted(raised - known):
            if name[:1].isupper() and name != "NotImplementedError":
                yield f"{name} under Raises"


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = node.args
    found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    found += [each for each in (arguments.vararg, arguments.kwarg) if each]
    # `self` and `cls` have no annotation; a parameter of one of these names has.
    implied = [each for each in found[:1] if each.arg in ("self", "cls") and not each.annotation]
    return [each.arg for each in found[len(implied) :] if not each.arg.startswith("_")]


def things() -> Iterator[Thing]:
    """Yield everything public, module by module."""
    modules = {_dotted(path): ast.parse(path.read_text(encoding="utf-8")) for path in _files()}
    reader = _Reader(_exported(modules), _classes(modules))
    for name, tree in modules.items():
        if not any(part.startswith("_") for part in name.split(".")):
            yield Thing(name, tree)
            yield from reader.inside(Thing(name, tree))


def _classes(modules: dict[str, ast.Module]) -> dict[str, ast.ClassDef]:
    nodes = [each for tree in modules.values() for each in tree.body]
    return {each.name: each for each in nodes if isinstance(each, ast.ClassDef)}


def _files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@dataclass
class _Reader:
    exported: set[str]
    classes: dict[str, ast.ClassDef]

    def inside(self, owner: Thing) -> Iterator[Thing]:
        for each in owner.node.body:
            if not isinstance(each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            decorators = {_called(decorator) for decorator in each.decorator_list}
            if each.name.startswith("_") or "overload" in decorators:
                continue
            thing = Thing(f"{owner.path}.{each.name}", each)
            thing.overrides = self._overrides(each.name, owner.node)
            called = owner.interface and not thing.overrides and not thing.is_property
            thing.interface = thing.path in self.exported or called
            yield thing
            if isinstance(each, ast.ClassDef):
                yield from self.inside(thing)

    def _overrides(self, name: str, owner: ast.Module | ast.ClassDef) -> bool:
        """Return whether a base class of a class has a method of this name."""
        bases = [_called(base) for base in getattr(owner, "bases", [])]
        if any(name in dir(getattr(distributed, base, None)) for base in bases):
            return True
        return any(name in _methods(base) for base in self._ancestors(owner) if base is not owner)

    def _ancestors(self, owner: ast.Module | ast.ClassDef) -> list[ast.ClassDef]:
        """Return the package's own classes above a class; names of others may lead in a circle."""
        found: list[ast.ClassDef] = []
        ahead = [owner]
        while ahead:
            names = [_called(base) for base in getattr(ahead.pop(), "bases", [])]
            new = [self.classes[name] for name in names if name in self.classes]
            ahead += [each for each in new if each not in found]
            found += [each for each in new if each not in found]
        return found


def _methods(node: ast.ClassDef) -> set[str]:
    return {each.name for each in node.body if isinstance(each, ast.FunctionDef)}


def _exported(modules: dict[str, ast.Module]) -> set[str]:
    """Return the paths, where they are defined, of what the interface's modules export."""
    return {_home(name, each, modules) for name in INTERFACE for each in _all(modules[name])}


def _all(tree: ast.Module) -> list[str]:
    for each in tree.body:
        if isinstance(each, ast.Assign) and _called(each.targets[0]) == "__all__":
            return list(ast.literal_eval(each.value))
    kinds = ast.ClassDef | ast.FunctionDef
    return [each.name for each in tree.body if isinstance(each, kinds)]


def _home(module: str, name: str, modules: dict[str, ast.Module]) -> str:
    for each in ast.walk(modules[module]):
        if isinstance(each, ast.ImportFrom) and each.module in modules:
            for alias in each.names:
                if (alias.asname or alias.name) == name:
                    return _home(each.module, alias.name, modules)
    return f"{module}.{name}"


def missing() -> tuple[int, dict[str, list[str]]]:
    """Return how many public things there are, and what each lacks that lacks something."""
    everything = {thing.path: list(thing.lacks()) for thing in things()}
    return len(everything), {path: lacks for path, lacks in everything.items() if lacks}


def coverage(number: int, lacking: dict[str, list[str]]) -> str:
    """Return in one line how many docstrings are complete."""
    share = 100 * (number - len(lacking)) / number
    return f"{number - len(lacking):,} of {number:,} public docstrings are complete: {share:.1f} %"


if __name__ == "__main__":
    found = missing()
    for path, lacks in found[1].items():
        print(f"{path}: {', '.join(lacks)}")
    print(coverage(*found))
    sys.exit(bool(found[1]))
