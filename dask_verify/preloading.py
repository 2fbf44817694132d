"""What the preloads of workers and schedulers share: a server that is not set up does not start.

Dask logs what fails in a preload and starts the server all the same, so a failed check would pass.
Here it ends the process instead. ``dask worker`` and ``dask scheduler`` read the options before
they start anything, so there a wrong one is an ordinary usage error.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import click

from dask_verify.errors import VerifyError


class Strict(click.Command):
    """A ``dask_setup`` that gets the options that it needs, or the process ends.

    Examples
    --------
    >>> command = Strict("a.preload", params=[click.Option(["--domain-key"], required=True)])
    >>> command.make_context("dask_setup", [])
    Traceback (most recent call last):
        ...
    SystemExit: a.preload: cannot start: Missing option '--domain-key'.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the options.

        Parameters
        ----------
        *args : object
            What click passes.
        **kwargs : object
            What click passes.

        Returns
        -------
        click.Context

        Raises
        ------
        SystemExit
            If anything goes wrong: the message is on standard error.
        """
        try:
            return super().make_context(*args, **kwargs)
        except click.ClickException as error:
            raise SystemExit(f"{self.name}: cannot start: {error.format_message()}") from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options, as Dask's commands do with a context that names no program.

        Parameters
        ----------
        ctx : click.Context
            Context of the command.
        args : list of str
            What click passes.

        Returns
        -------
        list of str
        """
        ctx.info_name = ctx.info_name or self.name
        return super().parse_args(ctx, args)


def file_read_by(read: Callable[[str], Any]) -> Callable[..., Any]:
    """Return the callback of an option that names a file, and is what the file says.

    Parameters
    ----------
    read : callable
        Takes the path.

    Returns
    -------
    callable
    """

    def callback(context: click.Context, option: click.Parameter, path: str | None) -> Any:
        # Not required=True: some versions of click take a default of None for a value.
        if path is None:
            raise click.MissingParameter(ctx=context, param=option)
        try:
            return read(os.path.expanduser(path))
        except VerifyError as error:
            raise click.BadParameter(str(error), context, option) from error

    return callback


@contextlib.contextmanager
def or_exit(program: str) -> Iterator[None]:
    """End the process on any error.

    Parameters
    ----------
    program : str
        Name of the program, for the message.

    Yields
    ------
    None

    Raises
    ------
    SystemExit
        If anything goes wrong: the message is on standard error.

    Examples
    --------
    >>> with or_exit("a.preload"):
    ...     1 / 0
    Traceback (most recent call last):
        ...
    SystemExit: a.preload: cannot start: ZeroDivisionError: division by zero
    """
    try:
        yield
    except VerifyError as error:
        raise SystemExit(f"{program}: cannot start: {type(error).__name__}: {error}") from None
    except Exception as error:
        raise SystemExit(f"{program}: cannot start: {type(error).__name__}: {error}") from error
