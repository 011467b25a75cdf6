"""Scaled dot product attention over several heads, as ONNX Attention defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr.expr import Expr, call, select
from autotune.tensor_expr.operators.registry import Param, Value, number, register, size
from autotune.tensor_expr.operators.shared.element_types import FLOATS, check_dtype, narrowed, widen, widened
from autotune.tensor_expr.tensor import compute, max, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload


@register(
    "attention",
    "softmax(q k' * scale) v for every head, optionally under a causal mask",
    (
        Param("batch", 1, "sequences"),
        Param("heads", 8, "heads of q"),
        Param("kv_heads", 0, "heads of k and v, each used by heads/kv_heads of q; 0 means as many as heads"),
        Param("queries", 128, "length of q"),
        Param("keys", 128, "length of k and v"),
        Param("head_size", 64, "length of a vector of q and k"),
        Param("value_size", 0, "length of a vector of v; 0 means that of k"),
        Param("scale", 0.0, "factor of the products; 0 means 1 / sqrt(head_size)"),
        Param("causal", False, "query i sees only keys up to i + past"),
        Param("past", 0, "keys before the first query's own, with causal"),
        Param("dtype", "float32", f"one of {', '.join(FLOATS)}"),
    ),
    family="attention",
)
def attention(
    batch: Any, heads: Any, kv_heads: Any, queries: Any, keys: Any, head_size: Any, value_size: Any, scale: Any,
    causal: bool, past: Any, dtype: str,
) -> Workload:  # fmt: skip
    """``y[n, h, i, :] = sum(j) softmax(j)(scale * q[n, h, i, :] . k[n, g(h), j, :]) * v[n, g(h), j, :]``.

    q: [batch, heads, queries, head_size], k: [batch, kv_heads, keys, head_size], v: [batch, kv_heads, keys,
    value_size], y: [batch, heads, queries, value_size]. The scores under the causal mask are minus infinity. Raises
    ``UsageError`` for sizes below 1, heads that kv_heads do not divide, or another dtype.
    """
    n, h, tq, tk, d = (
        size(name, value)
        for name, value in (
            ("batch", batch), ("heads", heads), ("queries", queries), ("keys", keys), ("head_size", head_size)
        )
    )  # fmt: skip
    groups, e = size("kv_heads", kv_heads, 0) or h, size("value_size", value_size, 0) or d
    factor, before = number("scale", scale) or d**-0.5, size("past", past, 0)
    check_dtype("attention", dtype, FLOATS)
    if h % groups:
        raise UsageError(f"kv_heads is {groups}, which must divide heads ({h})")
    each = h // groups
    q = placeholder((n, h, tq, d), dtype, "q")
    k, v = placeholder((n, groups, tk, d), dtype, "k"), placeholder((n, groups, tk, e), dtype, "v")
    r, rk, rs, rj = reduce_axis(d, "r"), reduce_axis(tk, "rk"), reduce_axis(tk, "rs"), reduce_axis(tk, "rj")

    def head(axis: Expr) -> Any:
        return axis if each == 1 else axis // each if groups > 1 else 0

    def scored(b: Expr, h: Expr, i: Expr, j: Expr) -> Expr:
        value = dot[b, h, i, j] * factor
        return select(j <= i + before, value, -float("inf")) if causal else value

    dot = compute(
        (n, h, tq, tk), lambda b, h, i, j: sum(widen(q[b, h, i, r]) * widen(k[b, head(h), j, r]), axis=r), name="dot"
    )
    scores = compute((n, h, tq, tk), scored, name="scores")
    largest = compute((n, h, tq), lambda b, h, i: max(scores[b, h, i, rk], axis=rk), name="largest")
    powers = compute(
        (n, h, tq, tk), lambda b, h, i, j: call("exp", scores[b, h, i, j] - largest[b, h, i]), name="powers"
    )
    total = compute((n, h, tq), lambda b, h, i: sum(powers[b, h, i, rs], axis=rs), name="total")
    product = compute(
        (n, h, tq, e),
        lambda b, h, i, c: sum(powers[b, h, i, rj] * widen(v[b, head(h), rj, c]), axis=rj),
        name="product",
    )
    y = compute((n, h, tq, e), lambda b, h, i, c: product[b, h, i, c] / total[b, h, i], name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)
        key, value = (np.repeat(wide[name], each, axis=1) for name in ("k", "v"))
        weights = wide["q"] @ np.swapaxes(key, 2, 3) * factor
        if causal:
            weights[..., np.triu(np.ones((tq, tk), bool), before + 1)] = -np.inf
        weights = np.exp(weights - weights.max(-1, keepdims=True))
        return np.asarray(weights / weights.sum(-1, keepdims=True) @ value)

    params: dict[str, Value] = {
        "batch": n, "heads": h, "kv_heads": groups, "queries": tq, "keys": tk, "head_size": d, "value_size": e,
        "scale": factor, "causal": bool(causal), "past": before, "dtype": dtype,
    }  # fmt: skip
    return Workload(narrowed(y, dtype), "attention", params, reference)
