"""Tensor expressions as JSON, both ways, and the canonical text of an operator.

The JSON is a list of tensors, each with a list of expression nodes that refer to earlier ones by position. The
canonical text is the same list with names replaced by positions and the operands of commutative operations put in
order, so that it stays equal when names of tensors and axes change.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import (
    COMMUTATIVE,
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
    Select,
    walk,
)
from autotune.tensor_expr.tensor import Tensor, graph

VERSION = 1


def to_json(output: Tensor) -> dict[str, Any]:
    """The operator that computes ``output``, as JSON data."""
    tensors = graph(output)
    index = {tensor: position for position, tensor in enumerate(tensors)}
    return {"version": VERSION, "tensors": [_tensor_to_json(tensor, index) for tensor in tensors]}


def _tensor_to_json(tensor: Tensor, index: dict[Tensor, int]) -> dict[str, Any]:
    data: dict[str, Any] = {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}
    if tensor.body is None:
        return {**data, "constant": tensor.constant}
    axes = (*tensor.axes, *tensor.reduce_axes)
    nodes: list[list[Any]] = []
    where: dict[int, int] = {}
    position = {axis: number for number, axis in enumerate(axes)}
    for node in walk([tensor.body]):
        where[id(node)] = len(nodes)
        nodes.append([*_head(node, position, index, len(tensor.axes)), *(where[id(child)] for child in node.children)])
    return {**data, "axes": [[axis.name, axis.extent] for axis in axes], "nodes": nodes}


def _head(node: Expr, position: dict[Axis, int], index: dict[Tensor, int], spatial: int) -> list[Any]:
    if isinstance(node, Const):
        return ["const", node.dtype, repr(node.value) if dtypes.is_float(node.dtype) else node.value]
    if isinstance(node, Axis):
        return ["axis", position[node]]
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
        return ["read", index[node.tensor]]
    assert isinstance(node, Reduce), node
    return ["reduce", node.kind]


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
        nodes: list[Expr] = []
        for entry in item["nodes"]:
            nodes.append(_node(entry, axes, nodes, tensors, len(shape)))
        tensors.append(Tensor(item["name"], shape, item["dtype"], axes[: len(shape)], nodes[-1]))
    return tensors[-1]


def _node(entry: list[Any], axes: tuple[Axis, ...], nodes: list[Expr], tensors: list[Tensor], spatial: int) -> Expr:
    head = entry[0]
    if head == "const":
        value = float(entry[2]) if dtypes.is_float(entry[1]) else entry[2]
        return Const(entry[1], value)
    if head == "axis":
        return axes[entry[1]]
    if head in ("cast", "call", "read", "reduce"):
        kids = [nodes[i] for i in entry[2:]]
        if head == "cast":
            return Cast(entry[1], kids[0])
        if head == "call":
            return Call(kids[0].dtype, entry[1], tuple(kids))
        if head == "read":
            return Read(tensors[entry[1]].dtype, tensors[entry[1]], tuple(kids))
        return Reduce(kids[0].dtype, entry[1], axes[spatial:], kids[0])
    kids = [nodes[i] for i in entry[1:]]
    if head == "not":
        return Not("bool", kids[0])
    if head == "select":
        return Select(kids[1].dtype, *kids)
    if head in ("lt", "le", "gt", "ge", "eq", "ne"):
        return Compare("bool", head, *kids)
    return Binary(kids[0].dtype, head, *kids)


def canonical_text(output: Tensor) -> str:
    """One line that is equal for operators that differ only in names and in the order of commutative operands."""
    tensors = graph(output)
    index = {tensor: position for position, tensor in enumerate(tensors)}
    parts = []
    for tensor in tensors:
        shape = ",".join(map(str, tensor.shape))
        if tensor.body is None:
            parts.append(f"{tensor.dtype}[{shape}]{' const' if tensor.constant else ''}")
            continue
        axes = (*tensor.axes, *tensor.reduce_axes)
        position = {axis: number for number, axis in enumerate(axes)}
        reduce_extents = ",".join(str(axis.extent) for axis in tensor.reduce_axes)
        body = _canonical_expr(tensor.body, position, index, len(tensor.axes))
        parts.append(f"{tensor.dtype}[{shape}|{reduce_extents}]={body}")
    return "; ".join(parts)


def _canonical_expr(root: Expr, position: dict[Axis, int], index: dict[Tensor, int], spatial: int) -> str:
    # Shared nodes are named by their own text rather than repeated: a DAG's text must not grow exponentially.
    uses: dict[int, int] = {}
    for node in walk([root]):
        for child in node.children:
            uses[id(child)] = uses.get(id(child), 0) + 1
    texts: dict[int, str] = {}
    shared: dict[str, str] = {}
    for node in walk([root]):
        head = " ".join(
            json.dumps(part) if isinstance(part, bool) else str(part) for part in _head(node, position, index, spatial)
        )
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
    return bindings + texts[id(root)]
