"""What the Python blocks of a page print: the text block right after one holds its output, and a test compares them.

``python docs/printed.py docs/guide.md`` runs a page and writes the outputs anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

# A block of Python, and the block of text after it where there is one with nothing but white space between.
_BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:(?P<gap>\s+)```text\n(?P<printed>.*?)^```$)?", re.MULTILINE | re.DOTALL
)
_BETWEEN = "---8<--- end of a block ---8<---"


def code_of(page: str) -> list[str]:
    """The Python blocks, in order."""
    return [found["code"] for found in _BLOCK.finditer(page)]


def printed_on(page: str) -> list[str | None]:
    """Per Python block, the output that the page shows; None where it shows none."""
    return [found["printed"] for found in _BLOCK.finditer(page)]


def run(page: str, folder: Path, environment: Mapping[str, str] | None = None) -> list[str]:
    """What each block prints when all of them run, one after the other, in a Python of their own.

    Raises ``RuntimeError`` with the traceback where a block fails.
    """
    script = f"\nprint({_BETWEEN!r})\n".join(code_of(page))
    finished = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    if finished.returncode != 0:
        raise RuntimeError(finished.stderr)
    return finished.stdout.split(f"{_BETWEEN}\n")


def with_printed(page: str, printed: list[str]) -> str:
    """The page with the outputs that it shows replaced."""
    outputs = iter(printed)

    def replaced(found: re.Match[str]) -> str:
        output, whole = next(outputs), found[0]
        return whole if found["printed"] is None else whole[: found.start("printed") - found.start()] + output + "```"

    return _BLOCK.sub(replaced, page)


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as scratch:
            path.write_text(with_printed(path.read_text(), run(path.read_text(), Path(scratch))))
