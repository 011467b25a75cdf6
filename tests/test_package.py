"""What an install adds: one top-level name, whatever stands at the repository's root."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINKS = ("tensor_expr", "schedules", "search", "cost_model", "targets", "tuning_logs", "rpc")


@pytest.mark.parametrize("name", LINKS)
def test_root_link_is_relative(name: str) -> None:
    link = ROOT / name
    if not link.is_symlink():
        pytest.skip("a checkout without symbolic links")
    assert link.readlink() == Path("autotune", name)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the files in the wheel, built from a copy: a build leaves its output beside its source."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    skipped = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "venv", "*.egg-info")
    shutil.copytree(ROOT, source, symlinks=True, ignore=skipped, dirs_exist_ok=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(output), str(source)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (archive,) = output.glob("*.whl")
    return zipfile.ZipFile(archive).namelist()


@pytest.mark.network
def test_wheel_installs_one_top_level_name(wheel: list[str]) -> None:
    top = {name.split("/")[0] for name in wheel}
    assert top == {"autotune", "autotune-0.1.0.dist-info"}


@pytest.mark.network
def test_wheel_holds_every_module_once(wheel: list[str]) -> None:
    modules = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "autotune").rglob("*.py"))
    assert sorted(name for name in wheel if name.endswith(".py")) == modules


@pytest.mark.network
def test_wheel_holds_what_the_pages_of_a_database_need(wheel: list[str]) -> None:
    folder = ROOT / "autotune" / "tuning_logs" / "browsing"
    files = {
        path.relative_to(ROOT).as_posix() for part in ("templates", "static") for path in (folder / part).iterdir()
    }
    assert len(files) > 4 and files <= set(wheel)
