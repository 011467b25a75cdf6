"""Statements as LLVM control flow: loops with register cells in phis, straight-line unrolled code, threads."""

from __future__ import annotations

from collections.abc import Callable

from autotune.errors import ScheduleError
from autotune.lowering.ir import (
    Allocate,
    Atomic,
    Buffer,
    For,
    If,
    Intrinsic,
    Prefetch,
    Stmt,
    Store,
    Together,
    in_sequence,
    statements,
    stores,
)
from autotune.lowering.tensorized import full_tile
from autotune.schedules.tensor_intrinsics import get_tensor_intrinsic
from autotune.targets.llvm.addresses import Addresses, Lanes
from autotune.targets.llvm.arithmetic import Value, vector_literal
from autotune.targets.llvm.atomics import emit_update
from autotune.targets.llvm.emitter import Emitter, Lines, vector_type
from autotune.targets.llvm.expressions import Expressions
from autotune.targets.llvm.memory import Memory
from autotune.targets.llvm.module import Module, ThreadBody
from autotune.targets.llvm.registers import Cells, Registers, copied
from autotune.targets.llvm.tensor_instructions import TensorInstructions, instruction_for
from autotune.tensor_expr.expr import Binary, Expr

Arm = Callable[[], None]
STACK_BYTES = 16 << 10  # larger buffers lie in the workspace, whose size the caller knows
STACK_LIMIT = 1 << 20  # what set_scope may ask for: a thread's stack has a few MiB


class FunctionEmitter:
    """Emits the statements of one function."""

    def __init__(self, module: Module, in_thread: bool) -> None:
        self.module = module
        self.in_thread = in_thread
        self.emitter = Emitter(module.declarations)
        self.addresses = Addresses(self.emitter, module.ranges)
        self.registers = Registers(self.emitter, module.registers)
        self.memory = Memory(self.emitter, self.addresses, self.registers, module.unproven)
        self.values = Expressions(self.emitter, self.addresses, self.memory)
        self.tensors = TensorInstructions(self.emitter, self.memory)
        self.workspace = "%workspace"
        self.used = 0
        self.stack = 0
        self.allocated: dict[Buffer, str] = {}
        self.streams = False

    def statement(self, stmt: Stmt) -> None:
        """Emit a statement and all inside it; the workspace of its allocations is free again after it."""
        before = self.used
        for inner in in_sequence(stmt):
            self._one(inner)
        self.used = before

    def _one(self, stmt: Stmt) -> None:
        if isinstance(stmt, (Store, Together)):
            self._store(stores(stmt))
        elif isinstance(stmt, Atomic):
            self._update(stmt.store)
        elif isinstance(stmt, For):
            self._loop(stmt)
        elif isinstance(stmt, If):
            self._if(stmt)
        elif isinstance(stmt, Prefetch):
            self._prefetch(stmt)
        elif isinstance(stmt, Intrinsic):
            self._intrinsic(stmt)
        else:
            assert isinstance(stmt, Allocate), stmt
            self._allocate(stmt.buffer)

    def _store(self, group: tuple[Store, ...]) -> None:
        """All values, and where they go, before the first store."""
        values = self.values.evaluate_all(tuple(store.value for store in group))
        places = [self._places(store.buffer, store.indices) for store in group]
        for store, place, value in zip(group, places, values, strict=True):
            if store.nontemporal and store.buffer not in self.module.registers:
                self.streams = True
            self.memory.store(store.buffer, store.indices, place, value, store.nontemporal)
        for store in group:
            if store.buffer not in self.module.registers:
                self._forget(store.buffer)

    def _places(self, buffer: Buffer, indices: tuple[Expr, ...]) -> tuple[Value, ...]:
        """The indices' values, where an address is not linear in them."""
        return () if self.memory.linear_store(buffer, indices) else self.values.evaluate_all(indices)

    def _update(self, store: Store) -> None:
        """An atomic update; what is in registers is the thread's own."""
        if store.buffer in self.module.registers:
            self._store((store,))
            return
        assert isinstance(store.value, Binary)
        value = self.values.evaluate(store.value.b)
        pointer = self.memory.pointer(store.buffer, store.indices, self._places(store.buffer, store.indices))
        emit_update(self.emitter, pointer, store.value.op, value[0], store.buffer.dtype)
        self._forget(store.buffer)

    def _intrinsic(self, stmt: Intrinsic) -> None:
        """The instruction where the target has it and its operands are in memory, else the loops that it stands for."""
        intrinsic = get_tensor_intrinsic(stmt.name)
        instruction, nest = instruction_for(intrinsic, self.module.target), full_tile(stmt.body, intrinsic)
        if instruction is None or nest is None or not self.tensors.possible(intrinsic, *nest):
            self.statement(stmt.body)
            return
        loops, store = nest
        assert isinstance(store.value, Binary)
        for loop in loops[1:]:
            self.addresses.constants[loop.var] = 0
        self.addresses.lanes = Lanes(loops[0].var, intrinsic.lanes)
        held, _ = self.values.evaluate(store.value.a)
        value = self.tensors.emit(intrinsic, instruction, loops, store, held)
        self.memory.store(store.buffer, store.indices, (), (value, intrinsic.lanes))
        self.addresses.lanes = None
        for loop in loops[1:]:
            del self.addresses.constants[loop.var]
        if store.buffer not in self.module.registers:
            self._forget(store.buffer)

    def _prefetch(self, stmt: Prefetch) -> None:
        if stmt.buffer in self.module.registers:
            return
        self.memory.prefetch(stmt.buffer, stmt.indices, self._places(stmt.buffer, stmt.indices))

    def fence(self) -> None:
        """Order non-temporal stores before what follows, where the architecture does not by itself."""
        if self.streams and self.module.fence:
            self.emitter.declare(f"void @{self.module.fence}()", self.module.fence)
            self.emitter.lines.append(f"call void @{self.module.fence}()")

    def _forget(self, buffer: Buffer) -> None:
        memo = self.emitter.scope.loads
        for key in [key for key in memo if key[0] == "load" and key[1] == id(buffer)]:
            del memo[key]

    def _allocate(self, buffer: Buffer) -> None:
        """Memory, or no register cells yet, for the statements that follow."""
        if buffer in self.module.registers:
            self.registers.cells.pop(buffer, None)
            return
        if buffer.scope == "stack" and buffer.bytes > STACK_LIMIT:
            raise ScheduleError(
                f"stage {buffer.name!r} has {buffer.bytes} bytes, more than the {STACK_LIMIT} that the stack holds; "
                f"set_scope it to workspace"
            )
        small = buffer.bytes <= STACK_BYTES and (buffer in self.allocated or self.stack <= STACK_LIMIT - STACK_BYTES)
        if buffer.scope == "stack" or (small and buffer.scope != "workspace"):
            # Unrolled copies of the statement follow each other, so that they share the memory.
            if buffer not in self.allocated:
                self.stack += buffer.bytes
                self.allocated[buffer] = self.emitter.name()
                self.emitter.entry.append(f"{self.allocated[buffer]} = alloca i8, i64 {buffer.bytes}, align 64")
            self.addresses.pointers[buffer] = self.allocated[buffer]
            return
        start = (self.used + 63) // 64 * 64
        name = self.emitter.name()
        self.emitter.entry.append(f"{name} = getelementptr i8, ptr {self.workspace}, i64 {start}")
        self.used = start + buffer.bytes
        if self.in_thread:
            self.module.thread_bytes = max(self.module.thread_bytes, self.used)
        else:
            self.module.shared_bytes = max(self.module.shared_bytes, self.used)
        self.addresses.pointers[buffer] = name

    # -- loops -------------------------------------------------------------------------------------------------

    def _loop(self, stmt: For) -> None:
        if stmt.kind == "vectorize":
            self._vector(stmt)
        elif stmt.kind == "parallel" and self.module.concurrent:
            self._parallel(stmt)
        elif stmt.kind == "unroll":
            extent = self.addresses.constant(stmt.extent)
            assert extent is not None, "an unrolled loop has a constant extent"
            for step in range(extent):
                self.addresses.constants[stmt.var] = step
                self.statement(stmt.body)
            del self.addresses.constants[stmt.var]
        else:
            self._serial(stmt)

    def _vector(self, stmt: For) -> None:
        active = self.addresses.constant(stmt.extent)
        lanes = Lanes(stmt.var, stmt.lanes, active=active)
        if active is not None and not self.module.target.masked:
            lanes.width = active
        elif active is None:
            width = stmt.lanes
            count = self.memory.widen((self.addresses.scalar(stmt.extent)[0], 1), "int64", width)
            places = vector_literal(list(range(width)), "i64")
            lanes.mask = self.emitter.emit(f"icmp slt <{width} x i64> {places}, {count}")
        elif active < stmt.lanes:
            lanes.mask = vector_literal([int(lane < active) for lane in range(stmt.lanes)], "i1")
        if lanes.width == 1:
            self.addresses.constants[stmt.var] = 0
            self.statement(stmt.body)
            del self.addresses.constants[stmt.var]
            return
        self.addresses.lanes = lanes
        self.statement(stmt.body)
        self.addresses.lanes = None

    def _serial(self, stmt: For) -> None:
        extent = self.addresses.constant(stmt.extent)
        if extent == 0:
            return
        if extent is None:
            count, _ = self.addresses.scalar(stmt.extent)
            runs = self.emitter.emit(f"icmp sgt i64 {count}, 0")
            self._conditional(runs, lambda: self._counted(stmt, count), None)
            self._drop_loads(stmt.body)
        else:
            self._counted(stmt, str(extent))

    def _counted(self, stmt: For, count: str, first: str = "0") -> None:
        """A loop of ``count`` iterations, at least one, from ``first`` on; cells that it stores are carried in phis."""
        emitter, cells = self.emitter, self.registers.cells
        carried = [
            (buffer, key, start)
            for buffer in _stored(stmt.body)
            for key, row in cells.get(buffer, {}).items()
            for start in row
        ]
        origin, head, done = emitter.label, emitter.fresh_label(), emitter.fresh_label()
        emitter.branch(head)
        emitter.start_block(head)
        counter = emitter.name()
        phis: Lines = []
        emitter.lines.append(phis)
        initial = [cells[buffer][key][start] for buffer, key, start in carried]
        names = []
        for (buffer, key, start), (_, width) in zip(carried, initial, strict=True):
            name = emitter.name()
            names.append(name)
            cells[buffer][key][start] = (name, width)
        value = counter if first == "0" else emitter.emit(f"add nsw i64 {first}, {counter}")
        scope = emitter.push_scope()
        self.addresses.runtime[stmt.var] = (value, scope.depth)
        self.statement(stmt.body)
        del self.addresses.runtime[stmt.var]
        cells = self.registers.cells
        following = emitter.emit(f"add nuw nsw i64 {counter}, 1")
        again = emitter.emit(f"icmp slt i64 {following}, {count}")
        latch = emitter.label
        emitter.lines.append(f"br i1 {again}, label %{head}, label %{done}")
        emitter.pop_scope()
        phis.append(f"{counter} = phi i64 [0, %{origin}], [{following}, %{latch}]")
        for (buffer, key, start), (value, width), name in zip(carried, initial, names, strict=True):
            kind = vector_type(buffer.dtype, width)
            last = cells[buffer][key][start][0]
            phis.append(f"{name} = phi {kind} [{value}, %{origin}], [{last}, %{latch}]")
        emitter.start_block(done)
        self._drop_loads(stmt.body)

    def _drop_loads(self, body: Stmt) -> None:
        """What a finished piece of control flow stored, or loaded in blocks of its own, is not known any more."""
        for inner in statements(body):
            for store in stores(inner):
                if store.buffer not in self.module.registers:
                    self._forget(store.buffer)

    def _if(self, stmt: If) -> None:
        condition = self.values.evaluate(stmt.condition)
        otherwise = stmt.otherwise
        if condition[1] > 1:
            self._masked(condition, stmt.then)
            if otherwise is not None:
                self._masked(self.values.inverted(condition), otherwise)
            return
        self._conditional(
            condition[0],
            lambda: self.statement(stmt.then),
            (lambda: self.statement(otherwise)) if otherwise is not None else None,
        )
        self._drop_loads(stmt)

    def _masked(self, condition: Value, body: Stmt) -> None:
        """Inside a vectorised loop: the lanes in which the condition holds run the body."""
        lanes = self.addresses.lanes
        assert lanes is not None
        before, active = lanes.mask, lanes.active
        self.memory.masks.append(condition)
        lanes.mask, lanes.active = condition[0], None
        if before is not None:
            lanes.mask = self.emitter.emit(f"and {vector_type('bool', lanes.width)} {before}, {condition[0]}")
        self.statement(body)
        lanes.mask, lanes.active = before, active
        self.memory.masks.pop()

    def _conditional(self, condition: str, then: Arm, otherwise: Arm | None) -> None:
        """Two arms, then phis for the cells in which they differ."""
        emitter, registers = self.emitter, self.registers
        labels = [emitter.fresh_label() for _ in range(3)]
        emitter.lines.append(f"br i1 {condition}, label %{labels[0]}, label %{labels[1]}")
        before = copied(registers.cells)
        ends: list[tuple[str, dict[Buffer, Cells]]] = []
        for label, arm in zip(labels, (then, otherwise), strict=False):
            emitter.start_block(label)
            emitter.push_scope()
            registers.cells = copied(before)
            if arm is not None:
                arm()
            emitter.pop_scope()
            ends.append((emitter.label, registers.cells))
            emitter.branch(labels[2])
        emitter.start_block(labels[2])
        registers.merge(*ends)

    # -- threads -----------------------------------------------------------------------------------------------

    def _parallel(self, stmt: For) -> None:
        """Hand the body, as a function of its own, to the runtime's ``parallel``; threads take a chunk at a time.

        The closure is an array of 64-bit slots: the next iteration, the next thread's number, then what the body uses.
        """
        assert not self.in_thread, "parallel loops do not nest"
        emitter, addresses = self.emitter, self.addresses
        inner = FunctionEmitter(self.module, in_thread=True)
        slots: list[tuple[str, str]] = [("i64", "0"), ("i64", "0"), ("ptr", self.workspace)]
        for buffer, pointer in addresses.pointers.items():
            inner.addresses.pointers[buffer] = f"%slot{len(slots)}"
            slots.append(("ptr", pointer))
        for var, (name, _) in addresses.runtime.items():
            inner.addresses.runtime[var] = (f"%slot{len(slots)}", 0)
            slots.append(("i64", name))
        extent, _ = addresses.scalar(stmt.extent)
        slots.append(("i64", extent))
        inner.addresses.constants.update(addresses.constants)
        inner._thread_body(stmt, f"%slot{len(slots) - 1}")
        name = f"parallel{len(self.module.threads)}"
        self.module.threads.append(ThreadBody(name, tuple(slots), inner.emitter.text()))
        closure = emitter.name()
        emitter.entry.append(f"{closure} = alloca i64, i64 {len(slots)}, align 64")
        for number, (kind, value) in enumerate(slots):
            slot = emitter.emit(f"getelementptr i64, ptr {closure}, i64 {number}")
            emitter.lines.append(f"store {kind} {value}, ptr {slot}, align 8")
        self.fence()
        run = emitter.emit("load ptr, ptr %runtime, align 8")
        threads_slot = emitter.emit("getelementptr i64, ptr %runtime, i64 1")
        threads = emitter.emit(f"load i64, ptr {threads_slot}, align 8")
        count = emitter.emit(f"trunc i64 {threads} to i32")
        emitter.lines.append(f"call void {run}(ptr @{name}, ptr {closure}, i32 {count}, i32 0)")
        self._drop_loads(stmt.body)

    def _thread_body(self, stmt: For, extent: str) -> None:
        emitter = self.emitter
        self.workspace = "%own"
        chunk = dict(stmt.pragmas).get("parallel_chunk", 1)
        head, body, done = (emitter.fresh_label() for _ in range(3))
        emitter.branch(head)
        emitter.start_block(head)
        first = emitter.emit(f"atomicrmw add ptr %closure, i64 {chunk} monotonic")
        more = emitter.emit(f"icmp slt i64 {first}, {extent}")
        emitter.lines.append(f"br i1 {more}, label %{body}, label %{done}")
        emitter.start_block(body)
        if chunk == 1:
            scope = emitter.push_scope()
            self.addresses.runtime[stmt.var] = (first, scope.depth)
            self.statement(stmt.body)
            emitter.pop_scope()
        else:
            left = emitter.emit(f"sub nsw i64 {extent}, {first}")
            emitter.declare("i64 @llvm.smin.i64(i64, i64)", "llvm.smin.i64")
            self._counted(stmt, emitter.emit(f"call i64 @llvm.smin.i64(i64 {left}, i64 {chunk})"), first)
        emitter.branch(head)
        emitter.start_block(done)
        self.fence()
        emitter.lines.append("ret void")


def _stored(body: Stmt) -> list[Buffer]:
    return list(dict.fromkeys(store.buffer for stmt in statements(body) for store in stores(stmt)))
