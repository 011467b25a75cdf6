"""Requests to a server, and what can become of them: an answer, a refusal, or a server that is away."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from autotune.errors import UsageError
from autotune.tuning_logs.lines import UNREADABLE
from autotune.tuning_logs.opening import DatabaseError
from autotune.tuning_logs.sharing.protocol import (
    ASK,
    HEADER,
    HELLO,
    PROTOCOL,
    RECORDS,
    Runs,
    Writer,
    is_loopback,
    read_message,
)  # fmt: skip

_SECONDS = httpx.Timeout(30.0, connect=5.0)
_TOO_LARGE = 413
_TRY_LATER = (408, 429)  # and all from 500 on


class Away(DatabaseError):
    """The server cannot be reached, or cannot do it now: later it may."""


class NoAccess(DatabaseError):
    """The server lets nobody in like this: its certificate, its protocol, or our token."""


class Refused(DatabaseError):
    """The server does not take this request; another one it may."""


class Transport:
    """A server at a URL. Every method raises Away, NoAccess or Refused."""

    def __init__(self, url: str, token: str | None, ca_file: Path | None) -> None:
        self.url = url
        parsed = _checked(url)
        token = (token or "").strip()
        if not all("!" <= character <= "~" for character in token):  # httpx would quote it
            raise UsageError("the token is none: autotune db token makes letters, digits, - and _")
        headers = {HEADER: PROTOCOL} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            # Reading all authorities takes long, and nothing is trusted by one that trusts none.
            secure = parsed.scheme == "https"
            trusted = ssl.create_default_context(cafile=ca_file) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        except (OSError, ValueError) as error:
            raise UsageError(f"{ca_file} holds no certificates of authorities: {error}") from error
        try:
            self._client = httpx.Client(
                base_url=url, headers=headers, timeout=_SECONDS, verify=trusted, trust_env=not is_loopback(parsed.host)
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:  # SOCKS needs one more library
            raise UsageError(f"the proxy that the environment names cannot be used: {error}") from error

    def close(self) -> None:
        self._client.close()

    def hello(self) -> Mapping[str, Any]:
        """What the server is, and what the token may do: its ``scope``."""
        return self._object(self._request("GET", HELLO))

    def append(self, lines: bytes) -> tuple[int, int]:
        """How many of the lines' records were new to the server, and how many it had already: all are kept there."""
        said = self._object(self._request("POST", RECORDS, lines))
        new, already = said.get("new"), said.get("already")
        if not isinstance(new, int) or not isinstance(already, int):
            raise NoAccess(f"{self.url} does not say that it keeps what was sent")
        return new, already

    def ask(self, question: str, arguments: Mapping[str, Any], runs: Runs) -> Any:
        """What ``TuningDatabase`` answers to a question."""
        content = self._request("POST", f"{ASK}/{question}", Writer(runs).message("question", dict(arguments)))
        try:
            return read_message(content, "answer")
        except (UsageError, *UNREADABLE) as error:
            raise NoAccess(f"{self.url} answers what makes no sense here; it may be of another release") from error

    def _object(self, content: bytes) -> Mapping[str, Any]:
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise NoAccess(f"{self.url} answers what makes no sense here; it may be of another release")
        return found

    def _request(self, method: str, path: str, content: bytes | None = None) -> bytes:
        try:
            response = self._client.request(method, path, content=content)
        except httpx.HTTPError as error:
            raise _explained(self.url, error) from error
        if response.status_code == 200 and response.headers.get(HEADER) == PROTOCOL:
            return response.content
        raise self._refusal(response)

    def _refusal(self, response: httpx.Response) -> Exception:
        """What an answer means that is not the one that was asked for, perhaps of a proxy before the server."""
        status, ours = response.status_code, HEADER in response.headers
        said = f"{self.url}: {_sentence(response) if ours else f'answers {status}'}"
        if status >= 500 or status in _TRY_LATER:
            return Away(said)
        if status == _TOO_LARGE:
            return Refused(said)
        if not ours:
            return NoAccess(f"{self.url} is no tuning database: what answers there ({status}) is another program")
        if response.headers[HEADER] != PROTOCOL:
            return NoAccess(
                f"{self.url} speaks version {response.headers[HEADER]:.20} of the protocol, this autotune {PROTOCOL}"
            )
        return NoAccess(said) if status in (401, 403) else Refused(said)


def _checked(url: str) -> httpx.URL:
    """The URL's parts. Raises UsageError for a URL that is none, or that would send what it should not."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UsageError(f"{url!r} is no URL: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or (parsed.port or 1) not in range(1, 2**16):
        raise UsageError(f"a shared database is at https://HOST:PORT, not at {url!r}")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise UsageError("the URL of a shared database has no user, password, query or fragment; a token goes apart")
    if parsed.scheme == "http" and not is_loopback(parsed.host):
        raise UsageError(f"{url} would be spoken to unencrypted, which is for this machine only; elsewhere use https")
    return parsed


def _explained(url: str, error: httpx.HTTPError) -> Exception:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NoAccess(
                f"the certificate of {url} cannot be trusted: {cause.verify_message}; AUTOTUNE_CA_FILE names a file "
                "with the certificate of the authority that signed it"
            )
        if isinstance(cause, ssl.SSLError):
            return NoAccess(f"{url} cannot be spoken to with TLS ({cause.reason or cause})")
        cause = cause.__cause__ or cause.__context__
    return Away(f"{url} cannot be reached ({' '.join(str(error).split()) or type(error).__name__})")


def _sentence(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])[:500]
    except (ValueError, LookupError, TypeError):
        return f"answers {response.status_code}"
