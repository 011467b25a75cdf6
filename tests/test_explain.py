"""``autotune explain``: text and pages, differences, and files that cannot be had."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from test_display import Checker

import autotune as at
from autotune.cli import main
from autotune.targets.llvm.inspect import busiest_loop

SHAPE = ("explain", "matmul", "--m", "8", "--n", "32", "--k", "16", "--target", "x86_avx2")
TITLE = (
    "matmul(constant_b=False, dtype=float32, k=16, m=8, n=32, transpose_a=False, transpose_b=False) for x86_avx2\n"
    "the analytic model's choice, not measured: the database has none\n"
)


@pytest.fixture(autouse=True)
def nobodys_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def explain(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main([*SHAPE, *words])
    captured = capsys.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, captured.out, captured.err


def hand_written(tmp_path: Path) -> str:
    """A file with two steps of a schedule, as ``autotune best --json`` writes it among other things."""
    output = at.matmul(m=8, n=32, k=16).output
    schedule = at.create_schedule(output).split("c", "j", [8]).reorder("c", ["i", "j.0", "r", "j.1"])
    path = tmp_path / "by hand.json"
    path.write_text(json.dumps({"workload": "matmul", "schedule": schedule.to_json()}))
    return str(path)


def test_the_inner_loop_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = explain(capsys, "--show", "assembly")
    assert code == 0 and text.startswith(TITLE + "\nAssembly (marked: the busiest inner loop, ")
    lines = [line for line in text.split(" from the stack)\n")[1].splitlines() if line]
    marked = [number for number, line in enumerate(lines) if line.startswith("> ")]
    assembly = at.assemble(at.find("matmul", "x86_avx2", m=8, n=32, k=16).schedule, "x86_avx2")
    assert marked == list(busiest_loop(assembly)) and any("vfmadd" in lines[number] for number in marked)


def test_a_page_stands_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "page.html"
    assert explain(capsys, "--format", "html", "--output", str(path)) == (0, "", "")
    page = path.read_text()
    code, printed, _ = explain(capsys, "--format", "html")
    assert code == 0 and printed == page + "\n"
    shown = Checker(page)
    assert page.startswith("<!DOCTYPE html>") and "script" not in shown.count and "http" not in page
    text = "".join(shown.text)
    for part in ("the analytic model's choice", ".cache_write(", "Lowered loops", "Buffers", "vfmadd"):
        assert part in text
    assert 'class="marked"' in page


def test_the_page_of_a_stored_kernel_has_its_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tuning.db"
    at.tune("matmul", trials=2, m=8, n=32, k=16, database=path)
    with pytest.raises(SystemExit, match="0"):
        main([*SHAPE[:-2], "--db", str(path), "--format", "html", "--show", "schedule"])
    text = "".join(Checker(capsys.readouterr().out).text)
    for part in ("from the database: ", "verifiedyes, max error", "measured with autotune"):
        assert part in text


def test_against_another_schedule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, default, _ = explain(capsys, "--against", "default", "--show", "schedule")
    assert (
        default.startswith(TITLE + "\nSchedule\n--- default\n+++ explained\n@@ -1,6 +1,")
        and "-            c[i, j] from a, b" in default
    )
    assert explain(capsys, "--against", "analytic") == (
        0,
        f"{TITLE}\nSchedule\nno difference\n\nLoops\nno difference\n",
        "",
    )
    path = hand_written(tmp_path)
    _, text, _ = explain(capsys, "--against", path)
    assert f"--- {path}" in text and '-    .split("c", "j", [8])' in text and "\nLoops\n---" in text
    _, page, _ = explain(capsys, "--against", path, "--format", "html")
    assert '<span class="removed">-    .split(&quot;c&quot;, &quot;j&quot;, [8])</span>' in page
    Checker(page)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ("--against", "nowhere.json"),
            2,
            "--against takes analytic, default or a file, and there is no file 'nowhere",
        ),
        (("--against", "{folder}"), 1, "{folder}: Is a directory"),
        (("--against", "{folder}/text"), 2, "{folder}/text is no JSON: "),
        (("--against", "{folder}/sketch"), 2, "{folder}/sketch is a sketch: it leaves knob 'width' open"),
        (("--against", "{folder}/other"), 2, "there is no stage 'conv'; the stages are: a, b, c"),
        (("--output", "{folder}"), 1, "{folder}: Is a directory"),
        (("--output", "{folder}/no/such/page.html"), 1, "{folder}/no/such/page.html: No such file or directory"),
        (("--format", "pdf"), 2, "'pdf' is not one of 'text', 'html'."),
    ],
)
def test_what_cannot_be_had_gets_one_sentence(
    words: tuple[str, ...], code: int, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("split c")
    knob = {"knob": "width", "choices": [8, 16]}
    for name, step in (
        ("sketch", ["split", {"stage": "c", "axis": "j", "factors": [knob]}]),
        ("other", ["unroll", {"stage": "conv", "axis": "j"}]),
    ):
        (tmp_path / name).write_text(json.dumps({"version": 1, "steps": [step]}))
    got, out, error = explain(capsys, *(word.format(folder=tmp_path) for word in words))
    assert (got, out) == (code, "") and sentence.format(folder=tmp_path) in error and "Traceback" not in error
    assert error.startswith("Error: ") or error.startswith("Usage: ")


def test_the_models_view_of_kernels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = explain(capsys, "--show", "model")
    assert code == 0 and text.startswith(TITLE + "\nModel\n  estimate  ")
    assert "operations per byte of inputs and output" in text and "no trials of this task, or too few" in text
    path = tmp_path / "tuning.db"
    at.tune("matmul", trials=16, m=8, n=32, k=16, database=path)
    with pytest.raises(SystemExit, match="0"):
        main([*SHAPE[:-2], "--db", str(path), "--show", "model"])
    text = capsys.readouterr().out
    assert "from 16 trials of this task" in text
    assert len(re.findall(r"^    \w+ +[+-]\d+\.\d% ", text, re.MULTILINE)) == 8


def test_the_models_view_of_a_kernel_without_a_reduction(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["explain", "relu", "--show", "model"])
    assert "memory is the limit" in capsys.readouterr().out
