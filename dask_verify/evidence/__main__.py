"""``python -m dask_verify.evidence ...``: everything that needs no cluster, where Dask is not."""

from __future__ import annotations

import click

from dask_verify.evidence.console import Group
from dask_verify.evidence.enrolment.commands import enroll, keygen
from dask_verify.evidence.exhibits.commands import exhibit
from dask_verify.evidence.receipts.commands import check


@click.group(cls=Group)
def evidence() -> None:
    """Check receipts and exhibits offline."""


for command in (check, exhibit, keygen, enroll):
    evidence.add_command(command)

if __name__ == "__main__":
    evidence(prog_name="python -m dask_verify.evidence")
