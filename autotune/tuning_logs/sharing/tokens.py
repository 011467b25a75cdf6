"""Who may do what: a file with a line ``NAME:SCOPE:SHA256`` for each token, which itself is written nowhere."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autotune.errors import UsageError

SCOPES = ("read", "append")  # who may append may read, too
_NAME = re.compile(r"[\w.@-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BITS = 256  # guessing is hopeless, so that a plain hash is enough


@dataclass(frozen=True, slots=True)
class Token:
    """A token's name, what it may do, and its SHA-256 in hexadecimal."""

    name: str
    scope: str
    digest: str


def read_tokens(path: Path) -> list[Token]:
    """The tokens of a file; empty lines and those that begin with # say nothing.

    Raises UsageError for a file that cannot be read, or a line that is none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"the tokens in {path} cannot be read: {why}") from error
    tokens = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        scope, _, digest = rest.partition(":")
        if not _NAME.fullmatch(name) or scope not in SCOPES or not _DIGEST.fullmatch(digest):
            scopes = " or ".join(SCOPES)
            raise UsageError(f"{path}, line {number}: this is no NAME:SCOPE:SHA256 with a scope of {scopes}")
        tokens.append(Token(name, scope, digest))
    return tokens


def find_token(tokens: Sequence[Token], presented: str) -> Token | None:
    """The token that was presented, or None; takes as long whichever it is."""
    digest, found = _digest(presented), None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found


def create_token(path: Path, name: str, scope: str) -> str:
    """Adds a token to a file, which is made where there is none, and returns it: nobody can tell it again.

    Raises UsageError for a name or scope that is none, and for a name that the file has already.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"a token's name has up to 64 letters, digits and any of . _ @ -, unlike {name!r}")
    if scope not in SCOPES:
        raise UsageError(f"a token's scope is {' or '.join(SCOPES)}, not {scope!r}")
    if path.exists() and name in {token.name for token in read_tokens(path)}:
        raise UsageError(f"{path} has a token {name!r} already; remove its line first, which ends its validity")
    token = secrets.token_urlsafe(_BITS // 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(f"{name}:{scope}:{_digest(token)}\n")
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
