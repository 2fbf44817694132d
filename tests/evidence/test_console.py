"""How commands end: one line, one code, and JSON that is JSON."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from dask_verify.evidence.console import Command, Group, fail, one_line, print_json, refuse


@click.group(cls=Group)
def top() -> None:
    """Commands."""


@top.command()
@click.option("--number", type=int)
@click.argument("how")
def end(number: int | None, how: str) -> None:
    """End somehow."""
    if how == "refuse":
        refuse(ValueError("expected a\n\n  b, got \x1b[2J; do c"))
    if how == "fail":
        fail(KeyError(), "does not hold")
    if how == "usage":
        raise click.UsageError("expected a, got b")
    print_json({"a": float("nan"), "b": [float("inf"), 1.5], "c": ("x",)})


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["end", "refuse"], 2, "Error: expected a; b, got \\x1b[2J; do c"),
        (["end", "fail"], 1, "does not hold: KeyError"),
        (["end", "usage"], 2, "Error: expected a, got b; see `top end --help`"),
        (["end"], 2, "Error: Missing argument 'HOW'; see `top end --help`"),
        (["end", "x", "--number", "y"], 2, "Error: Invalid value for '--number': 'y' is not a"),
        (["nothing"], 2, "Error: No such command 'nothing'"),
    ],
)
def test_an_error_is_one_line_on_stderr(arguments: list[str], code: int, line: str) -> None:
    done = CliRunner().invoke(top, arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1


def test_without_a_command_there_is_help() -> None:
    assert "Usage: top" in CliRunner().invoke(top, []).output


def test_commands_are_all_of_the_kind() -> None:
    from dask_verify.cli import verify

    def all_of(group: click.Group) -> list[click.Command]:
        found = list(group.commands.values())
        return found + [c for one in found if isinstance(one, click.Group) for c in all_of(one)]

    assert [c.name for c in all_of(verify) if not isinstance(c, Command | Group)] == []


def test_json_has_null_for_what_is_no_number() -> None:
    said = CliRunner().invoke(top, ["end", "json"]).stdout
    assert json.loads(said) == {"a": None, "b": [None, 1.5], "c": ["x"]}
    assert "NaN" not in said


def test_a_line_is_bounded() -> None:
    assert len(one_line("x" * 5000)) == 1000
    assert one_line("a\u2028b\rc\x85d") == "a; b; c; d"
