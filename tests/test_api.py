"""The face: public names, and tuning, looking up and building from Python."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import autotune
from autotune.api import tuning_task
from autotune.errors import TargetError, UsageError
from autotune.search import limits
from autotune.tensor_expr.operators import operators

SMALL = {"in_channels": 16, "out_channels": 16, "height": 7, "width": 5}


def relu_of_product() -> autotune.Tensor:
    a = autotune.placeholder((20, 12), name="a")
    b = autotune.placeholder((12, 24), name="b", constant=True)
    k = autotune.reduce_axis(12)
    product = autotune.compute((20, 24), lambda i, j: autotune.sum(a[i, k] * b[k, j], axis=k), name="product")
    return autotune.compute((20, 24), lambda i, j: autotune.max(product[i, j], 0), name="relu")


def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    a, b = generator.random((20, 12), np.float32) - 0.5, generator.random((12, 24), np.float32) - 0.5
    return a, b, np.maximum(a @ b, 0)


def test_the_table_of_names_equals_the_imports_that_type_checkers_see() -> None:
    source = Path(autotune.__file__).read_text()
    (guarded,) = (node for node in ast.parse(source).body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: statement.module
        for statement in guarded.body
        if isinstance(statement, ast.ImportFrom) and statement.module != "typing"
        for alias in statement.names
    }
    assert seen == {**autotune._HOMES, "__version__": "autotune.version"}


def test_every_public_name_is_there() -> None:
    for name in autotune.__all__:
        assert getattr(autotune, name) is not None
    for name, operator in operators().items():  # exp and its like are functions of expressions here
        assert getattr(autotune, name) is operator or autotune._HOMES[name] == "autotune.tensor_expr"
    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        _ = autotune.frobnicate


def test_importing_the_package_is_light() -> None:
    code = "import sys, autotune; print([m for m in ('numpy', 'llvmlite', 'xgboost', 'rich') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_an_own_expression_is_tuned_looked_up_and_built(tmp_path: Path) -> None:
    output, (a, b, expected) = relu_of_product(), arrays()
    database = tmp_path / "tuning.db"
    result = autotune.tune(output, trials=3, database=database)
    assert result.verified and result.trials == 3
    np.testing.assert_allclose(result.build()(a, b), expected, rtol=1e-5, atol=1e-6)
    assert autotune.find(output, database=database).source == "exact"
    np.testing.assert_allclose(autotune.build(output, database=database)(a, b), expected, rtol=1e-5, atol=1e-6)
    # Declared again, it is the same workload.
    assert autotune.find(relu_of_product(), database=database).source == "exact"


def test_without_a_measurement_the_analytic_model_chooses(tmp_path: Path) -> None:
    output, (a, b, expected) = relu_of_product(), arrays()
    with autotune.Database.open(tmp_path / "empty.db") as database:
        assert autotune.find(output, database=database).source == "analytic"
        kernel = autotune.build(output, database=database)
    np.testing.assert_allclose(kernel(a, b), expected, rtol=1e-5, atol=1e-6)


def test_a_given_schedule_is_built_as_it_is() -> None:
    output, (a, b, expected) = relu_of_product(), arrays()
    schedule = autotune.create_schedule(output).split("relu", "j", (8,)).vectorize("relu", "j.1")
    for kernel in (autotune.build(schedule), autotune.build(output, schedule=schedule)):
        np.testing.assert_allclose(kernel(a, b), expected, rtol=1e-5, atol=1e-6)


def test_a_schedule_that_does_not_fit_is_refused() -> None:
    output = relu_of_product()
    schedule = autotune.create_schedule(output)
    with pytest.raises(UsageError, match=r"leaves knobs open \(width\); with_knobs sets them"):
        autotune.build(schedule.split("relu", "j", (autotune.Knob("width", (4, 8)),)))
    with pytest.raises(UsageError, match="the schedule is not one of matmul"):
        autotune.build("matmul", schedule=schedule)


def test_other_targets_are_assembled_and_compiled_but_not_loaded() -> None:
    text = autotune.assemble("conv2d", "arm_neon", **SMALL)
    assert "fmla" in text
    compiled = autotune.compile_object("conv2d", "arm_neon", **SMALL)
    assert compiled.code.startswith(b"\x7fELF") and compiled.code[18] == 183  # EM_AARCH64
    assert "vfmadd" in autotune.assemble("matmul", "x86_avx2", m=4, n=16, k=4)


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown operator 'conv9'; .*conv2d"):
        autotune.tune("conv9")
    with pytest.raises(UsageError, match="'a' is a placeholder; there is nothing to compute"):
        autotune.tune(autotune.placeholder((4,), name="a"))
    with pytest.raises(UsageError, match=r"parameters \(m\) go with an operator's name"):
        autotune.build(autotune.matmul(m=4), m=8)
    with pytest.raises(UsageError, match="not 7"):
        autotune.tune(7)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="threads is 0; it must be a whole number from 1 to"):
        autotune.build("matmul", threads=0)
    with pytest.raises(UsageError, match="unknown strategy 'luck'; known: annealing, "):
        autotune.tune("matmul", strategy="luck", database=tmp_path / "none.db")
    with pytest.raises(UsageError, match="unknown cost model 'luck'; known: analytic, random, xgboost"):
        autotune.tune("matmul", cost_model="luck", database=tmp_path / "none.db")
    with pytest.raises(UsageError, match="a cost model is an object with predict, spread and update, or a name"):
        autotune.tune("matmul", cost_model=object(), database=tmp_path / "none.db")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: autotune.tune("matmul", trials="3"), "trials is '3'; it must be a whole number from 1 to 10000000"),
        (lambda: autotune.tune("matmul", trials=2.5), "trials is 2.5; it must be a whole number"),
        (lambda: autotune.tune("matmul", trials=True), "trials is True; it must be a whole number"),
        (lambda: autotune.tune("matmul", seed="x"), "seed is 'x'; it must be a whole number from 0"),
        (lambda: autotune.tune("matmul", budget="60s"), "budget is '60s'; it must be a positive number of seconds"),
        (lambda: autotune.tune("matmul", threads="2"), "threads is '2'; it must be a whole number .* the cores that"),
        (lambda: autotune.build("matmul", threads=1.5), r"threads is 1\.5; it must be a whole number"),
        (lambda: autotune.build("matmul", threads=10**23), f"threads is {10**23}; .* the cores that"),
        (lambda: autotune.find("matmul", threads=10**23), f"threads is {10**23}; .* from 1 to 4096"),
        (
            lambda: autotune.assemble("matmul", threads=5000),
            "threads is 5000; it must be a whole number from 1 to 4096",
        ),
        (lambda: autotune.build("matmul", None), "a target is a Target or a target's name, not None"),
        (lambda: autotune.tune("matmul", target=3), "a target is a Target or a target's name, not 3"),
        (lambda: autotune.build("matmul", schedule="split"), "schedule is 'split'; it must be a Schedule"),
        (lambda: autotune.find("matmul", database=7), "a database is a Database, a path or a URL, not 7"),
    ],
)
def test_wrong_types_are_refused(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        call()


def test_numbers_of_numpy_are_numbers() -> None:
    options = autotune.TuneOptions(trials=np.int64(3), budget=np.float32(2), seed=np.uint8(1))  # type: ignore[arg-type]
    assert {type(options.trials), type(options.seed)} == {int} and type(options.budget) is float
    assert type(tuning_task("matmul", threads=np.int64(1)).threads) is int  # type: ignore[arg-type]


def test_a_target_that_this_machine_lacks_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autotune.targets.host.host_features", lambda: frozenset({"sse4.2", "neon"}))
    for target in ("x86_avx512", "arm_neon"):
        with pytest.raises(TargetError, match=f"this machine cannot run {target}: it (lacks|is) "):
            autotune.tune("conv2d", target, database=tmp_path / "none.db")
        with pytest.raises(TargetError, match=f"this machine cannot run {target}"):
            autotune.build("conv2d", target, database=tmp_path / "none.db")
    assert not list(tmp_path.iterdir())


def test_what_cannot_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_memory_bytes", lambda: 1 << 30)
    limits.check_memory(autotune.matmul())
    with pytest.raises(UsageError, match=r"measuring it needs about 6\.0 GiB, and this machine has 1\.0 GiB"):
        limits.check_memory(autotune.matmul(m=2**13, n=2**13, k=2**13))
    # Stages in between count, too.
    vector = autotune.placeholder((2**14,), name="vector")
    outer = autotune.compute((2**14, 2**14), lambda i, j: vector[i] * vector[j], name="outer")
    k = autotune.reduce_axis(2**14)
    with pytest.raises(UsageError, match=r"needs about 8\.0 GiB"):
        autotune.tune(autotune.compute((2**14,), lambda i: autotune.sum(outer[i, k], axis=k), name="rows"))
