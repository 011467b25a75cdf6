"""Reading beyond a tensor's borders: guards where nothing proves that an index stays inside, and padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Axis, Expr, ExprLike, all_of, as_expr, binary, cast, select, walk
from autotune.tensor_expr.ranges import Ranges
from autotune.tensor_expr.tensor import Tensor, compute


def if_in_bounds(tensor: Tensor, indices: ExprLike | Sequence[ExprLike], otherwise: ExprLike = 0) -> Expr:
    """The tensor's element at the indices, or ``otherwise`` where they lie outside; nothing is read there.

    Only what the ranges of the axes do not prove is tested: an index that always stays inside costs no guard. The
    result has the tensor's dtype where ``otherwise`` is a number. Raises ``UsageError`` for a wrong number of indices.
    """
    given = tuple(indices) if isinstance(indices, Sequence) else (indices,)
    read = tensor[given]
    places = [cast(as_expr(index, dtypes.INDEX), dtypes.INDEX) for index in given]
    tests = [test for place, size in zip(places, tensor.shape, strict=True) for test in _guards(place, size)]
    if isinstance(otherwise, (int, float)) and tensor.dtype == "bool":
        otherwise = bool(otherwise)
    return select(all_of(*tests), read, otherwise) if tests else read


def _guards(place: Expr, size: int) -> list[Expr]:
    """The tests that say whether an index is inside ``[0, size)``, without those that are certain."""
    axes = [node for node in walk([place]) if isinstance(node, Axis)]
    ranges = Ranges({axis: (0, axis.extent - 1) for axis in axes})
    form = ranges.linear(place, {})
    below = [] if ranges.at_least(form, 0) else [place >= 0]
    return below if ranges.at_most(form, size - 1) else [*below, place < size]


def _clamped(place: Expr, extent: int, wide: bool) -> Expr:
    return binary("max", binary("min", place, extent - 1), 0)


def _reflected(place: Expr, extent: int, wide: bool) -> Expr:
    """Mirrored at the first and the last element, which are not repeated."""
    last = extent - 1
    if not last:
        return as_expr(0, dtypes.INDEX)
    if wide:  # the reflection is reflected, too
        place = place % (2 * last)
        return binary("min", place, 2 * last - place)
    inside = binary("max", place, -place)
    return binary("min", inside, 2 * last - inside)


# The index of the element that stands at a place outside, which counts from the first element; ``wide``: it may be
# further outside than the tensor is large.
BORDERS: Mapping[str, Callable[[Expr, int, bool], Expr]] = {
    "edge": _clamped,
    "reflect": _reflected,
    "wrap": lambda place, extent, wide: place % extent,
}
MODES = ("constant", *BORDERS)


def padded(
    tensor: Tensor,
    before: Sequence[int],
    after: Sequence[int],
    mode: str = "constant",
    value: float | int | bool = 0,
    name: str = "padded",
) -> Tensor:
    """The tensor with elements around it, as NumPy's ``pad``: ``before[d]`` and ``after[d]`` of them in dimension d.

    They hold ``value`` (constant), the nearest element (edge), the one mirrored at the border (reflect), or the one a
    whole extent away (wrap). Raises ``UsageError`` for a mode that does not exist, and for numbers of elements that
    are negative or not one for each dimension.
    """
    if mode not in MODES:
        raise UsageError(f"mode is {mode!r}; one of {', '.join(MODES)}")
    for side, counts in (("before", before), ("after", after)):
        if len(counts) != len(tensor.shape) or any(count < 0 for count in counts):
            raise UsageError(
                f"{side} is {list(counts)}; {tensor.name!r} takes {len(tensor.shape)} numbers, none negative"
            )
    sides = list(zip(tensor.shape, before, after, strict=True))

    def element(*axes: Expr) -> Expr:
        places = [axis - first if first else axis for axis, first in zip(axes, before, strict=True)]
        if mode == "constant":
            return if_in_bounds(tensor, places, value)
        return tensor[
            tuple(
                BORDERS[mode](place, size, max(first, last) >= size) if first or last else axis
                for axis, place, (size, first, last) in zip(axes, places, sides, strict=True)
            )
        ]

    return compute([size + first + last for size, first, last in sides], element, name=name)
