"""An operator of your own: declared, scheduled by hand, tuned, built, called.

Run it: ``python examples/own_operator.py [trials] [database]``. The database keeps the trials: a second run needs none.
"""

from __future__ import annotations

import sys
import timeit
from pathlib import Path

import numpy as np

import autotune as at

ROWS, INNER, COLUMNS = 64, 256, 128


def dense_relu() -> at.Tensor:
    """``y = max(0, x w + b)``; the weights are constants, which a kernel may pack ahead of time."""
    x = at.placeholder((ROWS, INNER), name="x")
    w = at.placeholder((INNER, COLUMNS), name="w", constant=True)
    b = at.placeholder((COLUMNS,), name="b", constant=True)
    k = at.reduce_axis(INNER, name="k")
    product = at.compute((ROWS, COLUMNS), lambda i, j: at.sum(x[i, k] * w[k, j], axis=k), name="product")
    return at.compute((ROWS, COLUMNS), lambda i, j: at.max(product[i, j] + b[j], 0), name="y")


def by_hand(y: at.Tensor) -> at.Schedule:
    """Tiles of 4 x 32 results, each tile's product computed in registers right where it is used."""
    return (
        at.create_schedule(y)
        .tile("y", ["i", "j"], [4, 32])
        .unroll("y", "i.1")
        .vectorize("y", "j.1")
        .compute_at("product", "y", "j.0")
        .reorder("product", ["k", "i", "j"])
        .unroll("product", "i")
        .vectorize("product", "j")
    )


def main(trials: int = 32, database: Path = Path("own_operator.db")) -> None:
    y = dense_relu()
    print(by_hand(y))
    result = at.tune(y, trials=trials, database=database, listeners=[at.ProgressBar()])
    kernels = {"by hand": at.build(by_hand(y)), "tuned": result.build()}

    generator = np.random.default_rng(0)
    x = generator.random((ROWS, INNER), np.float32) - 0.5
    w = generator.random((INNER, COLUMNS), np.float32) - 0.5
    b = generator.random(COLUMNS, np.float32) - 0.5
    expected = np.maximum(x @ w + b, 0)
    for name, kernel in kernels.items():
        bound = kernel.bind(w=w, b=b)  # packs the constants once
        np.testing.assert_allclose(bound(x), expected, rtol=1e-4, atol=1e-5)
        seconds = min(timeit.repeat(lambda bound=bound: bound(x), number=100, repeat=5)) / 100
        print(f"{name}: {seconds * 1e6:.1f} us, {2 * ROWS * INNER * COLUMNS / seconds / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, Path), sys.argv[1:], strict=False)))
