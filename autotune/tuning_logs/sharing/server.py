"""The server's answers, as a Starlette application: each request opens the database for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from autotune.errors import AutotuneError, UsageError
from autotune.tuning_logs.audit import Appended
from autotune.tuning_logs.database import Database
from autotune.tuning_logs.lines import UNREADABLE, Decoder, UnreadableError, parse, reason
from autotune.tuning_logs.opening import DatabaseError
from autotune.tuning_logs.records import Forecast, Record, Run, Task, utc_now
from autotune.tuning_logs.schema import SCHEMA_VERSION
from autotune.tuning_logs.sharing.protocol import (
    ASK,
    HEADER,
    HELLO,
    MOST_BYTES,
    PROTOCOL,
    RECORDS,
    answer,
    is_loopback,
)  # fmt: skip
from autotune.tuning_logs.sharing.tokens import Token, find_token, read_tokens
from autotune.version import VERSION

BUSY_SECONDS = 5.0  # that a request waits for other writers
_BODY_SECONDS = 60.0  # in which a request's body must arrive
_ANYBODY = Token("anybody", "append", "")  # where there are no tokens, since only this machine reaches the server


@dataclass(frozen=True, slots=True)
class Received:
    """What a request tells of a run."""

    run: Run
    records: list[tuple[Record, Task]] = field(default_factory=list)
    rounds: list[Forecast] = field(default_factory=list)


class Server:
    """The database at ``path``, for whoever has one of the tokens in a file, or for all of this machine without one."""

    def __init__(self, path: Path, tokens: Path | None) -> None:
        self._path, self._tokens = path, tokens

    def application(self) -> Starlette:
        routes = [
            Route(HELLO, self._hello),
            Route(RECORDS, self._append, methods=["POST"]),
            Route(f"{ASK}/{{question}}", self._ask, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _refuse, Exception: _fail})

    async def _hello(self, request: Request) -> Response:
        token = self._admit(request, "read")
        about = {"autotune": VERSION, "schema": SCHEMA_VERSION, "name": token.name, "scope": token.scope}
        return JSONResponse(about, headers=_headers())

    async def _ask(self, request: Request) -> Response:
        self._admit(request, "read")
        content = await _body(request)
        found = await run_in_threadpool(self._answered, request.path_params["question"], content)
        return Response(found, media_type="application/jsonl", headers=_headers())

    async def _append(self, request: Request) -> Response:
        token = self._admit(request, "append")
        content = await _body(request)
        address = request.client.host if request.client else ""
        new, total = await run_in_threadpool(self._stored, content, token.name, address)
        return JSONResponse({"new": new, "already": total - new}, headers=_headers())

    def _admit(self, request: Request, scope: str) -> Token:
        """Who asks. The header is one that a web page elsewhere cannot make its visitors' browsers send."""
        if request.headers.get(HEADER) != PROTOCOL:
            raise HTTPException(400, f"this server speaks version {PROTOCOL} of autotune's protocol, and no other")
        if self._tokens is None:
            if not is_loopback(request.url.hostname or ""):
                raise HTTPException(403, "without tokens this server is called by a name of its own machine only")
            return _ANYBODY
        kind, _, presented = request.headers.get("Authorization", "").partition(" ")
        try:
            token = find_token(read_tokens(self._tokens), presented) if kind == "Bearer" else None
        except UsageError as error:
            raise HTTPException(503, "the server cannot read its tokens") from error
        if token is None:
            given = "the token is not one of this server's" if presented else "this server asks for a token"
            raise HTTPException(401, given)
        if scope == "append" and token.scope != "append":
            raise HTTPException(403, f"the token {token.name!r} may only read")
        return token

    def _answered(self, question: str, content: bytes) -> bytes:
        try:
            with Database.open(self._path, readonly=True, busy_seconds=BUSY_SECONDS) as database:
                return answer(database, question, content)
        except DatabaseError as error:
            raise self._unavailable(error) from error
        except (AutotuneError, *UNREADABLE) as error:
            raise HTTPException(400, self._without_path(f"this cannot be answered: {reason(error)}")) from error

    def _stored(self, content: bytes, who: str, address: str) -> tuple[int, int]:
        """Stores all records or none, together with the audit's rows; how many were new, and how many there were."""
        by_run = _by_run(content)
        try:
            with (
                Database.open(self._path, busy_seconds=BUSY_SECONDS) as database,
                database.writing() as writer,
            ):
                total = 0
                for name, received in by_run.items():
                    writer.add_run(received.run)
                    new = writer.add_records(received.records)
                    for forecast in received.rounds:
                        writer.add_round(forecast)
                    writer.add_audit(Appended(utc_now(), who, address, name, len(received.records), new))
                    total += new
        except DatabaseError as error:
            raise self._unavailable(error) from error
        return total, sum(len(received.records) for received in by_run.values())

    def _unavailable(self, error: DatabaseError) -> HTTPException:
        return HTTPException(503, self._without_path(str(error)))

    def _without_path(self, sentence: str) -> str:
        return sentence.replace(str(self._path), "the server's database")


def _by_run(content: bytes) -> Mapping[str, Received]:
    """What lines tell of runs, by their names."""
    decoder, found = Decoder(), dict[str, Received]()
    for number, line in enumerate(content.splitlines(), 1):
        try:
            taken = decoder.take(parse(line))
        except (AutotuneError, *UNREADABLE) as error:
            what = str(error) if isinstance(error, UnreadableError) else reason(error)
            raise HTTPException(400, f"nothing was stored: line {number}: {what}") from error
        if taken is not None:
            record, task, run = taken
            found.setdefault(run.run_id, Received(run)).records.append((record, task))
    for forecast, run in decoder.rounds:
        found.setdefault(run.run_id, Received(run)).rounds.append(forecast)
    return found


async def _body(request: Request) -> bytes:
    """All of the body; one that is too large is read to its end, since else the refusal may not arrive."""
    parts, size = [], 0
    try:
        with anyio.fail_after(_BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size <= MOST_BYTES:
                    parts.append(part)
    except TimeoutError as error:
        raise HTTPException(408, f"the request did not arrive within {_BODY_SECONDS:.0f} s") from error
    except ClientDisconnect as error:  # nobody hears this
        raise HTTPException(400, "the request was cut off") from error
    if size > MOST_BYTES:
        raise HTTPException(413, f"the request is larger than {MOST_BYTES // 2**20} MiB")
    return b"".join(parts)


def _headers() -> dict[str, str]:
    return {HEADER: PROTOCOL, "Cache-Control": "no-store"}


async def _refuse(request: Request, error: Any) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, headers=_headers())


async def _fail(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed; its log says how"}, 500, headers=_headers())
