"""docs/commands.md has every command and every option, and none that there is not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from dask_verify.cli import verify

DOCUMENT = (Path(__file__).parents[1] / "docs" / "commands.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `dask verify (\w+)`\n(.*?)(?=^## |\Z)", DOCUMENT, re.M | re.S))


def leaves(command):
    if isinstance(command, click.Group):
        return [leaf for one in command.commands.values() for leaf in leaves(one)]
    return [command]


def options(command):
    found = [o for leaf in leaves(command) for p in leaf.params for o in p.opts]
    return {option for option in found if option.startswith("--")}


def test_every_command_has_a_section():
    assert set(SECTIONS) == set(verify.commands)


@pytest.mark.parametrize("name", sorted(verify.commands))
def test_every_option_is_there(name):
    mentioned = set(re.findall(r"--[a-z][a-z-]*", SECTIONS[name]))
    assert options(verify.commands[name]) - mentioned == set()
    assert mentioned - options(verify) == set()


@pytest.mark.parametrize("line", re.findall(r"^\$ (.*)$", DOCUMENT, re.M))
def test_examples_can_be_read(line, monkeypatch):
    """As far as the arguments go: the files are not there."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)
    words = shlex.split(re.split(r" > | && ", line)[0], comments=True)
    words = words[words.index("verify") + 1 :]
    command, context = verify, click.Context(verify)
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
    command.make_context(name, list(words))
