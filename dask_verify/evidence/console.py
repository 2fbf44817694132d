r"""How the commands of `dask verify` speak and end: the same for all of them.

* Facts go to stdout: as text for people, or with ``--json`` as JSON. All else goes to stderr.
* They end with 0 if all is well, 1 if something does not hold or has no answer, 2 if they were not
  asked for what can be done (then nothing was done), and 130 after Ctrl-C.
* An error is one line, which no text from elsewhere can break.

Every call of ``dask`` imports this module, so all but click is imported inside.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import IO, Any, NoReturn, TypeVar

import click

FAILED, REFUSED = 1, 2
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
_LONGEST = 1000  #: characters of an error

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Ending(click.ClickException):
    """An end with one line on stderr, and 1."""

    exit_code = FAILED

    def __init__(self, error: Exception | str, head: str) -> None:
        super().__init__(one_line(str(error) or type(error).__name__))
        self._head = head

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        click.echo(f"{self._head}: {self.message}", err=True, file=file)


class _Refusal(_Ending):
    """The same, and 2."""

    exit_code = REFUSED


def refuse(error: Exception | str, head: str = "Error") -> NoReturn:
    """End because this cannot be done as it was asked for; nothing was done.

    Parameters
    ----------
    error : Exception or str
        What was expected, what was got, and what to do.
    head : str
        What stands before it.
    """
    raise _Refusal(error, head)


def fail(error: Exception | str, head: str = "Error") -> NoReturn:
    """End because something does not hold, or there is no answer.

    Parameters
    ----------
    error : Exception or str
    head : str
        What stands before it.
    """
    raise _Ending(error, head)


class _OneLine(click.Command):
    """A command that says in one line what is wrong with its arguments."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the arguments."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            refuse(_with_advice(error))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            refuse(_with_advice(error))
        except KeyboardInterrupt:
            # To click that is a failure; but nothing was found not to hold.
            click.echo("Interrupted", err=True)
            raise SystemExit(INTERRUPTED) from None


class Command(_OneLine):
    """A command of `dask verify`."""


class Group(_OneLine, click.Group):
    """Commands of `dask verify`."""

    command_class = Command
    group_class = type


def _with_advice(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx is not None else "dask verify"
    said = error.format_message().rstrip(".")
    return f"{said}; see `{path} --help`"


def one_line(text: str) -> str:
    r"""Return text as one line of bounded length, without what a terminal acts on.

    Parameters
    ----------
    text : str
        Any text; what its lines say is kept apart by semicolons.

    Returns
    -------
    str

    Examples
    --------
    >>> one_line("no answer\n\n  alice: late\x1b[2J")
    'no answer; alice: late\\x1b[2J'
    """
    from dask_verify.evidence.enrolment.texts import safe

    line = safe("; ".join(part for part in map(str.strip, text.splitlines()) if part))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def print_json(facts: Any) -> None:
    """Print facts as JSON on stdout; what is no number is null there.

    Parameters
    ----------
    facts : JSON-like value
        Dicts, lists and tuples of text, numbers, booleans and None.
    """
    click.echo(json.dumps(_finite(facts), indent=2, allow_nan=False))


def _finite(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {name: _finite(value) for name, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_finite(value) for value in facts]
    return None if isinstance(facts, float) and not math.isfinite(facts) else facts


def only_one(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> str | None:
    """Return the value of an option; click would take the last of several, and say nothing.

    Parameters
    ----------
    context : click.Context
    option : click.Parameter
        One that is declared as ``multiple``, with this as its ``callback``.
    values : tuple of str
        As they were given.

    Returns
    -------
    str or None

    Raises
    ------
    UsageError
        If there are several.
    """
    if len(values) > 1:
        raise click.UsageError(
            f"{option.opts[0]}: expected it once, got {' and '.join(map(repr, values))}; name one",
            context,
        )
    return values[0] if values else None


def json_option(what: str) -> Callable[[_Command], _Command]:
    """Return the option ``--json``, as the argument ``machine`` of a command.

    Parameters
    ----------
    what : str
        What is printed, for the help.

    Returns
    -------
    callable
        To decorate the command with.
    """
    return click.option("--json", "machine", is_flag=True, help=f"Print {what} as JSON.")
