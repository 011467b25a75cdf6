"""Images whose channels are neighbours in memory, as the alternatives to a direct convolution read them."""

from __future__ import annotations

from collections.abc import Sequence

from autotune.tensor_expr.operators.shared.windows import Window, pad
from autotune.tensor_expr.tensor import Tensor, compute


def channels_last(x: Tensor, windows: Sequence[Window]) -> Tensor:
    """The image x [b, c, y, z] as [b, y, z, c], with zeros around it where the windows have them."""
    batch, channels, *extents = x.shape
    pixels = compute((batch, *extents, channels), lambda b, y, z, c: x[b, c, y, z], name="pixels")
    return pad(pixels, windows, 1, ("b", "y", "z", "c"))
