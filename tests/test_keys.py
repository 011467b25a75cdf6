"""Keys of workloads and targets: a release that changes one loses what people measured under it.

Where a test here fails, the change is a mistake, unless the thing behind the key became another one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autotune.targets.facts import TARGETS
from autotune.tensor_expr import Tensor, Workload, compute, placeholder, reduce_axis
from autotune.tensor_expr import min as minimum
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.expr import Expr
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import DeviceInfo, Host, TargetInfo, Task
from autotune.tuning_logs import Workload as LoggedWorkload

GOLDEN = json.loads((Path(__file__).parent / "data" / "keys.json").read_text())


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


def test_another_process_with_another_hash_seed_agrees() -> None:
    program = "from test_keys import product; from autotune.tensor_expr import Workload; print(Workload(product()).key)"
    folder = str(Path(__file__).parent)
    for seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path.insert(0, {folder!r}); {program}"],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(folder).parent)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert found.stdout.strip() == Workload(product()).key
