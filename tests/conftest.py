"""What holds for every test: what is lowered in this process is verified between passes; the user's own database is
neither read nor written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autotune.lowering.pipeline import lower

lower.__defaults__ = (None, True)  # observe, check: functions that import `lower` by name see it, too


@pytest.fixture(scope="session", autouse=True)
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder of the tests' own where a user's data would be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield
