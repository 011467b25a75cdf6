"""Questions that are asked often, as SQL: Datasette shows each as a page, and as JSON and CSV.

In the results ``curve`` is the number of a workload; ``record``, ``run`` and what ends in ``_id`` are numbers of rows.
The pages make links of them.
"""

from __future__ import annotations

from dataclasses import dataclass

_WHERE = "targets.name AS target, threads, devices.name AS device, workloads.text AS workload, toolchain"

_TASKS = """FROM tasks
JOIN workloads ON workloads.id = tasks.workload_id
JOIN targets ON targets.id = tasks.target_id
JOIN devices ON devices.id = tasks.device_id"""

# As Database.best_of: the fastest finalist of the latest race, unless a later trial beat it beyond doubt; else the
# fastest trial. Correlated subqueries, since each then is a step or two in the index records_best.
_USABLE = "status = 'ok' AND verified AND task_id = raced.task_id AND evidence = raced.evidence"
_BEST = f"""raced AS (
    SELECT tasks.id AS task_id, kinds.evidence, (
        SELECT run_id FROM records WHERE status = 'ok' AND verified AND task_id = tasks.id
            AND evidence = kinds.evidence AND phase = 'final' ORDER BY id DESC LIMIT 1) AS race
    FROM tasks JOIN (SELECT 'measured' AS evidence UNION SELECT 'emulated' UNION SELECT 'modelled') AS kinds
), won AS (
    SELECT *, (SELECT id FROM records WHERE {_USABLE} AND phase = 'final' AND run_id = race
        ORDER BY seconds LIMIT 1) AS final FROM raced
), best AS (
    SELECT task_id, raced.evidence, coalesce(
        (SELECT later.id FROM records JOIN records AS later ON later.id > records.id
            WHERE records.id = final AND later.status = 'ok' AND later.verified AND later.task_id = raced.task_id
            AND later.evidence = raced.evidence AND later.phase = 'trial'
            AND later.seconds < coalesce(records.ci_low, records.seconds)
            AND coalesce(later.ci_high, later.seconds) < coalesce(records.ci_low, records.seconds)
            ORDER BY later.seconds LIMIT 1),
        final,
        (SELECT id FROM records WHERE {_USABLE} AND phase = 'trial' ORDER BY seconds LIMIT 1)) AS id
    FROM won AS raced
)"""


@dataclass(frozen=True, slots=True)
class Query:
    """A question with a title, a sentence that explains it, and the SQL that answers it; ``:names`` are asked for."""

    title: str
    description: str
    sql: str


QUERIES = {
    "best": Query(
        "Best of each workload",
        "What autotune db best serves, for each workload, target, device and number of threads.",
        f"""WITH {_BEST}
SELECT workloads.id AS curve, operator, records.seconds AS best_seconds, records.id AS record,
    (SELECT count(*) FROM records AS other WHERE other.task_id = tasks.id AND other.phase = 'trial') AS trials,
    {_WHERE}, records.evidence, phase
{_TASKS}
JOIN best ON best.task_id = tasks.id
JOIN records ON records.id = best.id
ORDER BY operator, workload, target, device, threads, toolchain""",
    ),
    "devices": Query(
        "Devices compared",
        "Workloads that have a best on several devices, targets, numbers of threads or toolchains; the fastest first.",
        f"""WITH {_BEST}, places AS (
    SELECT workloads.id AS curve, operator, {_WHERE}, records.seconds AS best_seconds,
        records.evidence, records.id AS record, count(*) OVER whole AS places,
        min(records.seconds) OVER whole AS fastest
    {_TASKS}
    JOIN best ON best.task_id = tasks.id
    JOIN records ON records.id = best.id
    WINDOW whole AS (PARTITION BY workloads.id, records.evidence)
)
SELECT curve, operator, device, target, threads, best_seconds, round(best_seconds / fastest, 2) AS times_the_fastest,
    record, workload, toolchain, evidence
FROM places WHERE places > 1 ORDER BY operator, workload, evidence, best_seconds""",
    ),
    "failures": Query(
        "Failures by kind",
        "How often candidates failed, by operator and kind of error, with the latest message.",
        """SELECT operator, kind, failures, created AS latest, message, records.id AS record
FROM (
    SELECT operator, status AS kind, count(*) AS failures, max(records.id) AS last
    FROM records JOIN tasks ON tasks.id = task_id JOIN workloads ON workloads.id = workload_id
    WHERE status != 'ok' GROUP BY operator, status
) JOIN records ON records.id = last
ORDER BY failures DESC, operator, kind""",
    ),
    "searches": Query(
        "Runs",
        "Each run of the tuner: what was asked, on which machine and with which software, and what came of it.",
        """SELECT runs.id AS run, started, command, runs.seed, count(records.id) AS records,
    count(DISTINCT task_id) AS tasks, coalesce(sum(status != 'ok'), 0) AS failed, sum(build_seconds) AS build_seconds,
    sum(measure_seconds) AS measure_seconds, package_version, llvm_version, cpu, system, runs.key
FROM (SELECT runs.*, cpu, system FROM runs LEFT JOIN hosts ON hosts.id = host_id) AS runs
LEFT JOIN records ON records.run_id = runs.id
GROUP BY runs.id ORDER BY started DESC, runs.id DESC""",
    ),
    "slow_builds": Query(
        "Slowest builds",
        "The 100 candidates that took longest to build, whether they worked or not.",
        """SELECT records.id AS record, build_seconds, operator, status, seconds, knobs, sketch_id,
    workloads.id AS curve
FROM (SELECT * FROM records WHERE phase = 'trial' ORDER BY build_seconds DESC, id LIMIT 100) AS records
JOIN tasks ON tasks.id = task_id JOIN workloads ON workloads.id = workload_id
ORDER BY build_seconds DESC, records.id""",
    ),
    "time_spent": Query(
        "Where the time went",
        "What building and measuring took, by operator, in all and on average.",
        """SELECT operator, count(*) AS records, count(DISTINCT task_id) AS tasks,
    sum(build_seconds) AS build_seconds, sum(measure_seconds) AS measure_seconds,
    avg(build_seconds) AS build_each_seconds, avg(measure_seconds) AS measure_each_seconds
FROM records JOIN tasks ON tasks.id = task_id JOIN workloads ON workloads.id = workload_id
GROUP BY operator ORDER BY sum(build_seconds + measure_seconds) DESC""",
    ),
    "trials": Query(
        "Trials of a workload",
        "Every trial and finalist in order. The workload is the number in a curve's address.",
        """SELECT records.id AS record, phase, batch, status, seconds, ci_low AS from_seconds, ci_high AS to_seconds,
    verified, build_seconds, sketch_id, knobs, task_id, evidence, created, message
FROM records JOIN tasks ON tasks.id = task_id
WHERE workload_id = :workload ORDER BY task_id, records.id""",
    ),
    "improvements": Query(
        "How the best improved",
        "The trials that were faster than all before them. The workload is the number in a curve's address.",
        """WITH ranked AS (
    SELECT records.*, row_number() OVER earlier AS number,
        min(CASE WHEN status = 'ok' THEN seconds END)
            OVER (earlier ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW) AS before
    FROM records JOIN tasks ON tasks.id = task_id
    WHERE workload_id = :workload AND phase = 'trial'
    WINDOW earlier AS (PARTITION BY task_id, evidence ORDER BY records.id)
)
SELECT task_id, evidence, number AS trial, seconds, before AS before_seconds,
    round(before / seconds, 3) AS times_faster, sketch_id, knobs, created, id AS record
FROM ranked WHERE status = 'ok' AND (before IS NULL OR seconds < before) ORDER BY task_id, evidence, number""",
    ),
}  # fmt: skip
"""By the name in the page's address. None is that of a table, which would hide the table."""
