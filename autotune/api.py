"""Tuning and building from Python, in a script or a notebook.

What is computed is given as a ``Workload``, as the output ``Tensor`` of an expression, or as the name of one of the
library's operators with its parameters as keywords.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Real
from typing import TypeAlias

from autotune.cost_model.models import CostModel, make_cost_model
from autotune.databases import Where, default_path, open_database, open_for_lookup
from autotune.errors import UsageError
from autotune.fuzz.proof import prove
from autotune.lowering.loops import Loops
from autotune.lowering.pipeline import lower as lower_schedule
from autotune.schedules.schedule import Schedule
from autotune.schedules.templates import Function, Template
from autotune.search.events import Listener, TuneResult
from autotune.search.given import given_space
from autotune.search.limits import check_count, check_memory, check_threads
from autotune.search.lookup import Found, find_schedule
from autotune.search.many.events import ManyListener, TuneManyResult
from autotune.search.many.options import ManyOptions
from autotune.search.many.tuner import ManyTuner
from autotune.search.options import TuneOptions
from autotune.search.replay import Replay, find_run
from autotune.search.replay import replay as replay_run
from autotune.search.strategies import Factory
from autotune.search.task import TuningTask
from autotune.search.tuner import Tuner
from autotune.targets.artifact import KernelObject
from autotune.targets.callable import Kernel
from autotune.targets.facts import Target
from autotune.targets.host import get_target, host_device, require_host
from autotune.targets.llvm import build as generator
from autotune.tensor_expr.algorithms import DIRECT, check_algorithms, definitions
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.serialize import canonical_text
from autotune.tensor_expr.tensor import Component, Output, Tensor, as_output
from autotune.tensor_expr.workload import Workload
from autotune.tuning_logs import Accept, Database
from autotune.tuning_logs.accept import VERIFIED

What: TypeAlias = "Workload | Output | str"
Algorithms: TypeAlias = "str | Sequence[str] | None"
DEFAULTS = TuneOptions()
MANY_DEFAULTS = ManyOptions()


def tune(
    operator: What | Schedule, target: str | Target = "native", trials: int = DEFAULTS.trials, *, threads: int = 1,
    budget: float | None = DEFAULTS.budget, patience: int | None = DEFAULTS.patience,
    stop_at: float | None = DEFAULTS.stop_at, strategy: str | Factory = DEFAULTS.strategy,
    cost_model: str | CostModel = DEFAULTS.cost_model, transfer: bool = DEFAULTS.transfer,
    seed: int = DEFAULTS.seed, database: Where = None, algorithms: Algorithms = DEFAULTS.algorithms,
    listeners: Sequence[Listener] = (), verify: bool = False, cache: str = "warm",
    template: Template | Function | None = None, **params: int | str | bool,
) -> TuneResult:  # fmt: skip
    """Search for the fastest schedule on this machine, keeping every trial in the database.

    ``trials`` counts those of earlier runs of the same task: the same call again resumes, or measures the winner once
    more. ``budget`` is in seconds of wall clock, ``database`` a path, a server's URL or an
    open database (default: the user's own).
    The search ends early when ``patience`` trials in a row brought no improvement by 1%, or when the best reaches the
    fraction ``stop_at`` of what the roofline of this machine allows. ``cost_model`` is the name of one, the JSON file
    of one that was saved, or an object with the methods of ``CostModel``; with ``transfer``, a learned one begins with
    what the database has of other workloads and devices. ``strategy`` is the name of one, or a class of your own like
    ``Strategy``. A strategy that fails ends the search, and ``stopped`` in the result says how it failed.
    ``algorithms`` names the definitions of the operator that are searched, as a sequence or separated by commas, such
    as ``"direct,im2col"``: ``direct`` is its own, ``alternatives`` tells the others and what they err; None accepts
    all. ``cache``: kernels are timed ``warm``, or ``cold``, with their memory in no cache; the two are tasks apart.
    ``template`` is a function ``(cfg, output) -> Schedule`` that spans the space instead of the automatic rules; in
    place of an operator, a schedule that leaves knobs open is a space, too. Where a template fails, the result is the
    schedule that needs no search, and ``stopped`` says why.
    Ctrl-C ends the search early, and the best so far is returned. ``verify``: every candidate's loops are checked
    between the passes that make them, and the winner's are interpreted (``proof`` in the result says how); where they
    do not compute what the operator means, ``AutotuneError`` is raised.

    Raises ``UsageError`` for what makes no sense, ``TargetError`` for a target that this machine cannot run, and
    ``DatabaseError`` for a database that cannot be used, all before anything runs.
    """
    options = TuneOptions(
        trials=trials, budget=budget, patience=patience, stop_at=stop_at, strategy=strategy, seed=seed, check=verify,
        algorithms=check_algorithms(algorithms), transfer=transfer,
        cost_model=cost_model if isinstance(cost_model, str) else type(cost_model).__name__,
    )  # fmt: skip
    given = operator if isinstance(operator, Schedule) else template
    what = operator.output if isinstance(operator, Schedule) else operator
    task = replace(tuning_task(what, target, threads, **params), cache=cache)
    definitions(task.workload, options.algorithms)  # refuses before anything runs
    if given is not None and options.algorithms and DIRECT not in options.algorithms:
        raise UsageError("a template schedules the operator's own definition: algorithms must have 'direct' among them")
    model = make_cost_model(cost_model, options.seed)
    own = given_space(task, given) if given is not None else None
    with open_database(database) as opened:
        if own is None:
            tuner = Tuner(task, opened, options, listeners, model=model)
        else:
            tuner = Tuner(own.task, opened, options, listeners, own.space, model, own.problem)
        result = tuner.run()
    if not verify:
        return result
    return replace(result, proof=prove(task.workload, result.schedule, task.target).text)


def tune_many(
    tasks: Sequence[What | TuningTask | tuple[What | TuningTask, float]], target: str | Target = "native",
    trials: int | None = None, *, threads: int = 1, budget: float | None = None,
    scheduler: str = MANY_DEFAULTS.scheduler, strategy: str | Factory = DEFAULTS.strategy,
    cost_model: str = DEFAULTS.cost_model, seed: int = DEFAULTS.seed, database: Where = None,
    algorithms: Algorithms = DEFAULTS.algorithms, listeners: Sequence[ManyListener] = (),
) -> TuneManyResult:  # fmt: skip
    """Tune many workloads, such as those of a network, under one budget, which goes where it saves the most time.

    Each task is what ``tune`` takes as its operator, alone or in a pair with its weight: how often its kernel is run.
    Equal tasks are merged, and their weights added up. ``trials`` are those of all tasks together, earlier runs'
    included, so that the same call again resumes; ``budget`` is in seconds of wall clock, finals included. With
    neither, there are 100 trials for each task. ``scheduler`` is the name of one. Each task gets a
    turn before any gets a second one, those with the most work first; what gets none keeps the choice that needs no
    trial. Ctrl-C ends the turns, and the best so far race; once more, and these end, too.

    Raises ``UsageError``, ``TargetError`` and ``DatabaseError`` as ``tune`` does, before anything runs.
    """
    search = replace(
        MANY_DEFAULTS.search, strategy=strategy, cost_model=cost_model, seed=seed,
        algorithms=check_algorithms(algorithms),
    )  # fmt: skip
    options = ManyOptions(trials, budget, scheduler, search=search)
    if isinstance(tasks, str) or not isinstance(tasks, Iterable):
        raise UsageError(f"the tasks are a list of operators, alone or in pairs with their weights, not {tasks!r:.100}")
    chosen = [_weighted(one, target, threads) for one in tasks]
    for task, _ in chosen:
        definitions(task.workload, search.algorithms)
    make_cost_model(cost_model, seed)  # these refuse before anything runs
    with open_database(database) as opened:
        return ManyTuner(chosen, opened, options, listeners).run()


def _weighted(
    one: What | TuningTask | tuple[What | TuningTask, float], target: str | Target, threads: int
) -> tuple[TuningTask, float]:
    """A task with its weight; of a pair, the second tells a weight from a second output."""
    what, weight = one, 1.0
    if isinstance(one, tuple) and len(one) == 2 and isinstance(one[1], Real):
        what, weight = one[0], float(one[1])
    return what if isinstance(what, TuningTask) else tuning_task(what, target, threads), weight  # type: ignore[arg-type]


def replay(
    run: str, database: Where = None, operator: What | Schedule | None = None, *,
    strategy: str | Factory | None = None, cost_model: str | CostModel | None = None,
    template: Template | Function | None = None, **params: int | str | bool,
) -> Replay:  # fmt: skip
    """Run a search again from its log, without measuring anything, and compare what it proposes with the log.

    ``run`` is how the run's name begins. What the log can only name is given again: the operator where that was an
    expression or a schedule with knobs, a strategy, cost model or template of one's own. Raises ``AutotuneError`` where
    the run is not in the database or cannot be replayed; ``divergence`` of the result says where the replay proposes
    something else.
    """
    given = operator if isinstance(operator, Schedule) else template
    what = operator.output if isinstance(operator, Schedule) else operator
    work = None if what is None else workload(what, **params)
    with open_for_lookup(database) as opened:
        if not isinstance(opened, Database):
            raise UsageError(f"a replay reads a database file, and there is none at {default_path()}")
        return replay_run(opened, find_run(opened, run), work, strategy, cost_model, given)


def build(
    operator: What | Schedule, target: str | Target = "native", *, threads: int = 1, database: Where = None,
    schedule: Schedule | None = None, algorithms: Algorithms = None, verify: bool = False,
    **params: int | str | bool,
) -> Kernel:  # fmt: skip
    """A kernel that runs in this process on NumPy arrays.

    A given schedule is built as it is. Otherwise the database's best for the workload is taken, or, where it has none,
    that of a near shape or device, or else the analytic model's choice; ``find`` says which. ``algorithms`` names the
    definitions that are accepted, as for ``tune``, such as ``"direct"`` where no error but rounding's is wanted.

    ``verify``: the loops are checked between the passes that make them, and interpreted beside NumPy; where these are
    too many, the same steps on a smaller problem are, or a warning says that there is none.

    Raises ``TargetError`` for a target that this machine cannot run (``compile_object`` builds for any), and
    ``AutotuneError`` where ``verify`` finds something wrong.
    """
    chosen = _target(target)
    require_host(chosen)
    threads = check_threads(threads)
    taken = _choose(operator, chosen, threads, database, schedule, algorithms, params)
    if verify:
        if isinstance(operator, Schedule):
            proof = prove(Workload(taken.output), replace(taken, algorithm=DIRECT), chosen)
        else:
            proof = prove(workload(operator, **params), taken, chosen)
        if not proof.interpreted:
            warnings.warn(proof.text, stacklevel=2)
    return Kernel(generator.build(taken, chosen, threads, check=verify))


def compile_object(
    operator: What | Schedule, target: str | Target = "native", *, threads: int = 1, database: Where = None,
    schedule: Schedule | None = None, algorithms: Algorithms = None, **params: int | str | bool,
) -> KernelObject:  # fmt: skip
    """Object code and how to call it, for any target; the schedule is chosen as by ``build``."""
    chosen = _target(target)
    threads = check_count("threads", threads)
    return generator.build(_choose(operator, chosen, threads, database, schedule, algorithms, params), chosen, threads)


def assemble(
    operator: What | Schedule, target: str | Target = "native", *, threads: int = 1, database: Where = None,
    schedule: Schedule | None = None, algorithms: Algorithms = None, **params: int | str | bool,
) -> str:  # fmt: skip
    """The kernel's assembly text, for any target; the schedule is chosen as by ``build``."""
    chosen = _target(target)
    threads = check_count("threads", threads)
    return generator.assembly(
        _choose(operator, chosen, threads, database, schedule, algorithms, params), chosen, threads
    )


def lower(
    operator: What | Schedule, target: str | Target = "native", *, threads: int = 1, database: Where = None,
    schedule: Schedule | None = None, algorithms: Algorithms = None, **params: int | str | bool,
) -> Loops:  # fmt: skip
    """The loops that a kernel for any target runs; ``print`` shows them, a notebook folds them.

    The schedule is chosen as by ``build``.
    """
    chosen = _target(target)
    threads = check_count("threads", threads)
    return Loops(lower_schedule(_choose(operator, chosen, threads, database, schedule, algorithms, params), chosen))


def find(
    operator: What, target: str | Target = "native", *, threads: int = 1, database: Where = None,
    accept: Accept = VERIFIED, algorithms: Algorithms = None, **params: int | str | bool,
) -> Found:  # fmt: skip
    """The schedule that ``build`` takes, and who served it: the database (``exact``, or ``near``: that of another shape
    or device, made legal for this one) or the analytic model (``analytic``). ``accept`` says which of the database's
    records count: by default the verified ones, of any age and toolchain. ``algorithms`` names the definitions that are
    accepted, as for ``tune``: what computes by another one is passed over.
    """
    chosen = _target(target)
    threads = check_count("threads", threads)
    work = workload(operator, **params)
    accepted = accept.algorithms if algorithms is None else check_algorithms(algorithms)
    definitions(work, accepted)
    with open_for_lookup(database) as opened:
        return find_schedule(work, chosen, threads, opened, replace(accept, algorithms=accepted))


def workload(operator: What, **params: int | str | bool) -> Workload:
    """What is to be computed, from any of the ways of saying it."""
    if isinstance(operator, str):
        return get_operator(operator)(**params)
    if params:
        raise UsageError(
            f"parameters ({', '.join(params)}) go with an operator's name, not with a {type(operator).__name__}"
        )
    if isinstance(operator, Workload):
        return operator
    if isinstance(operator, (Tensor, Component, tuple)):
        output = as_output(operator)
        if output.is_placeholder:
            raise UsageError(f"{output.name!r} is a placeholder; there is nothing to compute")
        return Workload(output)
    raise UsageError(f"an operator is a Workload, an output Tensor or an operator's name, not {operator!r}")


def tuning_task(
    operator: What, target: str | Target = "native", threads: int = 1, **params: int | str | bool
) -> TuningTask:
    """A task on this machine, once it is known that this machine can do it."""
    chosen = _target(target)
    require_host(chosen)
    threads = check_threads(threads)
    work = workload(operator, **params)
    check_memory(work)
    return TuningTask(work, chosen, host_device(), threads)


def _choose(
    operator: What | Schedule, target: Target, threads: int, database: Where, schedule: Schedule | None,
    algorithms: Algorithms, params: dict[str, int | str | bool],
) -> Schedule:  # fmt: skip
    given = operator if isinstance(operator, Schedule) else schedule
    if given is not None and not isinstance(given, Schedule):
        raise UsageError(f"schedule is {given!r}; it must be a Schedule")
    if given is None:
        assert not isinstance(operator, Schedule)
        return find(
            operator, target, threads=threads, database=database, accept=VERIFIED, algorithms=algorithms, **params
        ).schedule
    if given.knobs:
        names = ", ".join(knob.name for knob in given.knobs)
        raise UsageError(f"the schedule leaves knobs open ({names}); with_knobs sets them")
    if not isinstance(operator, Schedule):
        asked = workload(operator, **params)
        if canonical_text(given.output) not in map(canonical_text, definitions(asked).values()):
            raise UsageError(f"the schedule is not one of {asked.text}")
    return given


def _target(target: object) -> Target:
    if isinstance(target, str):
        return get_target(target)
    if isinstance(target, Target):
        return target
    raise UsageError(f"a target is a Target or a target's name, not {target!r}")
