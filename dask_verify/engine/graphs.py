"""A user's collection as plain data: a low-level graph, its partitions, its sources.

What holds:

* The graph is optimised and materialised once. Each partition can be cut out of it, and copied
  under keys of its own, so that no two replicas share a task.
* Data that a cluster holds already is refused unless the caller trusts it; then it stays outside
  of the graph, under the key that the cluster knows.
* Shuffles that need more than tasks (p2p, files on disk) are refused: they cannot be copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any
from urllib.parse import quote

from dask.base import optimize
from dask.core import flatten
from dask.local import get_sync
from dask.typing import Key

from dask_verify.engine.compat import (
    Alias,
    DataNode,
    GraphNode,
    NestedContainer,
    Task,
    TaskRef,
    convert_legacy_graph,
    inner_graph,
    is_future,
)
from dask_verify.engine.sources import Pin, Sources, changed, read_pins
from dask_verify.errors import InputError
from dask_verify.protocol.terms import sources_digest

__all__ = [
    "Graph", "Pin", "Upstream", "changed", "compute_partition", "copy_for", "read_pins",
    "source_digest", "upstream",
]  # fmt: skip

Graph = dict[Key, GraphNode]

# Never part of a quoted prefix, so that no two (prefix, key) pairs give one name.
_SEPARATOR = "|"
_STATEFUL = ("distributed.shuffle", "partd")


@dataclass(frozen=True)
class Upstream:
    """Everything that produces the partitions of one collection.

    Parameters
    ----------
    keys : list of key
        One for each partition, in order.
    graph : dict of key to GraphNode
        What computes them.
    external : frozenset
        Keys that are not in the graph because a cluster holds their data.
    sources : Sources
        What the graph reads.

    Examples
    --------
    >>> import dask.bag
    >>> plan = upstream(dask.bag.from_sequence([1, 2, 3], npartitions=3))
    >>> len(plan.keys), plan.pins, plan.pinned(0)
    (3, (), True)
    """

    keys: list[Key]
    graph: Graph
    external: frozenset[Key]
    sources: Sources
    # Holds the futures of trusted input, which the cluster forgets with their last reference.
    _collection: Any = field(repr=False, compare=False)

    def without_collection(self) -> Upstream:
        """Return what is enough to compute the partitions where no data are held elsewhere.

        Returns
        -------
        Upstream
        """
        return replace(self, _collection=None)

    @property
    def pins(self) -> tuple[Pin, ...]:
        """The files that the graph reads, as they were when it was made."""
        return self.sources.pins

    def pinned(self, i: int) -> bool:
        """Tell whether everything that partition `i` reads is pinned.

        Parameters
        ----------
        i : int
            Number of the partition.

        Returns
        -------
        bool
        """
        return self.keys[i] not in self._unpinned

    def partition(self, i: int) -> Graph:
        """Return the part of the graph that partition `i` needs.

        Parameters
        ----------
        i : int
            Number of the partition.

        Returns
        -------
        Graph
        """
        return _cull(self.graph, [self.keys[i]])

    @cached_property
    def shared(self) -> frozenset[Key]:
        """Keys of tasks, not of literal data, that more than one partition needs."""
        owner: dict[Key, int] = {}
        many: set[Key] = set()
        outputs = {key: i for i, key in enumerate(self.keys)}
        for key in reversed(_in_order(self.graph)):
            if key in outputs:
                _own(key, outputs[key], owner, many)
            for dependency in self.graph[key].dependencies:
                if key in many:
                    many.add(dependency)
                elif key in owner:
                    _own(dependency, owner[key], owner, many)
        return frozenset(key for key in many if _is_work(self.graph, key))

    @cached_property
    def _unpinned(self) -> frozenset[Key]:
        tainted = set(self.sources.unpinnable | self.external)
        for key in _in_order(self.graph):
            if not tainted.isdisjoint(self.graph[key].dependencies):
                tainted.add(key)
        return frozenset(tainted)


def upstream(collection: Any, trust_input: bool = False) -> Upstream:
    """Turn a collection into a graph that can be copied, pinned and computed part by part.

    Parameters
    ----------
    collection : dask.bag.Bag or dask.dataframe.DataFrame
        The input of a verified computation.
    trust_input : bool
        Accept data that a cluster already holds (persisted collections, futures) as it is.

    Returns
    -------
    Upstream
        The plan.

    Raises
    ------
    InputError
        If the collection is of another kind, holds futures that are not trusted, or is shuffled
        in a way that cannot be copied.
    """
    graph, keys = _materialised(collection)
    _check_copyable(graph)
    graph, external = _without_futures(graph)
    graph = _cull(graph, keys)
    held = external | _missing(graph, keys)
    if held and not trust_input:
        raise _held_data(held)
    graph, keys = _with_own_outputs(graph, keys)
    return Upstream(keys, graph, frozenset(_missing(graph, keys)), read_pins(graph), collection)


def copy_for(graph: Mapping[Key, GraphNode], prefix: str) -> Graph:
    """Copy a graph under keys of its own.

    Parameters
    ----------
    graph : mapping of key to GraphNode
        A whole graph, or one partition of it.
    prefix : str
        What tells this copy from all others. Different prefixes never give equal keys.

    Returns
    -------
    dict of key to GraphNode
        The copy; references to keys outside of `graph` stay as they are.

    Raises
    ------
    InputError
        If the prefix is empty.

    Examples
    --------
    >>> import dask.bag
    >>> plan = upstream(dask.bag.from_sequence([1, 2], npartitions=1))
    >>> [name] = copy_for(plan.partition(0), "alice")
    >>> name == renamed(plan.keys[0], "alice")
    True
    """
    names: dict[Key, Any] = {key: renamed(key, prefix) for key in graph}
    return {names[key]: _renamed_node(node, names, names[key]) for key, node in graph.items()}


def renamed(key: Key, prefix: str) -> Key:
    """Return the key that `copy_for` gives to one of its own.

    Parameters
    ----------
    key : Key
        A key of the user's graph.
    prefix : str
        What all keys of one copy begin with.

    Returns
    -------
    Key

    Raises
    ------
    InputError
        If it is no key that can be renamed.

    Examples
    --------
    >>> renamed(("read", 0), "alice")
    ('alice|read', 0)
    """
    if not isinstance(prefix, str) or not prefix:
        raise InputError(f"the prefix of a copy is a non-empty string, got {prefix!r}")
    mark = quote(prefix, safe="") + _SEPARATOR
    if isinstance(key, str):
        return mark + key
    if isinstance(key, tuple) and key and isinstance(key[0], str):
        return (mark + key[0], *key[1:])
    return (mark, key)


def compute_partition(graph: Mapping[Key, GraphNode], key: Key) -> Any:
    """Compute one key of a graph in this thread.

    Parameters
    ----------
    graph : mapping of key to GraphNode
        What computes it, such as one partition's part.
    key : key
        Which one.

    Returns
    -------
    object

    Raises
    ------
    InputError
        If the graph needs data that only a cluster holds.

    Examples
    --------
    >>> import dask.bag
    >>> plan = upstream(dask.bag.from_sequence([1, 2], npartitions=1).map(str))
    >>> compute_partition(plan.partition(0), plan.keys[0])
    ['1', '2']
    """
    missing = _missing(graph, [key])
    if missing:
        raise InputError(
            f"key {min(missing, key=str)!r} is held by a cluster and cannot be computed here: "
            "compute it there, or pass a collection that was not persisted"
        )
    return get_sync(dict(graph), key)


def source_digest(plan: Upstream) -> bytes:
    """Return 32 bytes that change when a pinned file does.

    Parameters
    ----------
    plan : Upstream
        The graph, and what is known of its sources.

    Returns
    -------
    bytes

    Examples
    --------
    >>> import dask.bag
    >>> len(source_digest(upstream(dask.bag.from_sequence([1]))))
    32
    """
    return sources_digest((pin.path, pin.identity) for pin in plan.pins)


# --- from a collection to a graph -----------------------------------------------------------


def _materialised(collection: Any) -> tuple[dict[Key, Any], list[Key]]:
    import dask.dataframe
    from dask.bag import Bag

    if isinstance(collection, dask.dataframe.DataFrame):
        # Dask reads several small files as one partition, but only for somebody who takes them.
        taken = collection.map_partitions(_itself, meta=collection._meta)
        # Also what is lowered only now: p2p is the default where a client is about.
        with dask.config.set({"dataframe.shuffle.method": "tasks"}):
            collection = taken.optimize()
            graph = dict(collection.__dask_graph__())
    elif isinstance(collection, Bag):
        (collection,) = optimize(collection)
        graph = dict(collection.__dask_graph__())
    else:
        raise InputError(
            "expected a dask.bag.Bag or a dask.dataframe.DataFrame, got "
            f"{type(collection).__module__}.{type(collection).__qualname__}: convert it, with "
            "dask.bag.from_sequence(), dask.dataframe.from_pandas(), Series.to_frame(), "
            "dask.bag.from_delayed() or dask.dataframe.from_dask_array()"
        )
    return graph, list(flatten(collection.__dask_keys__()))


def _without_futures(graph: dict[Key, Any]) -> tuple[Graph, set[Key]]:
    """Replace futures by mere references, and return the keys of those."""
    held = {key for key, node in graph.items() if is_future(node) and node.key == key}
    nodes: Graph = convert_legacy_graph({k: v for k, v in graph.items() if k not in held})
    outside = {key for node in nodes.values() for key in node.dependencies if key not in nodes}
    bare: Any = {key: TaskRef(key) for key in outside}
    # An alias refers by name already.
    tasks = {k: node.substitute(bare) for k, node in nodes.items() if isinstance(node, Task)}
    return {**nodes, **tasks}, outside


def _with_own_outputs(graph: Graph, keys: list[Key]) -> tuple[Graph, list[Key]]:
    """Give partitions that are nothing but held data a task, so that they can be copied."""
    own: Graph = {
        ("held", i): Alias(("held", i), key) for i, key in enumerate(keys) if key not in graph
    }
    outputs: list[Key] = [("held", i) if ("held", i) in own else k for i, k in enumerate(keys)]
    return {**graph, **own}, outputs


def _check_copyable(graph: Mapping[Key, Any]) -> None:
    for key, node in graph.items():
        for function in _functions(node):
            module = str(getattr(function, "__module__", None) or type(function).__module__)
            kind = type(function).__name__
            if module.startswith(_STATEFUL) or kind == "maybe_buffered_partd":
                raise InputError(
                    f"task {key!r} belongs to a shuffle that is not made of plain tasks "
                    f"({module}), so it cannot be copied for each domain: pass "
                    'shuffle_method="tasks" (dataframes) or shuffle="tasks" (bags) where the '
                    "collection is shuffled, merged or grouped"
                )


def _functions(node: Any) -> Iterable[Any]:
    if isinstance(node, Task):
        inner = inner_graph(node)
        if inner is not None:
            return [function for task in inner.values() for function in _functions(task)]
        nested = [f for a in (*node.args, *node.kwargs.values()) for f in _functions(a)]
        return [getattr(node.func, "func", node.func), *nested]
    if isinstance(node, tuple) and node and callable(node[0]):
        return [getattr(node[0], "func", node[0])]
    return []


def _held_data(held: Iterable[Key]) -> InputError:
    return InputError(
        f"the collection holds data that a cluster computed before: key {min(held, key=str)!r}. "
        "Nobody verified it. Pass the collection as it was before persist() or scatter(), or "
        "accept the data as it is with trust_input=True"
    )


# --- graph helpers --------------------------------------------------------------------------


def _missing(graph: Mapping[Key, GraphNode], keys: Iterable[Key]) -> set[Key]:
    needed = {key for node in graph.values() for key in node.dependencies} | set(keys)
    return {key for key in needed if key not in graph}


def _cull(graph: Mapping[Key, GraphNode], keys: Iterable[Key]) -> Graph:
    kept: Graph = {}
    stack = list(keys)
    while stack:
        key = stack.pop()
        if key in graph and key not in kept:
            kept[key] = graph[key]
            stack += kept[key].dependencies
    return kept


def _in_order(graph: Mapping[Key, GraphNode]) -> list[Key]:
    """Return the keys of a graph, dependencies first."""
    needs = {key: [k for k in node.dependencies if k in graph] for key, node in graph.items()}
    return list(TopologicalSorter(needs).static_order())


def _own(key: Key, partition: int, owner: dict[Key, int], many: set[Key]) -> None:
    if owner.setdefault(key, partition) != partition:
        many.add(key)


def _is_work(graph: Mapping[Key, GraphNode], key: Key) -> bool:
    node = graph.get(key)
    while isinstance(node, Alias):
        node = graph.get(node.target)
    return node is not None and not isinstance(node, DataNode)


def _renamed_node(node: GraphNode, names: dict[Key, Any], key: Key) -> GraphNode:
    if isinstance(node, NestedContainer):
        # A container has no key of its own to give away.
        return Task(key, _itself, node.substitute(names))
    return node.substitute(names, key=key)


def _itself(value: Any) -> Any:
    return value
