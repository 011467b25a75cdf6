"""``autotune db serve|token|push|audit``: a database that a team shares."""

from __future__ import annotations

import warnings
from pathlib import Path

import click

from autotune.cli.db.listing import database_option, listing_options, opened, show
from autotune.cli.options import DatabaseFile
from autotune.cli.report import plural
from autotune.databases import connect, optional
from autotune.tuning_logs import Database
from autotune.tuning_logs.sharing.tokens import SCOPES, create_token

PORT = 8417


@click.command(
    "serve",
    short_help="share it over HTTP, to read and to append",
    help="Serve a database over HTTP, to read and to append. Ctrl-C ends it.",
)
@click.argument("path", metavar="DATABASE", type=DatabaseFile())
@click.option("--host", default="127.0.0.1", show_default=True, help="the address to listen at")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes any free one")
@click.option("--token-file", type=click.Path(path_type=Path), help="who may do what: see autotune db token")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="certificate chain, PEM")
@click.option("--tls-key", type=click.Path(path_type=Path), help="its key, PEM")
def serve_command(
    path: Path, host: str, port: int, token_file: Path | None, tls_cert: Path | None, tls_key: Path | None
) -> None:
    serving = optional("autotune.tuning_logs.sharing.serving", "server")
    access = serving.Access(token_file, tls_cert, tls_key)
    with serving.listen(host, port, access) as listening:
        Database.open(path.absolute()).close()  # what is wrong with it is said now
        click.echo(f"{path} is served at {serving.url_of(listening, host, access)} (Ctrl-C ends it)")
        serving.serve(path.absolute(), listening, access)


@click.command(
    "token",
    short_help="make a token for those who share it",
    help="Make a token, add it to a file for autotune db serve, and print it, this once.",
)
@click.argument("name")
@click.option("--scope", type=click.Choice(SCOPES), default="append", show_default=True, help="append includes read")
@click.option("--token-file", type=click.Path(path_type=Path), required=True, help="the file to add it to")
def token_command(name: str, scope: str, token_file: Path) -> None:
    click.echo(create_token(token_file, name, scope))


@click.command(
    "push", short_help="send what waits for a server", help="Send a server the records that wait on this machine."
)
@click.argument("url")
@click.option("--all", "everything", is_flag=True, help="also those that were sent before: it may have lost them")
def push_command(url: str, everything: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is said below
        with connect(url) as shared:
            shared.reach()
            if everything:
                shared.outbox.queue_everything()
            else:
                shared.outbox.retry_refused()
            shared.push()
            refused, sent = shared.outbox.refused(), shared.pushed
    for trial, sentence in refused.items():
        click.echo(f"not sent: trial {trial}: {sentence}", err=True)
    click.echo(f"{plural(sent.new, 'new record')} sent to {url}, {sent.already} it had already, {len(refused)} refused")
    if refused:
        raise click.exceptions.Exit(1)


@click.command("audit", short_help="who appended what over HTTP", help="Who appended what over HTTP.")
@database_option
@listing_options
def audit_command(database: Path | None, form: str | None) -> None:
    with opened(database) as found:
        rows = found.query("SELECT id, at, who, address, run, records, new, link FROM audit ORDER BY id")
        columns = ("at", "who", "address", "run", "records", "new")
        show(rows, form, columns, f"nothing was appended to {found.path} over HTTP")
