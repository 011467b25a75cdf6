"""Tables of ``test_schedules``: primitives that place stages, or derive new ones. Loops that they make, what they refuse."""
# ruff: noqa: E501  (tables of messages and texts stay one line an entry)

from __future__ import annotations

from collections.abc import Callable

from operators_for_tests import chain, double, matmul

from autotune.schedules.schedule import Schedule
from autotune.tensor_expr import Tensor

Apply = Callable[[Schedule], Schedule]

GOLDEN: list[tuple[str, Tensor, Apply, str]] = [
    (
        "compute_root",
        chain(),
        lambda s: s.compute_at("a", "b", "i").compute_root("a"),
        """
kernel(x: input float32[9, 11], b: output float32[9, 10])
    a = buffer float32[9, 11]
    for i in 0..9:
        for j in 0..11:
            a[i, j] = x[i, j] + 1.0
    for i_2 in 0..9:
        for j_2 in 0..10:
            b[i_2, j_2] = a[i_2, j_2] * a[i_2, j_2 + 1]
""",
    ),
    (
        "add_unit_loop",
        chain(),
        lambda s: s.add_unit_loop("b", "j", "once").compute_at("a", "b", "once"),
        """
kernel(x: input float32[9, 11], b: output float32[9, 10])
    for i in 0..9:
        a = buffer float32[1, 11]
        for j in 0..11:
            a[0, j] = x[i, j] + 1.0
        for j_2 in 0..10:
            b[i, j_2] = a[0, j_2] * a[0, j_2 + 1]
""",
    ),
    (
        "fuse and split with a unit loop",
        double(),
        lambda s: s.add_unit_loop("y", "i").split("y", "unit", [4]).fuse("y", ["unit.1", "i"]),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    for (unit.1+i) in 0..13:
        for j in 0..7:
            y[(unit.1+i), j] = x[(unit.1+i), j] * 2.0
""",
    ),
    (
        "blockize",
        double(),
        lambda s: s.split("y", "i", [4]).blockize("y", "i.1").split("y", "i.0", [2]),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    for i.0.0 in 0..2:
        for i.0.1 in 0..2:
            for i.1 in 0..min(4, 13 - i.0.0 * 8 - i.0.1 * 4):
                for j in 0..7:
                    y[i.0.0 * 8 + i.0.1 * 4 + i.1, j] = x[i.0.0 * 8 + i.0.1 * 4 + i.1, j] * 2.0
""",
    ),
]

REFUSED: list[tuple[Tensor, Apply, str]] = [
    (chain(), lambda s: s.compute_root("x"), r"'x' is a placeholder: it has no loops to schedule"),
    (double(), lambda s: s.add_unit_loop("y", "k"), r"'y': axis 'k' does not exist; its axes are: i, j"),
    (double(), lambda s: s.add_unit_loop("y", "i", "j"), r"'y': the name 'j' is taken; its axes are: i, j"),
    (double(), lambda s: s.parallel("y", "i").add_unit_loop("y", "i"), r"'y': parallel axis 'i' must stay outermost; its axes are: unit, i, j"),
    (double(), lambda s: s.blockize("y", "j").split("y", "j", [2]), r"'y': axis 'j' is inside the block that begins at 'j'; the axes outside it are: i"),
    (double(), lambda s: s.blockize("y", "i").reorder("y", ["j", "i"]), r"'y': axis 'j' is inside the block that begins at 'i'; the axes outside it are: none"),
    (double(), lambda s: s.blockize("y", "j").blockize("y", "i"), r"'y' has a block already, which begins at axis 'j'; a stage has one"),
    (chain(), lambda s: s.blockize("b", "j").compute_at("a", "b", "j"), r"'b': axis 'j' is inside the block that begins at 'j'"),
    (chain(), lambda s: s.compute_at("a", "b", "j").blockize("b", "i"), r"'b': axis 'j' holds the computation of 'a'"),
    (matmul(), lambda s: s.blockize("c", "j").decompose_reduction("c", "j"), r"'c': axis 'j' is inside the block that begins at 'j'; the axes outside it are: i"),
    (chain(), lambda s: s.compute_at("b", "a", "i"), r"'b' is the output: nothing reads it"),
    (matmul(), lambda s: s.cache_write("c").compute_at("c.tile", "c.tile", "i"), r"'c.tile' does not depend on 'c.tile', so it cannot hold its computation"),
    (matmul(), lambda s: s.fuse("c", ["i", "j"]).fuse("c", ["i+j", "r"]), r"'c': cannot fuse reduction axis 'r' with a spatial one; its axes are: i\+j, r"),
    (double(), lambda s: s.fuse("y", ["i", "j"], "i"), r"'y': the name 'i' is taken; its axes are: i, j"),
]  # fmt: skip
