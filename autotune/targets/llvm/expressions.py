"""Scalar expressions as LLVM instructions, on scalars or on the lanes of the vectorised loop in force."""

from __future__ import annotations

import struct

from autotune.lowering.ir import Buffer
from autotune.targets.llvm.addresses import Addresses, Place, integer_operation
from autotune.targets.llvm.emitter import TYPES, Emitter, mangled, vector_type
from autotune.targets.llvm.intrinsics import emit_exp
from autotune.targets.llvm.registers import Registers, register_index
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Binary, Call, Cast, Compare, Const, Expr, Load, Not, Select, Var

Value = tuple[str, int]  # an SSA name or a constant, and its width (1: a scalar)

_FLOAT_OPS = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_FLOAT_COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
_SIGNED = {"lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge", "eq": "eq", "ne": "ne"}
_UNSIGNED = {"lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge", "eq": "eq", "ne": "ne"}
_PLAIN_CALLS = {"sqrt": "sqrt", "abs": "fabs", "floor": "floor"}


def literal(value: int | float | bool, dtype: str) -> str:
    """A scalar constant in LLVM's spelling; floats exactly, as the bits of a double."""
    if dtype == "bool":
        return "true" if value else "false"
    if dtypes.is_float(dtype):
        exact = struct.unpack("f", struct.pack("f", value))[0] if dtype == "float32" else float(value)
        return f"0x{struct.unpack('>Q', struct.pack('>d', exact))[0]:016X}"
    return str(int(value))


class Expressions:
    """Evaluates expressions of one function."""

    def __init__(self, emitter: Emitter, addresses: Addresses, registers: Registers) -> None:
        self.emitter = emitter
        self.addresses = addresses
        self.registers = registers
        self.masks: list[Value] = []

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
            memo[key] = self.emitter.emit(f"shufflevector {kind} {single}, {kind} poison, <{width} x i32> zeroinitializer")
        return memo[key]

    def _match(self, a: Value, b: Value, dtype: str) -> tuple[str, str, int]:
        width = max(a[1], b[1])
        return self.widen(a, dtype, width), self.widen(b, dtype, width), width

    # -- expressions -------------------------------------------------------------------------------------------

    def evaluate(self, root: Expr) -> Value:
        """The expression's value; an explicit stack, so that deep chains need no recursion."""
        done: dict[int, Value] = {}
        stack: list[tuple[Expr, bool]] = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in done:
                continue
            if isinstance(node, Load):
                done[id(node)] = self.load(node)
            elif isinstance(node, Select):
                done[id(node)] = self._select(node)
            elif node.dtype == dtypes.INDEX and isinstance(node, (Var, Binary)):
                done[id(node)] = self.index(node)
            elif not node.children:
                assert isinstance(node, Const), node
                done[id(node)] = (literal(node.value, node.dtype), 1)
            elif not ready:
                stack.append((node, True))
                stack.extend((child, False) for child in _operands(node) if id(child) not in done)
            else:
                done[id(node)] = self._node(node, done)
        return done[id(root)]

    def _node(self, node: Expr, done: dict[int, Value]) -> Value:
        if isinstance(node, Binary):
            product = _multiply_add(node)
            if product is not None:
                return self._fma(node.dtype, *(done[id(part)] for part in product))
            return self._binary(node, done[id(node.a)], done[id(node.b)])
        if isinstance(node, Compare):
            a, b, width = self._match(done[id(node.a)], done[id(node.b)], node.a.dtype)
            kind = vector_type(node.a.dtype, width)
            if dtypes.is_float(node.a.dtype):
                return self.emitter.emit(f"fcmp {_FLOAT_COMPARE[node.op]} {kind} {a}, {b}"), width
            table = _UNSIGNED if node.a.dtype in ("uint8", "bool") else _SIGNED
            return self.emitter.emit(f"icmp {table[node.op]} {kind} {a}, {b}"), width
        if isinstance(node, Not):
            name, width = done[id(node.a)]
            return self.emitter.emit(f"xor {vector_type('bool', width)} {name}, {self.widen(('true', 1), 'bool', width)}"), width
        if isinstance(node, Cast):
            return self._cast(done[id(node.a)], node.a.dtype, node.dtype)
        assert isinstance(node, Call), node
        return self._call(node, done[id(node.args[0])])

    def _fma(self, dtype: str, addend: Value, a: Value, b: Value) -> Value:
        width = max(addend[1], a[1], b[1])
        kind = vector_type(dtype, width)
        operands = ", ".join(f"{kind} {self.widen(value, dtype, width)}" for value in (a, b, addend))
        name = self.emitter.declare(f"{kind} @llvm.fma.{mangled(dtype, width)}({kind}, {kind}, {kind})", f"llvm.fma.{mangled(dtype, width)}")
        return self.emitter.emit(f"call {kind} @{name}({operands})"), width

    def _binary(self, node: Binary, left: Value, right: Value) -> Value:
        dtype = node.dtype
        a, b, width = self._match(left, right, dtype)
        kind = vector_type(dtype, width)
        emit = self.emitter.emit
        if dtype == "bool":
            return emit(f"{node.op} {kind} {a}, {b}"), width
        if not dtypes.is_float(dtype):
            return self._integer(node.op, a, b, width, dtype), width
        if node.op in ("min", "max"):
            name = f"llvm.{node.op}imum.{mangled(dtype, width)}"
            self.emitter.declare(f"{kind} @{name}({kind}, {kind})", name)
            return emit(f"call {kind} @{name}({kind} {a}, {kind} {b})"), width
        if node.op in ("floordiv", "mod"):
            quotient = self._unary("floor", emit(f"fdiv {kind} {a}, {b}"), dtype, width)
            if node.op == "floordiv":
                return quotient, width
            return emit(f"fsub {kind} {a}, {emit(f'fmul {kind} {quotient}, {b}')}"), width
        return emit(f"{_FLOAT_OPS[node.op]} {kind} {a}, {b}"), width

    def _integer(self, op: str, a: str, b: str, width: int, dtype: str) -> str:
        emit, kind = self.emitter.emit, vector_type(dtype, width)
        if dtype == "uint8" and op in ("min", "max", "floordiv", "mod"):
            if op in ("floordiv", "mod"):
                return emit(f"{'udiv' if op == 'floordiv' else 'urem'} {kind} {a}, {b}")
            name = f"llvm.u{op}.{mangled(dtype, width)}"
            self.emitter.declare(f"{kind} @{name}({kind}, {kind})", name)
            return emit(f"call {kind} @{name}({kind} {a}, {kind} {b})")
        return integer_operation(op, a, b, kind, emit)

    def _unary(self, name: str, a: str, dtype: str, width: int) -> str:
        kind = vector_type(dtype, width)
        full = f"llvm.{name}.{mangled(dtype, width)}"
        self.emitter.declare(f"{kind} @{full}({kind})", full)
        return self.emitter.emit(f"call {kind} @{full}({kind} {a})")

    def _call(self, node: Call, value: Value) -> Value:
        name, width = value
        if node.name == "exp":
            return emit_exp(self.emitter, self.widen, name, node.dtype, width), width
        if node.name == "abs" and not dtypes.is_float(node.dtype):
            zero = self.widen(("0", 1), node.dtype, width)
            kind = vector_type(node.dtype, width)
            negated = self.emitter.emit(f"sub {kind} {zero}, {name}")
            return integer_operation("max", name, negated, kind, self.emitter.emit), width
        return self._unary(_PLAIN_CALLS[node.name], name, node.dtype, width), width

    def _cast(self, value: Value, source: str, target: str) -> Value:
        name, width = value
        before, after = vector_type(source, width), vector_type(target, width)
        unsigned = source in ("uint8", "bool")
        if target == "bool":
            zero = self.widen((literal(0, source), 1), source, width)
            test = "fcmp une" if dtypes.is_float(source) else "icmp ne"
            return self.emitter.emit(f"{test} {before} {name}, {zero}"), width
        if dtypes.is_float(source) and dtypes.is_float(target):
            op = "fpext" if dtypes.itemsize(target) > dtypes.itemsize(source) else "fptrunc"
        elif dtypes.is_float(source):
            op = "fptoui" if target == "uint8" else "fptosi"
        elif dtypes.is_float(target):
            op = "uitofp" if unsigned else "sitofp"
        elif dtypes.itemsize(target) == dtypes.itemsize(source) and source != "bool":
            return value
        elif dtypes.itemsize(target) < dtypes.itemsize(source):
            op = "trunc"
        else:
            op = "zext" if unsigned else "sext"
        return self.emitter.emit(f"{op} {before} {name} to {after}"), width

    def index(self, node: Expr) -> Value:
        """An index expression as a value: i64, or a vector of them where it varies by lane."""
        lanes = self.addresses.lanes
        if lanes is None or not self.addresses.uses(node, lanes.var):
            return self.addresses.scalar(node)[0], 1
        if node is lanes.var:
            return "<" + ", ".join(f"i64 {i}" for i in range(lanes.width)) + ">", lanes.width
        assert isinstance(node, Binary), node
        a, b, width = self._match(self.index(node.a) if node.a.children or isinstance(node.a, Var) else self.evaluate(node.a),
                                  self.index(node.b) if node.b.children or isinstance(node.b, Var) else self.evaluate(node.b), dtypes.INDEX)  # fmt: skip
        return self._integer(node.op, a, b, width, dtypes.INDEX), width

    # -- selection ---------------------------------------------------------------------------------------------

    def _select(self, node: Select) -> Value:
        condition = self.evaluate(node.condition)
        if not (_has_load(node.a) or _has_load(node.b)):
            return self._choose(node.dtype, condition, self.evaluate(node.a), self.evaluate(node.b))
        if condition[1] == 1 and self.addresses.lanes is None:
            return self._branch(node, condition[0])
        a = self._under(condition, node.a)
        inverted = self.emitter.emit(
            f"xor {vector_type('bool', condition[1])} {condition[0]}, {self.widen(('true', 1), 'bool', condition[1])}"
        )
        b = self._under((inverted, condition[1]), node.b)
        return self._choose(node.dtype, condition, a, b)

    def _choose(self, dtype: str, condition: Value, left: Value, right: Value) -> Value:
        a, b, width = self._match(left, right, dtype)
        if condition[1] > width:
            width = condition[1]
            a, b = self.widen((a, 1), dtype, width), self.widen((b, 1), dtype, width)
        test = condition[0] if condition[1] == 1 else self.widen(condition, "bool", width)
        kind, bools = vector_type(dtype, width), vector_type("bool", width if condition[1] > 1 else 1)
        return self.emitter.emit(f"select {bools} {test}, {kind} {a}, {kind} {b}"), width

    def _under(self, condition: Value, expr: Expr) -> Value:
        """Evaluate with loads masked by a condition."""
        self.masks.append(condition)
        value = self.evaluate(expr)
        self.masks.pop()
        return value

    def _branch(self, node: Select, condition: str) -> Value:
        """A scalar choice between loads: only the chosen side runs."""
        emitter = self.emitter
        labels = [emitter.fresh_label() for _ in range(3)]
        emitter.lines.append(f"br i1 {condition}, label %{labels[0]}, label %{labels[1]}")
        arms = []
        for label, side in zip(labels, (node.a, node.b), strict=False):
            emitter.start_block(label)
            emitter.push_scope()
            value = self.evaluate(side)[0]
            emitter.pop_scope()
            arms.append(f"[{value}, %{emitter.label}]")
            emitter.branch(labels[2])
        emitter.start_block(labels[2])
        return emitter.emit(f"phi {vector_type(node.dtype, 1)} {', '.join(arms)}"), 1

    # -- memory ------------------------------------------------------------------------------------------------

    def load(self, node: Load) -> Value:
        """An element of a buffer, or a vector of them."""
        buffer: Buffer = node.buffer
        if buffer in self.registers.dims:
            return self._register_load(buffer, node)
        lanes = self.addresses.lanes
        place = self.addresses.place(buffer, node.indices)
        if place is None:
            assert lanes is not None
            return self._gather(buffer, node.indices, lanes.width), lanes.width
        width = lanes.width if lanes is not None and place.lane_step else 1
        key = ("load", id(buffer), place.offset, place.terms, place.lane_step, width, tuple(self.masks))
        memo = self.emitter.scope.loads
        if key not in memo:
            memo[key] = self._memory_load(buffer, place, width)
        return memo[key], width

    def _register_load(self, buffer: Buffer, node: Load) -> Value:
        lanes = self.addresses.lanes
        along: int | None = None
        index = []
        for dim, expr in enumerate(node.indices):
            form = self.addresses.form(expr)
            if lanes is not None and any(atom is lanes.var for atom, _ in form.terms.values()):
                along = dim
            index.append(register_index(form, self.addresses.constants))
        width = lanes.width if lanes is not None and along is not None else 1
        return self.registers.load(buffer, tuple(index), along, width), width

    def mask(self, width: int) -> str | None:
        """The mask of lanes that may touch memory; None when all may."""
        lanes = self.addresses.lanes
        parts = [self.widen(mask, "bool", width) for mask in self.masks]
        if lanes is not None and lanes.mask is not None:
            parts.append(lanes.mask)
        result: str | None = None
        for part in parts:
            result = part if result is None else self.emitter.emit(f"and {vector_type('bool', width)} {result}, {part}")
        return result

    def _memory_load(self, buffer: Buffer, place: Place, width: int) -> str:
        emit, dtype = self.emitter.emit, buffer.dtype
        kind = vector_type(dtype, width)
        pointer = self.addresses.pointer(buffer, place)
        if width == 1:
            return self._scalar_load(pointer, dtype)
        align = dtypes.itemsize(dtype)
        if place.lane_step == 1:
            mask = self.mask(width)
            if mask is None or (not self.masks and self._padded(buffer, place, width)):
                return emit(f"load {kind}, ptr {pointer}, align {align}")
            name = f"llvm.masked.load.{mangled(dtype, width)}.p0"
            bools = vector_type("bool", width)
            self.emitter.declare(f"{kind} @{name}(ptr, {bools}, {kind})", name)
            return emit(f"call {kind} @{name}(ptr align {align} {pointer}, {bools} {mask}, {kind} zeroinitializer)")
        step = place.lane_step * align
        offsets = "<" + ", ".join(f"i64 {lane * step}" for lane in range(width)) + ">"
        return self._gather_pointers(emit(f"getelementptr i8, ptr {pointer}, <{width} x i64> {offsets}"), dtype, width)

    def _scalar_load(self, pointer: str, dtype: str) -> str:
        """One element, the same for all lanes; under a mask it is read only if some lane is active."""
        emit, kind, align = self.emitter.emit, TYPES[dtype], dtypes.itemsize(dtype)
        if dtype == "bool":
            return emit(f"trunc i8 {emit(f'load i8, ptr {pointer}, align 1')} to i1")
        if not self.masks:
            return emit(f"load {kind}, ptr {pointer}, align {align}")
        test: str | None = None
        for name, width in self.masks:
            if width > 1:
                reduce = f"llvm.vector.reduce.or.v{width}i1"
                self.emitter.declare(f"i1 @{reduce}(<{width} x i1>)", reduce)
                name = emit(f"call i1 @{reduce}(<{width} x i1> {name})")
            test = name if test is None else emit(f"and i1 {test}, {name}")
        first, last, origin = self.emitter.fresh_label(), self.emitter.fresh_label(), self.emitter.label
        self.emitter.lines.append(f"br i1 {test}, label %{first}, label %{last}")
        self.emitter.start_block(first)
        value = emit(f"load {kind}, ptr {pointer}, align {align}")
        self.emitter.branch(last)
        self.emitter.start_block(last)
        return emit(f"phi {kind} [{value}, %{first}], [{literal(0, dtype)}, %{origin}]")

    def _padded(self, buffer: Buffer, place: Place, width: int) -> bool:
        """Whether whole vectors stay inside a packed constant, whose padding is there to be read."""
        row = buffer.shape[-1]
        aligned = all(coefficient % row == 0 for _, coefficient in place.terms)
        return buffer.role == "constant" and aligned and place.offset % row + width <= row

    def _gather(self, buffer: Buffer, indices: tuple[Expr, ...], width: int) -> str:
        emit = self.emitter.emit
        total: str | None = None
        kind = vector_type(dtypes.INDEX, width)
        for index, stride in zip(indices, buffer.strides, strict=True):
            value = self.widen(self.evaluate(index), dtypes.INDEX, width)
            scaled = emit(f"mul {kind} {value}, {self.widen((str(stride * dtypes.itemsize(buffer.dtype)), 1), dtypes.INDEX, width)}")
            total = scaled if total is None else emit(f"add {kind} {total}, {scaled}")
        pointers = emit(f"getelementptr i8, ptr {self.addresses.pointers[buffer]}, {kind} {total}")
        return self._gather_pointers(pointers, buffer.dtype, width)

    def _gather_pointers(self, pointers: str, dtype: str, width: int) -> str:
        kind, bools = vector_type(dtype, width), vector_type("bool", width)
        mask = self.mask(width) or self.widen(("true", 1), "bool", width)
        name = f"llvm.masked.gather.{mangled(dtype, width)}.v{width}p0"
        self.emitter.declare(f"{kind} @{name}(<{width} x ptr>, {bools}, {kind})", name)
        align = dtypes.itemsize(dtype)
        return self.emitter.emit(f"call {kind} @{name}(<{width} x ptr> align {align} {pointers}, {bools} {mask}, {kind} zeroinitializer)")

    def store(self, buffer: Buffer, indices: tuple[Expr, ...], value: Value) -> None:
        """An element, or a vector of them, takes a value."""
        lanes = self.addresses.lanes
        emit, dtype = self.emitter.emit, buffer.dtype
        if buffer in self.registers.dims:
            index = tuple(register_index(self.addresses.form(i), self.addresses.constants) for i in indices)
            width = lanes.width if lanes is not None and self.registers.dims[buffer] is not None else 1
            self.registers.store(buffer, index, self.widen(value, dtype, width), width)
            return
        place = self.addresses.place(buffer, indices)
        assert place is not None, "stores are linear in their loops"
        align = dtypes.itemsize(dtype)
        if lanes is None or not place.lane_step:
            name = value[0]
            kind = TYPES[dtype]
            if dtype == "bool":
                name, kind = emit(f"zext i1 {name} to i8") if name.startswith("%") else str(int(name == "true")), "i8"
            pointer = self.addresses.pointer(buffer, place)
            self.emitter.lines.append(f"store {kind} {name}, ptr {pointer}, align {align}")
            return
        width = lanes.width
        kind, bools, name = vector_type(dtype, width), vector_type("bool", width), self.widen(value, dtype, width)
        pointer, mask = self.addresses.pointer(buffer, place), self.mask(width)
        if place.lane_step == 1 and mask is None:
            self.emitter.lines.append(f"store {kind} {name}, ptr {pointer}, align {align}")
        elif place.lane_step == 1:
            callee = f"llvm.masked.store.{mangled(dtype, width)}.p0"
            self.emitter.declare(f"void @{callee}({kind}, ptr, {bools})", callee)
            self.emitter.lines.append(f"call void @{callee}({kind} {name}, ptr align {align} {pointer}, {bools} {mask})")
        else:
            step = place.lane_step * align
            offsets = "<" + ", ".join(f"i64 {lane * step}" for lane in range(width)) + ">"
            pointers = emit(f"getelementptr i8, ptr {pointer}, <{width} x i64> {offsets}")
            callee = f"llvm.masked.scatter.{mangled(dtype, width)}.v{width}p0"
            self.emitter.declare(f"void @{callee}({kind}, <{width} x ptr>, {bools})", callee)
            mask = mask or self.widen(("true", 1), "bool", width)
            self.emitter.lines.append(
                f"call void @{callee}({kind} {name}, <{width} x ptr> align {align} {pointers}, {bools} {mask})"
            )


def _multiply_add(node: Binary) -> tuple[Expr, Expr, Expr] | None:
    """(addend, a, b) of ``addend + a * b`` in floating point."""
    if node.op == "add" and dtypes.is_float(node.dtype):
        for addend, factor in ((node.a, node.b), (node.b, node.a)):
            if isinstance(factor, Binary) and factor.op == "mul":
                return addend, factor.a, factor.b
    return None


def _operands(node: Expr) -> tuple[Expr, ...]:
    product = _multiply_add(node) if isinstance(node, Binary) else None
    return product or node.children


def _has_load(expr: Expr) -> bool:
    stack = [expr]
    seen: set[int] = set()
    while stack:
        node = stack.pop()
        if isinstance(node, Load):
            return True
        if id(node) not in seen:
            seen.add(id(node))
            stack.extend(node.children)
    return False
