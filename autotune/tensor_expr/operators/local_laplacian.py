"""Local Laplacian filters: tone mapping without halos, by pyramids of many remapped copies of an image.

Paris, Hasinoff and Kautz (SIGGRAPH 2011) and Aubry et al. (2014); staged as in Halide (Ragan-Kelley et al., PLDI 2013,
section 6). Every level repeats its edge beyond its border.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr.expr import Expr, call, cast
from autotune.tensor_expr.operators.registry import Param, Value, number, one_of, register, size
from autotune.tensor_expr.operators.shared.images import DTYPES, FAMILY, SIZE_PARAMS, luma, luma_of
from autotune.tensor_expr.operators.shared.indices import clamped, replaced
from autotune.tensor_expr.tensor import Tensor, compute, placeholder
from autotune.tensor_expr.workload import Workload

_EPSILON = 0.01  # keeps the ratio of colours finite where the image is black


@register(
    "local_laplacian",
    "a colour image with its local contrast changed, by Laplacian pyramids",
    (
        *(Param(p.name, p.default if p.name == "dtype" else 512, p.help) for p in SIZE_PARAMS),
        Param("levels", 4, "levels of the pyramids"),
        Param("intensities", 8, "remapped copies of the image, 2 or more"),
        Param("alpha", 1.0, "how much detail is added"),
        Param("beta", 1.0, "how much of the large differences of brightness is kept"),
    ),
    family=FAMILY,
)
def local_laplacian(
    height: Any, width: Any, dtype: str, levels: Any, intensities: Any, alpha: Any, beta: Any
) -> Workload:  # fmt: skip
    """``y[c, i, j] = (x[c, i, j] + e) * (out[i, j] + e) / (gray[i, j] + e) - e``, e = 0.01.

    x: [3, height, width] in [0, 1]; gray is its brightness. Copy k of it is remapped around ``g = k / (K - 1)`` of the
    K intensities: ``g + beta * (gray - g) + alpha * t * exp(-t**2 / 2) / (K - 1)``, ``t = (gray - g) * (K - 1)``. The
    Laplacian pyramid of out takes each coefficient from the copies whose g is next to gray at that place and level,
    interpolated. Levels halve sizes, rounded up, with the filter (1, 3, 3, 1) / 8, and double them with (1, 3) / 4.
    Raises ``UsageError`` for sizes below 1 or fewer than two intensities.
    """
    h, w = size("height", height), size("width", width)
    depth, copies = size("levels", levels), size("intensities", intensities, 2)
    detail, kept = number("alpha", alpha), number("beta", beta)
    one_of("dtype", dtype, DTYPES)
    top = copies - 1
    x = placeholder((3, h, w), dtype, "x")
    gray = luma(x)

    def remapped(k: Expr, i: Expr, j: Expr) -> Expr:
        g = cast(k, dtype) * (1 / top)
        difference = gray[i, j] - g
        t = difference * float(top)
        return g + difference * kept + t * call("exp", t * t * -0.5) * (detail / top)

    bright = _pyramid(gray, depth, "gray")
    gaussian = _pyramid(compute((copies, h, w), remapped, name="remapped"), depth, "copies")
    out = None
    for level in reversed(range(depth)):
        laplacian = gaussian[level]
        if level < depth - 1:
            coarse = _doubled(gaussian[level + 1], laplacian.shape, f"copies{level}.coarse")
            laplacian = _combined(laplacian, coarse, lambda a, b: a - b, f"laplacian{level}")
        chosen = _interpolated(laplacian, bright[level], f"chosen{level}")
        if out is not None:
            coarse = _doubled(out, chosen.shape, f"out{level}.coarse")
            chosen = _combined(chosen, coarse, lambda a, b: a + b, f"out{level}")
        out = chosen
    result = out
    assert result is not None

    def colour(c: Expr, i: Expr, j: Expr) -> Expr:
        return (x[c, i, j] + _EPSILON) * (result[i, j] + _EPSILON) / (gray[i, j] + _EPSILON) - _EPSILON

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        image = luma_of(inputs)
        g = np.arange(copies)[:, None, None] / top
        t = (image - g) * top
        stack = g + kept * (image - g) + detail / top * t * np.exp(-t * t / 2)
        images, stacks = [image], [stack]
        for _ in range(depth - 1):
            images.append(_halved_array(images[-1]))
            stacks.append(_halved_array(stacks[-1]))
        total = np.zeros_like(images[-1])
        for level in reversed(range(depth)):
            finer = stacks[level]
            if level < depth - 1:
                finer = finer - _doubled_array(stacks[level + 1], finer.shape)
                total = _doubled_array(total, images[level].shape)
            place = images[level] * top
            low = np.clip(np.floor(place), 0, copies - 2).astype(np.int64)
            below, above = (np.take_along_axis(finer, (low + up)[None], 0)[0] for up in (0, 1))
            total = total + below + (place - low) * (above - below)
        return np.asarray((inputs["x"] + _EPSILON) * (total + _EPSILON) / (image + _EPSILON) - _EPSILON)

    params: dict[str, Value] = {
        "height": h, "width": w, "dtype": dtype, "levels": depth, "intensities": copies, "alpha": detail, "beta": kept
    }  # fmt: skip
    y = compute((3, h, w), colour, name="y")
    return Workload(y, "local_laplacian", params, reference, domains={"x": (0.0, 1.0)})


def _pyramid(image: Tensor, levels: int, name: str) -> list[Tensor]:
    """The image and ever smaller ones, halved along the last two dimensions."""
    found = [image]
    for level in range(1, levels):
        image = _halved(image, len(image.shape) - 2, f"{name}{level}.rows")
        image = _halved(image, len(image.shape) - 1, f"{name}{level}")
        found.append(image)
    return found


def _halved(image: Tensor, dim: int, name: str) -> Tensor:
    n = image.shape[dim]

    def element(*i: Expr) -> Expr:
        a, b, c, d = (image[replaced(i, dim, clamped(i[dim] * 2 + t, n))] for t in (-1, 0, 1, 2))
        return (a + (b + c) * 3.0 + d) * 0.125

    return compute(replaced(image.shape, dim, -(-n // 2)), element, name=name)


def _doubled(image: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """The image with its last two dimensions doubled, to the shape of the finer level."""
    for dim, stage in ((len(shape) - 2, f"{name}.rows"), (len(shape) - 1, name)):
        image = _doubled_along(image, dim, shape[dim], stage)
    return image


def _doubled_along(image: Tensor, dim: int, extent: int, name: str) -> Tensor:
    n = image.shape[dim]

    def element(*i: Expr) -> Expr:
        near = i[dim] // 2
        far = near - 1 + i[dim] % 2 * 2
        return image[replaced(i, dim, clamped(far, n))] * 0.25 + image[replaced(i, dim, near)] * 0.75

    return compute(replaced(image.shape, dim, extent), element, name=name)


def _combined(a: Tensor, b: Tensor, fn: Callable[[Expr, Expr], Expr], name: str) -> Tensor:
    return compute(a.shape, lambda *i: fn(a[i], b[i]), name=name)


def _interpolated(copies: Tensor, gray: Tensor, name: str) -> Tensor:
    """The copies' value where the brightness lies between two of their intensities."""
    most = copies.shape[0]

    def element(i: Expr, j: Expr) -> Expr:
        place = gray[i, j] * float(most - 1)
        low = clamped(cast(place, "int64"), most - 1)
        below, above = copies[low, i, j], copies[low + 1, i, j]
        return below + (place - cast(low, place.dtype)) * (above - below)

    return compute(gray.shape, element, name=name)


def _halved_array(image: np.ndarray) -> np.ndarray:
    for dim in (-2, -1):
        n = image.shape[dim]
        taps = [np.take(image, np.clip(np.arange(0, n, 2) + t, 0, n - 1), dim) for t in (-1, 0, 1, 2)]
        image = (taps[0] + 3 * taps[1] + 3 * taps[2] + taps[3]) / 8
    return image


def _doubled_array(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    for dim in (-2, -1):
        i = np.arange(shape[dim])
        far = np.clip(np.where(i % 2, i // 2 + 1, i // 2 - 1), 0, image.shape[dim] - 1)
        image = np.take(image, far, dim) / 4 + np.take(image, i // 2, dim) * 0.75
    return image
