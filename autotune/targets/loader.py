"""Puts a freestanding ELF64 relocatable object (x86-64 or aarch64) into memory, without a linker.

``parse`` and ``ObjectImage.relocate`` are pure: they turn an object into the bytes that belong at a given address, so
that an emulator can use them as well. ``LoadedObject`` maps these bytes into this process. All of an object is laid
out in one block, so that relative branches and loads always reach; code, read-only data and data lie on pages of their
own, since no page is both writable and executable.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass

from autotune.errors import AutotuneError

_MACHINES = {62: "x86_64", 183: "aarch64"}
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR, _SHF_TLS = 0x1, 0x2, 0x4, 0x400
_SHT_SYMTAB, _SHT_RELA, _SHT_NOBITS, _SHT_REL = 2, 4, 8, 9
_SHN_UNDEF, _SHN_ABS, _SHN_COMMON = 0, 0xFFF1, 0xFFF2
_PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 2, 4


class LoadError(AutotuneError):
    """An object that is malformed or that needs what a freestanding object must not need."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Pages with one protection: ``offset`` and ``size`` in bytes, ``protection`` as mmap's PROT bits."""

    offset: int
    size: int
    protection: int


@dataclass(frozen=True, slots=True)
class _Relocation:
    """One place to patch: a byte offset in the image, the ELF type, the target's offset (or address) and addend."""

    place: int
    type: int
    target: int
    absolute: bool
    addend: int


@dataclass(frozen=True, slots=True)
class ObjectImage:
    """An object laid out from address 0: ``size`` is a whole number of pages, ``symbols`` are offsets in bytes."""

    machine: str
    size: int
    segments: tuple[Segment, ...]
    symbols: dict[str, int]
    content: bytes
    relocations: tuple[_Relocation, ...]

    def relocate(self, base: int) -> bytearray:
        """The bytes that belong at address ``base`` (page aligned); raises LoadError where a value does not fit."""
        image = bytearray(self.content)
        rules = _RULES[self.machine]
        for item in self.relocations:
            rule = rules.get(item.type)
            if rule is None:
                raise LoadError(f"the object has a relocation of type {item.type} that {self.machine} does not know")
            target = item.target + item.addend + (0 if item.absolute else base)
            rule(image, item.place, base + item.place, target)
        return image


def parse(code: bytes, page: int = mmap.PAGESIZE) -> ObjectImage:
    """Lay out an ELF64 relocatable object; raises LoadError for anything else and for undefined symbols."""
    try:
        return _parse(code, page)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise LoadError(f"the object file is cut off or corrupt: {error}") from None


def _parse(code: bytes, page: int) -> ObjectImage:
    if code[:6] != b"\x7fELF\x02\x01" or len(code) < 64:
        raise LoadError("the object is no 64-bit little-endian ELF file")
    kind, machine = struct.unpack_from("<HH", code, 16)
    if kind != 1 or machine not in _MACHINES:
        raise LoadError(f"the object is no relocatable x86-64 or aarch64 file (type {kind}, machine {machine})")
    table, entry_size, count = struct.unpack_from("<Q", code, 40)[0], *struct.unpack_from("<HH", code, 58)
    sections = [_Section(*struct.unpack_from("<IIQQQQIIQQ", code, table + i * entry_size)) for i in range(count)]

    offsets: dict[int, int] = {}
    segments: list[Segment] = []
    end = 0
    for protection in (_PROT_READ | _PROT_EXEC, _PROT_READ, _PROT_READ | _PROT_WRITE):
        start = end
        for index, section in enumerate(sections):
            if section.flags & _SHF_ALLOC and section.protection == protection and section.size:
                align = max(section.align, 1)
                if align > page or section.flags & _SHF_TLS:
                    raise LoadError("the object uses thread-local storage or sections aligned to more than a page")
                offsets[index] = end = -(-end // align) * align
                end += section.size
        end = -(-end // page) * page
        if end > start:
            segments.append(Segment(start, end - start, protection))

    content = bytearray(end)
    for index, offset in offsets.items():
        section = sections[index]
        if section.type != _SHT_NOBITS:
            data = code[section.file_offset : section.file_offset + section.size]
            if len(data) != section.size:
                raise LoadError("the object file is cut off: a section lies beyond its end")
            content[offset : offset + section.size] = data

    symbols: dict[str, int] = {}
    relocations: list[_Relocation] = []
    for section in sections:
        if section.type == _SHT_SYMTAB:
            for name, home, value, is_global in _symbols(code, sections, section):
                if is_global and home in offsets:
                    symbols[name] = offsets[home] + value
        if section.type == _SHT_REL and section.info in offsets:
            raise LoadError("the object has relocations without addends, which neither machine uses")
        if section.type == _SHT_RELA and section.info in offsets:
            names = _symbols(code, sections, sections[section.link])
            for at in range(section.file_offset, section.file_offset + section.size, 24):
                place, info, addend = struct.unpack_from("<QQq", code, at)
                if info & 0xFFFFFFFF == 0:  # R_*_NONE only keeps a section alive
                    continue
                name, home, value, _ = names[info >> 32]
                if home != _SHN_ABS and home not in offsets:
                    raise LoadError(f"the object needs the symbol {name!r} from outside itself")
                if place + 4 > sections[section.info].size:
                    raise LoadError("the object relocates beyond the end of a section")
                relocations.append(
                    _Relocation(
                        offsets[section.info] + place, info & 0xFFFFFFFF,
                        value if home == _SHN_ABS else offsets[home] + value, home == _SHN_ABS, addend,
                    )
                )  # fmt: skip
    return ObjectImage(_MACHINES[machine], end, tuple(segments), symbols, bytes(content), tuple(relocations))


@dataclass(frozen=True, slots=True)
class _Section:
    name: int
    type: int
    flags: int
    address: int
    file_offset: int
    size: int
    link: int
    info: int
    align: int
    entry_size: int

    @property
    def protection(self) -> int:
        write = _PROT_WRITE if self.flags & _SHF_WRITE else 0
        return _PROT_READ | write | (_PROT_EXEC if self.flags & _SHF_EXECINSTR else 0)


def _symbols(code: bytes, sections: list[_Section], table: _Section) -> list[tuple[str, int, int, bool]]:
    """Every symbol as (name, section, value, whether other objects see it)."""
    strings = sections[table.link].file_offset
    found = []
    for at in range(table.file_offset, table.file_offset + table.size, 24):
        name, info, _, home, value, _ = struct.unpack_from("<IBBHQQ", code, at)
        text = code[strings + name : code.index(b"\0", strings + name)].decode()
        if home == _SHN_COMMON:
            raise LoadError(f"the object leaves {text!r} in a common block; define it in a section")
        found.append((text, home, value, info >> 4 != 0))
    return found


def _signed(image: bytearray, place: int, value: int, size: int) -> None:
    if not -(1 << (8 * size - 1)) <= value < 1 << (8 * size - 1):
        raise LoadError(f"a relocation's value {value:#x} does not fit in {size} bytes")
    image[place : place + size] = value.to_bytes(size, "little", signed=True)


def _unsigned(image: bytearray, place: int, value: int, size: int) -> None:
    if not 0 <= value < 1 << (8 * size):
        raise LoadError(f"a relocation's value {value:#x} does not fit in {size} bytes")
    image[place : place + size] = value.to_bytes(size, "little")


def _patch(image: bytearray, place: int, mask: int, bits: int) -> None:
    """Replace the masked bits of a 4-byte instruction."""
    word = int.from_bytes(image[place : place + 4], "little")
    image[place : place + 4] = ((word & ~mask) | (bits & mask)).to_bytes(4, "little")


def _page_high(image: bytearray, place: int, at: int, target: int) -> None:
    """ADRP: the distance in 4 KiB pages, 21 bits, split in two fields."""
    pages = (target >> 12) - (at >> 12)
    if not -(1 << 20) <= pages < 1 << 20:
        raise LoadError("a relocation reaches further than 4 GiB")
    _patch(image, place, 0x60FFFFE0, ((pages & 3) << 29) | ((pages >> 2 & 0x7FFFF) << 5))


def _low12(scale: int) -> Callable[[bytearray, int, int, int], None]:
    """The offset within a 4 KiB page, in units of ``1 << scale`` bytes, bits 10 to 21 of an instruction."""

    def rule(image: bytearray, place: int, at: int, target: int) -> None:
        if target & ((1 << scale) - 1):
            raise LoadError(f"a {1 << scale}-byte load is relocated to an address that is not aligned to it")
        _patch(image, place, 0xFFF << 10, (target & 0xFFF) >> scale << 10)

    return rule


def _branch26(image: bytearray, place: int, at: int, target: int) -> None:
    distance = target - at
    if distance & 3 or not -(1 << 27) <= distance < 1 << 27:
        raise LoadError("a branch is relocated further than 128 MiB or to half an instruction")
    _patch(image, place, 0x3FFFFFF, distance >> 2)


# ELF relocation type -> how the target's address (addend included) goes into the image at `place`, address `at`.
_RULES: dict[str, dict[int, Callable[[bytearray, int, int, int], None]]] = {
    "x86_64": {
        1: lambda image, place, at, target: _unsigned(image, place, target, 8),  # 64
        2: lambda image, place, at, target: _signed(image, place, target - at, 4),  # PC32
        4: lambda image, place, at, target: _signed(image, place, target - at, 4),  # PLT32
        10: lambda image, place, at, target: _unsigned(image, place, target, 4),  # 32
        11: lambda image, place, at, target: _signed(image, place, target, 4),  # 32S
        24: lambda image, place, at, target: _signed(image, place, target - at, 8),  # PC64
    },
    "aarch64": {
        257: lambda image, place, at, target: _unsigned(image, place, target, 8),  # ABS64
        258: lambda image, place, at, target: _unsigned(image, place, target, 4),  # ABS32
        260: lambda image, place, at, target: _signed(image, place, target - at, 8),  # PREL64
        261: lambda image, place, at, target: _signed(image, place, target - at, 4),  # PREL32
        275: _page_high,  # ADR_PREL_PG_HI21
        277: _low12(0),  # ADD_ABS_LO12_NC
        278: _low12(0),  # LDST8_ABS_LO12_NC
        282: _branch26,  # JUMP26
        283: _branch26,  # CALL26
        284: _low12(1),  # LDST16_ABS_LO12_NC
        285: _low12(2),  # LDST32_ABS_LO12_NC
        286: _low12(3),  # LDST64_ABS_LO12_NC
        299: _low12(4),  # LDST128_ABS_LO12_NC
    },
}


@functools.cache
def _mprotect() -> Callable[[int, int, int], int]:
    function = ctypes.CDLL(None, use_errno=True).mprotect
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function


class LoadedObject:
    """An object mapped into this process and ready to run; the mapping ends with ``close`` or with the last reference.

    Raises LoadError where the object is malformed, needs a symbol from outside, or the system refuses the memory.
    The caller makes sure that the object is for this machine's kind of processor.
    """

    def __init__(self, code: bytes) -> None:
        image = parse(code)
        if not image.size:
            raise LoadError("the object is empty")
        # A fresh mapping each time: making its pages executable also synchronises aarch64's instruction cache.
        self._memory = mmap.mmap(-1, image.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._memory[:] = image.relocate(base)
        for segment in image.segments:
            if _mprotect()(base + segment.offset, segment.size, segment.protection):
                raise LoadError(f"the system refuses executable memory (errno {ctypes.get_errno()})")
        self._addresses = {name: base + offset for name, offset in image.symbols.items()}

    def address(self, symbol: str) -> int:
        """Where a global symbol lies in this process; raises LoadError where the object has no such symbol."""
        try:
            return self._addresses[symbol]
        except KeyError:
            known = ", ".join(sorted(self._addresses)) or "none"
            raise LoadError(f"the object defines no symbol {symbol!r}; it defines: {known}") from None

    def close(self) -> None:
        """Unmap the object; its code must not run afterwards."""
        self._addresses = {}
        self._memory.close()
