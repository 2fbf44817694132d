"""What becomes of a job, where writing it down fails as well."""

from __future__ import annotations

import json
import shlex
from types import SimpleNamespace

import dask
import pytest

from dask_verify.errors import InconclusiveError, JournalError
from dask_verify.evidence.console import INTERRUPTED, _Ending
from dask_verify.protocol.messages import Verdict
from dask_verify.running.acting import _advice, _Run, _trust
from dask_verify.running.commands import resume
from dask_verify.running.opening import Site
from dask_verify.running.outcome import Outcome
from dask_verify.running.places import Keys, Local, Separate, Shared, Tls
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
        _Run(job, Site(None), output, None, Local(())).end()
    assert caught.value.exit_code == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["answered"], said["error"]) == (False, "too few domains agree")
    assert said["paths"] == {"exhibits": []}


KEYS = Keys("my domains.toml", "coordinator.key")
TLS = Tls("ca.pem", "cert.pem", "key.pem")


def test_what_is_advised_fits_the_result():
    assert _advice(8, "bag", False).endswith("a report; in no particular order")
    assert _advice(8, "frame", False).endswith("no particular order: --sort sorts by the keys")
    assert _advice(8, "frame", True).endswith("with a receipt and a report")


@pytest.mark.parametrize(
    ("place", "output", "options"),
    [
        (
            Shared("tcp://s:8786", KEYS, Tls()),
            Output(),
            "--scheduler tcp://s:8786 --trust 'my domains.toml' --key coordinator.key",
        ),
        (
            Separate((("a", "tls://a:1"), ("b", "tls://b:2")), Keys(), TLS),
            Output("c.jsonl", "r.html", True, True),
            "--domain a=tls://a:1 --domain b=tls://b:2 --tls-ca-file ca.pem --tls-cert cert.pem"
            " --tls-key key.pem --out c.jsonl --report r.html --quiet --json",
        ),
    ],
)
def test_an_interrupted_job_says_the_whole_command(place, output, options, capsys):
    def wait(progress):
        raise KeyboardInterrupt

    job = SimpleNamespace(wait=wait, _end=lambda forget: None)
    assert _Run(job, Site(None), output, "my journal", place).end() == INTERRUPTED
    said = capsys.readouterr().err
    assert said == f"Interrupted; go on with: dask verify resume 'my journal' {options}\n"
    # It is taken as it stands.
    _, *arguments = shlex.split(said.partition("dask verify ")[2])
    assert resume.make_context("resume", arguments, resilient_parsing=True)


def test_the_trust_file_is_named_that_was_given():
    receipt = {"result": "c.jsonl", "receipt": "c.jsonl.receipt.json"}
    assert _trust(Shared("tcp://s:8786", KEYS, Tls())) == "my domains.toml"
    outcome = Outcome(SimpleNamespace(domains={}), 0.0, paths=receipt, trust="my domains.toml")
    assert "--trust 'my domains.toml' --data c.jsonl" in outcome.lines()[-1]
    with dask.config.set({"verify.trust": "configured.toml"}):
        assert _trust(Shared("tcp://s:8786", Keys(), Tls())) == "configured.toml"
    assert _trust(Local(("alice",))) == ""


def test_a_receipt_that_cannot_be_signed_hides_not_why_there_is_no_answer(tmp_path):
    """The journal is full: the job's own error says so, and what to do."""

    class Full:
        verdict = Verdict.INCONCLUSIVE
        report = SimpleNamespace(save_html=lambda path: None, domains={})

        def save(self, path):
            raise InconclusiveError("no verified answer (journal): make room", self.report)

        @property
        def receipt(self):
            raise JournalError("make room")

    output = Output(str(tmp_path / "counts.jsonl"))
    outcome = _Run(Full(), Site(None), output, "j", Local(("alice",)))._written(0.0)
    assert "make room" in outcome.error
    assert outcome.paths.keys() == {"report"}
