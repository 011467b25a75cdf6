"""Whether a schedule computes what its operator means: interpreted, and compiled, beside NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from autotune.errors import UsageError
from autotune.lowering.interpreter import Fault, TooLarge, interpret
from autotune.lowering.passes.verify import VerifyError
from autotune.lowering.pipeline import lower
from autotune.schedules.details import GPU_SCOPES, THREADS
from autotune.schedules.schedule import Schedule
from autotune.targets.callable import Kernel
from autotune.targets.facts import X86_AVX2, Target
from autotune.targets.host import supports
from autotune.targets.llvm.build import build_function
from autotune.tensor_expr import Workload, dtypes, graph
from autotune.tensor_expr.evaluate import evaluate_all
from autotune.tensor_expr.expr import walk

KERNEL_THREADS = 2
STATEMENTS = 100_000  # that are interpreted at most
NEAR = {"float64": 1e-9, "float32": 1e-4, "float16": 5e-3, "bfloat16": 4e-2}  # relative, and of the largest value


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check ended.

    ``ok``; ``refused``, with a message for users; ``large``: too large to interpret. Or what is wrong: ``wrong``
    values, a ``fault`` that the interpreter found, IR that does not ``verify``, an ``error`` that is none for users,
    or an ``unhelpful`` refusal, which names neither stage nor axis.
    """

    kind: str
    message: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self.kind in ("ok", "refused", "large")


def compare(schedule: Schedule, target: Target, workload: Workload | None = None) -> str:
    """What is wrong with a schedule, interpreted and compiled for a target; empty where it equals NumPy.

    The code is run where this machine can run the target's.
    """
    work = workload or Workload(schedule.output)
    for check in (check_interpreted, check_compiled):
        outcome = check(work, schedule, target)
        if not outcome.good:
            return f"{outcome.kind}: {outcome.message}"
    return ""


def inputs_of(workload: Workload, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs by name; floats are multiples of a quarter, on which float32 and float64 mostly agree exactly."""
    arrays = workload.random_inputs(seed)
    for tensor in workload.placeholders:
        if dtypes.is_float(tensor.dtype) and tensor.name not in workload.domains:
            array = arrays[tensor.name]
            arrays[tensor.name] = (np.round(array * 8) / 4).astype(array.dtype)
    return arrays


def points(workload: Workload) -> int:
    """Iterations of all stages without any schedule."""
    return sum(prod([axis.extent for axis in (*t.axes, *t.reduce_axes)]) for t in graph(workload.output) if t.axes)


def check_interpreted(workload: Workload, schedule: Schedule, target: Target, limit: int = STATEMENTS) -> Outcome:
    """The lowered schedule, verified between passes, run by the interpreter, of up to ``limit`` statements."""
    inputs = inputs_of(workload)

    def run() -> list[np.ndarray]:
        function = lower(schedule, target, check=True)
        names = [param.name for param in function.params if param.buffer.role != "output"]
        return interpret(function, [inputs[name] for name in names], limit=limit)

    return _judged(workload, inputs, run)


def check_compiled(workload: Workload, schedule: Schedule, target: Target) -> Outcome:
    """The schedule compiled for a target, LLVM's module verified; and run, where this machine can."""
    inputs = inputs_of(workload)

    def run() -> list[np.ndarray]:
        kernel = build_function(lower(schedule, target, check=True), target, KERNEL_THREADS, check=True)
        if not supports(target):
            return []
        loaded = Kernel(kernel)
        outputs = _poisoned(loaded)
        loaded(*(inputs[name] for name in loaded.inputs), out=outputs if len(outputs) > 1 else outputs[0])
        return list(outputs)

    return Outcome("ok") if needs_gpu(schedule) else _judged(workload, inputs, run)


def helpful(refusal: UsageError) -> bool:
    """Whether a refusal names what it is about."""
    return any(word in str(refusal) for word in ("stage", "axis", "tensor"))


def needs_gpu(schedule: Schedule) -> bool:
    """Whether the schedule binds loops to threads, or buffers to memory, that a CPU does not have."""
    return any(
        stage.details.scope in GPU_SCOPES or any(stage.kind(loop) in THREADS for loop in stage.loops)
        for stage in schedule.state.stages.values()
    )


def _poisoned(kernel: Kernel) -> tuple[np.ndarray, ...]:
    """Outputs filled with what no kernel computes."""
    outputs = [parameter for parameter in kernel.object.parameters if parameter.role == "output"]
    arrays = tuple(np.empty(parameter.shape, parameter.dtype) for parameter in outputs)
    for out in arrays:
        out[...] = np.nan if dtypes.is_float(out.dtype.name) else 1 if out.dtype == bool else 77
    return arrays


def _judged(workload: Workload, inputs: dict[str, np.ndarray], run: Callable[[], list[np.ndarray]]) -> Outcome:
    """The outcome of a run, whatever it raises; its outputs beside NumPy's."""
    try:
        outputs = run()
    except VerifyError as error:
        return Outcome("verify", str(error))
    except Fault as error:
        return Outcome("fault", str(error))
    except TooLarge as error:
        return Outcome("large", str(error))
    except UsageError as error:
        return Outcome("refused" if helpful(error) else "unhelpful", str(error))
    except Exception as error:  # whatever it is, the caller shows it
        return Outcome("error", f"{type(error).__name__}: {error}")
    expected = evaluate_all(workload.output, inputs) if outputs else ()
    rough = _narrowest(workload)
    for number, (got, wanted) in enumerate(zip(outputs, expected, strict=True)):
        problem = difference(got, wanted, rough)
        if problem and rough in dtypes.NARROW:
            problem = difference(np.where(_undecided(workload, inputs, number), wanted, got), wanted, rough)
        if problem:
            return Outcome("wrong", problem)
    return Outcome("ok")


def _narrowest(workload: Workload) -> str:
    """The least exact floating point type that a value passes through; float64 where there is none."""
    tensors = graph(workload.output)
    found = {dtype for tensor in tensors for dtype in tensor.dtypes}
    found |= {node.dtype for tensor in tensors for node in walk(tensor.bodies)}
    return max(found & NEAR.keys(), key=NEAR.__getitem__, default="float64")


def _undecided(workload: Workload, inputs: dict[str, np.ndarray], number: int) -> np.ndarray:
    """Where rounding to half precision, which NumPy's float64 does not do, decides: as without any schedule."""
    function = lower(Schedule(workload.output), X86_AVX2)
    names = [param.buffer.name for param in function.params if param.buffer.role != "output"]
    wanted = evaluate_all(workload.output, inputs)[number]
    try:
        plain = interpret(function, [inputs[name] for name in names], limit=STATEMENTS)[number]
    except TooLarge:
        return np.zeros(wanted.shape, bool)
    return ~_near(plain, wanted, _narrowest(workload))


def difference(got: np.ndarray, expected: np.ndarray, rough: str = "float64") -> str:
    """Where two arrays differ by more than their dtype, or a rougher one, explains; empty where they do not."""
    equal = _near(got, expected, rough)
    wrong = np.argwhere(~equal)
    if not len(wrong):
        return ""
    at = tuple(wrong[0])
    return f"{len(wrong)} of {equal.size} elements wrong, first at {tuple(map(int, at))}: {got[at]} for {expected[at]}"


def _near(got: np.ndarray, expected: np.ndarray, rough: str) -> np.ndarray:
    if not dtypes.is_float(got.dtype.name):
        same: np.ndarray = got == expected
        return same
    near = max(NEAR[got.dtype.name], NEAR[rough])
    wide = expected.astype(np.float64)
    scale = max(1.0, float(np.max(np.abs(wide[np.isfinite(wide)]), initial=0)))
    return np.isclose(got.astype(np.float64), wide, rtol=near, atol=near * scale, equal_nan=True)
