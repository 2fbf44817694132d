"""``dask verify completion``: what makes a shell complete ``dask``, as click does it.

Completion is by program, so that of ``dask verify`` is that of ``dask`` and all of its commands.
"""

from __future__ import annotations

import click

from dask_verify.evidence.console import Command

SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "dask"
_VARIABLE = "_DASK_COMPLETE"


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
def completion(shell: str) -> None:
    """Print the script that makes a shell complete `dask`: bash, zsh or fish.

    \b
    bash:  dask verify completion bash > ~/.dask-complete.bash
           echo '. ~/.dask-complete.bash' >> ~/.bashrc
    zsh:   dask verify completion zsh > ~/.dask-complete.zsh
           echo '. ~/.dask-complete.zsh' >> ~/.zshrc     # below compinit
    fish:  dask verify completion fish > ~/.config/fish/completions/dask.fish

    Then open a new shell. It works for everything that `dask` can do.
    """  # noqa: D301 - for click, which does not wrap what follows this character
    click.echo(script(shell))


def script(shell: str) -> str:
    """Return the script for a shell.

    Parameters
    ----------
    shell : {"bash", "zsh", "fish"}

    Returns
    -------
    str
        What the shell has to run.

    Examples
    --------
    >>> "_DASK_COMPLETE=zsh_complete dask" in script("zsh")
    True
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None, "click completes in these shells"
    found = made(click.Command(_PROGRAM), {}, _PROGRAM, _VARIABLE)
    # Not `source()`: of bash that asks the version of the bash that is here, not of the user's.
    return found.source_template % found.source_vars()
