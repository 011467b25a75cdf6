"""Groups with a command for every registered operator, made from the operator's parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from autotune.errors import unknown
from autotune.tensor_expr.operators import Operator, families, get_operator, operators


class Operators(click.Group):
    """A group whose commands are the operators; an unknown name is refused with the known ones."""

    kind = "operator"

    def __init__(self, *args: Any, make: Callable[[Operator], click.Command] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.make = make

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(operators())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.make(get_operator(cmd_name)) if self.make and cmd_name in operators() else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            raise unknown(self.kind, args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Operators"):
            formatter.write_dl([(family, ", ".join(members)) for family, members in families().items()])


def operator_options(operator: Operator) -> list[click.Parameter]:
    """An option for each parameter of an operator: a flag for a bool, else with the type of its default."""
    options: list[click.Parameter] = []
    for param in operator.params:
        flag = f"--{param.name.replace('_', '-')}"
        if isinstance(param.default, bool):
            options.append(click.Option([flag, param.name], is_flag=True, default=param.default, help=param.help))
        else:
            kind = {int: click.INT, float: click.FLOAT, str: click.STRING}[type(param.default)]
            options.append(
                click.Option([flag, param.name], type=kind, default=param.default, show_default=True, help=param.help)
            )
    return options


def command_line(operator: str, params: dict[str, Any]) -> str:
    """The command that tunes an operator with these parameters, without those at their defaults."""
    words = ["autotune", operator]
    for param in get_operator(operator).params:
        value = params.get(param.name, param.default)
        if value != param.default:
            words.append(f"--{param.name.replace('_', '-')}" + ("" if value is True else f" {value}"))
    return " ".join(words)
