"""Tensors and schedules as Python that people can paste: the calls that make them again."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite

from autotune.schedules.outline import calls
from autotune.schedules.primitives import Step
from autotune.tensor_expr import Tensor, Workload, dtypes, graph
from autotune.tensor_expr.expr import (
    Accumulation,
    Binary,
    Call,
    Cast,
    Compare,
    Const,
    Expr,
    Not,
    Read,
    Reduce,
    Scan,
    Select,
    Var,
    walk,
)
from autotune.tensor_expr.reducers import Reducer, is_built_in

MAX_TEXT = 90
_OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "and": "&", "or": "|", "xor": "^",
    "shl": "<<", "shr": ">>", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip
HEADER = (
    "import autotune as at\nfrom autotune.tensor_expr.expr import const\n"
    "from autotune.tensor_expr.reducers import BUILT_IN\n"
)


def tensor_source(output: Tensor) -> str:
    """Python that makes the tensors of an operator, each in a variable; the output's is ``output``."""
    names = _Names(graph(output))
    lines = [HEADER]
    for tensor in graph(output):
        lines += _tensor_lines(tensor, names)
    return "\n".join(lines) + "\n"


def workload_source(workload: Workload) -> str:
    """Python that makes ``output``: by the operator's name, or by the expression of one that has none."""
    if workload.operator == "expression":
        return tensor_source(workload.output)
    params = ", ".join(f"{name}={value!r}" for name, value in workload.params.items())
    return f"import autotune as at\n\noutput = at.{workload.operator}({params}).output\n"


def reproducer(workload: Workload, steps: Sequence[Step], target: str) -> str:
    """A program that checks a schedule beside NumPy and prints what is wrong."""
    domains = f", domains={dict(workload.domains)!r}" if workload.domains else ""
    return (
        f"{workload_source(workload)}\n"
        f"schedule = {calls('output', steps)}\n"
        "\nfrom autotune.fuzz import compare\n"
        "from autotune.targets.facts import TARGETS\n"
        f'print(compare(schedule, TARGETS["{target}"], at.Workload(output{domains})) or "equal")\n'
    )


class _Names:
    """A Python variable for every tensor: its name where that is one, and free."""

    def __init__(self, tensors: tuple[Tensor, ...]) -> None:
        taken = {
            "at",
            "const",
            "output",
            "BUILT_IN",
            *(axis.name for t in tensors for axis in (*t.axes, *t.reduce_axes)),
        }
        self.of: dict[Tensor, str] = {}
        for tensor in tensors:
            name = re.sub(r"\W", "_", tensor.name)
            while name in taken or keyword.iskeyword(name):
                name += "_"
            taken.add(name)
            self.of[tensor] = name
        if tensors:
            self.of[tensors[-1]] = "output"


def _tensor_lines(tensor: Tensor, names: _Names) -> list[str]:
    variable, shape = names.of[tensor], _tuple(list(map(str, tensor.shape)))
    if tensor.is_placeholder:
        constant = ", constant=True" if tensor.constant else ""
        return [f'{variable} = at.placeholder({shape}, "{tensor.dtype}", "{tensor.name}"{constant})']
    axes = _axis_names(tensor)
    lines = [f'{axes[axis]} = at.reduce_axis({axis.extent}, "{axis.name}")' for axis in tensor.reduce_axes]
    made = _reducers(tensor, variable)
    for reducer, name in made.items():
        lines += _reducer_lines(reducer, name)
    body = _Body(names, axes, made)
    values = body.texts(tensor.bodies)
    result = values[0].lstrip("*") if len(values) == 1 else _tuple(values)
    arguments = ", ".join(axes[axis] for axis in tensor.axes)
    if not body.lines and len(result) <= MAX_TEXT:
        return [*lines, f'{variable} = at.compute({shape}, lambda {arguments}: {result}, name="{tensor.name}")']
    function = f"{variable}_body"
    lines += [f"def {function}({arguments}):", *(f"    {line}" for line in body.lines), f"    return {result}"]
    return [*lines, f'{variable} = at.compute({shape}, {function}, name="{tensor.name}")']


def _reducers(tensor: Tensor, variable: str) -> dict[Reducer, str]:
    """A variable for each reducer of a user's own."""
    found = dict.fromkeys(node.reducer for node in walk(tensor.bodies) if isinstance(node, Accumulation))
    own = [reducer for reducer in found if not is_built_in(reducer)]
    return {reducer: f"{variable}_reducer{number}" for number, reducer in enumerate(own)}


def _reducer_lines(reducer: Reducer, name: str) -> list[str]:
    """The function that combines two values, and the reducer."""
    several = len(reducer.identity) > 1
    variables: dict[Var, str] = {}
    for side, group in (("a", reducer.left), ("b", reducer.right)):
        variables |= {var: f"{side}[{number}]" if several else side for number, var in enumerate(group)}
    body = _Body(_Names(()), variables, {})
    results = body.texts(reducer.results)
    identity = [f'const({_number(node)}, "{node.dtype}")' for node in reducer.identity]
    return [
        f"def {name}_combine(a, b):",
        *(f"    {line}" for line in body.lines),
        f"    return {_tuple(results) if several else results[0]}",
        f'{name} = at.reducer({name}_combine, {_tuple(identity) if several else identity[0]}, name="{reducer.name}")',
    ]


def _axis_names(tensor: Tensor) -> dict[Var, str]:
    """Python names of the axes, which compute takes as the axes' names."""
    return {axis: axis.name.replace(".", "_") for axis in (*tensor.axes, *tensor.reduce_axes)}


class _Body:
    """A compute's expression as text, with lines for what is used twice or too long."""

    def __init__(self, names: _Names, variables: Mapping[Var, str], reducers: Mapping[Reducer, str]) -> None:
        self.names, self.variables, self.reducers = names, variables, reducers
        self.lines: list[str] = []

    def texts(self, roots: Sequence[Expr]) -> list[str]:
        """The text of each root; of a reduction of several components one text for all, which stand side by side."""
        uses = Counter(id(child) for node in walk(roots) for child in node.children)
        texts: dict[int, str] = {}
        for node in walk(roots):
            text = self._node(node, [texts[id(child)] for child in node.children])
            if node.children and (uses[id(node)] > 1 or len(text) > MAX_TEXT) and not isinstance(node, Accumulation):
                self.lines.append(f"v{len(self.lines)} = {text}")
                text = f"v{len(self.lines) - 1}"
            texts[id(node)] = text
        return [texts[id(root)] for root in roots if not (isinstance(root, Accumulation) and root.component)]

    def _node(self, node: Expr, v: list[str]) -> str:
        if isinstance(node, Const):
            return f'const({_number(node)}, "{node.dtype}")'
        if isinstance(node, Var):
            return self.variables[node]
        if isinstance(node, Binary) and node.op in ("min", "max"):
            return f"at.{node.op}({v[0]}, {v[1]})"
        if isinstance(node, Binary):
            a, b = _plain(node.a, node.b, v[0]), _plain(node.b, node.a, v[1])
            return f"({a} {_OPERATORS[node.op]} {b})"
        if isinstance(node, Compare):
            return f"({v[0]} {_OPERATORS[node.op]} {_plain(node.b, node.a, v[1])})"
        if isinstance(node, Not):
            return f"(~{v[0]})"
        if isinstance(node, Select):
            return f"at.select({', '.join(v)})"
        if isinstance(node, Cast):
            return f'at.cast({v[0]}, "{node.dtype}")'
        if isinstance(node, Call):
            return f'at.call("{node.name}", {", ".join(v)})'
        if isinstance(node, Read):
            component = f"[{node.component}]" if len(node.tensor.dtypes) > 1 else ""
            return f"{self.names.of[node.tensor]}{component}[{', '.join(v)}]"
        assert isinstance(node, (Reduce, Scan)), node
        return self._accumulation(node, v)

    def _accumulation(self, node: Reduce | Scan, v: list[str]) -> str:
        """A reducer's call; of several components it gives a tuple, which a star takes apart."""
        reducer = self.reducers.get(node.reducer, f'BUILT_IN["{node.reducer.name}"]')
        operands = v[0] if len(v) == 1 else _tuple(v)
        star = "*" if len(v) > 1 else ""
        if isinstance(node, Scan):
            return f"{star}{reducer}.scan({operands}, axis={self.variables[node.axis]})"
        axes = _tuple([self.variables[axis] for axis in node.axes])
        if len(v) == 1 and node.reducer not in self.reducers:
            reducer = f"at.{node.kind}"
        return f"{star}{reducer}({operands}, axis={axes})"


def _plain(node: Expr, other: Expr, text: str) -> str:
    """A constant beside an operand that gives it its dtype as a number; anything else as it is."""
    if not isinstance(node, Const) or isinstance(other, Const) or isinstance(node.value, bool):
        return text
    return _number(node)


def _number(node: Const) -> str:
    if isinstance(node.value, float) and not isfinite(node.value):
        return f'float("{node.value}")'
    return repr(node.value) if dtypes.is_float(node.dtype) or node.dtype == "bool" else str(int(node.value))


def _tuple(items: list[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
