"""``autotune operators``: what can be tuned by name."""

from __future__ import annotations

import click

from autotune.cli.report import table
from autotune.tensor_expr.operators import operators


@click.command("operators", help="The operators, their parameters and defaults.")
def command() -> None:
    for name, operator in operators().items():
        click.echo(f"{name}: {operator.summary}")
        rows = {}
        for param in operator.params:
            default = "" if isinstance(param.default, bool) else f" [{param.default}]"
            rows[f"--{param.name.replace('_', '-')}"] = f"{param.help}{default}"
        click.echo(f"{table(rows)}\n")
