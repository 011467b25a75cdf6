"""Logs of TVM's tuners become workloads and timings; what does not map is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autotune.cli.entry import run
from autotune.errors import UsageError
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Accept, Database
from autotune.tuning_logs.foreign import import_log, import_metaschedule
from autotune.tuning_logs.nearness import place


def autotvm(name: str, arguments: list[Any], costs: list[float], error: int = 0) -> str:
    data = {
        "input": ["llvm -keys=cpu -mcpu=core-avx2", name, arguments, {}],
        "config": {"index": 172, "code_hash": None, "entity": [["tile_ic", "sp", [-1, 1]], ["unroll_kw", "ot", False]]},
        "result": [costs, error, 0.53, 1676344759.5], "version": 0.2, "tvm_version": "0.10.0",
    }  # fmt: skip
    return json.dumps(data) + "\n"


def tensor(*shape: int, dtype: str = "float32") -> list[Any]:
    return ["TENSOR", list(shape), dtype]


CONV = [tensor(1, 3, 224, 224), tensor(64, 3, 7, 7), [2, 2], [3, 3, 3, 3], [1, 1], "NCHW", "NCHW", "float32"]
AUTOTVM = [
    autotvm("conv2d_NCHWc.x86", CONV, [4.6e-3, 4.4e-3, 4.5e-3]),
    autotvm("conv2d_NCHWc.x86", CONV, [1e9], 7),
    autotvm("depthwise_conv2d_nchw.x86", [tensor(1, 32, 56, 56), tensor(32, 1, 3, 3), [1, 1], [1, 1], [1, 1]], [1e-4]),
    autotvm("dense_nopack.x86", [tensor(8, 512), tensor(1000, 512), None, "float32"], [2e-4]),
    autotvm("batch_matmul.x86", [tensor(12, 128, 64), tensor(12, 96, 64)], [3e-4]),
    autotvm("winograd_2", [1, 56, 56, 64, [1, 1]], [7e-4]),
    autotvm("conv2d_nchw.cuda", [tensor(1, 3, 8, 8, dtype="int8"), *CONV[1:]], [7e-4]),
]
ANSOR = (
    '{"i": [["[\\"matmul\\", 512, 1024, 64, \\"float32\\"]", "llvm -keys=cpu -mcpu=core-avx2", [16, 64], "", 1, []], '
    '[[], [["SP", 2, 0, 512, [1, 64, 8], 1]]]], "r": [[0.00198, 0.00196], 0, 0.13, 1714270206], "v": "v0.6"}\n'
)
META = (
    ['["1234567", "base64="]\n'],
    [
        json.dumps([0, [[[], []], [1e-3, 3e-3], {"kind": "llvm"}, [["TENSOR", "float32", [64, 64]]]]]),
        json.dumps([0, [[[], []], [1e10], {"kind": "llvm"}, [["TENSOR", "float32", [64, 64]]]]]),
    ],
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "tuning.db") as opened:
        yield opened


def test_autotvm(database: Database) -> None:
    report = import_log(database, AUTOTVM, "autotvm")
    assert (report.new, report.already, report.left_out) == (7, 0, 0)
    assert sorted(reason.partition(" is no ")[0] for reason in report.unmapped) == ["conv2d_nchw.cuda", "winograd_2"]
    by_key = {task.workload.key: task for task in database.tasks()}
    expected = [
        get_operator("conv2d")(
            in_channels=3, out_channels=64, height=224, width=224, kernel="7", stride="2", padding="3"
        ),
        get_operator("depthwise_conv2d")(channels=32, height=56, width=56),
        get_operator("dense")(batch=8, in_features=512, out_features=1000, no_bias=True),
        get_operator("batch_matmul")(m=128, n=96, k=64, transpose_b=True),
    ]
    assert {workload.key for workload in expected} <= by_key.keys()
    task = by_key[expected[0].key]
    good, bad = database.records(task)
    assert good.samples == (4.6e-3, 4.4e-3, 4.5e-3) and good.seconds == 4.5e-3 and not good.verified
    assert good.created == "2023-02-14T03:19:19.500000+00:00" and (bad.status, bad.seconds) == ("timeout", None)
    assert task.toolchain == "AutoTVM of TVM 0.10.0" and task.target.text == "TVM llvm -keys=cpu -mcpu=core-avx2"
    assert json.loads(good.sketch)["autotvm"]["index"] == 172


def test_they_are_never_served_by_default(database: Database) -> None:
    import_log(database, AUTOTVM, "autotvm")
    for task in database.tasks():
        assert database.best(task.workload.key) is None
    asked = database.tasks()[0].workload
    assert database.best(asked.key, accept=Accept(verified=False)) is not None


def test_again(database: Database) -> None:
    import_log(database, AUTOTVM, "autotvm")
    report = import_log(database, [AUTOTVM[0].strip().encode(), *AUTOTVM[1:]], "autotvm")
    assert (report.new, report.already) == (0, 7)


def test_ansor(database: Database) -> None:
    report = import_log(database, [ANSOR, ANSOR.replace("512, 1024", "256, 1024")], "ansor")
    assert report.new == 2 and sum(report.unmapped.values()) == 2
    one, other = (task.workload for task in database.tasks())
    assert one.text == 'ansor ["matmul",512,1024,64,"float32"]'
    places = [place(w.operator, w.params, w.text) for w in (one, other)]
    assert places[0].family == places[1].family and places[0].shape == "512,1024,64"
    (record,) = database.records(database.tasks()[0])
    assert record.seconds == pytest.approx(1.97e-3) and "SP" in record.sketch


def test_metaschedule(database: Database) -> None:
    report = import_metaschedule(database, *META)
    assert report.new == 2 and sum(report.unmapped.values()) == 2
    (task,) = database.tasks()
    assert [record.seconds for record in database.records(task)] == [2e-3, None]
    assert place(task.workload.operator, task.workload.params, task.workload.text).shape == "64,64"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 2 is no trial of autotvm: "),
        ("[]", "line 2 is no trial of autotvm: "),
        (AUTOTVM[0].replace("0.2,", "0.1,"), "its version is 0.1; only 0.2 is known here"),
        (AUTOTVM[0].replace("0.0046", "-1"), "samples must be positive"),
        (AUTOTVM[0].replace("0.0046", "NaN"), "positive and finite"),
        (AUTOTVM[0].replace("1676344759.5", "1e300"), "is no time"),
        (AUTOTVM[3].replace("[8, 512]", "[8, 1e400]"), "infinity"),
        ("[" * 100_000, "recursion"),
        (AUTOTVM[0].replace('"llvm -keys=cpu -mcpu=core-avx2"', "7"), "its target is no text"),
    ],
)
def test_bad_lines(database: Database, line: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        import_log(database, [AUTOTVM[0], line], "autotvm")
    report = import_log(database, [AUTOTVM[0], line, AUTOTVM[2]], "autotvm", strict=False)
    assert (report.new, report.already, report.left_out) == (1, 1, 1)


def test_bad_workloads(database: Database) -> None:
    with pytest.raises(UsageError, match="line 1 of the workloads makes no sense"):
        import_metaschedule(database, ["7\n"], META[1])
    with pytest.raises(UsageError, match="line 1 is no trial of metaschedule"):
        import_metaschedule(database, [], META[1])
    with pytest.raises(UsageError, match="format"):
        import_log(database, [], "halide")


def test_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log, path = tmp_path / "log.json", tmp_path / "tuning.db"
    log.write_text("".join(AUTOTVM))
    assert run(["db", "import", str(log), "--from", "autotvm", "--db", str(path)]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("7 new records") and "no operator of the library, 1 record: winograd_2" in err
    folder = tmp_path / "meta"
    folder.mkdir()
    assert run(["db", "import", str(folder), "--from", "metaschedule", "--db", str(path)]) == 1
    for name, lines in zip(("workload", "tuning_record"), META, strict=True):
        (folder / f"database_{name}.json").write_text("\n".join(lines))
    assert run(["db", "import", str(folder), "--from", "metaschedule", "--db", str(path)]) == 0
    with Database.open(path, readonly=True) as database:
        assert database.count() == 9
