"""A Dask collection over the verified partitions of a job."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import dask.bag
import dask.dataframe as dd
from dask.tokenize import normalize_token
from distributed import get_worker
from distributed.core import rpc

from dask_verify.core.canonical import install_types
from dask_verify.core.merkle import BLAKE3, MerkleTree
from dask_verify.core.seal import OUTPUT, Commitment, asked
from dask_verify.engine.compat import without_pickles
from dask_verify.engine.domainpool import TIMEOUT
from dask_verify.engine.reader import UnservedError
from dask_verify.engine.result import Held
from dask_verify.errors import DecodingError, GateError, InconclusiveError, InputError
from dask_verify.execution.compute import kind
from dask_verify.execution.work import Work, unship
from dask_verify.protocol.serving import Reply, questions

if TYPE_CHECKING:
    from dask_verify.engine.driver import Driver

Source = tuple[bytes, tuple[tuple[str, str], ...], tuple[bytes, ...]]


class Lease:
    """Keeps a job's partitions alive while a graph in this process may still read them.

    Parameters
    ----------
    driver : Driver or None
        The job's driver.
    """

    def __init__(self, driver: Driver | None) -> None:
        self._driver = driver

    def __reduce__(self) -> tuple[type[Lease], tuple[None]]:
        if self._driver is not None and not self._driver.pool.direct:
            raise InputError(
                "this collection reads from hostile domains through the couriers of this process,"
                " so no other one can compute it: pass scheduler='threads' to compute(), or save()"
                " the result and read that"
            )
        return Lease, (None,)

    def leaves(self, commitment: Commitment) -> list[bytes] | None:
        """Read a partition through the job's couriers; None if there are none.

        Parameters
        ----------
        commitment : Commitment
            The commitment.

        Returns
        -------
        list of bytes or None

        Raises
        ------
        InconclusiveError
            If nobody serves the partition any more.
        """
        if self._driver is None or self._driver.pool.direct:
            return None
        try:
            return self._driver.reader.leaves(commitment, 0, commitment.size, "results")
        except UnservedError as error:
            raise InconclusiveError(f"{error} as agreed; call result(), or run it again") from None

    def __dask_tokenize__(self) -> Any:
        return normalize_token(self._driver.plan.job.hex() if self._driver else "")


def collection_of(driver: Driver, outputs: Sequence[Held], lease: Lease) -> Any:
    """Return a Bag or a DataFrame that reads and checks partitions where it is computed.

    Parameters
    ----------
    driver : Driver
        The job's driver.
    outputs : sequence of Held
        The partitions of the job's result.
    lease : Lease
        What keeps the partitions alive meanwhile.

    Returns
    -------
    object
    """
    sources = [_source(held) for held in outputs]
    functions, work = driver.shipped.data, driver.work
    if work.kind == "frame":
        return dd.from_map(
            read_partition, sources, functions=functions, lease=lease, meta=work.meta
        )
    name = f"verified-{driver.plan.job.hex()[:16]}"
    graph = {
        (name, i): (read_partition, source, functions, lease) for i, source in enumerate(sources)
    }
    return dask.bag.Bag(graph, name, len(sources))


def _source(held: Held) -> Source:
    return held.commitment.to_bytes(), held.workers, tuple(held.leaves)


def read_partition(source: Source, functions: bytes, lease: Lease) -> Any:
    """Read one verified partition from whoever holds it, checking it against its root.

    Parameters
    ----------
    source : Source
        Where the partition is held, and its commitment.
    functions : bytes
        The shipped work, whose classes are decoded.
    lease : Lease
        What keeps the partitions alive meanwhile.

    Returns
    -------
    object

    Raises
    ------
    InconclusiveError
        If no holder serves it as it was agreed on.
    """
    work = unship(functions)
    install_types(list(work.types))
    data, holders, leaves = source
    commitment = Commitment.from_bytes(data)
    carried = lease.leaves(commitment)
    if carried is not None:
        return _decoded(work, carried)
    if leaves and _fit(commitment, leaves):
        return _decoded(work, leaves)
    for domain, address in holders:
        found = _from(commitment, domain, address)
        if found is not None:
            return _decoded(work, found)
    raise InconclusiveError(
        f"expected reduce partition {commitment.partition} from {[d for d, _ in holders]}, but"
        " none of them serves it as agreed; run the job again"
    )


def _fit(commitment: Commitment, leaves: Sequence[bytes]) -> bool:
    tree = MerkleTree(leaves, BLAKE3)
    return (tree.root, tree.size) == (commitment.root, commitment.size)


def _decoded(work: Work, leaves: Sequence[bytes]) -> Any:
    of = kind(work)
    parts = [of.decode(leaf) for leaf in leaves]
    if work.kind == "bag":
        return [pair for part in parts for pair in part]
    return of.concat(parts, work.meta)


def _from(commitment: Commitment, domain: str, address: str) -> Sequence[bytes] | None:
    request = asked(commitment, OUTPUT, 0, commitment.size, domain)
    try:
        wire = _ask(address, questions([request]))
        opening = Reply.from_bytes(wire, [request]).believed[0]
        return None if opening is None else opening.leaves
    except (OSError, DecodingError, IndexError, ValueError, TypeError):
        return None  # the next holder is asked


def _ask(address: str, request: bytes) -> Any:
    async def ask() -> Any:
        # Whoever computes the collection, perhaps the coordinator, must not unpickle the answer.
        holder = rpc(
            address, timeout=TIMEOUT, deserialize=False, connection_args=_security(address)
        )
        try:
            async with holder as worker:
                with without_pickles():
                    return await asyncio.wait_for(worker.verify_open(request=request), TIMEOUT)
        except GateError as error:
            raise ConnectionError(f"{address}: {error}") from None

    # A thread of its own, since the calling one may already run an event loop.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, ask()).result()


def _security(address: str) -> dict[str, Any]:
    from distributed.security import Security

    try:
        security = get_worker().security
    except ValueError:
        security = Security()  # from the configuration, as every Dask client without arguments
    arguments: dict[str, Any] = security.get_connection_args("client")
    return arguments
