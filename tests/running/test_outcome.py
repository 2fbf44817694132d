"""What is said of a job that ended."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pandas as pd

from dask_verify.engine.report import DomainReport
from dask_verify.errors import InconclusiveError, TaskError
from dask_verify.protocol.messages import Standing, Verdict
from dask_verify.running.outcome import HEAD, Outcome, head, reason


class Report(SimpleNamespace):
    """As much of a report as is told."""

    def __str__(self):
        return self.text


def report(**changes):
    values = {
        "job": "00",
        "verdict": Verdict.CORRECTED,
        "cause": "",
        "failure": "",
        "domains": {"bob": DomainReport(Standing.EXPOSED, 2, 30)},
        "divergences": [SimpleNamespace(culprits=("bob",))] * 9,
        "text": "verdict      CORRECTED\n" + "divergence   a\x1b[2Jb\n" * 9 + "compared     1 byte",
    }
    return Report(**values | changes)


def test_a_result_of_pairs_is_shown_as_it_is_saved():
    assert head([("a", (1, None)), ("\x1b[2J", 2)]) == (
        ['["a", {"$tuple": [1, null]}]', '["\\u001b[2J", 2]'],
        2,
    )
    lines, rows = head([("a", 1)] * 100)
    assert (len(lines), rows) == (HEAD, 100)


def test_pairs_stay_json_whatever_their_texts_hold():
    pairs = [("a\u2028b\x85c", 1), ("no\xa0break \U000e0001 \u202e", "\x1b[2J\n")]
    lines, _ = head(pairs)
    assert [tuple(json.loads(line)) for line in lines] == pairs
    assert all(line.isprintable() for line in lines)
    assert head([]) == ([], 0)


def test_a_frame_is_shown_in_its_first_rows():
    lines, rows = head(pd.DataFrame({"k": ["a\x1b[2J"] * 100}))
    assert (len(lines), rows) == (HEAD + 1, 100)
    assert all(line.isprintable() for line in lines)


def test_lines_are_few_and_harmless():
    paths = {"result": "my counts.jsonl", "receipt": "r.json", "trust": "t.toml"}
    lines = Outcome(report(), 1.0, 1234, paths).lines()
    assert sum(line.startswith("divergence") for line in lines) == 5
    # With those that are shown, before anything else.
    assert lines[6] == "             and 4 more divergences"
    assert lines[7].startswith("compared")
    assert "result       my counts.jsonl (1,234 rows)" in lines
    assert lines[-1].endswith("check r.json --trust t.toml --data 'my counts.jsonl'")
    assert all(line.isprintable() for line in lines)


def test_exhibits_are_one_line_and_one_divergence_is_one():
    few = report(text="divergence   a\n" * 6)
    lines = Outcome(few, 1.0, exhibits=("a.exhibit-0.json",)).lines()
    assert "             and 1 more divergence" in lines
    assert "exhibits     a.exhibit-0.json" in lines
    assert lines[-1] == "job took     1.0 s"
    many = Outcome(few, 1.0, exhibits=tuple(f"a.exhibit-{at}.json" for at in range(14)))
    assert "exhibits     a.exhibit-0.json ... (14)" in many.lines()


def test_a_cheat_without_work_is_told_of():
    idle = {"bob": DomainReport(Standing.TRUSTED, 0, 0)}
    said = "cheat        bob finished no work, so it could not lie"
    assert said in Outcome(report(domains=idle), 1.0, cheat="bob").lines()
    assert said not in Outcome(report(domains=idle), 1.0).lines()
    assert said not in Outcome(report(), 1.0, cheat="bob").lines()


def test_the_same_for_programs():
    said = json.loads(json.dumps(Outcome(report(), 1.23456, 3, {"result": "a"}).to_dict()))
    assert (said["answered"], said["verdict"], said["rows"]) == (True, "corrected", 3)
    assert (said["divergences"], said["blamed"], said["seconds"]) == (9, ["bob"], 1.235)
    assert said["domains"]["bob"]["standing"] == "exposed"
    assert said["paths"] == {"result": "a", "exhibits": []}
    failed = Outcome(report(verdict=None), 0.0, error="no").to_dict()
    assert (failed["answered"], failed["verdict"], failed["error"]) == (False, None, "no")


def test_reasons_are_one_line():
    text = (
        'File "/x/cloudpickle.py", line 9, in f\nFile "/tmp/words.py", line 4, in mapper\n  1 / 0'
    )
    assert reason(TaskError("ZeroDivisionError: x\n\nmore", text)).startswith(
        "ZeroDivisionError: x (words.py, line 4, in mapper); the functions failed"
    )
    text = 'File "/x/dask/bag/text.py", line 188, in decode\n  block.decode(encoding, errors)'
    assert reason(TaskError("UnicodeDecodeError", text)).startswith("INPUT: expected text in UTF-8")
    text = text.replace("dask/bag/text.py", "text.py")
    assert "mend them" in reason(TaskError("UnicodeDecodeError", text))
    assert reason(TaskError("KeyError: 'a'")).startswith("KeyError: 'a'; the functions failed")
    assert reason(InconclusiveError("no answer (x): do y\n\nbob: late\x1b[2J")) == (
        "no answer (x): do y; bob: late\\x1b[2J"
    )
    assert reason(OSError()) == "OSError"
