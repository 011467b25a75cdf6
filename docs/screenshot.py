"""The picture of a workload's page in docs/database.md, taken by a headless Chromium.

    layer="--in-channels 3 --out-channels 64 --height 224 --width 224 --kernel 7 --stride 2"
    autotune conv2d $layer --trials 150 --db tuning.db
    autotune conv2d $layer --trials 200 --db tuning.db
    python docs/screenshot.py tuning.db 1

The second search resumes the first. The last argument is the number in the page's address. It needs the extra
``test`` and Debian's packages chromium and chromium-driver.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

PICTURE = Path(__file__).parent / "images" / "curve.png"
WIDTH = 1160
_FLAGS = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "disable-dev-shm-usage", "hide-scrollbars",
)  # fmt: skip


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


@contextmanager
def browser() -> Iterator[Chrome]:
    """A headless Chromium that knows nothing of earlier ones."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"user-data-dir={profile}", f"window-size={WIDTH},800"):
            options.add_argument(f"--{flag}")
        driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            yield driver
        finally:
            driver.quit()


@contextmanager
def served(database: Path) -> Iterator[str]:
    """The address of ``autotune db browse`` on a database."""
    command = [sys.executable, "-m", "autotune", "db", "browse", str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[0]
        finally:
            process.terminate()


def take(database: Path, workload: int, picture: Path = PICTURE) -> None:
    """Writes the picture of a workload's page, all of it."""
    with served(database) as address, browser() as driver:
        driver.get(f"{address}curves/{workload}")
        height = driver.execute_script("return document.documentElement.scrollHeight")
        driver.set_window_size(WIDTH, height + driver.execute_script("return window.outerHeight - window.innerHeight"))
        picture.parent.mkdir(parents=True, exist_ok=True)
        driver.save_screenshot(str(picture))


if __name__ == "__main__":
    take(Path(sys.argv[1]), int(sys.argv[2]))
