"""``autotune operators``: what can be tuned by name."""

from __future__ import annotations

import click

from autotune.cli.report import table
from autotune.tensor_expr.operators import families


@click.command("operators", help="The operators, by family. autotune OPERATOR --help shows one's parameters.")
def command() -> None:
    for family, members in families().items():
        click.echo(f"{family}\n{table({name: operator.summary for name, operator in members.items()})}\n")
