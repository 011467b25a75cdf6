"""Keys of workloads and targets: a release that changes one loses what people measured under it.

Where a test here fails, the change is a mistake, unless the thing behind the key became another one.
"""

from __future__ import annotations

import json
import operator
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import UsageError
from autotune.targets.facts import TARGETS
from autotune.tensor_expr import Tensor, Workload, compute, placeholder, reduce_axis
from autotune.tensor_expr import max as maximum
from autotune.tensor_expr import min as minimum
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.expr import Axis, Expr
from autotune.tensor_expr.operators import get_operator, operators
from autotune.tensor_expr.serialize import canonical_text, from_json, to_json
from autotune.tuning_logs import DeviceInfo, Host, TargetInfo, Task
from autotune.tuning_logs import Workload as LoggedWorkload

GOLDEN = json.loads((Path(__file__).parent / "data" / "keys.json").read_text())


def test_every_operator_and_target_is_held() -> None:
    """One that is new belongs into data/keys.json; what stands there must stay."""
    assert sorted(GOLDEN["workloads"]) == sorted(operators())
    assert sorted(GOLDEN["targets"]) == sorted(TARGETS)


@pytest.mark.parametrize("name", GOLDEN["workloads"])
def test_workloads_of_the_operators(name: str) -> None:
    workload = get_operator(name)()
    assert [workload.text, workload.key] == GOLDEN["workloads"][name]


@pytest.mark.parametrize("name", GOLDEN["targets"])
def test_targets(name: str) -> None:
    assert [TARGETS[name].text, TARGETS[name].key] == GOLDEN["targets"][name]


def product(names: tuple[str, str, str, str] = ("a", "b", "i", "k"), swap: bool = False) -> Tensor:
    a, b = placeholder((3, 5), "float32", names[0]), placeholder((5,), "float32", names[1])
    k = reduce_axis(5, names[3])

    def element(i: Expr) -> Expr:
        left, right = a[i, k], b[k]
        return total((right + 1) * left if swap else left * (1 + right), axis=k)

    return compute((3,), element, name=names[2])


def test_expressions() -> None:
    workload = Workload(product())
    assert workload.key == "33a78aac49f72898ddcd64c669a5c3a1779464689d4f21d39b6574ae9f154a28"


def test_names_of_tensors_and_axes_do_not_matter() -> None:
    assert Workload(product(("u", "v", "w", "axis"))).key == Workload(product()).key


def test_the_order_of_commutative_operands_does_not_matter() -> None:
    a, b = placeholder((4,), "float32", "a"), placeholder((4,), "float32", "b")
    inner = compute((4,), lambda i: a[i] - b[i], name="inner")

    def key(element: Callable[[Expr], Expr]) -> str:
        return Workload(compute((4,), element, name="y")).key

    assert key(lambda i: inner[i] * a[i] + 2 * b[i]) == key(lambda i: a[i] * inner[i] + b[i] * 2)
    assert key(lambda i: minimum(inner[i], a[i])) == key(lambda i: minimum(a[i], inner[i]))
    assert key(lambda i: inner[i] - a[i]) != key(lambda i: a[i] - inner[i])


Program = list[tuple[str, int, int]]  # of operations on what was made before, by position


@st.composite
def programs(draw: st.DrawFn) -> Program:
    size = draw(st.integers(1, 6))
    return [
        (draw(st.sampled_from("+*<>-")), draw(st.integers(0, 1 + n)), draw(st.integers(0, 1 + n))) for n in range(size)
    ]


def workload_of(program: Program, names: Sequence[str], swaps: Sequence[bool]) -> Workload:
    """Two stages, an elementwise program and its sum; the swaps say which operations take their operands reversed."""
    a, b, stage, out, i, k = names
    left, right = placeholder((4, 6), "float32", a), placeholder((4, 6), "float32", b)
    rows, columns = (Axis("int64", name, extent) for name, extent in ((i, 4), (k, 6)))
    made: list[Expr] = [left[rows, columns], right[rows, columns]]
    first = made[0] - made[1]  # reads the inputs in this order, whatever is swapped behind it
    for (operation, x, y), swap in zip(program, swaps, strict=True):
        one, other = (made[y], made[x]) if swap and operation != "-" else (made[x], made[y])
        made.append(OPERATIONS[operation](one, other))
    inner = Tensor(stage, (4, 6), "float32", (rows, columns), (first - made[-1],))
    along = reduce_axis(6, k)
    return Workload(compute((4,), lambda *at: total(inner[at[0], along], axis=along), name=out))


OPERATIONS: dict[str, Callable[[Expr, Expr], Expr]] = {
    "+": operator.add, "*": operator.mul, "-": operator.sub, "<": minimum, ">": maximum,
}  # fmt: skip
WORDS = st.sampled_from(["a", "b", "c", "i", "k", "outer", "inner", "tile", "axis", "class", "x.y", "ä", "long" * 9])


@given(programs(), st.lists(WORDS, min_size=6, max_size=6, unique=True), st.data())
def test_names_and_the_order_of_operands_never_matter(program: Program, names: list[str], data: st.DataObject) -> None:
    swaps = data.draw(st.lists(st.booleans(), min_size=len(program), max_size=len(program)))
    plain = workload_of(program, ("a", "b", "inner", "out", "i", "k"), [False] * len(program))
    other = workload_of(program, names, swaps)
    assert other.key == plain.key
    assert canonical_text(from_json(json.loads(json.dumps(to_json(other.output))))) == canonical_text(plain.output)


def test_axes_of_one_name_are_refused() -> None:
    a = placeholder((4, 3, 3), "float32", "a")
    one, other = reduce_axis(3), reduce_axis(3)
    with pytest.raises(UsageError, match="compute 'c' has two axes named 'k'; schedules need names that differ"):
        compute((4,), lambda i: total(a[i, one, other], axis=(one, other)), name="c")
    row = reduce_axis(3, "i")
    with pytest.raises(UsageError, match="two axes named 'i'"):
        compute((4, 3), lambda i, j: total(a[i, j, row], axis=row), name="c")


def test_the_order_of_the_inputs_matters() -> None:
    """It is that of a built kernel's arguments: which one is read first."""
    assert Workload(product(swap=True)).key != Workload(product()).key
    assert [tensor.name for tensor in Workload(product(swap=True)).placeholders] == ["b", "a"]


def test_what_matters() -> None:
    x = placeholder((4, 6), "float32", "x")
    half = placeholder((4, 6), "float16", "x")
    y = placeholder((4, 6), "float32", "y")
    keys = [
        Workload(compute((4, 6), element, name="z")).key
        for element in (
            lambda i, j: x[i, j] - y[i, j],
            lambda i, j: x[i, j] + y[i, j],
            lambda i, j: x[i, j] + x[i, j],
            lambda i, j: half[i, j] - half[i, j],
            lambda i, j: x[i, j] - 1,
            lambda i, j: x[i, j] - 2,
        )
    ]
    assert len(set(keys)) == len(keys)


def test_tasks_and_hosts() -> None:
    task = Task(LoggedWorkload("w"), TargetInfo("native", "t"), DeviceInfo("cpu", "d"), 2, "llvm 20", 1)
    assert task.key == "c00ceb5dbaca48a9a14500f34fab5cc98b34d46c6b63b63a34d9ba43603feb59"
    assert Host("f", "cpu", "sse", "Linux").key == "a7ec8ba4ed3bf52ed70f325409f903c463b76c190f1c2a364b72a30a690ca017"


PROGRAM = """
import json, sys
from autotune.targets.facts import TARGETS
from autotune.tensor_expr.operators import get_operator
golden = json.load(open(sys.argv[1]))
for name, (text, key) in golden["workloads"].items():
    assert [get_operator(name)().text, get_operator(name)().key] == [text, key], name
for name, (text, key) in golden["targets"].items():
    assert [TARGETS[name].text, TARGETS[name].key] == [text, key], name
from test_keys import product
from autotune.tensor_expr import Workload
print(Workload(product()).key)
"""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_with_another_hash_seed_agrees(seed: str) -> None:
    folder = Path(__file__).parent
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder / "data" / "keys.json")],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(folder), str(folder.parent)])},
        capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == Workload(product()).key
