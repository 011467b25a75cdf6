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
        signal = import_module("signal")
        before = signal.signal(signal.SIGINT, _leave)
        run = import_module("autotune.cli.entry").run
        signal.signal(signal.SIGINT, before)
        code: int = run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write(_SENTENCE)
        code = INTERRUPTED
    sys.exit(code)


_SENTENCE = "Interrupted: nothing had begun.\n"


def _leave(number: int, frame: object) -> None:
    """Ctrl-C while modules load: at once, since extension modules turn an exception into a failed import."""
    sys.stderr.write(_SENTENCE)
    sys.stderr.flush()
    import_module("os")._exit(INTERRUPTED)
