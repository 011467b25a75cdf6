"""What ``autotune explain`` tells of a kernel, as text and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from autotune.cli.model_view import model_view
from autotune.cli.report import evidence, near_origin, plural, speed, table
from autotune.cost_model.models.xgboost import LearnedModel
from autotune.display import html
from autotune.display.diff import Diff, compare
from autotune.lowering.loops import Loops
from autotune.lowering.pipeline import lower
from autotune.schedules.schedule import Schedule
from autotune.search.lookup import Found
from autotune.targets.facts import Target
from autotune.targets.llvm.build import assembly
from autotune.targets.llvm.inspect import busiest_loop, multiply_adds, spills
from autotune.tensor_expr.algorithms import DIRECT
from autotune.tensor_expr.workload import Workload


@dataclass(frozen=True)
class Code:
    """A schedule's kernel for a target: its loops and its assembly."""

    schedule: Schedule
    target: Target
    threads: int
    learned: LearnedModel

    @cached_property
    def loops(self) -> Loops:
        return Loops(lower(self.schedule, self.target))

    @cached_property
    def assembly(self) -> str:
        return assembly(self.schedule, self.target, self.threads)

    @cached_property
    def inner_loop(self) -> range:
        return busiest_loop(self.assembly)

    @property
    def inner_loop_summary(self) -> str:
        """What the marked lines of the assembly are."""
        if not self.inner_loop:
            return "straight-line code, no loop"
        lines = self.assembly.splitlines()[self.inner_loop.start : self.inner_loop.stop]
        figures = [plural(multiply_adds(lines), "multiply-add"), plural(spills(self.assembly), "vector reload")]
        return f"marked: the busiest inner loop, {' and '.join(figures)} from the stack"

    def text(self, part: str) -> str:
        """What the models see, the schedule, the loops or the assembly, its inner loop marked in the margin."""
        if part == "model":
            return model_view(self.schedule, self.target, self.threads, self.learned)
        if part != "assembly":
            return str(self.schedule if part == "schedule" else self.loops)
        lines = enumerate(self.assembly.splitlines())
        return "\n".join(f"{'>' if number in self.inner_loop else ' '} {line}" for number, line in lines)

    def html(self, part: str) -> str:
        """The same, to fold."""
        if part == "assembly":
            title = f"Assembly ({self.inner_loop_summary})"
            return html.section(title, html.code(self.assembly, self.inner_loop), start_open=False)
        if part == "model":
            return html.section("Model", html.code(self.text(part)))
        if part == "schedule":
            return html.section("Schedule", *self.schedule.html_parts())
        return "".join(self.loops.html_parts())


@dataclass(frozen=True)
class Explanation:
    """A workload's kernel, where its schedule comes from, and the parts to show."""

    workload: Workload
    found: Found
    code: Code
    parts: Sequence[str]

    @property
    def title(self) -> str:
        how = "" if self.code.schedule.algorithm == DIRECT else f" by {self.code.schedule.algorithm}"
        return f"{self.workload.text}{how} for {self.code.target.name}"

    @property
    def origin(self) -> str:
        """Which policy served the schedule, in one line."""
        record, task = self.found.record, self.found.task
        if self.found.source == "near" and task is not None:
            return near_origin(self.found)
        if record is not None and task is not None and record.seconds is not None:
            figures = speed(record.seconds, self.workload.flops, None)
            return f"from the database: {figures}, {record.evidence} on {task.device.name}"
        if self.found.source == "analytic":
            return "the analytic model's choice, not measured: the database has none"
        return "the schedule of no steps: the rules found nothing better"

    @property
    def evidence(self) -> dict[str, str]:
        """What the database knows of the kernel's speed and correctness; nothing where it was not asked for it."""
        record, task = self.found.record, self.found.task
        if record is None or task is None or self.found.source != "exact":
            return {}
        return evidence(record, task, self.workload)

    def text(self) -> str:
        """For a terminal."""
        head = [self.title, self.origin, *([table(self.evidence)] if self.evidence else [])]
        shown = [f"\n{self._heading(part)}\n{self.code.text(part)}" for part in self.parts]
        return "\n".join([*head, *shown])

    def _heading(self, part: str) -> str:
        return f"Assembly ({self.code.inner_loop_summary})" if part == "assembly" else part.capitalize()

    def html(self) -> str:
        """A page that stands alone."""
        known = html.table(("evidence", ""), self.evidence.items()) if self.evidence else ""
        return html.page(self.title, html.code(f"{self.title}\n{self.origin}"), known, *map(self.code.html, self.parts))


@dataclass(frozen=True)
class Comparison:
    """How a kernel differs from another of the same workload."""

    explained: Explanation
    other: Code
    name: str

    def diffs(self) -> list[Diff]:
        """One for each part, from the other to the explained one."""
        names = (self.name, "explained")
        code = self.explained.code
        return [compare(self.other.text(part), code.text(part), names) for part in self.explained.parts]

    def text(self) -> str:
        """For a terminal, in colours; what is no terminal gets them taken out by ``click.echo``."""
        shown = zip(self.explained.parts, self.diffs(), strict=True)
        sections = [f"\n{part.capitalize()}\n{diff.coloured}" for part, diff in shown]
        return "\n".join([self.explained.title, self.explained.origin, *sections])

    def html(self) -> str:
        """A page that stands alone."""
        title = f"{self.explained.title}, against {self.name}"
        shown = zip(self.explained.parts, self.diffs(), strict=True)
        sections = [html.section(part.capitalize(), html.diff(str(diff))) for part, diff in shown]
        return html.page(title, html.code(f"{title}\n{self.explained.origin}"), *sections)
