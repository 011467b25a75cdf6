"""Making a database smaller without changing what it answers."""

from __future__ import annotations

import random
from dataclasses import dataclass

from autotune.errors import UsageError
from autotune.tuning_logs.database import Database


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many records were kept and removed, and the file's bytes before and after."""

    kept: int
    removed: int
    bytes_before: int
    bytes_after: int


def prune(database: Database, keep: int = 10, sample: int = 100, seed: int = 0) -> Pruned:
    """Keeps of every task the ``keep`` best candidates and a random ``sample`` of its other records, failures too.

    What ``best`` and the first ``keep`` of ``top`` answer stays as it was; the sample is what a cost model learns
    from. Runs, workloads, targets and devices stay, sketches without a record go. Asks for a moment in which nobody
    else writes, and for free disk space of the file's new size.

    Raises UsageError for a ``keep`` below 1 or a ``sample`` below 0.
    """
    if keep < 1 or sample < 0:
        raise UsageError(f"prune keeps at least 1 candidate and a sample of at least 0, not {keep} and {sample}")
    before, total = database.file_bytes(), database.count()
    with database.writing() as writer:
        chosen = random.Random(seed)
        for task in database.tasks():
            leaders = database.leaders(task, keep)
            others = sorted(set(database.numbers(task)) - set(leaders))
            writer.keep_only(task, [*leaders, *chosen.sample(others, min(sample, len(others)))])
        writer.drop_unused_sketches()
    database.compact()
    kept = database.count()
    return Pruned(kept, total - kept, before, database.file_bytes())
