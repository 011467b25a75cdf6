"""Looking at a database in a web browser: real files, the real server, and a real browser where there is one."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from test_interchange import fill
from test_tuning_logs import TASK, WORKLOAD, make_record, make_run, run_sql

from autotune.cli.entry import run
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Database, DeviceInfo, TargetInfo, Task, Workload
from autotune.tuning_logs.browsing import drawing
from autotune.tuning_logs.browsing.curves import Curve, Trial, curves, latest_tasks
from autotune.tuning_logs.browsing.queries import QUERIES
from autotune.tuning_logs.browsing.site import listen, site

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))
import screenshot


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Database.open(tmp_path / "tuning.db") as database:
        fill(database)
    return tmp_path / "tuning.db"


# Python imports this at its start; then no module of that name is found.
_WITHOUT_DATASETTE = """
import sys

class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name == "datasette":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nowhere())
"""


def ask(path: Path, name: str, **values: Any) -> list[dict[str, Any]]:
    with Database.open(path, readonly=True) as database:
        return database.query(QUERIES[name].sql, values)


def get(path: Path, address: str, host: str = "localhost") -> tuple[int, str]:
    """The status and text of a page, without a server."""
    found = asyncio.run(site(path).client.get(address, headers={"host": host}))
    return found.status_code, found.text


class TestQuestions:
    """Each on a database whose answers are known."""

    def test_best_is_what_the_database_serves(self, path: Path) -> None:
        rows = {row["curve"]: row for row in ask(path, "best")}
        with Database.open(path) as database:
            for curve, task in enumerate(database.tasks(), 1):
                best, row = database.best_of(task), rows[curve]
                assert best is not None and row["best_seconds"] == best.seconds
                trials = database.count(task, phase="trial")
                assert (row["workload"], row["device"], row["trials"]) == (task.workload.text, task.device.name, trials)
                assert run_sql(path, f"SELECT trial FROM records WHERE id = {row['record']}") == (best.trial,)
        assert len(rows) == 2

    @pytest.mark.parametrize("high", [0.8e-3, 1.2e-3])
    def test_best_after_the_race(self, tmp_path: Path, high: float) -> None:
        """A trial after the race wins only beyond doubt; the winner of an older race never does."""
        times = [("a", "trial", 2e-3), ("b", "final", 0.5e-3), ("c", "final", 1e-3), ("d", "trial", 0.7e-3)]
        with Database.open(tmp_path / "tuning.db") as database:
            for name in ("old", "new"):
                database.start_run(make_run(name), TASK)
            for trial, phase, seconds in times:
                record = make_record(
                    trial, seconds, phase=phase, run_id="old" if trial == "b" else "new", ci_low=0.9 * seconds,
                    ci_high=high if trial == "d" else seconds,
                )  # fmt: skip
                database.add(record, TASK)
            best = database.best_of(TASK)
            assert best is not None and best.trial == ("d" if high < 0.9e-3 else "c")
        (row,) = ask(tmp_path / "tuning.db", "best")
        assert row["best_seconds"] == best.seconds

    def test_evidence_is_never_mixed(self, tmp_path: Path) -> None:
        with Database.open(tmp_path / "tuning.db") as database:
            database.start_run(make_run(), TASK)
            database.add(make_record("slow", 1e-3), TASK)
            database.add(make_record("fast", 1e-6, evidence="modelled"), TASK)
            assert [(curve.evidence, len(curve.trials)) for curve in curves(database, 1)] == [
                ("measured", 1), ("modelled", 1),
            ]  # fmt: skip
        rows = ask(tmp_path / "tuning.db", "best")
        assert {row["evidence"]: row["best_seconds"] for row in rows} == {"measured": 1e-3, "modelled": 1e-6}
        assert ask(tmp_path / "tuning.db", "devices") == []

    def test_devices(self, tmp_path: Path) -> None:
        board = Task(WORKLOAD, TargetInfo("arm", "a64"), DeviceInfo("board", "b"), 4, "llvm 20", 1)
        lone = Task(Workload("matmul"), TASK.target, TASK.device, 1, "llvm 20", 1)
        with Database.open(tmp_path / "tuning.db") as database:
            database.start_run(make_run(), TASK)
            for task, seconds in ((TASK, 1e-3), (board, 4e-3), (lone, 1e-3)):
                database.add(make_record(f"{task.workload.text} {seconds}", seconds), task)
        rows = ask(tmp_path / "tuning.db", "devices")
        assert [(row["device"], row["target"], row["threads"], row["times_the_fastest"]) for row in rows] == [
            ("cpu", "native", 1, 1.0), ("board", "arm", 4, 4.0),
        ]  # fmt: skip

    def test_failures(self, path: Path) -> None:
        rows = ask(path, "failures")
        assert [(row["operator"], row["kind"], row["failures"], row["message"]) for row in rows] == [
            ("", "crash", 2, "signal 11 ü"), ("conv2d", "crash", 2, "signal 11 ü"),
        ]  # fmt: skip
        assert run_sql(path, f"SELECT trial FROM records WHERE id = {rows[0]['record']}") == ("run-17",)

    def test_searches(self, path: Path) -> None:
        with Database.open(path) as database:
            database.start_run(make_run("without records"), TASK)
        rows = {row["key"]: row for row in ask(path, "searches")}
        assert {name: (row["records"], row["tasks"], row["failed"]) for name, row in rows.items()} == {
            "run": (30, 2, 4), "without records": (0, 0, 0),
        }  # fmt: skip
        assert rows["run"]["cpu"] == "cpu model x"

    def test_slow_builds_and_time_spent(self, tmp_path: Path) -> None:
        with Database.open(tmp_path / "tuning.db") as database:
            database.start_run(make_run(), TASK)
            for number in range(120):
                record = make_record(f"{number}", 1e-3, build_seconds=number / 4, measure_seconds=0.5)
                database.add(record, TASK)
        rows = ask(tmp_path / "tuning.db", "slow_builds")
        assert [row["build_seconds"] for row in rows] == [number / 4 for number in range(119, 19, -1)]
        (row,) = ask(tmp_path / "tuning.db", "time_spent")
        assert (row["records"], row["build_seconds"], row["measure_each_seconds"]) == (120, 119 * 120 / 8, 0.5)

    def test_trials_and_improvements(self, path: Path) -> None:
        with Database.open(path) as database:
            records = database.records(TASK)
        rows = ask(path, "trials", workload=1)
        assert [(row["phase"], row["status"], row["seconds"]) for row in rows] == [
            (record.phase, record.status, record.seconds) for record in records
        ]
        best, expected = float("inf"), []
        for number, record in enumerate((record for record in records if record.phase == "trial"), 1):
            if record.seconds is not None and record.seconds < best:
                expected.append((number, record.seconds))
                best = record.seconds
        found = ask(path, "improvements", workload=1)
        assert [(row["trial"], row["seconds"]) for row in found] == expected and len(expected) > 1
        assert [row["before_seconds"] for row in found] == [None, *(seconds for _, seconds in expected[:-1])]
        with Database.open(path) as database:
            (curve,) = curves(database, 1)
        assert [(trial.number, trial.seconds) for trial in curve.improvements] == expected

    def test_every_question_has_a_page(self, path: Path) -> None:
        for name, query in QUERIES.items():
            status, text = get(path, f"/tuning/{name}?workload=1")
            assert status == 200 and query.title in text and "message-error" not in text, name
            assert ("0 results" in text) == (name == "devices"), name
            rows = json.loads(get(path, f"/tuning/{name}.json?workload=1&_shape=array")[1])
            assert rows == ask(path, name, workload=1), name
            read = list(csv.DictReader(io.StringIO(get(path, f"/tuning/{name}.csv?workload=1")[1])))
            assert [row["record"] for row in read if "record" in row] == [
                str(row["record"]) for row in rows if "record" in row
            ]


def curve_of(times: list[float | None]) -> Curve:
    rows = [
        {"status": "ok" if seconds else "crash", "seconds": seconds, "ci_low": None, "ci_high": None, "verified": 1,
         "run_id": number // 3, "id": number, "evidence": "measured"}
        for number, seconds in enumerate(times, 1)
    ]  # fmt: skip
    trials = [Trial(number, row) for number, row in enumerate(rows, 1)]
    lowest = list(itertools.accumulate((seconds or float("inf") for seconds in times), min))
    improvements = [
        trial
        for trial, before in zip(trials, [float("inf"), *lowest], strict=False)
        if (trial.seconds or before) < before
    ]
    return Curve(TASK, 1, "measured", trials, improvements, 0, None)


class TestDrawing:
    def test_every_trial_stands_in_its_place(self) -> None:
        found = drawing.draw(curve_of([4e-3, None, 1e-3, 2e-3]))
        assert [dot.kind for dot in found.dots] == ["ok", "failed", "ok", "ok"]
        left, right = drawing.LEFT, drawing.WIDTH - drawing.RIGHT
        assert [dot.x for dot in found.dots] == pytest.approx(
            [left, left + (right - left) / 3, left + (right - left) * 2 / 3, right], abs=0.06
        )
        first, _, third, fourth = (dot.y for dot in found.dots)
        assert fourth == pytest.approx((first + third) / 2, abs=0.06)  # logarithmic: 2 is halfway between 1 and 4
        assert found.best_so_far == f"M{left}.0,{first}H{found.dots[2].x}V{third}H{right}.0"
        assert found.end == drawing.Tick(third, "1.000 ms") and [run.label for run in found.runs] == ["run 2"]

    def test_what_is_far_slower_stands_at_the_top(self) -> None:
        found = drawing.draw(curve_of([2e-3, 1e-3, 0.5, 2.4e-3]))
        assert [dot.kind for dot in found.dots] == ["ok", "ok", "slow", "ok"] and found.dots[2].y == drawing.TOP
        assert "500.000 ms" in found.dots[2].label
        assert "slow" not in {dot.kind for dot in drawing.draw(curve_of([0.5, 1e-3, 0.3])).dots}  # it began there

    def test_nothing_worked(self) -> None:
        found = drawing.draw(curve_of([None, None]))
        assert (found.best_so_far, found.end, found.vertical) == ("", None, []) and len(found.dots) == 2

    def test_one_trial(self) -> None:
        assert drawing.draw(curve_of([1e-3])).best_so_far.startswith(f"M{drawing.LEFT}.0,")

    def test_very_many_are_thinned_but_no_improvement_is_lost(self) -> None:
        curve = curve_of([*([2e-3] * 7001), 1e-3, *([2e-3] * 7000)])
        shown = drawing.drawn(curve)
        assert len(shown) < drawing.MOST_DOTS + 5 and 7002 in {trial.number for trial in shown}

    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [
            (0.9e-3, 4e-3, [1e-3, 1.5e-3, 2e-3, 2.5e-3, 3e-3, 3.5e-3, 4e-3]),
            (1e-6, 1e-3, [1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3]),
            (1e-7, 1e-2, [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2]),
            (1.31e-3, 1.36e-3, [1.31e-3, 1.32e-3, 1.33e-3, 1.34e-3, 1.35e-3, 1.36e-3]),
        ],
    )
    def test_ticks(self, low: float, high: float, expected: list[float]) -> None:
        assert drawing.time_ticks(low, high) == pytest.approx(expected)


class TestPages:
    def test_front_page_leads_to_every_curve(self, path: Path) -> None:
        status, text = get(path, "/")
        assert status == 200 and re.findall(r'<td><a href="(/curves/\d)">', text) == [
            "/curves/2", "/curves/2", "/curves/1", "/curves/1",
        ]  # fmt: skip
        with Database.open(path) as database:
            assert [row["workload_id"] for row in latest_tasks(database, 1)] == [2]

    def test_a_curve_has_every_trial(self, path: Path) -> None:
        status, text = get(path, "/curves/1")
        trials = run_sql(path, "SELECT count(*) FROM records WHERE task_id = 1 AND phase = 'trial'")
        assert status == 200 and (len(re.findall('class="trial ', text)),) == trials
        assert text.count('class="trial failed"') == 2 and "(2 crash)" in text
        assert get(path, "/curves/99")[0] == get(path, f"/curves/{10**30}")[0] == 404

    def test_rows_lead_to_the_curve(self, path: Path) -> None:
        for address in ("/tuning/workloads", "/tuning/workloads/1", "/tuning/tasks/1", "/tuning/best"):
            assert '<a href="/curves/1">curve</a>' in get(path, address)[1]
        assert '<a href="/tuning/tasks/1">1</a>' in get(path, "/tuning/records/1")[1]
        record = ask(path, "best")[0]["record"]
        assert f'<a href="/tuning/records/{record}">{record}</a>' in get(path, "/tuning/best")[1]

    def test_speed_of_an_operator_of_the_library(self, tmp_path: Path) -> None:
        product = get_operator("matmul")(m=100, n=100, k=100)
        workload = Workload(product.text, product.operator, dict(product.params))
        tasks = [replace(TASK, workload=workload, threads=2), replace(TASK, workload=Workload("mine", "matmul"))]
        with Database.open(tmp_path / "tuning.db") as database:
            for number, task in enumerate(tasks):
                database.start_run(make_run(), task)
                database.add(make_record(f"{number}", 1e-3, probe=2.0), task)
            found = [curves(database, number)[0] for number in (1, 2)]
        assert [(curve.gflops, curve.peak_fraction) for curve in found] == [(2.0, 0.5), (None, None)]
        assert "50.0% of the peak" in get(tmp_path / "tuning.db", "/curves/1")[1]
        assert "GFLOP/s" not in get(tmp_path / "tuning.db", "/curves/2")[1]

    def test_nothing_tuned_yet(self, tmp_path: Path) -> None:
        Database.open(tmp_path / "empty.db").close()
        assert "Nothing was tuned yet" in get(tmp_path / "empty.db", "/")[1]

    def test_texts_are_no_html(self, tmp_path: Path) -> None:
        bad = Task(Workload("<script>x</script>", "<b>op</b>"), TASK.target, TASK.device, 1, "llvm 20", 1)
        with Database.open(tmp_path / "tuning.db") as database:
            database.start_run(make_run(), bad)
            database.add(make_record("a", 1e-3), bad)
        for address in ("/", "/curves/1", "/tuning/best", "/tuning/workloads/1"):
            status, text = get(tmp_path / "tuning.db", address)
            assert status == 200 and "<script>x" not in text and "<b>op" not in text and "&lt;b&gt;op" in text

    def test_only_this_machine_may_ask(self, path: Path) -> None:
        assert get(path, "/", host="evil.example")[0] == 403
        assert {get(path, "/", host=host)[0] for host in ("[::1]:8001", "127.0.0.2", "localhost:1")} == {200}

    def test_nothing_can_be_written(self, path: Path) -> None:
        file = site(path).get_database("tuning")
        with closing(file.connect(write=True)) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM records")

    def test_names_that_addresses_could_not_hold(self, path: Path, tmp_path: Path) -> None:
        odd = shutil.copy(path, tmp_path / "50% of #1?.db")
        status, text = get(Path(odd), "/curves/1")
        assert status == 200 and 'class="best"' in text

    def test_a_tuner_goes_on_writing(self, path: Path) -> None:
        found = site(path)
        before = asyncio.run(found.client.get("/curves/1")).text
        with Database.open(path) as database:
            database.add(make_record("one more", 1e-5), TASK)
            after = asyncio.run(found.client.get("/curves/1")).text
        assert after.count('class="trial ') == before.count('class="trial ') + 1


class TestCommand:
    @pytest.fixture
    def served(self, path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
        command = [sys.executable, "-m", "autotune", "db", "browse", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            address = process.stdout.readline().split()[0]
            yield process, address
            process.kill()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_serves_until_interrupted(self, served: tuple[subprocess.Popen[str], str], number: signal.Signals) -> None:
        process, address = served
        with urllib.request.urlopen(address, timeout=30) as page:
            assert page.status == 200 and "conv2d(...)" in page.read().decode()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")

    def test_opens_a_browser_when_asked(self, path: Path, tmp_path: Path) -> None:
        """One that itself asks for the page, and ends when it has it: the server must not wait for it."""
        script = tmp_path / "browser"
        script.write_text(
            f"#!{sys.executable}\nimport sys, urllib.request\n"
            f"page = urllib.request.urlopen(sys.argv[1], timeout=30).read()\n"
            f"open({str(tmp_path / 'seen')!r}, 'wb').write(page)\n"
        )
        script.chmod(0o755)
        command = [sys.executable, "-m", "autotune", "db", "browse", str(path), "--open"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, env={**os.environ, "BROWSER": f"{script} %s"}
        ) as process:
            try:
                deadline = time.monotonic() + 60
                while not (tmp_path / "seen").exists() or not (tmp_path / "seen").stat().st_size:
                    assert time.monotonic() < deadline and process.poll() is None
                    time.sleep(0.05)
            finally:
                process.terminate()
        assert b"conv2d(...)" in (tmp_path / "seen").read_bytes()

    def test_bad_input(self, path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "list.txt").write_text("shopping list\n" * 100)
        shutil.copy(path, tmp_path / "older.db")
        with closing(sqlite3.connect(tmp_path / "older.db")) as raw:
            raw.execute("PRAGMA user_version = 1")
        with listen("127.0.0.1", 0) as taken:
            port = str(taken.getsockname()[1])
            for words, code, part in (
                ([tmp_path / "none.db"], 1, "does not exist"),
                ([tmp_path / "list.txt"], 1, "is not an SQLite database"),
                ([tmp_path], 1, "is a directory"),
                ([tmp_path / "older.db"], 1, "of an older version"),
                (["http://localhost:9/"], 2, "is a URL, and this needs a file"),
                ([path, "--db", path], 2, "one database at a time"),
                ([path, "--host", "0.0.0.0"], 2, "0.0.0.0 is not this machine alone"),
                ([path, "--host", "no.such.host.invalid"], 2, "is not this machine alone"),
                ([path, "--port", port], 2, f"port {port} of 127.0.0.1 cannot be had"),
                ([path, "--port", "70000"], 2, "70000"),
            ):
                assert run(["db", "browse", *map(str, words)]) == code
                out, err = capfd.readouterr()
                sentence = err.splitlines()[-1]
                assert sentence.startswith("Error: ") and part in sentence and not out, err
                assert "Traceback" not in err

    def test_without_the_extra(self, path: Path, tmp_path: Path) -> None:
        (tmp_path / "sitecustomize.py").write_text(_WITHOUT_DATASETTE)
        python_path = os.pathsep.join([str(tmp_path), *sys.path])
        finished = subprocess.run(
            [sys.executable, "-m", "autotune", "db", "browse", str(path)], capture_output=True, text=True, timeout=60,
            env={**os.environ, "PYTHONPATH": python_path},
        )  # fmt: skip
        assert finished.returncode == 1 and finished.stderr.count("\n") == 1
        assert "pip install 'autotune[browse]'" in finished.stderr

    def test_other_addresses_of_this_machine(self) -> None:
        with listen("localhost", 0) as one:
            assert one.getsockname()[1] > 0
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this machine has no IPv6")
        with listen("::1", 0) as other:
            assert other.family == socket.AF_INET6


@pytest.mark.skipif(bool(screenshot.missing()), reason=f"not installed: {', '.join(screenshot.missing())}")
class TestBrowser:
    def test_from_the_front_page_to_a_curve(self, path: Path) -> None:
        with screenshot.served(path) as address, screenshot.browser() as driver:
            driver.get(address)
            driver.find_elements(By.CSS_SELECTOR, "#tasks a")[-1].click()
            assert driver.current_url == f"{address}curves/1"
            (trials,) = run_sql(path, "SELECT count(*) FROM records WHERE task_id = 1 AND phase = 'trial'")
            dots = driver.find_elements(By.CSS_SELECTOR, "svg.curve .trial")
            box = driver.find_element(By.CSS_SELECTOR, "svg.curve").rect
            assert len(dots) == trials and box["width"] > 500 and box["height"] > 150
            for dot in dots:
                at = dot.rect
                assert box["x"] <= at["x"] and at["x"] + at["width"] <= box["x"] + box["width"]
                assert box["y"] <= at["y"] and at["y"] + at["height"] <= box["y"] + box["height"]
            style = driver.find_element(By.CSS_SELECTOR, "svg.curve .best").value_of_css_property("stroke")
            assert style == "rgb(232, 89, 12)"  # the style sheet has arrived
            dots[0].click()
            assert "/tuning/records/1" in driver.current_url
            driver.get(f"{address}tuning/workloads/1")
            driver.find_element(By.LINK_TEXT, "curve").click()
            assert driver.current_url == f"{address}curves/1"
            assert driver.get_log("browser") == []

    def test_the_picture_in_the_docs(self, path: Path, tmp_path: Path) -> None:
        screenshot.take(path, 1, tmp_path / "images" / "curve.png")
        for picture in (tmp_path / "images" / "curve.png", screenshot.PICTURE):
            content = picture.read_bytes()
            assert content.startswith(b"\x89PNG") and 20_000 < len(content) < 200_000
            assert int.from_bytes(content[16:20], "big") == screenshot.WIDTH
