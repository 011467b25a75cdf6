"""Scalar expressions as LLVM instructions, on scalars or on the lanes of the vectorised loop in force."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from autotune.targets.llvm.addresses import Addresses
from autotune.targets.llvm.arithmetic import (
    Value,
    binary_operation,
    comparison,
    intrinsic,
    literal,
    vector_literal,
)
from autotune.targets.llvm.conversions import converted
from autotune.targets.llvm.emitter import TYPES, Emitter, vector_type
from autotune.targets.llvm.intrinsics import emit_intrinsic
from autotune.targets.llvm.lanes import FloatLanes
from autotune.targets.llvm.memory import Memory
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import COMPARISONS, Binary, Call, Cast, Compare, Const, Expr, Load, Not, Select, Var

_INT32 = 2**31 - 1
# A task yields the tasks whose values it needs and returns its own: nested selects need no recursion.
Task = Generator[Any, Value, Value]
Action = Callable[[Any, list[Value]], Value]
# Nodes in the order of evaluation: identity, node, what to do (None: a select of arms), the operands' identities.
Plan = list[tuple[int, Expr, "Action | None", tuple[int, ...]]]


class Expressions:
    """Evaluates expressions of one function."""

    def __init__(self, emitter: Emitter, addresses: Addresses, memory: Memory) -> None:
        self.emitter = emitter
        self.addresses = addresses
        self.memory = memory
        self._guarded: dict[int, tuple[Expr, bool]] = {}
        self._plans: dict[tuple[int, int], tuple[Expr, Plan, bool]] = {}

    def evaluate(self, root: Expr) -> Value:
        """The expression's value."""
        return self.evaluate_all((root,))[0]

    def evaluate_all(self, roots: tuple[Expr, ...]) -> tuple[Value, ...]:
        """The values of several expressions, which share what they have in common."""
        done: dict[int, Value] = {}
        return tuple(self._run(root, done) for root in roots)

    def _run(self, root: Expr, done: dict[int, Value]) -> Value:
        plan, plain = self._planned(root)
        if plain:
            for key, node, action, operands in plan:
                if key not in done:
                    assert action is not None
                    done[key] = action(node, [done[operand] for operand in operands])
            return done[id(root)]
        tasks = [self._walk(root, done)]
        value: Any = None
        while tasks:
            try:
                tasks.append(tasks[-1].send(value))
                value = None
            except StopIteration as finished:
                tasks.pop()
                value = finished.value
        result: Value = value
        return result

    def _walk(self, root: Expr, done: dict[int, Value]) -> Task:
        """Operands before users; ``done`` holds the values that there are already, and takes those found."""
        for key, node, action, operands in self._planned(root)[0]:
            if key not in done:
                if action is None:
                    assert isinstance(node, Select)
                    done[key] = yield self._select(node, done)
                else:
                    done[key] = action(node, [done[operand] for operand in operands])
        return done[id(root)]

    def _arm(self, root: Expr, done: dict[int, Value]) -> Task:
        """A value that holds in an arm of a select only: what is found on the way is forgotten."""
        before = len(done)
        value = yield self._walk(root, done)
        while len(done) > before:
            done.popitem()
        return value

    def _planned(self, root: Expr) -> tuple[Plan, bool]:
        """What to do for each node, and whether all of it is done; once for all unrolled copies of the root."""
        lanes = self.addresses.lanes
        key = (id(root), id(lanes.var) if lanes is not None else 0)
        held = self._plans.get(key)
        if held is None:
            plan = self._plan(root)
            held = self._plans[key] = (root, plan, all(action is not None for _, _, action, _ in plan))
        return held[1], held[2]

    def _plan(self, root: Expr) -> Plan:
        plan: Plan = []
        seen: set[int] = set()
        stack: list[tuple[Expr, Action | None, tuple[Expr, ...], bool]] = []

        def visit(node: Expr) -> None:
            if id(node) not in seen:
                stack.append((node, *self._action(node), False))

        visit(root)
        while stack:
            node, action, operands, ready = stack.pop()
            if ready or not operands:
                if id(node) not in seen:
                    seen.add(id(node))
                    plan.append((id(node), node, action, tuple(map(id, operands))))
            else:
                stack.append((node, action, operands, True))
                for operand in operands:
                    visit(operand)
        return plan

    def _action(self, node: Expr) -> tuple[Action | None, tuple[Expr, ...]]:
        """How a node is evaluated, and the operands that it needs evaluated; no action where arms may be left out."""
        if isinstance(node, Const):
            value = (literal(node.value, node.dtype), 1)
            return lambda _, __: value, ()
        if node.dtype == dtypes.INDEX and self.addresses.uniform(node):
            return lambda index, _: (self.addresses.scalar(index)[0], 1), ()
        if isinstance(node, Var):
            return lambda _, __: self._lanes(), ()
        if isinstance(node, Load):
            direct = self.memory.direct(node)
            return self._load, () if direct else node.indices
        if isinstance(node, Select):
            lazy = self.guarded(node) or self._may_be_known(node.condition)
            return (None, ()) if lazy else (self._selected, node.children)
        if isinstance(node, Compare):
            return (self._lane_comparison, ()) if self._compares_lanes(node) else (self._comparison, node.children)
        if isinstance(node, Binary):
            operands = _multiply_add(node)
            return (self._fma, operands) if operands is not None else (self._binary, node.children)
        if isinstance(node, Not):
            return lambda _, operands: self.inverted(operands[0]), node.children
        if isinstance(node, Cast):
            return self._cast, node.children
        assert isinstance(node, Call), node
        return self._call, node.children

    def _load(self, node: Any, operands: list[Value]) -> Value:
        return self.memory.load(node, tuple(operands))

    def _selected(self, node: Any, operands: list[Value]) -> Value:
        return self._choose(node.dtype, *operands)

    def _comparison(self, node: Any, operands: list[Value]) -> Value:
        a, b, width = self.memory.match(operands[0], operands[1], node.a.dtype)
        return self.emitter.emit(comparison(node.op, a, b, node.a.dtype, width)), width

    # -- arithmetic --------------------------------------------------------------------------------------------

    def _fma(self, node: Any, operands: list[Value]) -> Value:
        addend, a, b = operands
        width = max(addend[1], a[1], b[1])
        widened = [self.memory.widen(value, node.dtype, width) for value in (a, b, addend)]
        return intrinsic(self.emitter, "fma", node.dtype, width, *widened), width

    def _binary(self, node: Any, operands: list[Value]) -> Value:
        a, b, width = self.memory.match(operands[0], operands[1], node.dtype)
        return binary_operation(self.emitter, node.op, a, b, node.dtype, width), width

    def inverted(self, value: Value) -> Value:
        """The negation of a bool."""
        name, width = value
        ones = self.memory.widen(("true", 1), "bool", width)
        return self.emitter.emit(f"xor {vector_type('bool', width)} {name}, {ones}"), width

    def _call(self, node: Any, operands: list[Value]) -> Value:
        name, width = operands[0]
        if node.name == "abs" and not dtypes.is_float(node.dtype):
            if node.dtype in dtypes.UNSIGNED:
                return operands[0]
            negated = self.emitter.emit(
                f"sub {vector_type(node.dtype, width)} {self.memory.widen(('0', 1), node.dtype, width)}, {name}"
            )
            return binary_operation(self.emitter, "max", name, negated, node.dtype, width), width
        width = max(width for _, width in operands)
        widened = [self.memory.widen(value, node.dtype, width) for value in operands]
        return emit_intrinsic(FloatLanes(self.emitter, dtypes.computed(node.dtype), width), node.name, *widened), width

    def _cast(self, node: Any, operands: list[Value]) -> Value:
        name, width = operands[0]
        return converted(self.emitter, name, node.a.dtype, node.dtype, width), width

    # -- lanes -------------------------------------------------------------------------------------------------

    def _lanes(self) -> Value:
        lanes = self.addresses.lanes
        assert lanes is not None
        return vector_literal(list(range(lanes.width)), "i64"), lanes.width

    def _compares_lanes(self, node: Compare) -> bool:
        """Whether this compares index arithmetic that is linear in the lane."""
        if self.addresses.lanes is None or node.a.dtype != dtypes.INDEX:
            return False
        place = self.addresses.taken_apart(self.addresses.form(node.a) - self.addresses.form(node.b))
        return place is not None and place.lane_step != 0

    def _lane_comparison(self, node: Any, _: list[Value]) -> Value:
        """A comparison of one number with a constant vector; a constant where the number is known."""
        lanes = self.addresses.lanes
        form = self.addresses.form(node.a) - self.addresses.form(node.b)
        place = self.addresses.taken_apart(form)
        assert lanes is not None and place is not None
        steps = [place.lane_step * lane for lane in range(lanes.width)]
        if not place.terms:
            test = COMPARISONS[node.op]
            return vector_literal([int(test(place.offset + step, 0)) for step in steps], "i1"), lanes.width
        low, high = self.addresses.ranges.interval(form)
        narrow = max(abs(low), abs(high)) + max(map(abs, steps)) < _INT32
        dtype = "int32" if narrow else dtypes.INDEX
        number, depth = self.addresses.combined(place)
        if narrow:
            number = self.emitter.pure(depth, f"trunc i64 {number} to i32")
        against = vector_literal([-step for step in steps], TYPES[dtype])
        splat = self.memory.widen((number, 1), dtype, lanes.width)
        return self.emitter.emit(comparison(node.op, splat, against, dtype, lanes.width)), lanes.width

    # -- selection ---------------------------------------------------------------------------------------------

    def guarded(self, select: Select) -> bool:
        """Whether an arm holds a load that must not happen where it is not chosen."""
        return self._needs_guard(select.a) or self._needs_guard(select.b)

    def _needs_guard(self, root: Expr) -> bool:
        stack: list[tuple[Expr, bool]] = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in self._guarded:
                continue
            if not ready and node.children:
                stack.append((node, True))
                stack.extend((child, False) for child in node.children)
                continue
            own = isinstance(node, Load) and self.memory.unproven(node)
            self._guarded[id(node)] = (node, own or any(self._guarded[id(child)][1] for child in node.children))
        return self._guarded[id(root)][1]

    def _may_be_known(self, condition: Expr) -> bool:
        """Whether the condition compares one number with another: unrolled copies know which arm they take."""
        if not isinstance(condition, Compare) or condition.a.dtype != dtypes.INDEX:
            return False
        return self.addresses.uniform(condition.a) and self.addresses.uniform(condition.b)

    def _known(self, condition: Expr) -> bool | None:
        if not isinstance(condition, Compare) or not self._may_be_known(condition):
            return None
        a, b = self.addresses.constant(condition.a), self.addresses.constant(condition.b)
        return None if a is None or b is None else bool(COMPARISONS[condition.op](a, b))

    def _select(self, node: Select, known: dict[int, Value]) -> Task:
        """The arm that is known to be chosen; else both, guarded where they hold loads that must not happen."""
        chosen = self._known(node.condition)
        if chosen is not None:
            return (yield self._walk(node.a if chosen else node.b, known))
        if self.guarded(node):
            return (yield self._guarded_select(node, known))
        values = []
        for child in node.children:
            values.append((yield self._walk(child, known)))
        return self._selected(node, values)

    def _guarded_select(self, node: Select, known: dict[int, Value]) -> Task:
        """Each arm runs under the condition: on its own branch, or with its loads masked."""
        condition = yield self._walk(node.condition, known)
        if condition[1] == 1:
            return (yield self._branch(node, condition[0], known))
        masks = self.memory.masks
        masks.append(condition)
        a = yield self._arm(node.a, known)
        masks[-1] = self.inverted(condition)
        b = yield self._arm(node.b, known)
        masks.pop()
        return self._choose(node.dtype, condition, a, b)

    def _choose(self, dtype: str, condition: Value, left: Value, right: Value) -> Value:
        width = max(condition[1], left[1], right[1])
        a, b = self.memory.widen(left, dtype, width), self.memory.widen(right, dtype, width)
        test = self.memory.widen(condition, "bool", width) if condition[1] > 1 else condition[0]
        kind, bools = vector_type(dtype, width), vector_type("bool", condition[1])
        return self.emitter.emit(f"select {bools} {test}, {kind} {a}, {kind} {b}"), width

    def _branch(self, node: Select, condition: str, known: dict[int, Value]) -> Task:
        """A choice that is the same for all lanes: only the chosen side runs."""
        emitter, lanes = self.emitter, self.addresses.lanes
        width = lanes.width if lanes is not None else 1
        labels = [emitter.fresh_label() for _ in range(3)]
        emitter.lines.append(f"br i1 {condition}, label %{labels[0]}, label %{labels[1]}")
        arms = []
        for label, side in zip(labels, (node.a, node.b), strict=False):
            emitter.start_block(label)
            emitter.push_scope()
            value = self.memory.widen((yield self._arm(side, known)), node.dtype, width)
            emitter.pop_scope()
            arms.append(f"[{value}, %{emitter.label}]")
            emitter.branch(labels[2])
        emitter.start_block(labels[2])
        return emitter.emit(f"phi {vector_type(node.dtype, width)} {', '.join(arms)}"), width


def _multiply_add(node: Binary) -> tuple[Expr, ...] | None:
    """Addend and factors where the node is a floating point multiply-add."""
    if node.op == "add" and dtypes.is_float(node.dtype):
        for addend, factor in ((node.a, node.b), (node.b, node.a)):
            if isinstance(factor, Binary) and factor.op == "mul":
                return addend, factor.a, factor.b
    return None
