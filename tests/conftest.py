"""What holds for every test: whatever is lowered in this process is verified between passes."""

from __future__ import annotations

from autotune.lowering.pipeline import lower

lower.__defaults__ = (None, True)  # observe, check: functions that import `lower` by name see it, too
