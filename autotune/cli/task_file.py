"""Files that list tasks to be tuned together, in YAML: ``docs/tune_many.md`` describes them.

Whatever is wrong with one is said in a sentence that begins with the file and the line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from autotune.api import tuning_task
from autotune.errors import UsageError, unknown
from autotune.search.task import TuningTask
from autotune.tensor_expr.operators import Operator, Param, get_operator

_TOP = ("defaults", "tasks")
_KEYS = ("operator", "parameters", "weight", "target", "threads")
_LARGEST = 1 << 20  # bytes: a network has some hundred tasks, and YAML can say much in little


@dataclass(slots=True)
class _Asked:
    """What a task's entry, or the defaults, ask for: nodes by key, and parameters' nodes by name."""

    keys: dict[str, yaml.Node] = field(default_factory=dict)
    parameters: dict[str, yaml.Node] = field(default_factory=dict)


def read_tasks(path: Path, target: str | None = None, threads: int | None = None) -> list[tuple[TuningTask, float]]:
    """The tasks that a file lists, with their weights.

    ``target`` and ``threads`` take the place of the file's defaults, but not of what a task says itself. Raises
    ``UsageError``, or ``TargetError`` for a target that this machine cannot run.
    """
    return _TaskFile(path, target, threads).tasks()


class _TaskFile:
    def __init__(self, path: Path, target: str | None, threads: int | None) -> None:
        self.path, self.target, self.threads = path, target, threads

    def tasks(self) -> list[tuple[TuningTask, float]]:
        root = self._root()
        top = self._mapping(root, "the file", _TOP)
        if "tasks" not in top:
            raise self._wrong(root, "there is no list 'tasks'")
        defaults = self._asked(top["defaults"], "defaults") if "defaults" in top else _Asked()
        listed = top["tasks"]
        if not isinstance(listed, yaml.SequenceNode) or not listed.value:
            raise self._wrong(listed, "'tasks' must be a list of at least one task")
        return [self._task(node, number, defaults) for number, node in enumerate(listed.value, 1)]

    def _root(self) -> yaml.Node:
        if self.path.stat().st_size > _LARGEST:
            raise UsageError(f"{self.path} is longer than {_LARGEST} bytes, too long for a list of tasks")
        try:
            root = yaml.compose(self.path.read_text(encoding="utf-8"), yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise UsageError(f"{self.path}:{line}: this is not YAML: {error.problem or error.context}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UsageError(f"{self.path}: this is not YAML: {' '.join(str(error).split())}") from None
        except RecursionError:
            raise UsageError(f"{self.path}: this is nested too deeply for a list of tasks") from None
        if root is None:
            raise UsageError(f"{self.path}: the file is empty; it must have a list 'tasks'")
        return root

    def _task(self, node: yaml.Node, number: int, defaults: _Asked) -> tuple[TuningTask, float]:
        asked = self._asked(node, f"task {number}")
        keys = {**defaults.keys, **asked.keys}
        if "operator" not in keys:
            raise self._wrong(node, f"task {number} names no operator")
        name = self._text(keys["operator"], "operator")
        operator = self._told(keys["operator"], lambda: get_operator(name))
        parameters = {
            name: self._parameter(operator, name, value)
            for name, value in {**defaults.parameters, **asked.parameters}.items()
        }
        weight = self._weight(keys["weight"]) if "weight" in keys else 1.0
        target, threads = self._target(asked, defaults), self._threads(asked, defaults)
        made = self._told(node, lambda: tuning_task(operator(**parameters), target, threads))
        return made, weight

    def _asked(self, node: yaml.Node, what: str) -> _Asked:
        keys = self._mapping(node, what, _KEYS)
        given = keys.pop("parameters", None)
        return _Asked(keys, {} if given is None else self._mapping(given, f"'parameters' of {what}"))

    def _mapping(self, node: yaml.Node, what: str, known: Sequence[str] = ()) -> dict[str, yaml.Node]:
        """The values by key; keys that are not ``known`` are refused, unless all are allowed."""
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, f"{what} must be a mapping" + (f" with the keys {', '.join(known)}" * bool(known)))
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self._text(key, f"a key of {what}")
            if known and name not in known:
                raise self._wrong(key, str(unknown(f"key of {what}", name, known)))
            if name in found:
                raise self._wrong(key, f"{what} has the key {name!r} twice")
            found[name] = value
        return found

    def _parameter(self, operator: Operator, name: str, node: yaml.Node) -> int | float | str | bool:
        params: Mapping[str, Param] = {param.name: param for param in operator.params}
        if name not in params:
            raise self._wrong(node, str(unknown(f"parameter of {operator.name}", name, params)))
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not all(isinstance(item, yaml.ScalarNode) for item in items):
            raise self._wrong(node, f"{name} of {operator.name} must be one value, or a list of numbers")
        text = ",".join(item.value for item in items)
        default = params[name].default
        if isinstance(default, str):
            return text
        value = yaml.safe_load(text)
        if isinstance(default, float) and not isinstance(value, bool):
            return self._told(node, lambda: _number(text, f"{name} of {operator.name}"))
        if type(value) is not type(default):
            kind = "true or false" if isinstance(default, bool) else "a whole number"
            raise self._wrong(node, f"{name} of {operator.name} is {text!r}; it must be {kind}")
        return value  # type: ignore[no-any-return]

    def _weight(self, node: yaml.Node) -> float:
        text = self._text(node, "weight")
        weight = self._told(node, lambda: _number(text, "weight"))
        if not 0 < weight < math.inf:
            raise self._wrong(node, f"weight is {weight:g}; it must be above zero, and finite")
        return weight

    def _target(self, asked: _Asked, defaults: _Asked) -> str:
        if "target" in asked.keys:
            return self._text(asked.keys["target"], "target")
        if self.target is not None:
            return self.target
        return self._text(defaults.keys["target"], "target") if "target" in defaults.keys else "native"

    def _threads(self, asked: _Asked, defaults: _Asked) -> int:
        node = asked.keys.get("threads") or (defaults.keys.get("threads") if self.threads is None else None)
        if node is None:
            return self.threads or 1
        text = self._text(node, "threads")
        if not text.isdecimal():
            raise self._wrong(node, f"threads is {text!r}; it must be a whole number")
        return int(text)

    def _text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, f"{what} must be one value, not a list or a mapping")
        return str(node.value)

    def _told(self, node: yaml.Node, make: Callable[[], Any]) -> Any:
        """What ``make`` makes; a refusal says where in the file it comes from."""
        try:
            return make()
        except UsageError as error:
            raise type(error)(f"{self._place(node)}: {error}") from None

    def _wrong(self, node: yaml.Node, sentence: str) -> UsageError:
        return UsageError(f"{self._place(node)}: {sentence}")

    def _place(self, node: yaml.Node) -> str:
        return f"{self.path}:{node.start_mark.line + 1}"


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{what} is {text!r}; it must be a number") from None
