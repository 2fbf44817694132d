"""Every public docstring says what `docstrings` demands of it."""

from __future__ import annotations

import ast

import docstrings
import pytest

COMPLETE = '''
def halve(number, *, up=False):
    """Return half of a number.

    Parameters
    ----------
    number : int
        The number.
    up : bool
        Whether to round up.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is negative.

    Examples
    --------
    >>> halve(4)
    2
    """
    if number < 0:
        raise ValueError(number)
    return number // 2
'''

DATACLASS = '''
@dataclass
class Point:
    """A point.

    Parameters
    ----------
    x, y : int
        Where.
    """

    x: int
    y: int
    _norm: int = 0
'''


def lacks(source, interface=True):
    node = ast.parse(source.replace("up=False):", "up=False) -> int:")).body[0]
    return list(docstrings.Thing("somewhere.halve", node, interface).lacks())


def test_every_public_docstring_is_complete():
    number, lacking = docstrings.missing()
    figure = docstrings.coverage(number, lacking)
    print(figure)
    assert lacking == {}, figure
    assert number > 1500


def test_what_is_complete_lacks_nothing():
    assert lacks(COMPLETE) == []
    assert lacks(DATACLASS, interface=False) == []


@pytest.mark.parametrize(
    ("old", "new", "lack"),
    [
        ("Return half of a number.", "Return half of a number", "a full stop after its summary"),
        ("    up : bool\n        Whether to round up.\n", "", "up under Parameters"),
        ("number : int", "n : int", "number under Parameters"),
        ("up : bool", "up, down : bool", "no down under Parameters: there is no such parameter"),
        ("Returns\n    -------\n", "Notes\n    -----\n", "Returns"),
        ("return number // 2", "yield number // 2", "Yields"),
        ("    ValueError\n        If", "    TypeError\n        If", "ValueError under Raises"),
        (">>> halve(4)\n    2", "None.", "Examples"),
        ("Returns\n", ">>> halve(2)\n\n    Returns\n", "its examples under Examples"),
        ("halve(4)", "halve(4)  # doctest: +SKIP", "examples that run"),
    ],
)
def test_what_is_taken_away_is_missed(old, new, lack):
    assert old in COMPLETE
    assert lack in lacks(COMPLETE.replace(old, new, 1))


def test_a_field_that_is_taken_away_is_missed():
    assert lacks(DATACLASS.replace("x, y :", "x :"), False) == ["y under Parameters or Attributes"]


def test_internal_things_need_no_examples():
    assert lacks(COMPLETE.replace(">>> halve(4)\n    2", "None."), interface=False) == []


def test_the_interface_holds_what_users_call():
    interface = {thing.path for thing in docstrings.things() if thing.interface}
    assert {
        "dask_verify.mapreduce.verified_map_reduce",
        "dask_verify.engine.handle.Job.result",
        "dask_verify.core.merkle.MerkleTree.inclusion_proof",
        "dask_verify.core.canonical.values.encode",
        "dask_verify.testing.liars.Tamper",
        "dask_verify.errors.ProofError",
    } <= interface
