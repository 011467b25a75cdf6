"""What assembly text tells: its innermost loops, their branches, and the vector registers that did not suffice."""

from __future__ import annotations

import re

_LABEL = re.compile(r"^(\.?L\w+):")
_BRANCH = re.compile(r"^\s+(?:j[a-z]+|b(?:\.[a-z]+)?|cbn?z|tbn?z)\s+(?:[\w#]+,\s*)*(\.?L\w+)\s*$")
_MULTIPLY_ADD = re.compile(r"^\s+(?:vfn?m(?:add|sub)\d+|fml[as])")
# x86 (AT&T): a vector instruction that reads the stack, so that a register follows the operand. aarch64: a vector load.
_RELOAD = re.compile(r"\(%rsp\)(?:\{\w+\})?,.*%[xyz]mm\d+|^\s+ldu?[rp]\s+[qdv]\d+.*\[sp\b")


def innermost_loops(assembly: str) -> list[list[str]]:
    """The lines of every loop that holds no other, in order; a loop is what a branch back to a label encloses."""
    lines = assembly.splitlines()
    return [lines[span.start : span.stop] for span in _innermost_spans(lines)]


def _innermost_spans(lines: list[str]) -> list[range]:
    labels = {match[1]: number for number, line in enumerate(lines) if (match := _LABEL.match(line))}
    spans = []
    for number, line in enumerate(lines):
        match = _BRANCH.match(line)
        if match and labels.get(match[1], number + 1) <= number:
            spans.append((labels[match[1]], number))
    inner = [a for a in spans if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    return [range(start, end + 1) for start, end in sorted(set(inner))]


def busiest_loop(assembly: str) -> range:
    """The numbers of the lines, from 0, of the innermost loop with most multiply-adds; none where there is no loop."""
    lines = assembly.splitlines()
    return max(_innermost_spans(lines), key=lambda span: multiply_adds(lines[span.start : span.stop]), default=range(0))


def multiply_adds(loop: list[str]) -> int:
    """Multiply-add instructions among the lines."""
    return sum(1 for line in loop if _MULTIPLY_ADD.match(line))


def branches(loop: list[str]) -> int:
    """Branches inside a loop other than the one that closes it."""
    return sum(1 for line in loop if _BRANCH.match(line)) - 1


def spills(assembly: str) -> int:
    """Vector reloads from the stack in one iteration of the busiest innermost loop: the one with most multiply-adds."""
    lines, span = assembly.splitlines(), busiest_loop(assembly)
    return sum(1 for line in lines[span.start : span.stop] if _RELOAD.search(line))
