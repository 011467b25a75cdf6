"""The rows in an SQLite file, read page by page without SQLite: what damage elsewhere cannot hide.

After https://www.sqlite.org/fileformat2.html: section 1.6 (b-tree pages), 2.1 (record format), 4 (write-ahead log).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_MAGIC = b"SQLite format 3\0"
_LEAF = 0x0D  # the type of a page that holds rows of a table
_DEFAULT_PAGE = 4096
_FIRST_HEADER = 100  # bytes of the file's header, which the first page begins with
_LOG_HEADER, _FRAME_HEADER = 32, 24
_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)  # of serial types 0 to 6


class Row(NamedTuple):
    """A row's number and its values; None stands for the number in its own column."""

    number: int
    values: tuple[Any, ...]


class File:
    """A database file and the log of changes beside it, as pages."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:  # which a mapping outlives; an empty file cannot be mapped
            empty = path.stat().st_size == 0
            self.content = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.page_size = self._page_size()
        self.usable = self.page_size - (self.content[20] if self.content[:16] == _MAGIC else 0)
        log = Path(f"{path}-wal")
        self.log: dict[int, bytes] = {}
        self.log_is_damaged = False
        if log.exists():
            self._read_log(log.read_bytes())

    def _page_size(self) -> int:
        size = int.from_bytes(self.content[16:18], "big")
        size = 65536 if size == 1 else size
        return size if 512 <= size <= 65536 and size & (size - 1) == 0 else _DEFAULT_PAGE

    def _read_log(self, log: bytes) -> None:
        """The latest image of each page, up to the last commit: also behind a damaged frame, where SQLite stops.

        Frames of an earlier use of the log have other salts; those of a transaction that never ended have no commit
        after them.
        """
        order = ">" if log[3:4] == b"\x83" else "<"
        sums, intact = _checksum(log[:24], (0, 0), order), True
        waiting: dict[int, bytes] = {}
        for start in range(_LOG_HEADER, len(log) - _FRAME_HEADER - self.page_size + 1, _FRAME_HEADER + self.page_size):
            header = log[start : start + _FRAME_HEADER]
            if header[8:16] != log[16:24]:
                break
            page = log[start + _FRAME_HEADER : start + _FRAME_HEADER + self.page_size]
            sums = _checksum(page, _checksum(header[:8], sums, order), order)
            intact = intact and sums == struct.unpack(">II", header[16:24])
            number, commit = struct.unpack(">II", header[:8])
            waiting[number] = page
            if commit:
                self.log |= waiting
                self.log_is_damaged |= not intact
                waiting = {}

    def page(self, number: int) -> bytes:
        """A page by its number from 1; what lies beyond the file's end is empty."""
        start = (number - 1) * self.page_size
        return self.log[number] if number in self.log else self.content[start : start + self.page_size]

    def rows(self) -> Iterator[Row]:
        """What looks like a row, of any table."""
        last = max(-(-len(self.content) // self.page_size), max(self.log, default=0))
        for number in range(1, last + 1):
            page = self.page(number)
            first = _FIRST_HEADER if number == 1 else 0
            if page[first : first + 1] != bytes([_LEAF]):
                continue
            cells = first + 8
            count = min(int.from_bytes(page[first + 3 : first + 5], "big"), (len(page) - cells) // 2)
            for place in range(max(count, 0)):
                try:
                    yield self._row(page, int.from_bytes(page[cells + 2 * place : cells + 2 * place + 2], "big"))
                except (IndexError, ValueError, struct.error):
                    continue

    def _row(self, page: bytes, start: int) -> Row:
        size, start = _varint(page, start)
        number, start = _varint(page, start)
        return Row(number - 2**64 if number >= 2**63 else number, _values(self._payload(page, start, size)))

    def _payload(self, page: bytes, start: int, size: int) -> bytes:
        """A row's bytes; what does not fit into its page continues in a chain of others."""
        most, least = self.usable - 35, (self.usable - 12) * 32 // 255 - 23
        fitting = least + (size - least) % (self.usable - 4)
        local = size if size <= most else fitting if fitting <= most else least
        parts, missing = [page[start : start + local]], size - local
        if len(parts[0]) < local:
            raise ValueError("the page ends within a row")
        following = int.from_bytes(page[start + local : start + local + 4], "big")
        while missing > 0:
            page = self.page(following)
            if following < 1 or len(page) < 5:
                raise ValueError("a row's chain of pages is broken")
            parts.append(page[4 : 4 + min(missing, self.usable - 4)])
            following, missing = int.from_bytes(page[:4], "big"), missing - len(parts[-1])
        return b"".join(parts)


def _checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    """The two running sums of the log (section 4.2) after more data."""
    first, second = sums
    for left, right in struct.iter_unpack(f"{order}II", data):
        first = first + left + second & 0xFFFFFFFF
        second = second + right + first & 0xFFFFFFFF
    return first, second


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """A number of 1 to 9 bytes, and where it ends."""
    value = 0
    for place in range(8):
        byte = data[start + place]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, start + place + 1
    return value << 8 | data[start + 8], start + 9


def _values(payload: bytes) -> tuple[Any, ...]:
    """A record's values."""
    header, at = _varint(payload, 0)
    body, found = header, []
    while at < header:
        kind, at = _varint(payload, at)
        size = _INTEGER_BYTES[kind] if kind <= 6 else 8 if kind == 7 else max(0, (kind - 12) // 2)
        data = payload[body : body + size]
        if len(data) < size:
            raise ValueError("the row ends within a value")
        found.append(_value(kind, data))
        body += size
    return tuple(found)


def _value(kind: int, data: bytes) -> Any:
    if kind == 0:
        return None
    if kind <= 6:
        return int.from_bytes(data, "big", signed=True)
    if kind == 7:
        return struct.unpack(">d", data)[0]
    if kind in (8, 9):
        return kind - 8
    if kind < 12:
        raise ValueError("there is no such type")
    return data.decode() if kind % 2 else data
