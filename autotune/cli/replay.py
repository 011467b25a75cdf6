"""``autotune replay RUN``: a search run again from its log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from autotune.cli.db.listing import database_option, opened
from autotune.cli.objects import load_object
from autotune.cli.report import one_object, plural, speed, table
from autotune.errors import AutotuneError
from autotune.search.replay import Replay, find_run, replay


@click.command(
    "replay",
    help="Run a search again from its log: the same proposals, fed with what was measured then. RUN is how a run's "
    "name begins; autotune db list --runs shows them.",
)
@click.argument("run")
@database_option
@click.option("--strategy", help="the run's, where that was one of your own, as module:class")
@click.option("--template", help="the run's, where it had one, as module:function")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
def command(run: str, database: Path | None, strategy: str | None, template: str | None, as_json: bool) -> None:
    own = load_object(strategy) if strategy and ":" in strategy else strategy
    given = load_object(template) if template else None
    with opened(database) as found:
        outcome = replay(found, find_run(found, run), strategy=own, given=given)
    click.echo(one_object(_json(outcome)) if as_json else _text(outcome))
    if outcome.divergence:
        raise AutotuneError(outcome.divergence)


def _json(outcome: Replay) -> dict[str, Any]:
    return {
        "run": outcome.run.run_id, "workload": outcome.task.workload.text, "earlier": outcome.earlier,
        "trials": len(outcome.trials), "divergence": outcome.divergence or None,
        "curve": [{"trial": number, "seconds": record.seconds, "knobs": record.knobs}
                  for number, record in outcome.curve],
    }  # fmt: skip


def _text(outcome: Replay) -> str:
    run, options, flops = outcome.run, outcome.run.options, outcome.workload.flops
    rows = {
        "run": f"{run.run_id}, {run.started}",
        "search": f"{options['strategy']}, cost model {options['cost_model']}, seed {run.seed}",
        "earlier": plural(outcome.earlier, "trial"),
        "replayed": plural(len(outcome.trials), "trial") + ("" if outcome.divergence else ", each proposed again"),
    }
    lines = [outcome.task.workload.text, table(rows)]
    lines += [f"  {number:>6}  {speed(record.seconds or 0.0, flops, None)}" for number, record in outcome.curve]
    return "\n".join(lines)
