"""What becomes of a job, where writing it down fails as well."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from dask_verify.errors import InconclusiveError
from dask_verify.evidence.console import _Ending
from dask_verify.protocol.messages import Verdict
from dask_verify.running.acting import _Run
from dask_verify.running.opening import Site
from dask_verify.running.planning import Output


def full(*arguments):
    raise OSError(28, "No space left on device")


def test_why_there_is_no_answer_is_said_where_nothing_can_be_written(capsys):
    report = SimpleNamespace(
        job="ab",
        verdict=Verdict.INCONCLUSIVE,
        cause="domains",
        failure="",
        domains={},
        divergences=(),
        save_html=full,
    )

    def save(path):
        raise InconclusiveError("too few domains agree", report)

    job = SimpleNamespace(
        wait=lambda progress: report.verdict,
        save=save,
        verdict=report.verdict,
        receipt=SimpleNamespace(save=full),
        report=report,
    )
    output = Output(out="counts.jsonl", quiet=True, machine=True)
    with pytest.raises(_Ending, match="too few domains agree") as caught:
        _Run(job, Site(None), output, None, "").end()
    assert caught.value.exit_code == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["answered"], said["error"]) == (False, "too few domains agree")
    assert said["paths"] == {"exhibits": []}
