"""A search run again from its log: the same proposals, batch by batch, fed with what was measured then."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from autotune.cost_model.guard import GuardedModel
from autotune.cost_model.models import CostModel, make_cost_model
from autotune.cost_model.transfer import warm_start
from autotune.errors import AutotuneError, UsageError
from autotune.schedules.sketches import SPACE_VERSION
from autotune.search.exploration import Batch, Exploration
from autotune.search.given import Given, given_space
from autotune.search.history import load_history
from autotune.search.options import TuneOptions
from autotune.search.space import SearchSpace
from autotune.search.strategies import Factory, make_strategy
from autotune.search.task import TuningTask
from autotune.targets.facts import TARGETS, Caches, Target
from autotune.targets.host import host_device, native_target
from autotune.tensor_expr.algorithms import check_algorithms
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.workload import Workload
from autotune.tuning_logs import Database, Record, Run, Task

_NEEDED = (
    "strategy",
    "cost_model",
    "trials",
    "batch",
    "after",
    "caches",
    "algorithms",
)  # among the options that a run stores
_Log = Mapping[int, Mapping[int, Record]]  # by batch and row


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found: the run's trials as they were measured, in the order in which they were proposed.

    ``divergence`` says in a sentence where the replay proposed something else than the run did; empty where it never
    did. ``trials`` then end there. ``earlier`` counts the trials of earlier runs that the run began with.
    """

    run: Run
    task: Task
    workload: Workload
    earlier: int
    trials: tuple[Record, ...] = field(default=(), repr=False)
    divergence: str = ""

    @property
    def curve(self) -> list[tuple[int, Record]]:
        """The improvements: how many trials of the run each took, and its record."""
        found: list[tuple[int, Record]] = []
        for number, record in enumerate(self.trials, 1):
            best = found[-1][1].seconds if found else None
            if record.status == "ok" and record.seconds and (best is None or record.seconds < best):
                found.append((number, record))
        return found


def find_run(database: Database, wanted: str) -> Run:
    """The run whose name begins so; UsageError for several, AutotuneError for none."""
    found = database.query(
        "SELECT key FROM runs WHERE substr(key, 1, ?) = ? ORDER BY key = ? DESC LIMIT 2", [len(wanted), wanted, wanted]
    )
    if not found:
        raise AutotuneError(f"{database.path} has no run {wanted!r}; autotune db list --runs shows what it has")
    if len(found) > 1 and found[0]["key"] != wanted:
        raise UsageError(f"{wanted!r} begins several runs' names; give more of it")
    run = database.run(found[0]["key"])
    assert run is not None
    return run


def replay(
    database: Database, run: Run, workload: Workload | None = None, strategy: str | Factory | None = None,
    model: str | CostModel | None = None, given: Given | None = None,
) -> Replay:  # fmt: skip
    """Run the search of ``run`` again without measuring anything, and compare each proposal with the log's.

    ``workload``, ``strategy``, ``model`` and the ``given`` template or schedule are needed where the run's were objects
    of the caller's own, which no log can hold. Raises ``AutotuneError`` where the log does not have all that it takes,
    or is of another space.
    """
    task, log = _log(database, run)
    if given is None:
        _check_space(run, task, str(SPACE_VERSION))
    missing = [name for name in _NEEDED if name not in run.options]
    if missing:
        raise AutotuneError(f"run {run.run_id[:12]} cannot be replayed: its release did not store {missing[0]!r}")
    known = workload or _workload(task)
    if known.text != task.workload.text:
        raise UsageError(f"the run tuned {task.workload.text}, not {known.text}")
    target = _target(run, task)
    if given is None:
        space = SearchSpace(known, target, task.threads, algorithms=check_algorithms(run.options["algorithms"]))
    else:
        own = given_space(TuningTask(known, target, host_device(), task.threads), given)
        if own.problem:
            raise AutotuneError(own.problem)
        _check_space(run, task, own.task.space)
        space = own.space
    options = TuneOptions(
        trials=run.options["trials"], batch=run.options["batch"], seed=run.seed,
        strategy=strategy or run.options["strategy"],
    )  # fmt: skip
    chosen = make_cost_model(model or run.options["cost_model"], run.seed)
    history = load_history(database, task, space, run.options["after"])
    if run.options.get("transfer"):
        warm_start(chosen, database, task, space.target, run.seed, history.after)
    predictor = GuardedModel(chosen)
    searching = make_strategy(options.strategy, space, predictor, run.seed)
    exploration = Exploration(space, searching, predictor, options, history)
    trials, divergence = _follow(exploration, log)
    if not divergence and len(trials) < (total := sum(map(len, log.values()))):
        divergence = f"the log has {total} trials, and the replay proposes no more than {len(trials)}"
    return Replay(run, task, known, len(history.records), tuple(trials), divergence)


def _check_space(run: Run, task: Task, here: str) -> None:
    """Refuse a run of another space than that which is called ``here``."""
    there, name = str(task.space_version).removesuffix(" cold"), f"run {run.run_id[:12]}"
    if there == here:
        return
    if here != str(SPACE_VERSION):
        raise AutotuneError(f"{name} searched {_space_name(there)}, and what is given is {here}")
    if " " in there:
        raise AutotuneError(f"{name} searched {there}, which a log only names: a replay takes it as template=")
    raise AutotuneError(f"{name} searched {_space_name(there)}, and this release has version {here}")


def _space_name(stored: str) -> str:
    return stored if " " in stored else f"version {stored} of the search space"


def _follow(exploration: Exploration, log: _Log) -> tuple[list[Record], str]:
    """The trials in the order of their proposals, and where the proposals leave the log."""
    trials: list[Record] = []
    while True:
        for batch in exploration.propose():
            recorded = log.get(batch.number, {})
            if problem := _difference(exploration, batch, recorded):
                return trials, problem
            batch.records.update(recorded)
            trials += [recorded[row] for row in sorted(recorded)]
        # The last batches of a run that was stopped have candidates without a result.
        if not exploration.in_flight or not exploration.in_flight[0].complete:
            return trials, ""
        exploration.learn()


def _difference(exploration: Exploration, batch: Batch, recorded: Mapping[int, Record]) -> str:
    for row, record in sorted(recorded.items()):
        where = f"trial {row} of batch {batch.number}"
        if row >= len(batch.candidates):
            return f"{where} is in the log, where the replay proposes {len(batch.candidates)} candidates"
        sketch, knobs = exploration.candidate(batch, row)
        if json.loads(sketch) != json.loads(record.sketch):
            return f"the replay leaves the log at {where}, with another sketch"
        if knobs != record.knobs:
            name = next(name for name in knobs if knobs[name] != record.knobs.get(name))
            return (
                f"the replay leaves the log at {where}: {name} is {knobs[name]} where the log has "
                f"{record.knobs.get(name)}"
            )
    return ""


def _log(database: Database, run: Run) -> tuple[Task, _Log]:
    """The run's task and trials."""
    found = database.query(
        "SELECT trial FROM records JOIN runs ON runs.id = run_id WHERE runs.key = ? AND phase = 'trial'", [run.run_id]
    )
    log: defaultdict[int, dict[int, Record]] = defaultdict(dict)
    tasks: dict[Task, None] = {}
    for row in found:
        stored = database.find(row["trial"])
        assert stored is not None
        record, task = stored
        log[record.batch][int(record.trial.rpartition("-")[2])] = record
        tasks[task] = None
    if len(tasks) != 1:
        raise AutotuneError(f"run {run.run_id[:12]} has trials of {len(tasks)} tasks; a replay takes one")
    return next(iter(tasks)), log


def _workload(task: Task) -> Workload:
    if task.workload.operator == "expression":
        raise AutotuneError(
            "the run tuned an expression, which a log only describes: autotune.replay takes it as the operator"
        )
    return get_operator(task.workload.operator)(**task.workload.params)


def _target(run: Run, task: Task) -> Target:
    """The run's target, with the caches that it counted on."""
    for target in (native_target(), *TARGETS.values()):
        if target.key == task.target.key:
            return replace(target, caches=Caches(*run.options["caches"]))
    raise AutotuneError(f"the run is of the target {task.target.text!r}, which this release and machine do not have")
