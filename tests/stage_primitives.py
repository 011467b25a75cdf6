"""Tables of ``test_schedules``: primitives that place stages, or derive new ones. Loops that they make, what they refuse."""
# ruff: noqa: E501  (tables of messages and texts stay one line an entry)

from __future__ import annotations

from collections.abc import Callable

from operators_for_tests import chain, double, matmul, row_sums, transposed_copy, window_sums

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
    (
        "rfactor: a sum along rows in vectors",
        row_sums(),
        lambda s: (
            s.split("c", "k", [16])
            .rfactor("c", "k.1")
            .compute_at("c.rf", "c", "i")
            .reorder("c.rf", ["k.0", "k.1"])
            .vectorize("c.rf", "k.1")
        ),
        """
kernel(x: input float32[5, 37], c: output float32[5])
    for i in 0..5:
        c.rf = buffer float32[1, 16]
        vectorize for k.1 in 0..16:
            c.rf[0, k.1] = 0.0
        c.rf.sum = buffer float32[16]
        vectorize for k.1_2 in 0..16:
            c.rf.sum[k.1_2] = c.rf[0, k.1_2]
        for k.0 in 0..3:
            vectorize for k.1_2 in 0..16:
                c.rf.sum[k.1_2] = c.rf.sum[k.1_2] + select(k.0 * 16 + k.1_2 < 37, x[i, k.0 * 16 + k.1_2], 0.0)
        vectorize for k.1_2 in 0..16:
            c.rf[0, k.1_2] = c.rf.sum[k.1_2]
        c[i] = 0.0
        c.sum = buffer float32[1]
        c.sum[0] = c[i]
        for k.1_3 in 0..16:
            c.sum[0] = c.sum[0] + c.rf[0, k.1_3]
        c[i] = c.sum[0]
""",
    ),
    (
        "rfactor: first dimension, in threads",
        row_sums(),
        lambda s: s.split("c", "k", [8]).rfactor("c", "k.0", first=True).parallel("c.rf", "k.0"),
        """
kernel(x: input float32[5, 37], c: output float32[5])
    c.rf = buffer float32[5, 5]
    parallel for k.0 in 0..5:
        for i in 0..5:
            c.rf[k.0, i] = 0.0
            c.rf.sum = buffer float32[1]
            c.rf.sum[0] = c.rf[k.0, i]
            for k.1 in 0..8:
                c.rf.sum[0] = c.rf.sum[0] + select(k.0 * 8 + k.1 < 37, x[i, k.0 * 8 + k.1], 0.0)
            c.rf[k.0, i] = c.rf.sum[0]
    for i_2 in 0..5:
        c[i_2] = 0.0
        c.sum = buffer float32[1]
        c.sum[0] = c[i_2]
        for k.0_2 in 0..5:
            c.sum[0] = c.sum[0] + c.rf[k.0_2, i_2]
        c[i_2] = c.sum[0]
""",
    ),
    (
        "rfactor: fused reduction axes",
        window_sums(),
        lambda s: s.fuse("c", ["u", "v"]).split("c", "u+v", [4]).rfactor("c", "u+v.1"),
        """
kernel(x: input float32[7, 9], c: output float32[5, 7])
    c.rf = buffer float32[5, 7, 4]
    for i in 0..5:
        for j in 0..7:
            for (u+v.1) in 0..4:
                c.rf[i, j, (u+v.1)] = 0.0
                c.rf.sum = buffer float32[1]
                c.rf.sum[0] = c.rf[i, j, (u+v.1)]
                for (u+v.0) in 0..3:
                    c.rf.sum[0] = c.rf.sum[0] + select((u+v.0) * 4 + (u+v.1) < 9, x[i + ((u+v.0) * 4 + (u+v.1)) // 3, j + ((u+v.0) * 4 + (u+v.1)) % 3], 0.0)
                c.rf[i, j, (u+v.1)] = c.rf.sum[0]
    for i_2 in 0..5:
        for j_2 in 0..7:
            c[i_2, j_2] = 0.0
            c.sum = buffer float32[1]
            c.sum[0] = c[i_2, j_2]
            for (u+v.1_2) in 0..4:
                c.sum[0] = c.sum[0] + c.rf[i_2, j_2, (u+v.1_2)]
            c[i_2, j_2] = c.sum[0]
""",
    ),
    (
        "rfactor: a whole axis",
        window_sums(),
        lambda s: s.rfactor("c", "v"),
        """
kernel(x: input float32[7, 9], c: output float32[5, 7])
    c.rf = buffer float32[5, 7, 3]
    for i in 0..5:
        for j in 0..7:
            for v in 0..3:
                c.rf[i, j, v] = 0.0
                c.rf.sum = buffer float32[1]
                c.rf.sum[0] = c.rf[i, j, v]
                for u in 0..3:
                    c.rf.sum[0] = c.rf.sum[0] + x[i + u, j + v]
                c.rf[i, j, v] = c.rf.sum[0]
    for i_2 in 0..5:
        for j_2 in 0..7:
            c[i_2, j_2] = 0.0
            c.sum = buffer float32[1]
            c.sum[0] = c[i_2, j_2]
            for v_2 in 0..3:
                c.sum[0] = c.sum[0] + c.rf[i_2, j_2, v_2]
            c[i_2, j_2] = c.sum[0]
""",
    ),
    (
        "pad a spatial axis",
        matmul(),
        lambda s: s.pad("c", "j", 16).reorder("c.padded", ["i", "r", "j"]).vectorize("c.padded", "j"),
        """
kernel(a: input float32[7, 5], b: constant float32[5, 21], c: output float32[7, 21])
    c.padded = buffer float32[7, 32]
    for i in 0..7:
        unroll for j.v in 0..2:
            vectorize for j in 0..16:
                c.padded[i, j.v * 16 + j] = 0.0
        c.padded.sum = buffer float32[2, 16]
        unroll for j.v_2 in 0..2:
            vectorize for j_2 in 0..16:
                c.padded.sum[j.v_2, j_2] = c.padded[i, j.v_2 * 16 + j_2]
        for r in 0..5:
            unroll for j.v_2 in 0..2:
                vectorize for j_2 in 0..16:
                    c.padded.sum[j.v_2, j_2] = c.padded.sum[j.v_2, j_2] + select(j.v_2 * 16 + j_2 < 21, a[i, r] * b[r, j.v_2 * 16 + j_2], 0.0)
        unroll for j.v_2 in 0..2:
            vectorize for j_2 in 0..16:
                c.padded[i, j.v_2 * 16 + j_2] = c.padded.sum[j.v_2, j_2]
    for i_2 in 0..7:
        for j_3 in 0..21:
            c[i_2, j_3] = c.padded[i_2, j_3]
""",
    ),
    (
        "pad a reduction axis",
        matmul(),
        lambda s: s.pad("c", "r", 4).split("c.padded", "r", [4]).unroll("c.padded", "r.1"),
        """
kernel(a: input float32[7, 5], b: constant float32[5, 21], c: output float32[7, 21])
    c.padded = buffer float32[7, 21]
    for i in 0..7:
        for j in 0..21:
            c.padded[i, j] = 0.0
            c.padded.sum = buffer float32[1]
            c.padded.sum[0] = c.padded[i, j]
            for r.0 in 0..2:
                unroll for r.1 in 0..4:
                    c.padded.sum[0] = c.padded.sum[0] + select(r.0 * 4 + r.1 < 5, a[i, r.0 * 4 + r.1] * b[r.0 * 4 + r.1, j], 0.0)
            c.padded[i, j] = c.padded.sum[0]
    for i_2 in 0..7:
        for j_2 in 0..21:
            c[i_2, j_2] = c.padded[i_2, j_2]
""",
    ),
    (
        "pad where nothing is missing",
        double(),
        lambda s: s.pad("y", "j", 7).compute_at("y.padded", "y", "i"),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    for i in 0..13:
        y.padded = buffer float32[1, 7]
        for j in 0..7:
            y.padded[0, j] = x[i, j] * 2.0
        for j_2 in 0..7:
            y[i, j_2] = y.padded[0, j_2]
""",
    ),
    (
        "reverse_compute_at",
        transposed_copy(),
        lambda s: s.split("a", "i", [4]).parallel("a", "i.0").reverse_compute_at("b", "a", "i.0"),
        """
kernel(x: input float32[9, 11], b: output float32[11, 9])
    parallel for q.0 in 0..3:
        a = buffer float32[4, 11]
        for i.1 in 0..min(4, 9 - q.0 * 4):
            for j in 0..11:
                a[i.1, j] = x[q.0 * 4 + i.1, j] + 1.0
        for p in 0..11:
            for q.1 in 0..min(4, 9 - q.0 * 4):
                b[p, q.0 * 4 + q.1] = a[q.1, p] * 2.0
""",
    ),
    (
        "reverse_compute_at a tile",
        transposed_copy(),
        lambda s: s.tile("a", ["i", "j"], [4, 3]).reverse_compute_at("b", "a", "j.0"),
        """
kernel(x: input float32[9, 11], b: output float32[11, 9])
    for q.0 in 0..3:
        for p.0 in 0..4:
            a = buffer float32[4, 3]
            for i.1 in 0..min(4, 9 - q.0 * 4):
                for j.1 in 0..min(3, 11 - p.0 * 3):
                    a[i.1, j.1] = x[q.0 * 4 + i.1, p.0 * 3 + j.1] + 1.0
            for p.1 in 0..min(3, 11 - p.0 * 3):
                for q.1 in 0..min(4, 9 - q.0 * 4):
                    b[p.0 * 3 + p.1, q.0 * 4 + q.1] = a[q.1, p.1] * 2.0
""",
    ),
    (
        "atomic",
        row_sums(),
        lambda s: s.split("c", "k", [8]).atomic("c").reorder("c", ["k.0", "i", "k.1"]).parallel("c", "k.0"),
        """
kernel(x: input float32[5, 37], c: output float32[5])
    for i in 0..5:
        c[i] = 0.0
    parallel for k.0 in 0..5:
        for i_2 in 0..5:
            for k.1 in 0..min(8, 37 - k.0 * 8):
                atomic c[i_2] = c[i_2] + x[i_2, k.0 * 8 + k.1]
""",
    ),
    (
        "atomic without threads is nothing",
        row_sums(),
        lambda s: s.atomic("c"),
        """
kernel(x: input float32[5, 37], c: output float32[5])
    for i in 0..5:
        c[i] = 0.0
        c.sum = buffer float32[1]
        c.sum[0] = c[i]
        for k in 0..37:
            c.sum[0] = c.sum[0] + x[i, k]
        c[i] = c.sum[0]
""",
    ),
    (
        "parallel over fused, imperfect tiles",
        double(),
        lambda s: s.tile("y", ["i", "j"], [4, 3]).fuse("y", ["i.0", "j.0"]).parallel("y", "i.0+j.0"),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    parallel for (i.0+j.0) in 0..12:
        for i.1 in 0..min(4, 13 - (i.0+j.0) // 3 * 4):
            for j.1 in 0..min(3, 7 - (i.0+j.0) % 3 * 3):
                y[(i.0+j.0) // 3 * 4 + i.1, (i.0+j.0) % 3 * 3 + j.1] = x[(i.0+j.0) // 3 * 4 + i.1, (i.0+j.0) % 3 * 3 + j.1] * 2.0
""",
    ),
    (
        "cache_read in a layout",
        matmul(),
        lambda s: s.cache_read("b", "c", [[1, 8]], ["1.outer", "0", "1.inner"]).compute_at("b.c", "c", "i"),
        """
kernel(a: input float32[7, 5], b: constant float32[5, 21], c: output float32[7, 21])
    for i in 0..7:
        b.c = buffer float32[3, 5, 8]
        for d0 in 0..5:
            for d1 in 0..21:
                b.c[d1 // 8, d0, d1 % 8] = b[d0, d1]
        for j in 0..21:
            c[i, j] = 0.0
            c.sum = buffer float32[1]
            c.sum[0] = c[i, j]
            for r in 0..5:
                c.sum[0] = c.sum[0] + a[i, r] * b.c[j // 8, r, j % 8]
            c[i, j] = c.sum[0]
""",
    ),
    (
        "transform_layout of a caller's arrays",
        double(),
        lambda s: s.transform_layout("x", [[1, 4]], ["1.outer", "0", "1.inner"]).transform_layout("y", [], ["1", "0"]),
        """
kernel(x: input float32[2, 13, 4], y: output float32[7, 13])
    for i in 0..13:
        for j in 0..7:
            y[j, i] = x[j // 4, i, j % 4] * 2.0
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
    (double(), lambda s: s.rfactor("y", "i"), r"'y': axis 'i' is no reduction; rfactor takes one of: none"),
    (row_sums(), lambda s: s.rfactor("c", "i"), r"'c': axis 'i' is no reduction; rfactor takes one of: k"),
    (matmul(), lambda s: s.split("c", "j", [4]).rfactor("c", "r"), r"'c' has been scheduled already; before rfactor, only its reduction axes may be split, fused or reordered \(its axes are: i, j.0, j.1, r\)"),
    (row_sums(), lambda s: s.rfactor("c", "k").rfactor("c", "k"), r"there is already a stage 'c.rf'"),
    (double(), lambda s: s.pad("y", "k", 4), r"'y': axis 'k' does not exist; its axes are: i, j"),
    (double(), lambda s: s.pad("y", "i", 0), r"'y', axis 'i': multiple 0 must be a whole number"),
    (double(), lambda s: s.unroll("y", "j").pad("y", "i", 4), r"'y' has been scheduled already; pad comes before its loops are changed"),
    (chain(), lambda s: s.reverse_compute_at("b", "a", "i"), r"'b' does not read 'a' element by element: axis 'j' must be read by one spatial axis of the same extent"),
    (transposed_copy(), lambda s: s.reverse_compute_at("a", "b", "p"), r"'a' does not read 'b'"),
    (transposed_copy(), lambda s: s.reverse_compute_at("b", "a", "k"), r"'a': axis 'k' does not exist; its axes are: i, j"),
    (transposed_copy(), lambda s: s.unroll("b", "q").reverse_compute_at("b", "a", "i"), r"'b' has been scheduled already; reverse_compute_at needs a consumer with plain loops"),
    (transposed_copy(), lambda s: s.vectorize("a", "j").reverse_compute_at("b", "a", "j"), r"'b': axis 'p' is vectorized; compute 'a' at an axis outside it: q"),
    (matmul(), lambda s: s.cache_write("c").reverse_compute_at("c", "c.tile", "r"), r"'c.tile': axis 'r' carries a dependence, so that elements are not complete inside it; compute 'c' at an axis outside it"),
    (transposed_copy(), lambda s: s.split("a", "i", [4], ["p", "t"]).reverse_compute_at("b", "a", "p"), r"'b': the name 'p' is taken; its axes are: p, q"),
    (row_sums(), lambda s: s.reorder("c", ["k", "i"]).parallel("c", "k"), r"'c': axis 'k' is a reduction, whose iterations write one element, and cannot be parallel, unless atomic allows it; its spatial axes are: i"),
    (row_sums(), lambda s: s.atomic("c").vectorize("c", "k"), r"'c': axis 'k' is a reduction, whose iterations write one element, and cannot be vectorized; its spatial axes are: i"),
    (double(), lambda s: s.atomic("y"), r"'y' is not a reduction: it has no updates to make atomic"),
    (row_sums(), lambda s: s.atomic("c").reorder("c", ["k", "i"]).vectorize("c", "i").parallel("c", "k"), r"'c': axis 'i' cannot be vectorized beside a parallel reduction"),
    (row_sums(), lambda s: s.atomic("c").reorder("c", ["k", "i"]).parallel("c", "k").vectorize("c", "i"), r"'c': axis 'i' cannot be vectorized beside a parallel reduction"),
    (row_sums(), lambda s: s.atomic("c").cache_write("c"), r"'c' has been scheduled already; cache_write comes before its loops are changed"),
]  # fmt: skip
