"""A compiler that finds fast kernels by search.

Declare an operator (``placeholder``, ``compute``, ``reduce_axis``, ``sum``, ... or ``conv2d``, ``matmul``), schedule it
by hand (``create_schedule``) or search for its best schedule (``tune``), and get a callable (``build``).
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # typing's own would cost the import of typing, during which Ctrl-C is not caught
if TYPE_CHECKING:
    from typing import Any

    from autotune.api import assemble as assemble
    from autotune.api import build as build
    from autotune.api import compile_object as compile_object
    from autotune.api import find as find
    from autotune.api import lower as lower
    from autotune.api import replay as replay
    from autotune.api import tune as tune
    from autotune.api import tune_many as tune_many
    from autotune.cli.progress import ProgressBar as ProgressBar
    from autotune.cost_model.model import CostModel as CostModel
    from autotune.databases import connect as connect
    from autotune.display.diff import Diff as Diff
    from autotune.errors import AutotuneError as AutotuneError
    from autotune.errors import ScheduleError as ScheduleError
    from autotune.errors import TargetError as TargetError
    from autotune.errors import UsageError as UsageError
    from autotune.lowering.loops import Loops as Loops
    from autotune.schedules.primitives import Knob as Knob
    from autotune.schedules.schedule import Schedule as Schedule
    from autotune.schedules.schedule import create_schedule as create_schedule
    from autotune.schedules.templates import Annotation as Annotation
    from autotune.schedules.templates import Config as Config
    from autotune.schedules.templates import Template as Template
    from autotune.schedules.templates import TemplateError as TemplateError
    from autotune.schedules.templates import template as template
    from autotune.schedules.tensor_intrinsics import Instruction as Instruction
    from autotune.schedules.tensor_intrinsics import TensorIntrinsic as TensorIntrinsic
    from autotune.schedules.tensor_intrinsics import register_tensor_intrinsic as register_tensor_intrinsic
    from autotune.search.events import Listener as Listener
    from autotune.search.events import Progress as Progress
    from autotune.search.events import TuneResult as TuneResult
    from autotune.search.listeners import Curve as Curve
    from autotune.search.listeners import TrialLog as TrialLog
    from autotune.search.lookup import Found as Found
    from autotune.search.many.events import ManyListener as ManyListener
    from autotune.search.many.events import ManyProgress as ManyProgress
    from autotune.search.many.events import TuneManyResult as TuneManyResult
    from autotune.search.options import TuneOptions as TuneOptions
    from autotune.search.space import Evaluated as Evaluated
    from autotune.search.space import Population as Population
    from autotune.search.space import SearchSpace as SearchSpace
    from autotune.search.strategies import Strategy as Strategy
    from autotune.targets.callable import Kernel as Kernel
    from autotune.tensor_expr import Axis as Axis
    from autotune.tensor_expr import Component as Component
    from autotune.tensor_expr import Expr as Expr
    from autotune.tensor_expr import Tensor as Tensor
    from autotune.tensor_expr import Workload as Workload
    from autotune.tensor_expr import absolute as absolute
    from autotune.tensor_expr import acos as acos
    from autotune.tensor_expr import acosh as acosh
    from autotune.tensor_expr import all as all
    from autotune.tensor_expr import all_of as all_of
    from autotune.tensor_expr import any as any
    from autotune.tensor_expr import argmax as argmax
    from autotune.tensor_expr import argmin as argmin
    from autotune.tensor_expr import asin as asin
    from autotune.tensor_expr import asinh as asinh
    from autotune.tensor_expr import atan as atan
    from autotune.tensor_expr import atanh as atanh
    from autotune.tensor_expr import call as call
    from autotune.tensor_expr import cast as cast
    from autotune.tensor_expr import ceil as ceil
    from autotune.tensor_expr import compute as compute
    from autotune.tensor_expr import cos as cos
    from autotune.tensor_expr import cosh as cosh
    from autotune.tensor_expr import cumulative as cumulative
    from autotune.tensor_expr import erf as erf
    from autotune.tensor_expr import exp as exp
    from autotune.tensor_expr import exp2 as exp2
    from autotune.tensor_expr import expm1 as expm1
    from autotune.tensor_expr import floor as floor
    from autotune.tensor_expr import fmod as fmod
    from autotune.tensor_expr import if_in_bounds as if_in_bounds
    from autotune.tensor_expr import isfinite as isfinite
    from autotune.tensor_expr import isinf as isinf
    from autotune.tensor_expr import isnan as isnan
    from autotune.tensor_expr import log as log
    from autotune.tensor_expr import log1p as log1p
    from autotune.tensor_expr import log2 as log2
    from autotune.tensor_expr import max as max
    from autotune.tensor_expr import min as min
    from autotune.tensor_expr import padded as padded
    from autotune.tensor_expr import placeholder as placeholder
    from autotune.tensor_expr import pow as pow
    from autotune.tensor_expr import prod as prod
    from autotune.tensor_expr import reciprocal as reciprocal
    from autotune.tensor_expr import reduce_axis as reduce_axis
    from autotune.tensor_expr import reducer as reducer
    from autotune.tensor_expr import round as round
    from autotune.tensor_expr import rsqrt as rsqrt
    from autotune.tensor_expr import saturating_cast as saturating_cast
    from autotune.tensor_expr import select as select
    from autotune.tensor_expr import sigmoid as sigmoid
    from autotune.tensor_expr import sign as sign
    from autotune.tensor_expr import sin as sin
    from autotune.tensor_expr import sinh as sinh
    from autotune.tensor_expr import sqrt as sqrt
    from autotune.tensor_expr import sum as sum
    from autotune.tensor_expr import tan as tan
    from autotune.tensor_expr import tanh as tanh
    from autotune.tensor_expr import trunc as trunc
    from autotune.tensor_expr.algorithms import Alternative as Alternative
    from autotune.tensor_expr.algorithms import alternatives as alternatives
    from autotune.tensor_expr.operators.conv2d import conv2d as conv2d
    from autotune.tensor_expr.operators.matmul import matmul as matmul
    from autotune.tuning_logs import Accept as Accept
    from autotune.tuning_logs import Database as Database
    from autotune.tuning_logs import DatabaseError as DatabaseError
    from autotune.version import VERSION as __version__

# Where each public name comes from when it is first asked for: a worker that measures imports this package, too, and
# must not pay for the search. A test holds this table and the imports above equal.
_MODULES = {
    "autotune.api": ("assemble", "build", "compile_object", "find", "lower", "replay", "tune", "tune_many"),
    "autotune.cli.progress": ("ProgressBar",),
    "autotune.cost_model.model": ("CostModel",),
    "autotune.databases": ("connect",),
    "autotune.display.diff": ("Diff",),
    "autotune.errors": ("AutotuneError", "ScheduleError", "TargetError", "UsageError"),
    "autotune.lowering.loops": ("Loops",),
    "autotune.schedules.primitives": ("Knob",),
    "autotune.schedules.schedule": ("Schedule", "create_schedule"),
    "autotune.schedules.templates": ("Annotation", "Config", "Template", "TemplateError", "template"),
    "autotune.schedules.tensor_intrinsics": ("Instruction", "TensorIntrinsic", "register_tensor_intrinsic"),
    "autotune.search.events": ("Listener", "Progress", "TuneResult"),
    "autotune.search.listeners": ("Curve", "TrialLog"),
    "autotune.search.lookup": ("Found",),
    "autotune.search.many.events": ("ManyListener", "ManyProgress", "TuneManyResult"),
    "autotune.search.options": ("TuneOptions",),
    "autotune.search.space": ("Evaluated", "Population", "SearchSpace"),
    "autotune.search.strategies": ("Strategy",),
    "autotune.targets.callable": ("Kernel",),
    "autotune.tensor_expr": (
        "Axis", "Component", "Expr", "Tensor", "Workload", "absolute", "acos", "acosh", "all", "all_of", "any",
        "argmax", "argmin", "asin", "asinh", "atan", "atanh", "call", "cast", "ceil", "compute", "cos", "cosh",
        "cumulative", "erf", "exp", "exp2", "expm1", "floor", "fmod", "if_in_bounds", "isfinite", "isinf", "isnan",
        "log", "log1p", "log2", "max", "min", "padded", "placeholder", "pow", "prod", "reciprocal", "reduce_axis",
        "reducer", "round", "rsqrt", "saturating_cast", "select", "sigmoid", "sign", "sin", "sinh", "sqrt", "sum",
        "tan", "tanh", "trunc",
    ),
    "autotune.tensor_expr.algorithms": ("Alternative", "alternatives"),
    "autotune.tensor_expr.operators.conv2d": ("conv2d",),
    "autotune.tensor_expr.operators.matmul": ("matmul",),
    "autotune.tuning_logs": ("Accept", "Database", "DatabaseError"),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("autotune.version").VERSION
    if name in _HOMES:
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value
    if not name.startswith("_"):  # any registered operator is a public name, without a line here
        operators = import_module("autotune.tensor_expr.operators").operators()
        if name in operators:
            return operators[name]
    raise AttributeError(f"module 'autotune' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
