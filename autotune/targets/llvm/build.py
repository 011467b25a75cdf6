"""Schedule -> kernel object: lowering, LLVM text, machine code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from autotune.lowering.ir import Function, Param
from autotune.lowering.loops import Loops
from autotune.lowering.pipeline import lower
from autotune.schedules.schedule import Schedule
from autotune.targets.artifact import Ahead, KernelObject, Parameter
from autotune.targets.facts import Caches, Target
from autotune.targets.llvm.generate import ENTRY, generate
from autotune.tensor_expr.algorithms import DIRECT
from autotune.tensor_expr.serialize import from_json, to_json

CODEGEN_LEVEL = 1  # measured: 2 and 3 give the same code; 0 takes half the time and the code 2.6 times as long
# Passes that cost time and gain nothing here: addresses are strength-reduced and stand at their use, equal values are
# found, and unrolled code is in a good order for a core that executes out of order, when LLVM sees them. Without these,
# a body of 600 multiply-adds takes 40% less time and runs as fast (the geometric mean over 34 kernels: 1.001).
_OFF = ("-disable-lsr", "-disable-cgp", "-enable-misched=false", "-disable-machine-cse", "-disable-machine-sink")
LLVM_VERSION = f"llvmlite {llvmlite.__version__}, LLVM {'.'.join(map(str, llvm.llvm_version_info))}"
FLAGS = f"-O{CODEGEN_LEVEL} {' '.join(_OFF)} -relocation-model=pic -code-model=small"
TOOLCHAIN = f"{LLVM_VERSION}, {FLAGS}"


@cache
def _initialize() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    for option in _OFF:
        llvm.set_option("autotune", option)


@cache
def machine(target: Target) -> llvm.TargetMachine:
    """LLVM's code generator for a target."""
    _initialize()
    features = ",".join(
        [f"+{feature}" for feature in target.features] + (["-prefer-256-bit"] if target.vector_bytes == 64 else [])
    )
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu or "", features=features, opt=CODEGEN_LEVEL, reloc="pic", codemodel="small"
    )


def build(schedule: Schedule, target: Target, threads: int = 1, check: bool = False) -> KernelObject:
    """Machine code for a schedule whose knobs are set; ``check`` verifies the IR between passes, and LLVM's."""
    return build_function(lower(schedule, target, check=check), target, threads, schedule, check)


def build_function(
    function: Function, target: Target, threads: int = 1, schedule: Schedule | None = None, check: bool = False
) -> KernelObject:
    """Machine code for a lowered function; ``schedule`` is what it was lowered from, for people to see."""
    generated = generate(function, target, threads)
    module = llvm.parse_assembly(generated.text)
    if check:
        module.verify()
    code = machine(target).emit_object(module)
    parameters = tuple(map(_parameter, function.params))
    algorithm = schedule.algorithm if schedule is not None else DIRECT
    return KernelObject(
        code, ENTRY, parameters, generated.workspace_bytes, threads, algorithm, schedule, Loops(function)
    )


def _parameter(param: Param) -> Parameter:
    buffer, source = param.buffer, param.source
    if param.ahead is None or source is None:
        return Parameter(buffer.name, param.shape, buffer.dtype, buffer.role, param.layout)
    ahead = Ahead(param.shape, buffer.dtype, json.dumps(to_json(param.ahead)))
    return Parameter(source.name, source.shape, source.dtype, buffer.role, param.layout, ahead)


def assembly(schedule: Schedule, target: Target, threads: int = 1) -> str:
    """The kernel's assembly text."""
    generated = generate(lower(schedule, target), target, threads)
    text: str = machine(target).emit_assembly(llvm.parse_assembly(generated.text))
    return text


def target_to_json(target: Target) -> dict[str, Any]:
    """A target's facts as JSON data."""
    data = {name: getattr(target, name) for name in Target.__dataclass_fields__}
    return {**data, "caches": [target.caches.l1, target.caches.l2, target.caches.l3], "features": list(target.features)}


def target_from_json(data: Mapping[str, Any]) -> Target:
    """The facts of ``target_to_json``."""
    return Target(**{**data, "caches": Caches(*data["caches"]), "features": tuple(data["features"])})


def build_from_json(request: Mapping[str, Any]) -> KernelObject:
    """Build what ``{definition, schedule, knobs, target, threads, check}`` describe: what builder processes do."""
    output = from_json(request["definition"])
    schedule = Schedule.from_json(output, request["schedule"]).with_knobs(request["knobs"])
    return build(schedule, target_from_json(request["target"]), int(request["threads"]), bool(request.get("check")))
