"""The documentation is true: its commands and examples run, and the reference is complete and current."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from differential import compare

import autotune
from autotune.schedules.primitives import primitives
from autotune.schedules.tensor_intrinsics import tensor_intrinsics
from autotune.search.scheduling import schedulers
from autotune.search.strategies import strategies
from autotune.targets.facts import TARGETS
from autotune.targets.host import native_target
from autotune.tensor_expr.algorithms import algorithms
from autotune.tensor_expr.operators import operators

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import printed  # noqa: E402
import reference  # noqa: E402
import tutorial  # noqa: E402

REWRITE = {
    "README.md": "python docs/printed.py README.md",
    "docs/guide.md": "python docs/printed.py docs/guide.md",
    "docs/database.md": "python docs/printed.py docs/database.md",
    "docs/strategies.md": "python docs/printed.py docs/strategies.md",
    "docs/tune_many.md": "python docs/printed.py docs/tune_many.md",
    "docs/templates.md": "python docs/printed.py docs/templates.md",
    "docs/tutorial.md": "python docs/tutorial.py --no-speeds",
}
README = (ROOT / "README.md").read_text()
INSTALL, TEST = "pip install . && autotune conv2d", "pip install '.[test]' && pytest"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def user(folder: Path) -> dict[str, str]:
    """The environment of a user who has no database yet."""
    return {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}


@pytest.mark.parametrize("name", REWRITE)
def test_python_on_the_page_runs_and_prints_what_the_page_shows(name: str, tmp_path: Path) -> None:
    page = (ROOT / name).read_text()
    outputs = printed.run(page, tmp_path, user(tmp_path))
    for code, shown, output in zip(printed.code_of(page), printed.printed_on(page), outputs, strict=True):
        if shown is not None:
            assert shown == output, f"{REWRITE[name]} writes it anew; after:\n{code}"


def test_every_step_of_the_tutorial_is_right_at_an_odd_size() -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text()
    small = page.replace("N = 1024\n", "N = 37\n")
    assert small != page
    steps = tutorial.schedules(small)
    assert list(steps) == re.findall(r"^## (\d+\. .*)$", page, re.MULTILINE) and len(steps) == 8
    for title, schedule in steps.items():
        assert schedule.output.shape == (37, 37)
        assert compare(schedule, native_target()) == "", title


def test_the_table_of_speeds_has_a_row_for_every_step() -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text()
    steps = re.findall(r"^## (\d+\. .*)$", page, re.MULTILINE)
    measured = tutorial.speeds(page.replace("N = 1024\n", "N = 37\n"), rounds=1)
    for table in (page, measured):
        rows = re.findall(r"^\| (.+?) \| (\d+) \| ([\d.]+) \| ([\d.]+)% \|$", table, re.MULTILINE)
        assert [row[0] for row in rows] == [*steps, "NumPy"] and rows[-1][3] == "100.0"


def test_speeds_are_measured_in_turns() -> None:
    calls: list[str] = []
    seconds = tutorial.measure({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=2)  # type: ignore[misc]
    assert set(seconds) == {"a", "b"} and all(value > 0 for value in seconds.values())
    turns = [name for name, _ in itertools.groupby(calls)]
    assert turns == ["a", "b", "a", "b", "a"]  # once each to size the samples, then forwards and backwards


def test_the_example_runs(tmp_path: Path) -> None:
    script = shutil.copy(ROOT / "examples" / "own_operator.py", tmp_path)
    finished = subprocess.run(
        [sys.executable, script, "3"], cwd=tmp_path, env=user(tmp_path), capture_output=True, text=True, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    assert "by hand: " in finished.stdout and "tuned: " in finished.stdout


def test_the_readme_says_how_to_install_and_to_test() -> None:
    commands = [line for block in blocks(README, "sh") for line in block.splitlines()]
    assert [line for line in commands if not line.startswith("autotune ")] == [INSTALL, TEST]
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert "pytest" in ci and any(line.endswith("'.[test]'") and line.startswith("pip install") for line in ci)


@pytest.mark.network
def test_commands_of_the_readme_run_in_a_fresh_environment(tmp_path: Path) -> None:
    """Each line as printed, but that searches get a budget of seconds."""
    skipped = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "venv", "*.egg-info")
    checkout, environment = tmp_path / "checkout", tmp_path / "environment"
    shutil.copytree(ROOT, checkout, symlinks=True, ignore=skipped)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    variables = {k: v for k, v in user(tmp_path).items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    variables |= {"PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}", "PIP_QUIET": "1"}
    for command in (line for block in blocks(README, "sh") for line in block.splitlines()):
        if command == TEST:  # these are the tests
            continue
        limited = f"{command} --budget 5s" if command == INSTALL else command
        finished = subprocess.run(
            limited, shell=True, cwd=checkout, env=variables, capture_output=True, text=True, timeout=600
        )
        assert finished.returncode == 0, f"{command}: {finished.stderr}"
        assert finished.stdout, command


def test_the_reference_is_complete() -> None:
    registries = {
        "operators": operators(), "primitives": primitives(), "strategies": strategies(),
        "schedulers": schedulers(), "targets": TARGETS,
        "algorithms": {name for found in algorithms().values() for name in found}, "intrinsics": tensor_intrinsics(),
    }  # fmt: skip
    names = {name for name in autotune.__all__ if not name.startswith("_")} - set(operators())
    for page, known in {**registries, "python": names}.items():
        headings = re.findall(r"^### `(.*)`$", (reference.FOLDER / f"{page}.md").read_text(), re.MULTILINE)
        assert set(known) == set(headings), f"run: python docs/reference.py ({page})"
        for name in known:
            assert f"[`{name}`](reference/{page}.md#{name.lower()})" in reference.INDEX.read_text()


def test_the_reference_is_current() -> None:
    pages = reference.pages()
    assert {path for path in pages if path != reference.INDEX} == set(reference.FOLDER.iterdir())
    for path, text in pages.items():
        assert path.read_text() == text, "run: python docs/reference.py"


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
