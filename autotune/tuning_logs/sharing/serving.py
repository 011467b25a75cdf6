"""Where the server listens: on this machine, or elsewhere with TLS and tokens only."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from autotune.errors import UsageError
from autotune.tuning_logs.sharing.protocol import is_loopback
from autotune.tuning_logs.sharing.server import Server
from autotune.tuning_logs.sharing.tokens import read_tokens

_AT_ONCE = 200  # connections; more are answered with 503, which clients take as being away
_GRACE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Access:
    """Who may reach the server and how: the files with its tokens, its certificate and that one's key."""

    tokens: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def listen(host: str, port: int, access: Access) -> socket.socket:
    """A socket, on any free port where ``port`` is 0.

    Raises UsageError for an address that others can reach unless there are tokens and a certificate, for files that
    hold none, and where the port cannot be had.
    """
    _check(access)
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{host!r} is no name or address of this machine") from error
    if not is_loopback(str(address[0])) and (access.tokens is None or access.certificate is None):
        raise UsageError(
            f"{host} can be reached from other machines, so it takes --tls-cert, --tls-key and --token-file; without "
            "them 127.0.0.1 is served"
        )
    try:
        listening = socket.create_server(address[:2], family=family)
    except OSError as error:
        raise UsageError(f"port {port} of {host} cannot be had: {error.strerror}; --port 0 takes a free one") from error
    # Connections inherit it. Else an answer's body waits 40 ms for the client to acknowledge the header.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _check(access: Access) -> None:
    if access.tokens is not None:
        read_tokens(access.tokens)
    if (access.certificate is None) != (access.key is None):
        raise UsageError("TLS takes both --tls-cert and --tls-key")
    if access.certificate is not None and access.key is not None:
        try:  # with a password, so that a key that has one is refused and not asked about
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(access.certificate, access.key, password="")
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{access.certificate} and {access.key} are no certificate and its key without a password: {error}"
            ) from error


def url_of(listening: socket.socket, host: str, access: Access) -> str:
    """What clients call the server."""
    name = f"[{host}]" if ":" in host else host
    return f"http{'s' if access.certificate else ''}://{name}:{listening.getsockname()[1]}"


def serve(path: Path, listening: socket.socket, access: Access) -> None:
    """Serves a database until Ctrl-C or SIGTERM."""
    config = uvicorn.Config(
        Server(path, access.tokens).application(), ssl_certfile=access.certificate, ssl_keyfile=access.key,
        log_level="warning", server_header=False, limit_concurrency=_AT_ONCE, lifespan="off",
        proxy_headers=False,  # whoever sends them could write any address into the audit
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):  # which uvicorn raises again once it has shut down
        uvicorn.Server(config).run(sockets=[listening])
