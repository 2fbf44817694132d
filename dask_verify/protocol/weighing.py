"""Weighing an auditor's answer against the commitment that it contradicts.

* Either may be the lie: only the coordinator's own recomputation says which, if its runs agree.
* What a holder opens is recomputed only where an honest domain must have signed it too.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from dask_verify.core.merkle import BLAKE3
from dask_verify.core.seal import Answer
from dask_verify.protocol.dispute import (
    Arbitration,
    Query,
    Recompute,
    hashes_said,
    judge_partition,
    open_unit_input,
)
from dask_verify.protocol.messages import MAP, READ, Finding, Objection, Task
from dask_verify.protocol.quorum import Claim


def weigh(
    task: Task,
    claim: Claim,
    objection: Objection,
    vouched: bool = True,
    answers: Sequence[Answer] = (),
) -> Arbitration:
    """Settle a contradiction between a commitment and an auditor's answer by recomputation.

    Where an honest domain must be among those who signed the input of the unit, that unit is
    recomputed; otherwise the partition: the holder might have opened what it made up.

    Parameters
    ----------
    task : Task
    claim : Claim
        The commitment.
    objection : Objection
    vouched : bool
        As in `arbitrate`.
    answers : sequence of Answer
        As in `arbitrate`.

    Returns
    -------
    Finding
        As the generator's value.

    Yields
    ------
    Query
        Questions; each is answered with what was asked for.
    """
    answer, unit = objection.answer, objection.unit
    cause = READ if unit is None else task.stage
    units = () if unit is None else (unit,)
    finding = Finding(task, claim.commitment.inputs, cause, units=units)
    if unit is not None and (vouched or task.stage != MAP):
        settled = yield from _weigh_unit(task, claim, answer, unit, finding)
        if settled is not None:
            return settled
    return (yield from judge_partition(task, (claim,), finding, answers))


def _weigh_unit(
    task: Task, claim: Claim, answer: Answer, unit: int, finding: Finding
) -> Generator[Query, Any, Finding | None]:
    unit_input = None
    if task.stage == MAP:
        unit_input = yield from open_unit_input(task, (claim,), unit)
        if unit_input is None:
            return None
    runs: list[tuple[bytes, ...]] = list((yield Recompute(task, unit, unit_input)).runs)
    if not runs:
        return None
    columns = {tuple(map(BLAKE3.leaf, run)) for run in runs}
    if len(columns) > 1:
        return replace(finding, stable=False)
    truth = columns.pop()
    liars = frozenset({answer.domain} if hashes_said(answer, unit) != truth else ())
    # They contradict each other: if the answer is right, the commitment is not.
    wrong = frozenset(() if liars else {claim.digest})
    return replace(finding, wrong=wrong, liars=liars)
