"""``autotune db``: looking after a tuning database."""

from __future__ import annotations

import click

from autotune.cli.db.browse import browse_command
from autotune.cli.db.check import check_command, upgrade_command
from autotune.cli.db.exchange import export_command, import_command, merge_command, prune_command
from autotune.cli.db.look import best_command, list_command, show_command, stats_command
from autotune.cli.db.sharing import audit_command, push_command, serve_command, token_command


@click.group("db", help="Look at a tuning database, check it, and exchange it with others.")
def command() -> None:
    """Nothing of its own: the commands do the work."""


for _command in (
    list_command, best_command, show_command, stats_command, browse_command, check_command, export_command,
    import_command, merge_command, prune_command, upgrade_command,
    serve_command, token_command, push_command, audit_command,
):  # fmt: skip
    command.add_command(_command)
