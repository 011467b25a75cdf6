"""Databases out and in: lines of JSON, merging, pruning."""

from __future__ import annotations

import dataclasses
import json
import math
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from test_tuning_logs import TASK, WORKLOAD, dump, make_record

from autotune.errors import UsageError
from autotune.tuning_logs import Database, DeviceInfo, Host, Record, Run, TargetInfo, Task, Workload
from autotune.tuning_logs.interchange import BATCH, FORMAT, export_lines, import_lines, merge
from autotune.tuning_logs.pruning import prune

HOST = Host("f" * 64, "cpu model x", "avx2 fma", "Linux x86_64")


def run_of(name: str) -> Run:
    return Run(run_id=name, seed=3, package_version="0.1", llvm_version="20", host=HOST, options={"trials": 9})


def fill(database: Database, run: str = "run", records: int = 30, seed: int = 0) -> None:
    """Two tasks with trials, failures and finalists."""
    numbers = random.Random(seed)
    tasks = [TASK, Task(Workload("matmul"), TargetInfo("arm", "a64"), DeviceInfo("board", "b"), 4, "llvm 21", "2")]
    for task in tasks:
        database.start_run(run_of(run), task)
    for number in range(records):
        seconds = None if number % 7 == 3 else numbers.uniform(1e-4, 1e-2)
        record = make_record(
            f"{run}-{number}", seconds, run_id=run, knobs={"tile": number % 11}, sketch=f'{{"v":{number % 3}}}',
            phase="final" if number % 10 == 9 and seconds else "trial", message="" if seconds else "signal 11 ü",
            samples=[seconds] * 3 if seconds else [], ci_low=seconds, ci_high=seconds,
            max_error=math.inf if number == 3 else 1e-6, created=f"2026-01-01T00:00:{number % 60:02}Z",
        )  # fmt: skip
        database.add(record, tasks[number % 2])


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "full.db") as opened:
        fill(opened)
        yield opened


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "empty.db") as opened:
        yield opened


def contents(database: Database) -> list[tuple[Task, list[Record], set[Run | None]]]:
    found = []
    for task in database.tasks():
        records = database.records(task)
        found.append((task, records, [database.run(name) for name in sorted({r.run_id for r in records})]))
    return found  # type: ignore[return-value]


class TestLines:
    def test_everything_comes_back(self, full: Database, empty: Database) -> None:
        lines = list(export_lines(full))
        report = import_lines(empty, lines)
        assert (report.new, report.already, report.left_out) == (30, 0, 0)
        assert contents(empty) == contents(full)
        assert list(export_lines(empty)) == lines

    def test_each_line_is_strict_json_and_what_a_line_needs_stands_before_it(self, full: Database) -> None:
        kinds = []
        for line in export_lines(full):
            assert line.endswith("\n") and line.isascii()
            (kind,) = json.loads(line, parse_constant=pytest.fail)
            kinds.append(kind)
        assert kinds[0] == FORMAT and kinds.count("record") == 30
        assert {kind: kinds.count(kind) for kind in ("workload", "target", "device", "task", "run", "sketch")} == {
            "workload": 2, "target": 2, "device": 2, "task": 2, "run": 1, "sketch": 3,
        }  # fmt: skip

    def test_how_well_batches_were_foretold_comes_along(self, full: Database, empty: Database) -> None:
        full.add_round("run", 0, {"recall": 0.5, "regret": None})
        full.start_run(run_of("no records"), TASK)
        full.add_round("no records", 7, {"proposed": 64})
        lines = [*export_lines(full)]
        assert import_lines(empty, lines + lines).new == 30
        with Database.open(empty.path.with_name("third.db")) as third:
            merge(third, empty)
            for database in (empty, third):
                assert database.rounds("run") == [{"batch": 0, "recall": 0.5, "regret": None}]
                assert database.rounds("no records") == full.rounds("no records") == [{"batch": 7, "proposed": 64}]

    @pytest.mark.parametrize(
        "line",
        [
            '{"round":{"run":"other","batch":0,"figures":{}}}', '{"round":{"run":"run","figures":{}}}',
            '{"round":{"run":"run","batch":0.5,"figures":{}}}', '{"round":{"run":"run","batch":0,"figures":{"a":"b"}}}',
            '{"round":{"run":"run","batch":0,"figures":{"a":1e999}}}', '{"round":[]}',
        ],
    )  # fmt: skip
    def test_rounds_that_make_no_sense(self, full: Database, empty: Database, line: str) -> None:
        lines = [*export_lines(full), line]
        with pytest.raises(UsageError, match=f"line {len(lines)}: "):
            import_lines(empty, lines)
        assert empty.count() == 30 and empty.rounds("run") == []

    def test_again_and_concatenated(self, full: Database, empty: Database) -> None:
        lines = list(export_lines(full))
        report = import_lines(empty, [*lines, *lines, "\n"])
        assert (report.new, report.already) == (30, 30) and contents(empty) == contents(full)

    def test_more_than_a_batch(self, full: Database, empty: Database) -> None:
        full.add_all((make_record(f"many-{number}"), TASK) for number in range(BATCH + 7))
        assert import_lines(empty, export_lines(full)).new == BATCH + 37

    def test_an_export_is_of_one_moment(self, full: Database) -> None:
        lines = export_lines(full)
        next(lines)
        with Database.open(full.path) as other:
            other.add(make_record("later"), TASK)
        assert sum(line.startswith('{"record"') for line in lines) == 30
        assert full.count() == 31

    @pytest.mark.parametrize("number", [1, 2, 5, 100])
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda line: line[:-5], "it is no JSON"),
            (lambda line: "[1]", "it is no JSON object with one member"),
            (lambda line: '{"recipe": {}}', "'recipe' is nothing that a tuning log holds"),
            (lambda line: "\udcff", "."),
            (lambda line: b"\xff\xfe{}", "it is no JSON"),
            (lambda line: "[" * 100_000, "."),
        ],
    )
    def test_bad_lines(self, full: Database, empty: Database, number: int, change: Any, sentence: str) -> None:
        lines: list[Any] = list(export_lines(full))
        number = min(number, len(lines) - 1)
        lines[number] = change(lines[number])
        with pytest.raises(UsageError, match=rf"line {number + 1}: .*{sentence}"):
            import_lines(empty, lines)
        stored = empty.count()
        report = import_lines(empty, lines, strict=False)
        assert report.new + report.already + report.left_out >= 30
        assert report.already == stored and report.problems[0].startswith(f"line {number + 1}: ")
        assert all(record in full.records(task) for task in empty.tasks() for record in empty.records(task))

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"seconds": math.nan}, "NaN is no number in JSON"),
            ({"seconds": -1.0}, "seconds must be positive and finite"),
            ({"samples": [-1.0]}, "samples must be positive and finite"),
            ({"trial": 5}, "its trial is 5, which is no str"),
            ({"trial": "\ud800"}, "surrogates not allowed"),
            ({"seed": 2**63}, "more than 64 bits"),
            ({"verified": "yes"}, "its verified is 'yes', which is no bool"),
            ({"knobs": [1]}, "its knobs is \\[1\\], which is no dict"),
            ({"knobs": {"tile": "x"}}, "cannot be interpreted as an integer"),
            ({"knobs": {"tile": 1.5}}, "cannot be interpreted as an integer"),
            ({"max_error": 10**400}, "too large"),
            ({"samples": [10**400]}, "too large"),
            ({"created": "now"}, "'now' is no time"),
            ({"run": "other"}, "it refers to run 'other', which no line before it defines"),
            ({"sketch": 7}, "it refers to sketch 7, which no line"),
            ({"colour": "red"}, "its members make no sense .*colour"),
            ({"evidence": "guessed"}, "evidence must be one of"),
        ],
    )
    def test_records_that_make_no_sense(
        self, full: Database, empty: Database, fields: dict[str, Any], sentence: str
    ) -> None:
        lines = list(export_lines(full))
        number = next(n for n, line in enumerate(lines) if line.startswith('{"record"'))
        data = json.loads(lines[number])
        data["record"] |= fields
        lines[number] = json.dumps(data)
        with pytest.raises(UsageError, match=f"^line {number + 1}: .*{sentence}"):
            import_lines(empty, lines)
        report = import_lines(empty, lines, strict=False)
        assert (report.new, report.left_out) == (29, 1)

    @pytest.mark.parametrize(
        ("lines", "sentence"),
        [
            (['{"record": {}}'], 'line 1: this is no .* it does not begin with {"autotune tuning log": 1}'),
            (
                [f'{{"{FORMAT}": 2}}'],
                "line 1: this is no .* its format is version 2, and this autotune knows version 1",
            ),
        ],
    )
    def test_other_files(self, empty: Database, lines: list[str], sentence: str) -> None:
        for strict in (True, False):
            with pytest.raises(UsageError, match=sentence):
                import_lines(empty, lines, strict)

    def test_a_schedule_of_a_future_version_is_kept(self, full: Database, empty: Database) -> None:
        full.add(make_record("future", sketch='{"version":99,"steps":{}}'), TASK)
        import_lines(empty, export_lines(full))
        assert empty.records(TASK)[-1].sketch == '{"version":99,"steps":{}}'


class TestMerge:
    def test_without_duplicates(self, full: Database, empty: Database) -> None:
        with Database.open(full.path.with_name("other.db")) as other:
            fill(other, "run", 20)
            fill(other, "second", 10, seed=1)
            assert (merge(empty, full).new, merge(empty, full).already) == (30, 30)
            report = merge(empty, other)
        assert (report.new, report.already, report.left_out) == (10, 20, 0)
        assert empty.count() == 40 and empty.best(WORKLOAD.key) is not None

    def test_a_file_into_itself(self, full: Database) -> None:
        with Database.open(full.path, readonly=True) as again:
            assert (merge(full, again).new, full.count()) == (0, 30)


class TestPrune:
    def test_answers_stay_and_the_file_shrinks(self, full: Database) -> None:
        fill(full, "more", 2000, seed=5)
        before = {task: (full.best(task.workload.key), full.top(5, task.workload.key)) for task in full.tasks()}
        pruned = prune(full, keep=5, sample=20)
        assert pruned.kept == full.count() == 50 and pruned.removed == 1980
        assert pruned.bytes_after < pruned.bytes_before / 3
        assert before == {task: (full.best(task.workload.key), full.top(5, task.workload.key)) for task in before}
        assert full.count(status="crash") > 0
        assert {record.run_id for task in before for record in full.records(task)} >= {"more"}

    def test_what_is_unused_goes(self, full: Database) -> None:
        full.add(make_record("slow", 1.0, sketch="only here"), TASK)
        prune(full, keep=1, sample=0)
        assert full.count() == 2
        assert len(full.query("SELECT * FROM sketches")) <= 2
        full.add(make_record("new", 1.0, sketch="only here"), TASK)
        assert full.records(TASK)[-1].sketch == "only here"

    def test_the_same_sample_for_the_same_seed(self, full: Database, empty: Database) -> None:
        merge(empty, full)
        for database in (full, empty):
            prune(database, keep=1, sample=3)
        assert contents(full) == contents(empty)

    def test_refusals(self, full: Database) -> None:
        with pytest.raises(UsageError, match="at least 1 candidate"):
            prune(full, keep=0)
        assert full.count() == 30

    def test_cut_short(self, full: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        before = dump(full.path)
        with closing(sqlite3.connect(full.path)) as raw, pytest.raises(KeyboardInterrupt):
            assert raw is not None
            monkeypatch.setattr(random.Random, "sample", interrupt)
            prune(full, keep=1, sample=3)
        assert dump(full.path) == before


def interrupt(*arguments: Any) -> None:
    raise KeyboardInterrupt


def test_a_run_without_its_host_is_refused(full: Database, empty: Database) -> None:
    lines = [line.replace('"host":', '"guest":') for line in export_lines(full)]
    with pytest.raises(UsageError, match="it has no 'host'"):
        import_lines(empty, lines)
    assert dataclasses.asdict(HOST)["cpu"] in "".join(lines)
