"""The worker's side: a domain's key, the store of what it sealed, and the handlers that open it.

What a worker returns from a task is only a signed commitment; the data stay here until somebody
asks for a range of leaves.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
from dask.utils import parse_bytes
from distributed import get_worker
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.worker import Worker

from dask_verify.core.canonical import decode_plain, encode
from dask_verify.core.merkle import BLAKE3
from dask_verify.core.seal import INPUT, OUTPUT, Columns, Commitment, Opening, SealedPartition
from dask_verify.engine.grudges import Grudges
from dask_verify.engine.membership import CHALLENGE, OUTCOME, listener, prover
from dask_verify.engine.patience import REPLY
from dask_verify.engine.store import Address, Store
from dask_verify.errors import DecodingError, InputError, VerifyError
from dask_verify.protocol import closing
from dask_verify.protocol.domain import Identity
from dask_verify.protocol.quorum import sign
from dask_verify.protocol.serving import answers, requested

NAME = "dask-verify"
_ROWS = 10_000  #: openings in one reply: others wait for this worker too
_UNANSWERABLE = (KeyError, DecodingError, InputError, IndexError, ValueError)
_HASH = BLAKE3.size
_TENTH = 10  #: of a worker's memory is for sealed partitions
_UNLIMITED = 256 << 20  #: bytes for them where a worker's memory has no limit
_POLL = 0.02  #: seconds between looks at whether a rehearsed delay is over


class UnkeptError(Exception):
    """A sealed partition could not be stored: that is nobody's function's failure."""


class VerifyWorker(WorkerPlugin):  # type: ignore[misc]
    """Make a worker process a member of a domain.

    Parameters
    ----------
    domain : str
        Name of the domain.
    private_key : bytes
        Raw Ed25519 private key of the domain, 32 bytes.
    saboteur_path : str, optional
        File with a pickled saboteur; read again whenever it changes. For rehearsal only.
    store_memory : int, optional
        Bytes of sealed partitions kept in memory before they spill to disk, and of sections that
        reduces collect at a time; default: the configuration's ``verify.store-memory``, or a tenth
        of the worker's memory limit.
    """

    name = NAME

    def __init__(
        self,
        domain: str,
        private_key: bytes,
        saboteur_path: str | None = None,
        store_memory: int | None = None,
    ) -> None:
        self.domain = domain
        self._private_key = private_key
        self._saboteur_path = saboteur_path
        self._store_memory = store_memory

    def __repr__(self) -> str:
        return f"<VerifyWorker of domain {self.domain!r}>"

    def setup(self, worker: Worker) -> None:
        """Open the store and register the handlers.

        Parameters
        ----------
        worker : Worker
            The worker that it runs in.
        """
        self.identity = Identity(self.domain, self._private_key)
        self.address = worker.address
        memory = self._memory(worker)
        self.store = Store(str(Path(worker.local_directory) / "verify"), memory)
        #: Bytes of sections that each thread may collect at a time: as much as is stored, in all.
        self.memory = memory // worker.state.nthreads
        self.closed: set[bytes] = set()
        self._keeping = threading.Lock()
        self._rounds: dict[Address, int] = {}
        #: Whom reduces leave alone for a while.
        self.grudges = Grudges()
        self._rehearsal = _Rehearsal(self._saboteur_path)
        worker.handlers["verify_open"] = self.open
        worker.handlers["verify_nodes"] = self.nodes
        worker.handlers["verify_columns"] = self.columns
        worker.handlers["verify_close"] = self.close
        worker.handlers["verify_release"] = self.release
        worker.handlers["verify_forget"] = self.forget
        worker.handlers["verify_reopen"] = self.reopen
        worker.handlers[CHALLENGE] = prover(worker, self.identity)
        worker.handlers[OUTCOME] = listener(self.domain)

    def _memory(self, worker: Worker) -> int:
        if self._store_memory is not None:
            return self._store_memory
        configured = dask.config.get("verify.store-memory", None)
        if configured is not None:
            return int(parse_bytes(configured))
        limit = worker.memory_manager.memory_limit
        return int(limit / _TENTH) if limit else _UNLIMITED

    @property
    def saboteur(self) -> Any:
        """The saboteur of the moment, or None."""
        return self._rehearsal.current()

    # --- while computing -----------------------------------------------------------------------

    def delay(self, job: bytes, stage: str, partition: int) -> None:
        """Wait as long as a saboteur says, but no longer than it is there or the job is open.

        Parameters
        ----------
        job : bytes
            The job's id.
        stage : str
            Name of the stage.
        partition : int
            Number of the partition.
        """
        saboteur = self.saboteur
        seconds = saboteur.delay(stage, partition) if saboteur is not None else 0
        end = time.monotonic() + seconds
        gone = threading.Event()
        while time.monotonic() < end and job not in self.closed and self.saboteur is saboteur:
            gone.wait(_POLL)

    def keep(
        self, sealed: SealedPartition, commitment: Commitment, audit: bool = False, round: int = 0
    ) -> tuple[bytes, ...]:
        """Keep a sealed partition; return the signed commitment to it.

        What an audit found is not a saboteur's to change here: it had its say in `rehearsed`.

        Parameters
        ----------
        sealed : SealedPartition
            The partition.
        commitment : Commitment
            The commitment.
        audit : bool, optional
            Whether it was made to check another domain's.
        round : int, optional
            When its inputs were started; an older one does not take the place of a newer one.

        Returns
        -------
        tuple of bytes

        Raises
        ------
        UnkeptError
            If there is no place for it, or a newer one is kept.
        """
        if commitment.job not in self.closed:
            self._put(
                Address(commitment.job, commitment.stage, commitment.partition), sealed, round
            )
        said: Any = commitment
        if self.saboteur is not None and not audit:
            said = self.saboteur.commit(commitment)
        several = said if isinstance(said, (list, tuple)) else (said,)
        return tuple(sign(self.identity, c) for c in several)

    def _put(self, at: Address, sealed: SealedPartition, round: int) -> None:
        with self._keeping:
            if round < self._rounds.get(at, 0):
                raise UnkeptError("what it reads was replaced, and it was made of that already")
            try:
                self.store[at] = sealed
            except OSError as error:
                raise UnkeptError(f"no place for it on its worker's disk: {error}") from error
            if round:
                self._rounds[at] = round

    def rehearsed(self, hashes: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Return what a saboteur signs instead of an audit's recomputed hashes.

        Parameters
        ----------
        hashes : tuple of bytes
            The hashes.

        Returns
        -------
        tuple of bytes

        Raises
        ------
        InputError
            If there is no such plugin, or a saboteur gives what cannot be signed.
        """
        if self.saboteur is None:
            return hashes
        said = self.saboteur.audit(hashes)
        if isinstance(said, (list, tuple)) and all(_is_hash(value) for value in said):
            return tuple(said)
        raise InputError(
            f"{type(self.saboteur).__name__}.audit: expected a tuple of hashes of 32 bytes,"
            f" got {said!r:.80}; return as many as it was given"
        )

    # --- handlers ------------------------------------------------------------------------------

    def open(self, request: bytes) -> bytes:
        """Open as many of the requested ranges as fit in one reply, at least one.

        Empty bytes if the request is none.

        Parameters
        ----------
        request : bytes
            The request, as `protocol.serving` and `core` encode it.

        Returns
        -------
        bytes
        """
        return self._answer(request, self._open)

    def nodes(self, request: bytes) -> bytes:
        """Answer with hashes of a tree: ``(opening request, level, index, depth)``.

        Parameters
        ----------
        request : bytes
            The request, as `protocol.serving` and `core` encode it.

        Returns
        -------
        bytes
        """
        return self._answer(request, self._nodes)

    def columns(self, request: bytes) -> bytes:
        """Answer with the leaf hashes of whole units and their proof; empty bytes: not here.

        Nothing is signed: the proof leads to the root that the domain has signed already.

        Parameters
        ----------
        request : bytes
            The request, as `protocol.serving` and `core` encode it.

        Returns
        -------
        bytes
        """
        return self._answer(request, self._columns)

    async def close(self, request: bytes) -> bytes:
        """Sign one closing over all that the domain has signed for a job; empty: it did not.

        There may be thousands of signatures to be checked first, so this happens beside the loop.

        Parameters
        ----------
        request : bytes
            The request, as `protocol.serving` and `core` encode it.

        Returns
        -------
        bytes
        """
        try:
            return await asyncio.to_thread(closing.close, request, self.identity)
        except VerifyError:
            return b""

    def release(self, job: bytes, stage: str, partitions: Sequence[int]) -> None:
        """Drop the unit inputs of partitions that are settled.

        Parameters
        ----------
        job : bytes
            The job's id.
        stage : str
            Name of the stage.
        partitions : sequence of int
            Numbers of the partitions.
        """
        for partition in partitions:
            self.store.release_inputs(Address(job, stage, partition))

    def forget(self, job: bytes) -> None:
        """Drop what is kept of a job.

        Parameters
        ----------
        job : bytes
            The job's id.
        """
        self.closed.add(job)
        self.store.forget(job)
        with self._keeping:
            self._rounds = {at: n for at, n in self._rounds.items() if at.job != job}

    def reopen(self, job: bytes) -> None:
        """Keep again what is computed for a job that was ended, and is taken up once more.

        Parameters
        ----------
        job : bytes
            The job's id.
        """
        self.closed.discard(job)

    def _answer(self, request: bytes, answer: Callable[[bytes], bytes]) -> bytes:
        try:
            return answer(request)
        except _UNANSWERABLE:
            return b""  # an unanswerable question; the asker treats it as not served

    def _open(self, request: bytes) -> bytes:
        opened: list[Opening | None] = []
        size, saboteur = 0, self.saboteur
        for wanted in requested(request, _ROWS):
            opened.append(self._opened(wanted, saboteur))
            size += sum(map(len, opened[-1].leaves)) if opened[-1] else 0
            if size > REPLY:
                break
        return answers(opened, self.identity)

    def _opened(self, wanted: Opening, saboteur: Any) -> Opening | None:
        try:
            opening = self._sealed(wanted, saboteur).open(wanted)
            return opening if saboteur is None else self._sabotaged(opening, saboteur)
        except _UNANSWERABLE:
            return None

    def _kept(self, wanted: Opening | Columns) -> SealedPartition:
        if wanted.domain != self.domain:
            raise KeyError(wanted.domain)  # nothing is said in another domain's name
        return self.store[Address(wanted.job, wanted.stage, wanted.partition)]

    def _sealed(self, wanted: Opening, saboteur: Any) -> SealedPartition:
        sealed = self._kept(wanted)
        tree, leaves = sealed.tree(wanted.tree)
        # What is signed repeats the request: nothing of it may be somebody's invention.
        same = (wanted.root, wanted.size) == (tree.root, len(leaves))
        fits = same and wanted.tree in (INPUT, OUTPUT)
        if not leaves or (not fits and saboteur is None):
            raise KeyError(wanted.tree)
        return sealed

    def _sabotaged(self, opening: Opening, saboteur: Any) -> Opening:
        leaves = [saboteur.serve(opening.partition, leaf) for leaf in opening.leaves]
        if any(leaf is None for leaf in leaves):
            raise KeyError("withheld")
        return replace(opening, leaves=tuple(leaves))

    def _nodes(self, request: bytes) -> bytes:
        asking = decode_plain(request)
        if not isinstance(asking, tuple) or len(asking) != 4:
            raise DecodingError("expected a request for an opening, level, index and depth")
        payload, level, index, depth = asking
        wanted = Opening.from_bytes(payload)
        tree, _ = self._sealed(wanted, self.saboteur).tree(wanted.tree)
        return encode(self._served(wanted.partition, tree.descendants(level, index, depth)))

    def _columns(self, request: bytes) -> bytes:
        wanted = Columns.from_bytes(request)
        sealed = self._kept(wanted)
        if sealed.output_tree.root != wanted.root and self.saboteur is None:
            raise KeyError(wanted.root)
        columns = sealed.columns(wanted)
        return replace(columns, hashes=self._served(wanted.partition, columns.hashes)).to_bytes()

    def _served(self, partition: int, hashes: Sequence[bytes]) -> tuple[bytes, ...]:
        """Return hashes as a saboteur serves them."""
        if self.saboteur is None:
            return tuple(hashes)
        served = self.saboteur.serve(partition, b"".join(hashes))
        if served is None:
            raise KeyError("withheld")
        return tuple(served[i : i + _HASH] for i in range(0, len(served), _HASH))


class _Rehearsal:
    """The saboteur in a file, loaded again whenever the file changes."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._saboteur: Any = None
        self._lock = threading.Lock()

    def current(self) -> Any:
        if self._path is None:
            return None
        # Tasks and handlers ask from different threads: none may see a new stamp with an old one.
        with self._lock:
            try:
                self._refresh(Path(self._path))
            except FileNotFoundError:
                self._stamp = self._saboteur = None
            return self._saboteur

    def _refresh(self, path: Path) -> None:
        found = path.stat()
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp != self._stamp:
            # The file was written by the user's own process, for a rehearsal.
            self._saboteur = pickle.loads(path.read_bytes())
            self._stamp = stamp


def _is_hash(value: Any) -> bool:
    return type(value) is bytes and len(value) == _HASH


def this_side() -> VerifyWorker:
    """Return the plugin of the worker that runs the current task.

    Returns
    -------
    VerifyWorker

    Raises
    ------
    InputError
        If there is no such plugin, or a saboteur gives what cannot be signed.
    """
    plugin = get_worker().plugins.get(NAME)
    if plugin is None:
        raise InputError(
            "expected a worker that belongs to a domain, got one without the dask-verify plugin;"
            " start workers with LocalDomainCluster or with VerifyWorker among their plugins"
        )
    side: VerifyWorker = plugin
    return side
