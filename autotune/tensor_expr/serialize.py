"""Tensor expressions as JSON, both ways, and the canonical text of an operator.

The JSON is a list of tensors, each with a list of expression nodes that refer to earlier ones by position. The
canonical text is the same list with names replaced by positions and the operands of commutative operations put in
order, so that it stays equal when names of tensors and axes change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import (
    COMMUTATIVE,
    COMPARISONS,
    Axis,
    Binary,
    Call,
    Cast,
    Compare,
    Const,
    Expr,
    Not,
    Read,
    Reduce,
    Scan,
    Select,
    Var,
    walk,
)
from autotune.tensor_expr.reducers import BUILT_IN, Reducer, is_built_in
from autotune.tensor_expr.tensor import Tensor, graph

VERSION = 1


def to_json(output: Tensor) -> dict[str, Any]:
    """The operator that computes ``output``, as JSON data."""
    tensors = graph(output)
    index = {tensor: position for position, tensor in enumerate(tensors)}
    return {"version": VERSION, "tensors": [_tensor_to_json(tensor, index) for tensor in tensors]}


def _tensor_to_json(tensor: Tensor, index: dict[Tensor, int]) -> dict[str, Any]:
    data: dict[str, Any] = {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}
    if tensor.is_placeholder:
        return {**data, "constant": tensor.constant}
    axes = (*tensor.axes, *tensor.reduce_axes)
    nodes, roots = _nodes_to_json(tensor.bodies, _Names({axis: ("axis", k) for k, axis in enumerate(axes)}, index))
    data |= {"axes": [[axis.name, axis.extent] for axis in axes], "nodes": nodes}
    return data if len(roots) == 1 else {**data, "outputs": roots}


@dataclass(frozen=True, slots=True)
class _Names:
    """What variables and tensors are called: by kind and position."""

    variables: Mapping[Expr, tuple[str, int]]
    tensors: Mapping[Tensor, int]


def _nodes_to_json(roots: Sequence[Expr], names: _Names) -> tuple[list[list[Any]], list[int]]:
    """Every node once, operands before users, and where the roots are."""
    nodes: list[list[Any]] = []
    where: dict[int, int] = {}
    for node in walk(roots):
        where[id(node)] = len(nodes)
        nodes.append([*_head(node, names), *(where[id(child)] for child in node.children)])
    return nodes, [where[id(root)] for root in roots]


def _head(node: Expr, names: _Names) -> list[Any]:
    if isinstance(node, Const):
        return ["const", node.dtype, _number(node)]
    if isinstance(node, Var):
        return [*names.variables[node]]
    if isinstance(node, (Binary, Compare)):
        return [node.op]
    if isinstance(node, Not):
        return ["not"]
    if isinstance(node, Select):
        return ["select"]
    if isinstance(node, Cast):
        return ["cast", node.dtype]
    if isinstance(node, Call):
        return ["call", node.name]
    if isinstance(node, Read):
        place = names.tensors[node.tensor]
        return ["read", place] if len(node.tensor.dtypes) == 1 else ["component", [place, node.component]]
    if isinstance(node, Scan):
        reducer = node.reducer.name if is_built_in(node.reducer) else _reducer_to_json(node.reducer)
        return ["scan", [reducer, node.component, names.variables[node.axis][1]]]
    assert isinstance(node, Reduce), node
    if not is_built_in(node.reducer):
        return ["accumulate", [_reducer_to_json(node.reducer), node.component]]
    return ["reduce", node.kind] if len(node.operands) == 1 else ["reduce", [node.kind, node.component]]


def _number(node: Const) -> Any:
    return repr(node.value) if dtypes.is_float(node.dtype) else node.value


def _sides(left: Sequence[Var], right: Sequence[Var]) -> dict[Expr, tuple[str, int]]:
    return {var: (side, k) for side, vars in (("left", left), ("right", right)) for k, var in enumerate(vars)}


def _reducer_to_json(reducer: Reducer) -> dict[str, Any]:
    nodes, results = _nodes_to_json(reducer.results, _Names(_sides(reducer.left, reducer.right), {}))
    identity = [[const.dtype, _number(const)] for const in reducer.identity]
    return {"name": reducer.name, "identity": identity, "nodes": nodes, "results": results}


def from_json(data: dict[str, Any]) -> Tensor:
    """The output tensor of ``to_json``'s data."""
    tensors: list[Tensor] = []
    for item in data["tensors"]:
        shape = tuple(item["shape"])
        if "nodes" not in item:
            tensors.append(Tensor(item["name"], shape, item["dtype"], constant=item["constant"]))
            continue
        axes = tuple(
            Axis(dtypes.INDEX, name, extent, reduce=number >= len(shape))
            for number, (name, extent) in enumerate(item["axes"])
        )
        reader = _Reader({("axis", number): axis for number, axis in enumerate(axes)}, tensors, axes[len(shape) :])
        nodes = reader.nodes(item["nodes"])
        bodies = tuple(nodes[place] for place in item.get("outputs", [-1]))
        tensors.append(Tensor(item["name"], shape, item["dtype"], axes[: len(shape)], bodies))
    return tensors[-1]


@dataclass(slots=True)
class _Reader:
    """Makes nodes from JSON; equal reducers become one."""

    variables: Mapping[tuple[str, int], Var]
    tensors: Sequence[Tensor]
    reduce_axes: tuple[Axis, ...]
    reducers: dict[str, Reducer] = field(default_factory=dict)

    def nodes(self, entries: Sequence[list[Any]]) -> list[Expr]:
        made: list[Expr] = []
        for entry in entries:
            made.append(self._node(entry, made))
        return made

    def _node(self, entry: list[Any], made: list[Expr]) -> Expr:
        head = entry[0]
        if head == "const":
            return _const(entry[1], entry[2])
        if head in ("axis", "left", "right"):
            return self.variables[head, entry[1]]
        if head in ("cast", "call", "read", "component", "reduce", "accumulate", "scan"):
            return self._labelled(head, entry[1], [made[i] for i in entry[2:]])
        kids = [made[i] for i in entry[1:]]
        if head == "not":
            return Not("bool", kids[0])
        if head == "select":
            return Select(kids[1].dtype, *kids)
        return Compare("bool", head, *kids) if head in COMPARISONS else Binary(kids[0].dtype, head, *kids)

    def _labelled(self, head: str, label: Any, kids: list[Expr]) -> Expr:
        if head == "cast":
            return Cast(label, kids[0])
        if head == "call":
            return Call(kids[0].dtype, label, tuple(kids))
        if head in ("read", "component"):
            place, component = label if head == "component" else (label, 0)
            tensor = self.tensors[place]
            return Read(tensor.dtypes[component], tensor, tuple(kids), component)
        kind, component, *place = label if isinstance(label, list) else (label, 0)
        built_in = BUILT_IN[kind].of(tuple(kid.dtype for kid in kids)) if isinstance(kind, str) else None
        reducer = built_in or self._reducer(kind)
        if head == "scan":
            axis = self.variables["axis", place[0]]
            assert isinstance(axis, Axis)
            return Scan(kids[component].dtype, reducer, tuple(kids), component, axis)
        return Reduce(kids[component].dtype, reducer, tuple(kids), component, self.reduce_axes)

    def _reducer(self, data: dict[str, Any]) -> Reducer:
        key = json.dumps(data)
        if key not in self.reducers:
            identity = tuple(_const(dtype, value) for dtype, value in data["identity"])
            left, right = (
                tuple(Var(const.dtype, f"{side}{k}") for k, const in enumerate(identity)) for side in ("left", "right")
            )
            variables = {name: var for var, name in _sides(left, right).items() if isinstance(var, Var)}
            made = _Reader(variables, (), ()).nodes(data["nodes"])
            results = tuple(made[place] for place in data["results"])
            self.reducers[key] = Reducer(data["name"], identity, left, right, results)
        return self.reducers[key]


def _const(dtype: str, value: Any) -> Const:
    return Const(dtype, float(value) if dtypes.is_float(dtype) else value)


def canonical_text(output: Tensor) -> str:
    """One line that is equal for operators that differ only in names and in the order of commutative operands."""
    tensors = graph(output)
    index = {tensor: position for position, tensor in enumerate(tensors)}
    parts = []
    for tensor in tensors:
        shape = ",".join(map(str, tensor.shape))
        if tensor.is_placeholder:
            parts.append(f"{tensor.dtype}[{shape}]{' const' if tensor.constant else ''}")
            continue
        axes = (*tensor.axes, *tensor.reduce_axes)
        names = _Names({axis: ("axis", number) for number, axis in enumerate(axes)}, index)
        reduce_extents = ",".join(str(axis.extent) for axis in tensor.reduce_axes)
        body = _canonical_exprs(tensor.bodies, names)
        parts.append(f"{','.join(tensor.dtypes)}[{shape}|{reduce_extents}]={body}")
    return "; ".join(parts)


def _canonical_exprs(roots: Sequence[Expr], names: _Names) -> str:
    # Shared nodes are named by their own text rather than repeated: a DAG's text must not grow exponentially.
    uses: dict[int, int] = {}
    for node in walk(roots):
        for child in node.children:
            uses[id(child)] = uses.get(id(child), 0) + 1
    texts: dict[int, str] = {}
    shared: dict[str, str] = {}
    for node in walk(roots):
        head = _head_text(node, names)
        operands = [texts[id(child)] for child in node.children]
        if isinstance(node, Binary) and node.op in COMMUTATIVE:
            operands.sort()
        text = f"({' '.join([head, *operands])})" if operands else head
        if uses.get(id(node), 0) > 1 and operands:
            name = f"%{hashlib.sha256(text.encode()).hexdigest()[:12]}"
            shared[name] = text
            text = name
        texts[id(node)] = text
    bindings = "".join(f"{name}={shared[name]} " for name in sorted(shared))
    return bindings + ", ".join(texts[id(root)] for root in roots)


def _head_text(node: Expr, names: _Names) -> str:
    """The node's head; a user's reducer by what it computes, not by its name."""
    if isinstance(node, (Reduce, Scan)) and not is_built_in(node.reducer):
        reducer = node.reducer
        identity = ", ".join(f"{const.dtype} {_number(const)}" for const in reducer.identity)
        merged = _canonical_exprs(reducer.results, _Names(_sides(reducer.left, reducer.right), {}))
        along = f" along {names.variables[node.axis][1]}" if isinstance(node, Scan) else ""
        return f"accumulate {node.component} {{{identity}: {merged}}}{along}"
    return " ".join(json.dumps(part) if isinstance(part, (bool, list)) else str(part) for part in _head(node, names))
