"""What tests of the library's operators share: a workload's definition, and kernels of it, beside its reference."""

from __future__ import annotations

import numpy as np
from differential import compare
from programs import RandomSource, draw_schedule

from autotune.schedules.schedule import Schedule, create_schedule
from autotune.search.space import SearchSpace
from autotune.targets.callable import Kernel
from autotune.targets.host import native_target
from autotune.targets.llvm.build import build
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.workload import Workload

THREADS = 2


def check_definition(workload: Workload, seed: int = 1) -> None:
    """The expression, evaluated, equals the reference, which has the output's shape and is finite."""
    inputs = workload.random_inputs(seed)
    expected = workload.compute_reference(inputs)
    assert expected.shape == workload.output.shape
    assert expected.dtype.kind != "f" or np.isfinite(expected.astype(np.float64)).all()
    check_close(workload, evaluate(workload.output, inputs), expected, "the definition")


def check_kernels(workload: Workload, seed: int = 1) -> None:
    """The schedule of no steps and a random candidate of the search, compiled, equal the reference.

    So does a random schedule, unless it asks for what a CPU does not have.
    """
    inputs = workload.random_inputs(seed)
    expected = workload.compute_reference(inputs)
    for schedule in (create_schedule(workload.output), _candidate(workload, seed)):
        kernel = Kernel(build(schedule, native_target(), THREADS))
        check_close(workload, kernel(*(inputs[name] for name in kernel.inputs)), expected, str(schedule))
    random = draw_schedule(RandomSource(seed), workload.output)
    assert compare(random, native_target(), workload) == "", str(random)


def _candidate(workload: Workload, seed: int) -> Schedule:
    space = SearchSpace(workload.output, native_target(), THREADS)
    drawn = space.evaluate(space.sample(np.random.default_rng(seed), 64))
    return space.schedule(drawn.population, int(np.flatnonzero(drawn.legal)[0]))


def check_close(workload: Workload, got: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Equal, or for floating point within what the output's dtype resolves."""
    if workload.output.dtype.startswith(("float", "bfloat")):
        wide = np.abs(expected.astype(np.float64))
        near = {"float64": 1e-11, "float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}[workload.output.dtype]
        scale = max(1.0, float(wide[np.isfinite(wide)].max(initial=0.0)))
        message = f"{workload.text}: {what}"
        np.testing.assert_allclose(
            got.astype(np.float64), expected.astype(np.float64), rtol=near, atol=near * scale, err_msg=message
        )
    else:
        np.testing.assert_array_equal(got, expected, err_msg=f"{workload.text}: {what}")
