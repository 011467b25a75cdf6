"""What people see of schedules, loops and kernels: printed text, HTML, and differences."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest
from test_shared_loops import siblings
from test_tensorize import packed, quantized

import autotune as at
from autotune.display import html
from autotune.schedules.sketches import sketches
from autotune.schedules.state import KINDS
from autotune.targets.facts import X86_AVX512
from autotune.tensor_expr.operators import get_operator, operators

VOID = {"meta", "br", "hr", "img", "link", "input"}


def product() -> at.Tensor:
    a = at.placeholder((10, 6), name="a")
    b = at.placeholder((6, 20), name="b", constant=True)
    k = at.reduce_axis(6, name="k")
    return at.compute((10, 20), lambda i, j: at.sum(a[i, k] * b[k, j], axis=k), name="c")


def tiled(c: at.Tensor) -> at.Schedule:
    return (
        at.create_schedule(c)
        .cache_write("c")
        .tile("c", ["i", "j"], [4, 16])
        .compute_at("c.tile", "c", "j.0")
        .reorder("c.tile", ["k", "i", "j"])
        .unroll("c.tile", "i")
        .vectorize("c.tile", "j")
        .transform_layout("b", [[1, 16]], ["1.outer", "0", "1.inner"])
        .parallel("c", "i.0")
    )


class Checker(HTMLParser):
    """Counts elements, and asserts that every one is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def test_a_printed_schedule_is_its_steps_and_its_loops() -> None:
    assert str(tiled(product())) == (
        """\
(
    at.create_schedule(c)
    .cache_write("c")
    .tile("c", ["i", "j"], [4, 16])
    .compute_at("c.tile", "c", "j.0")
    .reorder("c.tile", ["k", "i", "j"])
    .unroll("c.tile", "i")
    .vectorize("c.tile", "j")
    .transform_layout("b", [[1, 16]], ["1.outer", "0", "1.inner"])
    .parallel("c", "i.0")
)

parallel for i.0 in 0..3:
    for j.0 in 0..2:
        c.tile = buffer float32[4, 16]
        for k in 0..6:
            unroll for i in 0..4:
                vectorize for j in 0..16:
                    c.tile[i, j] from a, b
        for i.1 in 0..4:
            for j.1 in 0..16:
                c[i, j] from c.tile"""
    )


def test_printed_steps_can_be_pasted_back() -> None:
    c = product()
    knob = at.Knob("width", (8, 16))
    for schedule in (
        at.create_schedule(c),
        tiled(c),
        at.create_schedule(c).split("c", "j", [knob], ["far", "near"]).unroll("c", "near"),
    ):
        assert eval(schedule.calls, {"at": at, "c": c}).steps == schedule.steps
    chosen = schedule.with_knobs({"width": np.int64(8)})
    assert '.split("c", "j", [8], ["far", "near"])' in chosen.calls


def test_every_sketch_can_be_pasted_back_and_shown() -> None:
    output = get_operator("conv2d")().output
    found = sketches(output, X86_AVX512)
    assert found
    for sketch in found:
        again = eval(sketch.schedule.calls, {"at": at, output.name: output})
        assert again.steps == sketch.schedule.steps
        shown = Checker(sketch.schedule._repr_html_())
        assert shown.count["details"] > 5
        concrete = sketch.schedule.with_knobs({knob.name: knob.choices[0] for knob in sketch.schedule.knobs})
        loops = at.lower(concrete, X86_AVX512)
        text = Checker(loops._repr_html_()).text
        for line in str(loops).splitlines():  # badges split a line into several pieces of text
            assert line.split(" for ")[-1].strip() in "".join(text)


@pytest.mark.parametrize("name", operators())
def test_every_operator_can_be_printed_and_shown(name: str) -> None:
    output = get_operator(name)().output
    schedule = at.create_schedule(output)
    for stage in schedule.state.stages.values():
        if not stage.tensor.is_placeholder:
            assert all(f"{part.name}[" in str(schedule) for part in stage.tensor.components)
    Checker(schedule._repr_html_())


def test_a_compute_of_several_components_shows_them_all() -> None:
    a = at.placeholder((6, 9), name="a")
    low, high = at.compute((6, 9), lambda i, j: (a[i, j] - 1, at.cast(a[i, j] + 1, "int32")), name="ends")
    schedule = at.create_schedule(at.compute((6, 9), lambda i, j: high[i, j] + low[i, j], name="y"))
    assert str(schedule.compute_at("ends", "y", "i")).endswith(
        """
for i in 0..6:
    ends.v0 = buffer float32[1, 9]
    ends.v1 = buffer int32[1, 9]
    for i in 0..1:
        for j in 0..9:
            ends.v0[i, j], ends.v1[i, j] from a
    for j in 0..9:
        y[i, j] from ends"""
    )
    assert "<td>ends.v1</td><td>int32[6, 9]</td><td>216</td><td>at the root</td>" in schedule._repr_html_()


def test_html_of_a_loop_nest() -> None:
    text = "parallel for i in 0..8:\n    t = buffer float32[4]\n    unroll for j in 0..4:\n        c[i] = t[j] < 2\n"
    assert html.fold(text) == (
        '<details open><summary><span class="badge is-parallel">parallel</span> for i in 0..8:</summary>'
        '<div class="inside"><div class="line">t = <span class="badge is-buffer">buffer</span> float32[4]</div>'
        '<details open><summary><span class="badge is-unroll">unroll</span> for j in 0..4:</summary>'
        '<div class="inside"><div class="line">c[i] = t[j] &lt; 2</div></div></details></div></details>'
    )


def test_hints_are_shown_where_they_belong() -> None:
    c = product()
    schedule = (
        at.create_schedule(c)
        .cache_write("c")
        .set_scope("c.tile", "stack")
        .decompose_reduction("c.tile", "i")
        .partition("c", "j", [2, 8])
        .parallel("c", "i")
        .pragma("c", "i", "parallel_chunk", 4)
    )
    assert str(schedule).endswith(
        """
c.tile = buffer float32[10, 20] in stack
for i in 0..10:  # initialised before
    for j in 0..20:
        for k in 0..6:
            c.tile[i, j] from a, b
parallel for i in 0..10:  # parallel_chunk = 4
    for j in 0..20:  # cut at 2, 8
        c[i, j] from c.tile"""
    )
    assert '</span> for i in 0..10:<span class="hint">  # parallel_chunk = 4</span>' in schedule._repr_html_()


def test_what_is_kept_and_how_it_is_stored_is_shown() -> None:
    x = at.placeholder((20, 9), name="x")
    h = at.compute((20, 8), lambda y, i: x[y, i] + x[y, i + 1], name="h")
    v = at.compute((18, 8), lambda y, i: h[y, i] + h[y + 2, i], name="v")
    schedule = at.create_schedule(v).compute_at("h", "v", "y").stream("v").prefetch("h", "x", "y", 2)
    assert str(schedule.fold_storage("h")).endswith(
        """
for y in 0..18:
    h = buffer float32[4, 8]  # a sliding window
    for y in 0..3:  # prefetches x, 2 ahead
        for i in 0..8:
            h[y, i] from x
    for i in 0..8:
        v[y, i] from h  # non-temporal"""
    )
    assert "h = buffer float32[3, 8]  # two of them in turn" in str(schedule.double_buffer("h"))
    a = product().inputs[0]
    k = at.reduce_axis(6, name="k")
    sums = at.create_schedule(at.compute((10,), lambda i: at.sum(a[i, k], axis=k), name="sums")).atomic("sums")
    assert str(sums).endswith("\n        atomic sums[i] from a")


def test_shared_loops_and_instructions_are_named() -> None:
    shared = at.create_schedule(siblings()).compute_with("b", "a", "i")
    assert "b = buffer float32[7]\nfor i in 0..7:  # down to here the loops of a\n" in str(shared)
    product = packed(at.create_schedule(quantized())).tensorize("c", "j.1", "vpdpbusd_16")
    assert "vectorize for j.1 in 0..16:  # computed by vpdpbusd_16\n" in str(product)


def test_every_kind_of_loop_has_a_badge() -> None:
    for kind in set(KINDS) - {"serial"}:
        assert f'<span class="badge is-{kind.split(".")[0]}">{kind}</span>' in html.fold(f"{kind} for i in 0..2:")
        assert kind.split(".")[0] in html.BADGES


def test_large_nests_start_folded_below_the_outer_loops() -> None:
    body = "\n".join(f"            c[{n}] = 0" for n in range(100))
    folded = html.fold(
        f"for i in 0..2:\n    for j in 0..2:\n        for k in 0..2:\n{body}\n        for l in 0..9:\n" + body
    )
    assert folded.count("<details open>") == 2 and folded.count("<details>") == 2
    assert folded.count("(100 lines)") == 2


def test_everything_from_outside_is_escaped() -> None:
    evil = "<script>alert('x')</script> & more"
    for shown in (
        html.page(evil, html.section(evil, html.code(evil, marked=[0]))),
        html.fragment(html.table([evil], [[evil]]), html.diff(f"+{evil}")),
        html.fold(f"parallel for {evil}:\n    {evil}\n{evil} for i in 0..2:"),
    ):
        assert "script" not in Checker(shown).count


def test_a_kernel_shows_what_it_was_made_from() -> None:
    schedule = tiled(product())
    kernel = at.build(schedule)
    assert kernel.schedule is schedule
    assert str(kernel.loops) == str(at.lower(schedule)) and str(kernel.loops).startswith(
        "kernel(a: input float32[10, 6]"
    )
    assert repr(kernel) == "Kernel(a: float32[10, 6], b: float32[6, 20]) -> c: float32[10, 20]"
    shown = Checker(kernel._repr_html_())
    text = "".join(shown.text)
    for part in ('.tile("c", ["i", "j"], [4, 16])', "Lowered loops", "Buffers", "parallel", "768"):
        assert part in text


def test_a_difference_of_schedules() -> None:
    c = product()
    plain = at.create_schedule(c).split("c", "j", [8])
    difference = plain.diff(plain.unroll("c", "k"))
    assert str(difference).replace("\n \n", "\n\n") == (  # a blank line in the diff is a space
        """\
--- this
+++ other
@@ -1,10 +1,11 @@
 (
     at.create_schedule(c)
     .split("c", "j", [8])
+    .unroll("c", "k")
 )

 for i in 0..10:
     for j.0 in 0..3:
         for j.1 in 0..8:
-            for k in 0..6:
+            unroll for k in 0..6:
                 c[i, j] from a, b"""
    )
    assert "\x1b[32m+    .unroll" in difference.coloured and "\x1b[31m-            for k" in difference.coloured
    shown = difference._repr_html_()
    assert '<span class="added">+    .unroll(&quot;c&quot;, &quot;k&quot;)</span>' in shown
    Checker(shown)
    assert str(plain.diff(plain)) == "no difference"
    with pytest.raises(at.UsageError, match="a schedule is compared with a schedule, not with 3"):
        plain.diff(3)  # type: ignore[arg-type]
