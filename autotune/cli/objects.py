"""Python objects that options name: ``module:name``, as entry points are written."""

from __future__ import annotations

import sys
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

from autotune.errors import UsageError


def load_object(named: str) -> Any:
    """The object ``name`` of ``module``, which is installed or in the working directory.

    Raises ``UsageError`` where there is none, or where importing the module fails.
    """
    module, _, name = named.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return reduce(getattr, name.split("."), import_module(module))
    except (Exception, SystemExit) as error:
        raise UsageError(f"{named!r} cannot be loaded: {type(error).__name__}: {error}") from None
