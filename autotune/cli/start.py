"""Where the command begins. It imports next to nothing, so that Ctrl-C ends it quietly while the rest is imported."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False  # typing's own would cost the import of typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    try:
        code: int = import_module("autotune.cli.entry").run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted: nothing had begun.\n")
        code = INTERRUPTED
    sys.exit(code)
