"""Loads and stores: scalars, vectors, masked vectors, gathers, and the cells of register buffers."""

from __future__ import annotations

from typing import Any

from autotune.lowering.ir import Buffer
from autotune.targets.llvm.addresses import Addresses, Place
from autotune.targets.llvm.arithmetic import Value, literal, vector_literal
from autotune.targets.llvm.columns import BLOCK_BYTES, load_columns, loads_columns
from autotune.targets.llvm.conversions import STORED, from_memory, to_memory
from autotune.targets.llvm.emitter import TYPES, Emitter, mangled, vector_type
from autotune.targets.llvm.registers import Registers
from autotune.targets.llvm.strided import load_every_second
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Expr, Load, Var


class Memory:
    """Accesses to buffers; ``masks`` are the conditions of selects whose arms are being evaluated."""

    def __init__(self, emitter: Emitter, addresses: Addresses, registers: Registers, unproven: frozenset[int]) -> None:
        self.emitter = emitter
        self.addresses = addresses
        self.registers = registers
        self.masks: list[Value] = []
        self._unproven = unproven
        self._cells: dict[int, tuple[tuple[Expr, ...], list[tuple[int, list[tuple[Var, int]]]], int | None]] = {}

    def unproven(self, load: Load) -> bool:
        """Whether the load may happen only where the conditions around it hold."""
        return id(load) in self._unproven and load.buffer not in self.registers.dims

    # -- widths ------------------------------------------------------------------------------------------------

    def widen(self, value: Value, dtype: str, width: int) -> str:
        """The value in every lane of a vector of that width."""
        name, have = value
        if have == width:
            return name
        scalar = TYPES[dtype]
        if not name.startswith("%"):
            return "<" + ", ".join([f"{scalar} {name}"] * width) + ">"
        memo = self.emitter.scope.loads
        key = ("splat", name, width)
        if key not in memo:
            kind = vector_type(dtype, width)
            single = self.emitter.emit(f"insertelement {kind} poison, {scalar} {name}, i64 0")
            memo[key] = self.emitter.emit(
                f"shufflevector {kind} {single}, {kind} poison, <{width} x i32> zeroinitializer"
            )
        return memo[key]

    def match(self, a: Value, b: Value, dtype: str) -> tuple[str, str, int]:
        """Both values at the wider one's width."""
        width = max(a[1], b[1])
        return self.widen(a, dtype, width), self.widen(b, dtype, width), width

    def mask(self, width: int, guarded: bool) -> str | None:
        """The mask of lanes that may touch memory (by the selects around, too, if ``guarded``); None when all may."""
        lanes = self.addresses.lanes
        parts = [self.widen(mask, "bool", width) for mask in self.masks] if guarded else []
        if lanes is not None and lanes.mask is not None and width == lanes.width:
            parts.append(lanes.mask)
        result: str | None = None
        for part in parts:
            result = part if result is None else self.emitter.emit(f"and {vector_type('bool', width)} {result}, {part}")
        return result

    # -- loads -------------------------------------------------------------------------------------------------

    def direct(self, node: Load) -> bool:
        """Whether the load's address is linear, so that its indices need no evaluation."""
        return node.buffer in self.registers.dims or self.addresses.place(node.buffer, node.indices) is not None

    def load(self, node: Load, indices: tuple[Value, ...]) -> Value:
        """An element of a buffer, or a vector of them; ``indices`` are values where the load is not direct."""
        buffer: Buffer = node.buffer
        if buffer in self.registers.dims:
            return self._register_load(buffer, node)
        guarded = bool(self.masks) and self.unproven(node)
        located = self.addresses.located(buffer, node.indices)
        if located is None:
            pointer, width = self._computed(buffer, indices)
            if width == 1:
                return from_memory(self.emitter, self._scalar_load(pointer, buffer.dtype, guarded), buffer.dtype, 1), 1
            return from_memory(
                self.emitter, self._gather(pointer, buffer.dtype, width, guarded), buffer.dtype, width
            ), width
        lanes = self.addresses.lanes
        width = lanes.width if lanes is not None and located[2] else 1
        active = lanes.mask if lanes is not None and width > 1 else None
        conditions = (active, *self.masks) if guarded else (active,)
        key = ("load", id(buffer), located, width, conditions)
        memo = self.emitter.scope.loads
        value = memo.get(key)
        if value is None and width > 1 and not guarded and located[2] != 1:
            self._load_columns(buffer, node.indices, located, conditions)
            value = memo.get(key)
        if value is None:
            place = self.addresses.place(buffer, node.indices)
            assert place is not None
            loaded = self._linear_load(buffer, place, self.addresses.pointer(*located[:2]), width, guarded)
            value = memo[key] = from_memory(self.emitter, loaded, buffer.dtype, width)
        return value, width

    def _load_columns(
        self, buffer: Buffer, indices: tuple[Expr, ...], located: tuple[str, int, int], conditions: tuple[Any, ...]
    ) -> None:
        """Where lanes lie a row apart: what all columns around the address hold, for the loads that follow."""
        lanes, place = self.addresses.lanes, self.addresses.place(buffer, indices)
        if lanes is None or lanes.active is None or place is None or not loads_columns(buffer, place):
            return
        base, offset, step = located
        size = dtypes.itemsize(buffer.dtype)
        start = offset - offset % BLOCK_BYTES
        pointer = self.addresses.pointer(base, start)
        columns = load_columns(self.emitter, buffer.dtype, pointer, step, lanes.active, lanes.width)
        for number, column in enumerate(columns):
            key = ("load", id(buffer), (base, start + number * size, step), lanes.width, conditions)
            self.emitter.scope.loads[key] = column

    def _linear_load(self, buffer: Buffer, place: Place, pointer: str, width: int, guarded: bool) -> str:
        emit, dtype = self.emitter.emit, STORED.get(buffer.dtype, buffer.dtype)
        if width == 1:
            return self._scalar_load(pointer, dtype, guarded)
        if place.lane_step == 2 and not guarded and self.addresses.lanes is not None:
            lanes = self.addresses.lanes
            if lanes.mask is None or lanes.active is not None:
                return load_every_second(self.emitter, dtype, pointer, lanes.active or width, width)
        if place.lane_step != 1:
            return self._gather(self._strided(pointer, place.lane_step, dtype, width), dtype, width, guarded)
        kind, align = vector_type(dtype, width), dtypes.itemsize(dtype)
        mask = self.mask(width, guarded)
        if mask is None or (not guarded and self._padded(buffer, place, width)):
            return emit(f"load {kind}, ptr {pointer}, align {align}")
        name = f"llvm.masked.load.{mangled(dtype, width)}.p0"
        bools = vector_type("bool", width)
        self.emitter.declare(f"{kind} @{name}(ptr, {bools}, {kind})", name)
        return emit(f"call {kind} @{name}(ptr align {align} {pointer}, {bools} {mask}, {kind} zeroinitializer)")

    def _register_load(self, buffer: Buffer, node: Load) -> Value:
        index, along = self._cell(node.indices)
        width = self.addresses.lanes.width if self.addresses.lanes is not None and along is not None else 1
        return self.registers.load(buffer, index, along, width), width

    def _cell(self, indices: tuple[Expr, ...]) -> tuple[tuple[int, ...], int | None]:
        """The constant index of a register access, and the dimension that its lanes run along (None: one element)."""
        held = self._cells.get(id(indices))
        if held is None:
            forms = [self.addresses.form(index) for index in indices]
            lanes, along = self.addresses.lanes, None
            parts = []
            for dim, form in enumerate(forms):
                terms = [(atom, coefficient) for atom, coefficient in form.terms.values() if isinstance(atom, Var)]
                if lanes is not None and any(atom is lanes.var for atom, _ in terms):
                    along = dim
                parts.append((form.const, [term for term in terms if lanes is None or term[0] is not lanes.var]))
            held = self._cells[id(indices)] = (indices, parts, along)
        constants = self.addresses.constants
        index = [const + sum([c * constants[var] for var, c in terms]) if terms else const for const, terms in held[1]]
        return tuple(index), held[2]

    def _scalar_load(self, pointer: str, dtype: str, guarded: bool) -> str:
        """One element, the same for all lanes; under a mask it is read only if some lane is active."""
        dtype = STORED.get(dtype, dtype)
        emit, kind, align = self.emitter.emit, TYPES[dtype], dtypes.itemsize(dtype)
        if not guarded:
            return emit(f"load {kind}, ptr {pointer}, align {align}")
        test = self._any_active()
        first, last, origin = self.emitter.fresh_label(), self.emitter.fresh_label(), self.emitter.label
        self.emitter.lines.append(f"br i1 {test}, label %{first}, label %{last}")
        self.emitter.start_block(first)
        value = emit(f"load {kind}, ptr {pointer}, align {align}")
        self.emitter.branch(last)
        self.emitter.start_block(last)
        return emit(f"phi {kind} [{value}, %{first}], [{literal(0, dtype)}, %{origin}]")

    def _any_active(self) -> str:
        width = max(width for _, width in self.masks)
        test = self.mask(width, guarded=True)
        assert test is not None
        if width == 1:
            return test
        name = f"llvm.vector.reduce.or.v{width}i1"
        self.emitter.declare(f"i1 @{name}(<{width} x i1>)", name)
        return self.emitter.emit(f"call i1 @{name}(<{width} x i1> {test})")

    def _padded(self, buffer: Buffer, place: Place, width: int) -> bool:
        """Whether whole vectors stay inside a packed constant, whose padding is there to be read."""
        row = buffer.shape[-1]
        aligned = all(coefficient % row == 0 for _, coefficient in place.terms)
        return buffer.role == "constant" and aligned and place.offset % row + width <= row

    # -- scattered elements ------------------------------------------------------------------------------------

    def _strided(self, pointer: str, step: int, dtype: str, width: int) -> str:
        """Pointers of lanes that lie ``step`` elements apart."""
        offsets = vector_literal([lane * step * dtypes.itemsize(dtype) for lane in range(width)], "i64")
        return self.emitter.emit(f"getelementptr i8, ptr {pointer}, <{width} x i64> {offsets}")

    def _computed(self, buffer: Buffer, indices: tuple[Value, ...]) -> Value:
        """The pointer, or the vector of pointers, to what the values of all indices name."""
        emit = self.emitter.emit
        width = max((width for _, width in indices), default=1)
        kind, total = vector_type(dtypes.INDEX, width), ""
        for index, stride in zip(indices, buffer.strides, strict=True):
            step = self.widen((str(stride * dtypes.itemsize(buffer.dtype)), 1), dtypes.INDEX, width)
            scaled = emit(f"mul {kind} {self.widen(index, dtypes.INDEX, width)}, {step}")
            total = emit(f"add {kind} {total}, {scaled}") if total else scaled
        return emit(f"getelementptr i8, ptr {self.addresses.pointers[buffer]}, {kind} {total}"), width

    def _gather(self, pointers: str, dtype: str, width: int, guarded: bool) -> str:
        dtype = STORED.get(dtype, dtype)
        kind, bools = vector_type(dtype, width), vector_type("bool", width)
        mask = self.mask(width, guarded) or self.widen(("true", 1), "bool", width)
        name = f"llvm.masked.gather.{mangled(dtype, width)}.v{width}p0"
        self.emitter.declare(f"{kind} @{name}(<{width} x ptr>, {bools}, {kind})", name)
        align = dtypes.itemsize(dtype)
        operands = f"<{width} x ptr> align {align} {pointers}, {bools} {mask}, {kind} zeroinitializer"
        return self.emitter.emit(f"call {kind} @{name}({operands})")

    # -- stores ------------------------------------------------------------------------------------------------

    def store(
        self,
        buffer: Buffer,
        indices: tuple[Expr, ...],
        places: tuple[Value, ...],
        value: Value,
        nontemporal: bool = False,
    ) -> None:
        """An element, or a vector of them, takes a value; ``places`` are the indices' values where not linear."""
        lanes, registers = self.addresses.lanes, self.registers
        if buffer in registers.dims:
            index, _ = self._cell(indices)
            width = lanes.width if lanes is not None and registers.dims[buffer] is not None else 1
            registers.store(buffer, index, self.widen(value, buffer.dtype, width), width)
            return
        dtype = STORED.get(buffer.dtype, buffer.dtype)
        place = self.addresses.place(buffer, indices)
        if place is None:
            pointer, width = self._computed(buffer, places)
        else:
            pointer, width = (
                self._pointer(buffer, indices),
                lanes.width if lanes is not None and place.lane_step else 1,
            )
        kind, align = vector_type(dtype, width), dtypes.itemsize(dtype)
        name = to_memory(self.emitter, self.widen(value, buffer.dtype, width), buffer.dtype, width)
        mask = self.mask(width, guarded=False) if width > 1 else None
        if width > 1 and (place is None or place.lane_step != 1):
            pointers = pointer if place is None else self._strided(pointer, place.lane_step, dtype, width)
            self._scatter(kind, name, pointers, dtype, width, mask)
        elif mask is None and nontemporal and width & (width - 1) == 0:
            self._stream(f"store {kind} {name}, ptr {pointer}", pointer, align, align * width)
        elif mask is None:
            self.emitter.lines.append(f"store {kind} {name}, ptr {pointer}, align {align}")
        else:
            callee, bools = f"llvm.masked.store.{mangled(dtype, width)}.p0", vector_type("bool", width)
            self.emitter.declare(f"void @{callee}({kind}, ptr, {bools})", callee)
            self.emitter.lines.append(
                f"call void @{callee}({kind} {name}, ptr align {align} {pointer}, {bools} {mask})"
            )

    def _stream(self, text: str, pointer: str, align: int, size: int) -> None:
        """A store past the caches, which takes an aligned address; another address gets a plain store."""
        emitter = self.emitter
        emitter.declarations["!0"] = "!0 = !{i32 1}"
        if size == align:
            emitter.lines.append(f"{text}, align {align}, !nontemporal !0")
            return
        aligned, plain, done = (emitter.fresh_label() for _ in range(3))
        address = emitter.emit(f"ptrtoint ptr {pointer} to i64")
        test = emitter.emit(f"icmp eq i64 {emitter.emit(f'and i64 {address}, {size - 1}')}, 0")
        emitter.lines.append(f"br i1 {test}, label %{aligned}, label %{plain}")
        for label, ending in ((aligned, f"align {size}, !nontemporal !0"), (plain, f"align {align}")):
            emitter.start_block(label)
            emitter.lines.append(f"{text}, {ending}")
            emitter.branch(done)
        emitter.start_block(done)

    def prefetch(self, buffer: Buffer, indices: tuple[Expr, ...], places: tuple[Value, ...]) -> None:
        """Ask for the cache line of an element; ``places`` are the indices' values where not linear."""
        pointer = self.pointer(buffer, indices, places)
        self.emitter.declare("void @llvm.prefetch.p0(ptr, i32, i32, i32)", "llvm.prefetch.p0")
        self.emitter.lines.append(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 3, i32 1)")

    def pointer(self, buffer: Buffer, indices: tuple[Expr, ...], places: tuple[Value, ...]) -> str:
        """The address of an element; ``places`` are the indices' values where not linear."""
        place = self.addresses.place(buffer, indices)
        if place is None:
            return self._computed(buffer, places)[0]
        return self._pointer(buffer, indices)

    def _pointer(self, buffer: Buffer, indices: tuple[Expr, ...]) -> str:
        """The address of an access that is linear."""
        located = self.addresses.located(buffer, indices)
        assert located is not None
        return self.addresses.pointer(*located[:2])

    def linear_store(self, buffer: Buffer, indices: tuple[Expr, ...]) -> bool:
        """Whether a store's address is linear, so that its indices need no evaluation."""
        return buffer in self.registers.dims or self.addresses.place(buffer, indices) is not None

    def _scatter(self, kind: str, name: str, pointers: str, dtype: str, width: int, mask: str | None) -> None:
        callee, bools = f"llvm.masked.scatter.{mangled(dtype, width)}.v{width}p0", vector_type("bool", width)
        self.emitter.declare(f"void @{callee}({kind}, <{width} x ptr>, {bools})", callee)
        active = mask or self.widen(("true", 1), "bool", width)
        operands = f"{kind} {name}, <{width} x ptr> align {dtypes.itemsize(dtype)} {pointers}, {bools} {active}"
        self.emitter.lines.append(f"call void @{callee}({operands})")
